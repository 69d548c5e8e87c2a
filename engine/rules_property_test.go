package engine_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/engine"
	"floe.dev/palisade/model"
)

// The cases of this test are small clusters with rules at random, written as
// YAML. What they allow is computed from the words of the rules alone: a call
// passes where a rule has the client, the server and the port, or where nothing governs either side.

// selectorCase is a label selector and what it means.
type selectorCase struct {
	yaml    string
	matches func(labels map[string]string) bool
}

type podCase struct {
	namespace, name, kind string
	labels                map[string]string
	ports                 []portCase
}

type portCase struct {
	name     string
	number   int32
	protocol corev1.Protocol
}

type ruleCase struct {
	namespace string
	to        selectorCase
	from      []clientCase
	ports     []rulePortCase
}

// clientCase is a client in pods; is judges its namespace.
type clientCase struct {
	yaml string
	is   func(namespace string, labels map[string]string) bool
	pods selectorCase
}

type rulePortCase struct {
	yaml string
	is   func(server podCase, port model.Port) bool
	// wide tells of a range that is too wide to be listed port by port.
	wide bool
}

type clusterCase struct {
	*rand.Rand
	governed map[string]bool
	teams    map[string]string
	pods     []podCase
	rules    []ruleCase
	// alike tells that pods of several workloads bear the same labels, so that no selector tells them apart.
	alike bool
	// outside is a namespace that is not enrolled in the mesh.
	outside string
}

var caseNamespaces = []string{"blue", "green", "red"}

func randomCluster(seed uint64, alike bool) *clusterCase {
	c := &clusterCase{alike: alike, Rand: rand.New(rand.NewPCG(seed, 77)), governed: map[string]bool{}, teams: map[string]string{}}
	for _, namespace := range caseNamespaces {
		c.governed[namespace] = c.IntN(4) > 0
		c.teams[namespace] = fmt.Sprint("t", c.IntN(2))
		for i := range 1 + c.IntN(4) {
			c.pods = append(c.pods, c.pod(namespace, i))
		}
	}
	for range 1 + c.IntN(6) {
		c.rules = append(c.rules, c.rule())
	}
	return c
}

func (c *clusterCase) pod(namespace string, number int) podCase {
	p := podCase{namespace: namespace, name: fmt.Sprint("w", number), labels: map[string]string{"app": fmt.Sprint("a", number)}}
	if c.alike {
		p.labels["app"] = "a0"
	}
	p.kind = []string{"Deployment", "StatefulSet", "DaemonSet", "Pod", "CronJob", "Job"}[c.IntN(6)]
	if c.IntN(2) == 0 {
		p.labels["tier"] = fmt.Sprint("x", c.IntN(2))
	}
	for _, port := range []portCase{
		{"http", 8080, "TCP"}, {"http", 9090, "TCP"}, {"dns", 5353, "UDP"}, {"", 7000, "TCP"}, {"", 8080, "UDP"}, {"sig", 3868, "SCTP"},
	} {
		taken := slices.ContainsFunc(p.ports, func(q portCase) bool { return q.name != "" && q.name == port.name })
		if c.IntN(2) == 0 && !taken {
			p.ports = append(p.ports, port)
		}
	}
	return p
}

func (c *clusterCase) selector() selectorCase {
	app, tier := fmt.Sprint("a", c.IntN(4)), fmt.Sprint("x", c.IntN(2))
	switch c.IntN(7) {
	case 0:
		return selectorCase{`{}`, func(map[string]string) bool { return true }}
	case 1:
		return selectorCase{`{matchLabels: {tier: ` + tier + `}}`, func(l map[string]string) bool { return l["tier"] == tier }}
	case 2: // on a label that every pod has: of pods without it cyclonus thinks otherwise than Kubernetes
		return selectorCase{`{matchExpressions: [{key: app, operator: NotIn, values: [` + app + `]}]}`, func(l map[string]string) bool { return l["app"] != app }}
	case 3:
		return selectorCase{`{matchExpressions: [{key: tier, operator: DoesNotExist}]}`, func(l map[string]string) bool { return l["tier"] == "" }}
	case 4:
		return selectorCase{`{matchExpressions: [{key: app, operator: In, values: [a0, ` + app + `]}, {key: tier, operator: Exists}]}`,
			func(l map[string]string) bool { return (l["app"] == app || l["app"] == "a0") && l["tier"] != "" }}
	default:
		return selectorCase{`{matchLabels: {app: ` + app + `}}`, func(l map[string]string) bool { return l["app"] == app }}
	}
}

func (c *clusterCase) client(home string) clientCase {
	pods := c.selector()
	namespace, team := caseNamespaces[c.IntN(3)], fmt.Sprint("t", c.IntN(2))
	switch c.IntN(6) {
	case 0:
		return clientCase{`{}`, func(ns string, _ map[string]string) bool { return ns == home }, pods}
	case 1:
		return clientCase{`{namespaceSelector: {}, podSelector: ` + pods.yaml + `}`,
			func(_ string, l map[string]string) bool { return pods.matches(l) }, pods}
	case 2:
		return clientCase{`{namespaceSelector: {matchLabels: {team: ` + team + `}}, podSelector: ` + pods.yaml + `}`,
			func(ns string, l map[string]string) bool { return c.teams[ns] == team && pods.matches(l) }, pods}
	case 3:
		return clientCase{`{namespace: ` + namespace + `}`, func(ns string, _ map[string]string) bool { return ns == namespace }, pods}
	case 4:
		return clientCase{`{namespace: ` + namespace + `, podSelector: ` + pods.yaml + `}`,
			func(ns string, l map[string]string) bool { return ns == namespace && pods.matches(l) }, pods}
	default:
		return clientCase{`{podSelector: ` + pods.yaml + `}`, func(ns string, l map[string]string) bool { return ns == home && pods.matches(l) }, pods}
	}
}

func numbered(from, to int32, protocol corev1.Protocol) rulePortCase {
	text := fmt.Sprintf("{port: %d, protocol: %s}", from, protocol)
	if to > from {
		text = fmt.Sprintf("{port: %d, endPort: %d, protocol: %s}", from, to, protocol)
	}
	return rulePortCase{text, func(_ podCase, p model.Port) bool {
		return p.Protocol == protocol && from <= p.Number && p.Number <= to
	}, to-from >= 64}
}

func named(name string, protocol corev1.Protocol) rulePortCase {
	return rulePortCase{fmt.Sprintf("{port: %s, protocol: %s}", name, protocol), func(server podCase, p model.Port) bool {
		return slices.Contains(server.ports, portCase{name, p.Number, p.Protocol}) && p.Protocol == protocol
	}, false}
}

func (c *clusterCase) rule() ruleCase {
	r := ruleCase{namespace: caseNamespaces[c.IntN(3)], to: c.selector()}
	for range 1 + c.IntN(2) {
		r.from = append(r.from, c.client(r.namespace))
	}
	choices := []rulePortCase{
		numbered(8080, 8080, "TCP"), numbered(8080, 8080, "UDP"), numbered(7000, 9000, "TCP"), numbered(9000, 9090, "TCP"),
		named("http", "TCP"), named("dns", "UDP"), numbered(3868, 3868, "SCTP"), numbered(7000, 7000, "TCP"),
	}
	for range 1 + c.IntN(2) {
		r.ports = append(r.ports, choices[c.IntN(len(choices))])
	}
	return r
}

func (c *clusterCase) manifests() []string {
	var all []string
	for _, namespace := range caseNamespaces {
		manifest := fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata: {name: %s, labels: {team: %s, governed: "%v", MESHLABEL}, annotations: {MESHANNOTATION}}`, namespace, c.teams[namespace], c.governed[namespace])
		if namespace == c.outside {
			manifest = strings.NewReplacer(", MESHLABEL", "", "MESHANNOTATION", "").Replace(manifest)
		}
		all = append(all, manifest)
	}
	for _, p := range c.pods {
		all = append(all, p.manifest())
	}
	for i, r := range c.rules {
		all = append(all, r.manifest(i))
	}
	return append(all, strings.Replace(profile, "{namespaceSelector: {}}",
		`{namespaceSelector: {matchLabels: {governed: "true"}}, network: {kubeletProbes: Disabled, apiServerWebhooks: Disabled}}`, 1))
}

func (p podCase) manifest() string {
	var labels, ports []string
	for _, key := range []string{"app", "tier"} {
		if value := p.labels[key]; value != "" {
			labels = append(labels, key+": "+value)
		}
	}
	for _, port := range p.ports {
		text := fmt.Sprintf("containerPort: %d, protocol: %s", port.number, port.protocol)
		if port.name != "" {
			text += ", name: " + port.name
		}
		ports = append(ports, "{"+text+"}")
	}
	meta := fmt.Sprintf("{name: %s, namespace: %s}", p.name, p.namespace)
	spec := fmt.Sprintf("{serviceAccountName: %s, restartPolicy: RESTART, containers: [{name: c, image: c, ports: [%s]}]}", p.name, strings.Join(ports, ", "))
	template := fmt.Sprintf("{metadata: {labels: {%s}}, spec: %s}", strings.Join(labels, ", "), spec)
	head := "apiVersion: apps/v1\nkind: " + p.kind + "\nmetadata: " + meta + "\n"
	switch p.kind {
	case "Pod":
		return fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: %s, namespace: %s, labels: {%s}}\nspec: %s",
			p.name, p.namespace, strings.Join(labels, ", "), strings.Replace(spec, "RESTART", "Always", 1))
	case "CronJob":
		return strings.Replace(head, "apps", "batch", 1) + `spec: {schedule: "* * * * *", jobTemplate: {spec: {template: ` + strings.Replace(template, "RESTART", "Never", 1) + "}}}"
	case "Job":
		return strings.Replace(head, "apps", "batch", 1) + "spec: {template: " + strings.Replace(template, "RESTART", "Never", 1) + "}"
	}
	return head + fmt.Sprintf("spec: {selector: {matchLabels: {app: %s}}, template: %s}", p.labels["app"], strings.Replace(template, "RESTART", "Always", 1))
}

func (r ruleCase) manifest(number int) string {
	var from, ports []string
	for _, client := range r.from {
		from = append(from, "{pods: "+client.yaml+"}")
	}
	for _, port := range r.ports {
		ports = append(ports, port.yaml)
	}
	return fmt.Sprintf(`
apiVersion: palisade.floe.dev/v1alpha1
kind: TrafficRule
metadata: {name: r%d, namespace: %s}
spec: {to: %s, from: [%s], ports: [%s]}`, number, r.namespace, r.to.yaml, strings.Join(from, ", "), strings.Join(ports, ", "))
}

// allows is the meaning of the rules.
func (c *clusterCase) allows(from, to podCase, port model.Port) bool {
	if !c.governed[from.namespace] && !c.governed[to.namespace] {
		return true
	}
	return slices.ContainsFunc(c.rules, func(r ruleCase) bool {
		return r.joins(from, to) && slices.ContainsFunc(r.ports, func(p rulePortCase) bool { return p.is(to, port) })
	})
}

func (r ruleCase) joins(from, to podCase) bool {
	return r.namespace == to.namespace && r.to.matches(to.labels) && slices.ContainsFunc(r.from, func(f clientCase) bool {
		return f.is(from.namespace, from.labels)
	})
}

// mayAllow is what the rules say, and what they cannot keep apart where pods are
// alike: a number that one server gives the name, on another that listens on no such number.
func (c *clusterCase) mayAllow(from, to podCase, port model.Port) bool {
	silent := !slices.ContainsFunc(to.ports, func(p portCase) bool { return p.number == port.Number && p.protocol == port.Protocol })
	return silent && slices.ContainsFunc(c.rules, func(r ruleCase) bool {
		return r.joins(from, to) && slices.ContainsFunc(c.pods, func(twin podCase) bool {
			return r.joins(from, twin) && slices.ContainsFunc(r.ports, func(p rulePortCase) bool { return p.is(twin, port) })
		})
	})
}

// tunnelled tells whether some rule joins two pods by TCP.
func (c *clusterCase) tunnelled(from, to podCase) bool {
	if !c.governed[from.namespace] && !c.governed[to.namespace] {
		return true
	}
	return slices.ContainsFunc(askedOfRules, func(p model.Port) bool { return p.Protocol == corev1.ProtocolTCP && c.allows(from, to, p) })
}

var askedOfRules = []model.Port{
	model.TCP(8080), model.UDP(8080), model.TCP(9090), model.TCP(9000), model.TCP(7000), model.TCP(6999), model.TCP(9091), model.UDP(5353),
	model.TCP(5353), {Protocol: corev1.ProtocolSCTP, Number: 3868}, model.TCP(3868), model.TCP(53), model.TCP(443),
}

// meshCases are the meshes, with what enrols a namespace and the port of the tunnel.
var meshCases = []struct {
	name, label, annotation string
	mesh                    []string
	tunnel                  int32
}{
	{"none", "", "", nil, 0},
	{"sidecar", "istio-injection: enabled", "", []string{istio, istioCNI}, 0},
	{"ambient", "istio.io/dataplane-mode: ambient", "", []string{istio, ztunnel}, 15008},
	{"linkerd", "", "linkerd.io/inject: enabled", []string{linkerd}, 4143},
}

func TestTheNetworkLetsThroughWhatTheRulesSayAndNothingElse(t *testing.T) {
	for i, m := range meshCases {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			for seed := range seedsOfRules {
				c := randomCluster(1000*uint64(i)+seed, false)
				c.compare(t, i, func(want, got bool) bool { return want == got })
			}
		})
	}
}

func TestTheNetworkHoldsTheRulesWhereSomeAreOutsideTheMesh(t *testing.T) {
	for i, m := range meshCases[1:] {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			for seed := range seedsOfRules / 2 {
				c := randomCluster(5000+seed, false)
				c.outside = caseNamespaces[seed%3]
				c.compare(t, i+1, func(want, got bool) bool { return want == got })
			}
		})
	}
}

func TestTheNetworkOpensNoMoreThanTheRulesSayWherePodsAreAlike(t *testing.T) {
	for seed := range seedsOfRules {
		c := randomCluster(seed, true)
		c.compare(t, 0, func(want, got bool) bool { return want || !got })
	}
}

// seedsOfRules is how many clusters are made for each mesh.
const seedsOfRules = uint64(40)

func prefixed(label string) string {
	if label == "" {
		return ""
	}
	return ", " + label
}

// compare judges every call between two pods of the cluster, in a mesh.
func (c *clusterCase) compare(t *testing.T, mesh int, holds func(want, got bool) bool) {
	t.Helper()
	m, given := meshCases[mesh], engine.Given{}
	if mesh == 0 {
		given = none
	}
	text := strings.Join(append(c.manifests(), append(m.mesh, facts, kubeDNS)...), "\n---\n")
	text = strings.NewReplacer(", MESHLABEL", prefixed(m.label), "MESHANNOTATION", m.annotation).Replace(text)
	w := wireOf(t, runYAML(t, given, text))
	for _, from := range c.pods {
		for _, to := range c.pods {
			a, b := from.namespace+"/"+from.name, to.namespace+"/"+to.name
			for _, port := range askedOfRules {
				want := c.allows(from, to, port) || c.alike && c.mayAllow(from, to, port)
				if got := w.allows(t, a, b, port); !holds(want, got) {
					t.Fatalf("%s → %s %s: the rules say %v, the policies %v\n%s", a, b, port, want, got, text)
				}
			}
			if m.tunnel == 0 {
				continue
			}
			want, got := c.tunnelled(from, to), w.allows(t, a, b, model.TCP(m.tunnel))
			useless := !got && (from.namespace == c.outside || to.namespace == c.outside) // nobody dials it, or nobody listens
			if !useless && !holds(want, got) {
				t.Fatalf("%s → %s by the tunnel: the rules say %v, the policies %v\n%s", a, b, want, got, text)
			}
		}
	}
}
