package linkerd

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// table is a verdict.Map spread out for looking up.
type table struct {
	t     *testing.T
	peers []verdict.Peer
	cells map[[2]int][]verdict.Allowance
	ports map[string][]model.Port
}

func spread(t *testing.T, in verdict.Input) *table {
	t.Helper()
	m := verdict.NewMap(in)
	to := &table{t: t, peers: m.Peers(), cells: map[[2]int][]verdict.Allowance{}, ports: map[string][]model.Port{}}
	for c := range m.Connections() {
		at := [2]int{c.From, c.To}
		to.cells[at] = append(to.cells[at], c.Allowance)
	}
	return to
}

func (tb *table) find(e verdict.End) int {
	i := slices.IndexFunc(tb.peers, func(p verdict.Peer) bool {
		return e.Workload != nil && p.Workload == e.Workload ||
			e.Workload == nil && slices.ContainsFunc(p.CIDRs, func(c netip.Prefix) bool { return c.Contains(e.Address) })
	})
	require.NotEqual(tb.t, -1, i)
	return i
}

// allowance is what the map says of one port, or nil.
func (tb *table) allowance(from, to verdict.End, port model.Port) *verdict.Allowance {
	list := tb.cells[[2]int{tb.find(from), tb.find(to)}]
	i := slices.IndexFunc(list, func(a verdict.Allowance) bool {
		return a.Protocol == port.Protocol && contains(tb.numbers(a.Ports), port.Number)
	})
	if i < 0 {
		return nil
	}
	return &list[i]
}

func (tb *table) numbers(text string) []model.Port {
	if _, known := tb.ports[text]; !known {
		var ports []model.Port
		for part := range strings.SplitSeq(text, ",") {
			p, ok := parsePort(part)
			require.True(tb.t, ok, text)
			ports = append(ports, p)
		}
		tb.ports[text] = ports
	}
	return tb.ports[text]
}

func (tb *table) decision(from, to verdict.End, port model.Port) verdict.Decision {
	a := tb.allowance(from, to, port)
	if a == nil {
		return verdict.Refused
	}
	return [...]verdict.Decision{verdict.Open, verdict.Partial, verdict.Unclear}[a.Standing]
}
