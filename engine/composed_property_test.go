package engine_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/cluster"
	"floe.dev/palisade/engine"
	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// What the objects that palisade writes do, judged by all layers together, is
// what the rules say: evaluate(compile(model)) == model. The expectation comes from the
// words of the rules (rules_property_test.go) and from who is in the mesh; the
// objects come from the compilers, the judgement from readers that know objects alone.

// modelsVariable says how many models are made for each mesh, in place of the sample.
const modelsVariable = "PALISADE_MODELS"

func modelsWanted(t *testing.T, sample uint64) uint64 {
	t.Helper()
	text := os.Getenv(modelsVariable)
	if text == "" {
		return sample
	}
	n, err := strconv.ParseUint(text, 10, 32)
	require.NoError(t, err, "%s", modelsVariable)
	return n
}

func TestTheObjectsDoWhatTheRulesSayByAllLayersTogether(t *testing.T) {
	var models, connections atomic.Int64
	t.Run("meshes", func(t *testing.T) {
		for i, m := range meshCases {
			t.Run(m.name, func(t *testing.T) {
				t.Parallel()
				for seed := range modelsWanted(t, 40) {
					c := randomCluster(9000*uint64(i)+seed, false)
					if i > 0 && seed%3 == 0 {
						c.outside = caseNamespaces[seed%9/3]
					}
					connections.Add(int64(c.judge(t, i, seed)))
					models.Add(1)
				}
			})
		}
	})
	t.Logf("%d random models, %d connections: as many by the rules as by the objects", models.Load(), connections.Load())
}

// closedByDefault is Linkerd with a default policy under which ports that no Server names are closed.
var closedByDefault = strings.Replace(linkerd, "proxy: {", "proxy: {defaultInboundPolicy: deny, ", 1)

// judge holds every connection of the cluster in a mesh against the rules, and counts them.
func (c *clusterCase) judge(t *testing.T, mesh int, seed uint64) int {
	t.Helper()
	m, given := meshCases[mesh], engine.Given{}
	if mesh == 0 {
		given = none
	}
	control := m.mesh
	if m.name == "linkerd" {
		control = []string{closedByDefault}
	}
	text := strings.Join(slices.Concat(c.manifests(), c.services(), control, []string{facts, kubeDNS}), "\n---\n")
	text = strings.NewReplacer(", MESHLABEL", prefixed(m.label), "MESHANNOTATION", m.annotation).Replace(text)
	s, err := cluster.Read([]string{"-"}, strings.NewReader(text), cluster.Options{})
	require.NoError(t, err)
	v := engine.Look(s, engine.ViewOptions{Options: engine.Options{Given: given, Now: noon}, When: engine.Planned})
	shown := shownBy(v.Map())
	count := 0
	for _, from := range c.pods {
		for _, to := range c.pods {
			a, b := peerOf(t, &v, from), peerOf(t, &v, to)
			for _, port := range askedOfRules {
				if port.Number == 53 && from.namespace == to.namespace {
					continue // DNS opens it towards the resolver, which is not here
				}
				count++
				want := c.expected(m.name, from, to, a, b, port)
				e := verdict.Explain(v.State, verdict.Question{From: verdict.End{Workload: a}, To: verdict.End{Workload: b}, Port: port})
				got := "refused"
				switch e.Decision {
				case verdict.Open:
					got = e.Protection.String() + " as " + e.Identity.String()
				case verdict.Partial, verdict.Unclear:
					got = e.Decision.String()
				}
				if got != want {
					t.Fatalf("seed %d: %s → %s %s: the rules say %q, explain %q\n%+v\n%s", seed, a.ID, b.ID, port, want, got, e.Answers, text)
				}
				mapped := shown[fmt.Sprint(a.ID, b.ID, port)]
				if a != b && mapped != strings.Split(want, " as ")[0] && (mapped != "" || want != "refused") {
					t.Fatalf("seed %d: %s → %s %s: the rules say %q, the map %q\n%s", seed, a.ID, b.ID, port, want, mapped, text)
				}
			}
		}
	}
	return count
}

func peerOf(t *testing.T, v *engine.View, p podCase) *model.Workload {
	t.Helper()
	i := slices.IndexFunc(v.State.Workloads, func(w model.Workload) bool { return w.ID.Namespace == p.namespace && w.ID.Name == p.name })
	require.GreaterOrEqual(t, i, 0)
	return &v.State.Workloads[i]
}

// shownBy is the protection of every connection of a map to a port that is asked for.
func shownBy(m *verdict.Map) map[string]string {
	shown := map[string]string{}
	peers := m.Peers()
	for c := range m.Connections() {
		if peers[c.From].Workload == nil || peers[c.To].Workload == nil {
			continue
		}
		for _, port := range askedOfRules {
			if c.Covers(port) {
				text := c.Protection.String()
				if c.Standing != verdict.Allowed {
					text = fmt.Sprint("standing ", c.Standing)
				}
				shown[fmt.Sprint(peers[c.From].Workload.ID, peers[c.To].Workload.ID, port)] = text
			}
		}
	}
	return shown
}

// expected is what becomes of a connection by the words of the rules, and by who is in the mesh.
func (c *clusterCase) expected(mesh string, from, to podCase, a, b *model.Workload, port model.Port) string {
	tcp := port.Protocol == corev1.ProtocolTCP
	switch {
	case !c.allows(from, to, port) && !c.erased(from, to, a, b, mesh, port):
		return "refused"
	case !tcp || !b.Facts.Meshed():
		return "plaintext as "
	case c.governed[to.namespace] && !a.Facts.Meshed():
		return "refused" // it takes nobody without an identity
	case c.governed[to.namespace] && (mesh == "sidecar" || mesh == "ambient") && !c.listed(from, to, port):
		return "refused" // Istio knows no ranges: a problem says so
	case c.governed[to.namespace] && mesh == "linkerd" && !c.listed(from, to, port) && !to.declares(port):
		return "refused" // nor does Linkerd, beyond ports that are declared
	case !c.governed[to.namespace] && mesh == "linkerd":
		return "refused" // by the default policy, which lets nobody in
	case !a.Facts.Meshed():
		return "plaintext as "
	default:
		return "mtls as " + a.Facts.Identity
	}
}

// erased tells whether only the network knows of the call, which cannot tell it from
// another: a tunnel stands for every port, and where the server is not governed nothing judges behind it. A problem says so.
func (c *clusterCase) erased(from, to podCase, a, b *model.Workload, mesh string, port model.Port) bool {
	return mesh == "ambient" && port.Protocol == corev1.ProtocolTCP && a.Facts.Meshed() && b.Facts.Meshed() && !c.governed[to.namespace] && c.tunnelled(from, to)
}

func (p podCase) declares(port model.Port) bool {
	return slices.ContainsFunc(p.ports, func(q portCase) bool { return q.number == port.Number && q.protocol == port.Protocol })
}

// listed tells whether some rule allows a call by more than a wide range.
func (c *clusterCase) listed(from, to podCase, port model.Port) bool {
	return slices.ContainsFunc(c.rules, func(r ruleCase) bool {
		return r.joins(from, to) && slices.ContainsFunc(r.ports, func(p rulePortCase) bool { return p.is(to, port) && !p.wide })
	})
}

// services are Services for all that is asked for: the proxies of clients know ports by these.
func (c *clusterCase) services() []string {
	var ports []string
	for _, p := range askedOfRules {
		if p.Protocol == corev1.ProtocolTCP {
			ports = append(ports, fmt.Sprintf("{name: tcp-%d, port: %d}", p.Number, p.Number))
		}
	}
	var all []string
	for _, p := range c.pods {
		all = append(all, fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {name: %s, namespace: %s}\nspec: {selector: {app: %s}, ports: [%s]}",
			p.name, p.namespace, p.labels["app"], strings.Join(ports, ", ")))
	}
	return all
}
