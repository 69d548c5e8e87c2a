package difftest

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	securityapi "istio.io/api/security/v1beta1"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// knownDifference is one that stays.
type knownDifference struct {
	name, reason string
	holds        func(*comparison, *judged) bool
}

// known are all of them, in the order in which they are tried.
var known = []knownDifference{
	{
		"CUSTOM", "the reader does not know the mesh's extensionProviders: Istio denies where one is missing, or where a workload has several, and asks none on TCP that speaks HTTP only",
		func(c *comparison, j *judged) bool {
			heard := j.to.kind != ambient && j.to.kind != proxyless || j.what == "waypoint" || j.what == "whole"
			return j.got == verdict.Unclear && heard && c.decidedBy(j, isCustom)
		},
	},
	{
		"disputed protocol", "two Services declare a port differently and the older decides, but model.Service has no age: the reader says that it does not know",
		func(c *comparison, j *judged) bool { return j.got == verdict.Unclear && c.disputed(j.to, j.conn.port) },
	},
	{
		"HTTP or not", "where a proxy looks whether a connection carries HTTP, one rule may settle it for HTTP and another for the rest; the reader judges rule by rule, and calls that partial",
		func(_ *comparison, j *judged) bool {
			return j.got == verdict.Partial && j.sniffed && j.want != verdict.Unclear
		},
	},
	{
		"TLS of the client's own", "where a proxy looks whether a connection carries HTTP, TLS that it does not end carries none; the reader takes it for plaintext, of which it is not known",
		func(_ *comparison, j *judged) bool { return j.got == verdict.Partial && j.own },
	},
	{
		"plaintext beyond a waypoint", "a waypoint sends plaintext on the port itself to what takes no HBONE, and a model.Way has one port and one protection for both of its halves: the reader judges the second as if it were HBONE, and never calls that allowed",
		func(_ *comparison, j *judged) bool { return j.beyond && j.got <= verdict.Unclear },
	},
}

// judged is one connection, as both sides judge it.
type judged struct {
	what      string
	from, to  *pod
	conn      connection
	want, got verdict.Decision
	answers   []verdict.Answer
	// sniffed tells that the proxy looks whether the connection carries HTTP, own that it
	// carries TLS of the client's own, beyond that it leaves a waypoint in plaintext.
	sniffed, own, beyond bool
}

// comparison is the work on one world.
type comparison struct {
	*istiod
	r *reading
	// counts are of comparisons by what was compared, and of known differences.
	counts map[string]int
	faults int
}

func TestReaderSaysWhatIstioGenerates(t *testing.T) {
	silence()
	first, seeds := number(t, "PALISADE_DIFFTEST_FIRST", 0), number(t, "PALISADE_DIFFTEST_SEEDS", 120)
	counts := map[string]int{}
	for seed := first; seed < first+seeds; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newWorld(uint64(seed))
			c := &comparison{istiod: start(t, w), r: read(w), counts: counts}
			c.world()
			if c.faults > 0 {
				t.Logf("%d differences\n%s", c.faults, w)
			}
		})
	}
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%8d %s", counts[key], key)
	}
	enough(t, counts, seeds)
}

// enough demands that a run met each outcome often enough to say something.
func enough(t *testing.T, counts map[string]int, seeds int) {
	for what, atLeast := range map[string]int{
		"mtls allowed": 150, "mtls denied": 50,
		"authorization allowed": 100, "authorization denied": 50, "authorization partial": 10,
		"authorization by name allowed": 80, "authorization by name denied": 80, "authorization by name partial": 5,
		"authorization by HBONE allowed": 5, "authorization by HBONE denied": 5,
		"waypoint allowed": 3, "waypoint denied": 0,
		"way plaintext": 80, "way mTLS": 12, "way HBONE": 15, "way mTLS (fails)": 8, "way plaintext (fails)": 8,
		"whole allowed": 60, "whole denied": 30, "whole partial": 2,
	} {
		require.Greater(t, counts[what], atLeast*seeds/2, what)
	}
}

func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, name)
	return n
}

func (c *comparison) world() {
	for _, to := range c.w.pods {
		for _, from := range append([]*pod{nil}, c.w.pods...) {
			if from != to {
				c.enforced(from, to)
			}
		}
		for _, from := range c.w.pods {
			if from != to && from.kind != outside && from.kind != waypoint && to.kind != waypoint {
				c.ways(from, to)
			}
		}
	}
}

// same holds two decisions to each other.
func (c *comparison) same(j *judged) {
	c.counts[j.what]++
	c.counts[j.what+" "+j.want.String()]++
	if j.want == j.got {
		return
	}
	for _, k := range known {
		if k.holds(c, j) {
			c.counts["known difference: "+k.name]++
			return
		}
	}
	c.fault("%s: %s → %s:%d (%s): Istio %s, reader %s\n%s", j.what, name(j.from), name(j.to), j.conn.port, j.to.kind, j.want, j.got, causes(j.answers))
}

func (c *comparison) fault(format string, args ...any) {
	if c.faults++; c.faults < 6 {
		c.t.Errorf(format, args...)
	}
}

func causes(answers []verdict.Answer) string {
	var b strings.Builder
	for _, a := range answers {
		fmt.Fprintln(&b, "  ", a.Layer, a.Decision, a.Causes)
	}
	return b.String()
}

// decidedBy tells whether a policy of some sort is among those that decide.
func (c *comparison) decidedBy(j *judged, sort func(*securityapi.AuthorizationPolicy) bool) bool {
	for _, a := range j.answers {
		for _, cause := range a.Causes {
			for _, p := range c.w.policies {
				if p.Name == cause.Object.Name && p.Namespace == cause.Object.Namespace && sort(&p.Spec) {
					return true
				}
			}
		}
	}
	return false
}

func isCustom(p *securityapi.AuthorizationPolicy) bool {
	return p.Action == securityapi.AuthorizationPolicy_CUSTOM
}

// disputed tells whether Services declare a port of a pod differently.
func (c *comparison) disputed(to *pod, port int32) bool {
	var said []string
	for _, s := range c.w.services {
		if s.Namespace != to.Namespace || !selects(s.Spec.Selector, to.Labels) {
			continue
		}
		for _, p := range s.Spec.Ports {
			if targetOf(p, to) == port {
				said = append(said, protocolOf(p))
			}
		}
	}
	slices.Sort(said)
	return len(slices.Compact(said)) > 1
}

// enforced compares what the proxy of a pod demands and lets through.
func (c *comparison) enforced(from, to *pod) {
	for _, port := range ports {
		conn := connection{source: address(from), destination: address(to), port: port}
		if to.kind == proxyless && c.grpcListener(to, port) == nil {
			c.counts["not compared: a port that istiod gives a proxyless server no listener for"]++
			continue
		}
		c.plainly(from, to, conn)
		if from == nil || from.kind == outside {
			continue
		}
		conn.principal = identity(from)
		c.named(from, to, conn)
	}
}

// plainly compares what becomes of connections without identity.
func (c *comparison) plainly(from, to *pod, conn connection) {
	answers := c.r.answers(from, to, conn.port, model.Way{})
	at := c.r.loads[to]
	v := c.takes(to, conn, plainHTTP, plainTCP)
	c.same(&judged{what: "mtls", from: from, to: to, conn: conn, want: decisionOf(truth(v.taken)), got: answerOf(answers, model.FilterMTLS, at), answers: answers})
	if v.taken {
		c.same(&judged{what: "authorization", from: from, to: to, conn: conn, want: decisionOf(v.lets), got: answerOf(answers, model.FilterAuthorization, at), answers: answers, sniffed: v.sniffed})
	}
}

// named compares what becomes of connections that prove an identity, by mTLS on the port itself and by HBONE.
func (c *comparison) named(from, to *pod, conn connection) {
	answers := c.r.answers(from, to, conn.port, model.Way{Protected: true})
	got := answerOf(answers, model.FilterAuthorization, c.r.loads[to])
	if v := c.takes(to, conn, meshHTTP, meshTCP); v.taken {
		c.same(&judged{what: "authorization by name", from: from, to: to, conn: conn, want: decisionOf(v.lets), got: got, answers: answers, sniffed: v.sniffed})
	}
	if v := c.tunnelled(to, conn); v.taken {
		c.same(&judged{what: "authorization by HBONE", from: from, to: to, conn: conn, want: decisionOf(v.lets), got: got, answers: answers, sniffed: v.sniffed})
	}
}

func name(p *pod) string {
	if p == nil {
		return "a stranger"
	}
	return p.Namespace + "/" + p.Name
}
