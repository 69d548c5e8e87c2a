package verify

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
)

const targetsFile = `
apiVersion: palisade.floe.dev/v1alpha1
kind: VerificationTargets
mesh: istio
trustDomain: mesh.example
roots: [roots.pem]
identities:
- {identity: mesh.example/ns/shop/sa/web, certificate: web.pem, key: web.key}
- {identity: mesh.example/ns/shop/sa/web, certificate: old.pem, key: old.key, expired: true}
- {identity: mesh.example/ns/other/sa/x, certificate: x.pem, key: x.key}
targets:
- workload: Deployment shop/cart
  pod: cart-1
  address: 10.1.2.3
  port: 8080
  way: hbone
  identity: mesh.example/ns/shop/sa/cart
  authorized: true
  callers: [mesh.example/ns/shop/sa/web]
- {workload: Deployment shop/cart, address: "::ffff:10.1.2.3", port: 15020, way: direct, standing: plaintext, why: the proxy's own}
`

func clients(e *Expectation) []Client {
	var list []Client
	for _, c := range e.Checks {
		list = append(list, c.Client)
	}
	return list
}

func TestTargetsOfAFileBecomeExpectations(t *testing.T) {
	targets, err := ParseTargets([]byte(targetsFile))
	require.NoError(t, err)
	list := targets.Expectations()
	require.Len(t, list, 2)
	own, port := list[0], list[1] // without a pod first
	assert.Equal(t, ByDesign, own.Standing)
	assert.Equal(t, "10.1.2.3", own.Address.String(), "mapped addresses are IPv4's")
	assert.Equal(t, []Client{Plaintext}, clients(&own))
	assert.Equal(t, Strict, port.Standing, "nothing else is said")
	assert.Equal(t, []Client{Plaintext, NoCertificate, Member, Stranger, ForeignCA, Expired}, clients(&port))
	for _, c := range port.Checks {
		switch c.Client {
		case Member, Expired, ForeignCA:
			assert.Equal(t, "mesh.example/ns/shop/sa/web", c.Identity)
		case Stranger:
			assert.Equal(t, "mesh.example/ns/other/sa/x", c.Identity)
		}
	}
}

func TestWhatCannotBeTriedIsSaid(t *testing.T) {
	targets, err := ParseTargets([]byte(targetsFile))
	require.NoError(t, err)
	targets.Identities = nil
	port := targets.Expectations()[1]
	assert.Equal(t, []Client{Plaintext, NoCertificate, ForeignCA}, clients(&port))
	assert.Equal(t, []string{
		untestedStranger,
		"a client that is let in: no certificate of mesh.example/ns/shop/sa/web is at hand",
		"an expired certificate: no expired certificate of mesh.example/ns/shop/sa/web is at hand",
	}, port.Untested)
}

func TestTargetsWithFaultsAreRefusedWithAllOfThem(t *testing.T) {
	_, err := ParseTargets([]byte(`
apiVersion: palisade.floe.dev/v1alpha1
kind: VerificationTargets
mesh: istio
identities: [{identity: a}]
targets:
- {workload: cart, port: 80, way: sidecar}
- {workload: Deployment shop/cart, port: 70000, way: sidecar}
- {workload: Deployment shop/cart, port: 80, way: linkerd}
- {workload: Deployment shop/cart, port: 80, way: direct}
- {workload: Deployment shop/cart, port: 80, way: sidecar, standing: open}
- {workload: Deployment shop/cart, port: 80, way: sidecar, address: "fe80::1%eth0"}
`))
	require.Error(t, err)
	assert.Equal(t, `identities[0] needs identity, certificate and key
targets[0].workload: "cart" is not "Kind namespace/name"
targets[1].port: 70000 is no port
targets[2].way: "linkerd" is none of sidecar, hbone, proxyless, direct
targets[3].way: a port that is to be strict has a proxy before it
targets[4].standing: "open" is not known
targets[5].address: fe80::1%eth0 has a zone`, err.Error())
	for _, text := range []string{"", "kind: VerificationTargets", "targets: {}", "aim: high"} {
		_, err := ParseTargets([]byte(text))
		assert.Error(t, err)
	}
}

func TestExpectationsAreWrittenAsTheFileThatIsRead(t *testing.T) {
	targets, err := ParseTargets([]byte(targetsFile))
	require.NoError(t, err)
	written := TargetsOf(model.Mesh{Kind: model.MeshIstio, TrustDomain: "mesh.example"}, Options{}, targets.Expectations())
	written.Identities = targets.Identities
	assert.Equal(t, targets.Expectations(), written.Expectations())
}

func FuzzParseTargets(f *testing.F) {
	f.Add([]byte(targetsFile))
	f.Fuzz(func(t *testing.T, data []byte) {
		targets, err := ParseTargets(data)
		if err != nil {
			return
		}
		for _, e := range targets.Expectations() {
			seen := Observed{Target: e.Target}
			if r := Judge(&e, &seen); r.Verdict == Pass {
				t.Fatalf("nothing was seen of %v, and it passes", e.Target)
			}
		}
	})
}

func TestAClientThatCannotBePlayedIsLeftOutAloud(t *testing.T) {
	e := expected(Linkerd, Strict)
	before := len(e.Checks)
	e.LeaveOut(Expired, "the mesh issues none")
	assert.Len(t, e.Checks, before-1)
	assert.NotContains(t, clients(&e), Expired)
	assert.Contains(t, e.Untested, "an expired certificate: the mesh issues none")
}
