package istio

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
	judging "floe.dev/palisade/verdict"
)

// farAddresses are of no pod: one of nowhere, one among those of pods.
var farAddresses = []string{"192.0.2.9", "10.1.0.200"}

// tally counts what was compared.
type tally struct {
	sync.Mutex
	counts map[string]int
}

func (c *tally) add(from map[string]int) {
	c.Lock()
	defer c.Unlock()
	for key, n := range from {
		c.counts[key] += n
	}
}

// TestReaderSaysWhatANaiveWalkOfForeignObjectsSays judges every pair of random
// meshes with objects of any sort twice by the reader, one connection at a time and all at once, and once by the oracle.
func TestReaderSaysWhatANaiveWalkOfForeignObjectsSays(t *testing.T) {
	const parts, each = 8, 250
	total := tally{counts: map[string]int{}}
	t.Run("worlds", func(t *testing.T) {
		for part := range uint64(parts) {
			t.Run(fmt.Sprint("part ", part), func(t *testing.T) {
				t.Parallel()
				counts := map[string]int{}
				for seed := part * each; seed < (part+1)*each; seed++ {
					newForeignWorld(seed).compare(t, seed, counts)
				}
				total.add(counts)
			})
		}
	})
	t.Log(total.counts)
	for _, kind := range []string{"sidecar", "ambient", "grpc", "gateway"} {
		for _, d := range []judging.Decision{judging.Open, judging.Refused, judging.Partial, judging.Unclear} {
			require.Greater(t, total.counts[kind+" "+d.String()], 5, "%s %s", kind, d)
		}
	}
	for _, kind := range []string{"sidecar", "ambient", "grpc", "gateway", "waypoint"} {
		for _, p := range []judging.Protection{judging.Plaintext, judging.MTLS} {
			require.Greater(t, total.counts["from "+kind+" by "+p.String()], 50, "%s %s", kind, p)
		}
	}
}

func (w *foreignWorld) compare(t *testing.T, seed uint64, counts map[string]int) {
	t.Helper()
	o, table := oracle{w}, newVerdicts(judging.NewMap(w.input))
	ends := make([]judging.End, 0, len(w.m.Workloads)+1)
	for i := range w.m.Workloads {
		ends = append(ends, judging.End{Workload: &w.m.Workloads[i]})
	}
	ends = append(ends, judging.End{Address: netip.MustParseAddr(farAddresses[seed%2])})
	for i, from := range ends {
		for j, to := range ends {
			if i == j || from.Workload == nil && to.Workload == nil {
				continue
			}
			ports := worldPorts
			if kind := kindOf(to.Workload); kind == "outside" || kind == "waypoint" {
				ports = ports[(i+j+int(seed))%len(ports):][:1] // these have no policies of their own
			}
			for _, number := range ports {
				port := model.TCP(number)
				want := o.judge(from, to, number)
				counts[kindOf(to.Workload)+" "+want.Decision.String()]++
				counts["from "+kindOf(from.Workload)+" by "+want.Protection.String()]++
				e := judging.Explain(w.input, judging.Question{From: from, To: to, Port: port})
				if got := newOutcome(e.Decision, e.Protection); got != want {
					t.Fatalf("seed %d: explain: %s → %s %s is %v, the oracle says %v\n%+v\n%s", seed, endName(from), endName(to), port, got, want, e.Answers, w)
				}
				if got := table.find(from, to, port); got != want {
					t.Fatalf("seed %d: map: %s → %s %s is %v, the oracle says %v\n%s", seed, endName(from), endName(to), port, got, want, w)
				}
			}
		}
	}
}

// outcome is what becomes of a connection; what is refused has no protection.
type outcome struct {
	judging.Decision
	judging.Protection
}

func newOutcome(d judging.Decision, p judging.Protection) outcome {
	if d == judging.Refused {
		p = judging.Plaintext
	}
	return outcome{d, p}
}

func endName(e judging.End) string {
	if e.Workload == nil {
		return e.Address.String()
	}
	return e.Workload.ID.String()
}

// verdicts is a map spread out for looking up.
type verdicts struct {
	peers []judging.Peer
	cells map[[2]int][]judging.Allowance
}

func newVerdicts(m *judging.Map) *verdicts {
	v := &verdicts{peers: m.Peers(), cells: map[[2]int][]judging.Allowance{}}
	for c := range m.Connections() {
		at := [2]int{c.From, c.To}
		v.cells[at] = append(v.cells[at], c.Allowance)
	}
	return v
}

func (v *verdicts) peer(e judging.End) int {
	return slices.IndexFunc(v.peers, func(p judging.Peer) bool {
		return e.Workload != nil && p.Workload == e.Workload || e.Workload == nil && slices.ContainsFunc(p.CIDRs, func(c netip.Prefix) bool { return c.Contains(e.Address) })
	})
}

func (v *verdicts) find(from, to judging.End, port model.Port) outcome {
	for _, a := range v.cells[[2]int{v.peer(from), v.peer(to)}] {
		if a.Protocol == port.Protocol && portsContain(a.Ports, port.Number) {
			return newOutcome([...]judging.Decision{judging.Open, judging.Partial, judging.Unclear}[a.Standing], a.Protection)
		}
	}
	return outcome{}
}

// portsContain reads "80,443-445".
func portsContain(list string, port int32) bool {
	for text := range strings.SplitSeq(list, ",") {
		first, last, ranged := strings.Cut(text, "-")
		if !ranged {
			last = first
		}
		low, _ := strconv.Atoi(first)
		high, _ := strconv.Atoi(last)
		if low <= int(port) && int(port) <= high {
			return true
		}
	}
	return false
}
