package suite

import (
	_ "embed"
	"testing"

	"github.com/stretchr/testify/require"
)

//go:embed default-deny.yaml
var defaultDeny []byte

//go:embed default-deny-intent.yaml
var defaultDenyIntent []byte

// TestDefaultDenyBlocksAndARuleOpensExactlyItsFlow has palisade's controller govern a
// namespace, and looks at the packets before, while, and after a rule is there.
func TestDefaultDenyBlocksAndARuleOpensExactlyItsFlow(t *testing.T) {
	c := Connect(t)
	c.Given(t, defaultDeny)
	const shop, street = "e2e-deny-shop", "e2e-deny-street"
	for _, namespace := range []string{shop, street} {
		c.Do(t, nil, "wait", "--for=condition=Available", "deployment", "--all", "-n", namespace, "--timeout="+readyWithin.String())
	}

	ruled := Flow{shop + "/client", shop + "/server", "tcp", "8080"}
	outside := []Flow{
		{street + "/client", street + "/server", "tcp", "8080"},
		{street + "/client", street + "/server", "udp", "8081"},
	}
	flows := append([]Flow{
		ruled,
		{shop + "/client", shop + "/server", "tcp", "9090"},   // another port
		{shop + "/client", shop + "/server", "udp", "8081"},   // another protocol
		{shop + "/other", shop + "/server", "tcp", "8080"},    // another client
		{shop + "/server", shop + "/client", "tcp", "8080"},   // the other way
		{street + "/client", shop + "/server", "tcp", "8080"}, // into the namespace
		{shop + "/client", street + "/server", "tcp", "8080"}, // out of it
		{shop + "/client", street + "/server", "udp", "8081"},
	}, outside...)

	everything := Closed(flows, flows...)
	require.Equal(t, everything, c.Await(everything, flows), "before anything is governed")

	c.Given(t, defaultDenyIntent)
	c.Enforced(t, shop)
	only := Closed(flows, append(outside, ruled)...)
	require.Equal(t, only, c.Await(only, flows), "governed, with one rule")

	c.Do(t, nil, "delete", "trafficrule", "server", "-n", shop)
	nothing := Closed(flows, outside...)
	require.Equal(t, nothing, c.Await(nothing, flows), "governed, without a rule")
}
