package linkerd

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// TestWhatTheObjectsAllowIsWhatTheFlowsDeclare reads the written objects as
// Linkerd would over random models: one Server at most for each pod and port, and
// on it exactly the declared clients, request by request.
func TestWhatTheObjectsAllowIsWhatTheFlowsDeclare(t *testing.T) {
	for seed := range uint64(400) {
		m := randomModel(rand.New(rand.NewPCG(seed, 4143))) //nolint:gosec // a fixed seed makes the test repeatable
		objects, problems := New(m.Cluster.Mesh).Compile(m)
		for _, p := range problems {
			require.Contains(t, []string{"ClientHasNoIdentity", "HTTPOnOpaquePort"}, p.Code, "seed %d: %s", seed, p.Message)
		}
		names := map[model.Ref]bool{}
		for _, o := range objects {
			require.False(t, names[o.Ref()], "seed %d: %s twice", seed, o.Ref())
			names[o.Ref()] = true
		}
		for i := range m.Workloads {
			if w := &m.Workloads[i]; w.ID.Namespace == "east" && w.Facts.Meshed() {
				holdToFlows(t, seed, m, objects, w)
			}
		}
	}
}

// TestWhatTheReaderLetsInIsWhatTheFlowsDeclare has the Reader read what Compile
// wrote: between every two workloads it lets through what the flows declare, and
// keeps the kubelet's probes working.
func TestWhatTheReaderLetsInIsWhatTheFlowsDeclare(t *testing.T) {
	counts := map[verdict.Decision]int{}
	for seed := range uint64(1000) {
		r := rand.New(rand.NewPCG(seed, 4190)) //nolint:gosec // a fixed seed makes the test repeatable
		m := randomModel(r)
		m.Cluster.Mesh.Linkerd.DefaultInboundPolicy = "deny"
		m.Cluster.NodeCIDRs = []netip.Prefix{netip.MustParsePrefix("10.99.0.0/24")}
		m.Cluster.PodCIDRs = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}
		for i := range m.Workloads {
			m.Workloads[i].Spec.Containers[0].LivenessProbe = randomProbe(r)
		}
		objects, _ := New(m.Cluster.Mesh).Compile(m)
		reader := NewReader(m, objects)
		require.Empty(t, reader.Problems())
		table := spread(t, verdict.Input{Cluster: &m.Cluster, Namespaces: m.Namespaces, Workloads: m.Workloads, Mesh: reader})
		for i := range m.Workloads {
			if w := &m.Workloads[i]; w.ID.Namespace == "east" && w.Facts.Meshed() {
				for _, port := range []int32{8080, 3306} {
					held := serverOf(t, seed, objects, w, port) != ""
					if fault := heldToFlows(m, table, w, port, held, counts); fault != "" {
						t.Fatalf("seed %d: %s\n%s", seed, fault, story(m, objects))
					}
				}
			}
		}
	}
	t.Logf("pairs judged: %v", counts)
	require.Greater(t, counts[verdict.Open], 4000)
	require.Greater(t, counts[verdict.Partial], 1200)
	require.Greater(t, counts[verdict.Refused], 20000)
}

// heldToFlows says where a port of a server is not what flows declare; held tells that it has a Server.
func heldToFlows(m *model.Model, table *table, w *model.Workload, port int32, held bool, counts map[verdict.Decision]int) string {
	server, node := verdict.End{Workload: w}, verdict.End{Address: netip.MustParseAddr("10.99.0.1")}
	probed := slices.ContainsFunc(probes(w), func(p probe) bool { return p.port == port })
	for i := range m.Workloads {
		client := &m.Workloads[i]
		if client.ID == w.ID {
			continue
		}
		want := verdict.Refused // by the default policy, where the port has no Server
		if held {
			want = declaredDecision(m, client, w, port)
		}
		got := table.decision(verdict.End{Workload: client}, server, model.TCP(port))
		if want == verdict.Refused && got == verdict.Partial && probed {
			got = verdict.Refused // everybody may GET what is probed
		}
		if counts[want]++; got != want {
			return fmt.Sprintf("%s → %s:%d is %s, and declared is %s", client.ID, w.ID, port, got, want)
		}
	}
	if probed && table.decision(node, server, model.TCP(port)) < verdict.Partial {
		return fmt.Sprintf("the probe of %s:%d is refused", w.ID, port)
	}
	return ""
}

// declaredDecision is what flows and exemptions let one workload do at another.
func declaredDecision(m *model.Model, client, server *model.Workload, port int32) verdict.Decision {
	lets := func(method, path string) bool {
		who := declaredClients(m, server, port, method, path)
		return slices.Contains(who, "0.0.0.0/0") || client.Facts.Meshed() && (slices.Contains(who, "*") || slices.Contains(who, client.Facts.Identity))
	}
	some, all := false, true
	for _, method := range []string{"GET", "POST", "PATCH"} {
		for _, path := range []string{"/a", "/a/b", "/c", "/elsewhere"} {
			some, all = some || lets(method, path), all && lets(method, path)
		}
	}
	switch {
	case all:
		return verdict.Open
	case some:
		return verdict.Partial
	default:
		return verdict.Refused
	}
}

func randomProbe(r *rand.Rand) *corev1.Probe {
	port := intstr.FromInt32([]int32{8080, 3306}[r.IntN(2)])
	get := func(path string, scheme corev1.URIScheme) corev1.ProbeHandler {
		return corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: port, Scheme: scheme}}
	}
	switch r.IntN(6) {
	case 0:
		return &corev1.Probe{ProbeHandler: get("/live", corev1.URISchemeHTTP)}
	case 1:
		return &corev1.Probe{ProbeHandler: get("/a?full=1", corev1.URISchemeHTTP)}
	case 2:
		return &corev1.Probe{ProbeHandler: get("/live", corev1.URISchemeHTTPS)}
	case 3:
		return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: port.IntVal}}}
	default:
		return nil
	}
}

func holdToFlows(t *testing.T, seed uint64, m *model.Model, objects []model.Object, w *model.Workload) {
	t.Helper()
	for _, port := range []int32{8080, 3306} {
		server := serverOf(t, seed, objects, w, port)
		if server == "" {
			require.False(t, slices.ContainsFunc(m.Flows, func(f model.Flow) bool {
				return slices.Contains(f.Server.Workloads, w.ID) && slices.Contains(f.Ports, model.TCP(port))
			}), "seed %d: %s:%d has no Server", seed, w.ID, port)
			continue
		}
		for _, method := range []string{"GET", "POST"} {
			for _, path := range []string{"/a", "/a/b", "/c"} {
				want := declaredClients(m, w, port, method, path)
				got := answered(t, objects, server, method, path)
				require.Equal(t, want, got, "seed %d: %s:%d %s %s\n%s", seed, w.ID, port, method, path, story(m, objects))
			}
		}
	}
}

// serverOf finds the one Server that selects a pod's port, or "".
func serverOf(t *testing.T, seed uint64, objects []model.Object, w *model.Workload, port int32) string {
	t.Helper()
	var found []string
	for _, o := range objects {
		if o.Ref().Kind == "Server" && o.Ref().Namespace == w.ID.Namespace && o.Map("spec")["port"] == int64(port) && selectsPods(&o, w) {
			found = append(found, o.Ref().Name)
		}
	}
	require.LessOrEqual(t, len(found), 1, "seed %d: of the Servers for %s:%d the older wins: %v", seed, w.ID, port, found)
	return strings.Join(found, "")
}

// answered lists who may send a request: without a route whoever the Server
// permits, else whoever it or the best route permits, and nobody where none matches.
func answered(t *testing.T, objects []model.Object, server, method, path string) []string {
	t.Helper()
	who := permitted(objects, "Server", server)
	best, attached := -1, false
	var onRoute []string
	for _, o := range objects {
		if o.Ref().Kind != "HTTPRoute" || asList(o.Map("spec")["parentRefs"])[0].(map[string]any)["name"] != server {
			continue
		}
		attached = true
		if rank := routeRank(o, method, path); rank > best {
			best, onRoute = rank, permitted(objects, "HTTPRoute", o.Ref().Name)
		}
	}
	if attached && best < 0 {
		return nil
	}
	return compacted(append(who, onRoute...))
}

func compacted(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return sorted(list)
}

// declaredClients are the identities that flows and exemptions let in.
func declaredClients(m *model.Model, w *model.Workload, port int32, method, path string) []string {
	var who []string
	exempt := map[model.Layer]bool{}
	for _, r := range w.Relaxed {
		exempt[r.Layer] = exempt[r.Layer] || r.Ports == nil || r.Ports[0].Number == port
	}
	switch {
	case exempt[model.LayerAuthorization] && exempt[model.LayerMTLS]:
		return []string{"0.0.0.0/0", "::/0"}
	case exempt[model.LayerAuthorization]:
		who = append(who, "*")
	}
	for i := range m.Flows {
		f := &m.Flows[i]
		matches := func(h model.HTTPMatch) bool {
			return (h.Methods == nil || slices.Contains(h.Methods, method)) && (h.Paths == nil || slices.ContainsFunc(h.Paths, func(p string) bool {
				prefix, wide := strings.CutSuffix(p, "*")
				return p == path || wide && strings.HasPrefix(path, prefix)
			}))
		}
		opaque := port == 3306
		if exempt[model.LayerAuthorization] || !slices.Contains(f.Server.Workloads, w.ID) || !slices.Contains(f.Ports, model.TCP(port)) ||
			len(f.HTTP) > 0 && (opaque || !slices.ContainsFunc(f.HTTP, matches)) {
			continue
		}
		for _, id := range f.Client.Workloads {
			if c := m.Workload(id); c.Facts.Meshed() {
				who = append(who, c.ServiceAccount+"."+id.Namespace+".serviceaccount.identity.linkerd.td.example")
			}
		}
	}
	return compacted(who)
}

func randomModel(r *rand.Rand) *model.Model {
	m := &model.Model{Cluster: model.Cluster{Mesh: model.Mesh{Kind: model.MeshLinkerd, Namespace: "linkerd", TrustDomain: "td.example"}}}
	m.Cluster.Mesh.Linkerd.ServerVersion = []string{"v1beta1", "v1beta3"}[r.IntN(2)]
	m.Namespaces = []model.Namespace{
		{Name: "east", Declared: true, Annotations: map[string]string{injectAnnotation: "enabled"},
			Posture: &model.Posture{Profile: "p", Mesh: model.MeshPosture{MTLS: model.MTLSStrict, Authorization: true}}},
		{Name: "west", Declared: true, Annotations: map[string]string{injectAnnotation: []string{"enabled", "disabled"}[r.IntN(2)]}},
	}
	for _, n := range m.Namespaces {
		for i := range 2 + r.IntN(4) {
			m.Workloads = append(m.Workloads, randomWorkload(r, m, &n, i))
		}
	}
	shareExemptions(m)
	for i := range 1 + r.IntN(5) {
		m.Flows = append(m.Flows, randomFlow(r, m, i))
	}
	return m
}

func randomWorkload(r *rand.Rand, m *model.Model, n *model.Namespace, i int) model.Workload {
	name := fmt.Sprintf("w%d", i)
	labels := map[string]string{}
	for _, key := range []string{"app", "tier", "track"} {
		if r.IntN(3) > 0 {
			labels[key] = []string{"a", "b"}[r.IntN(2)]
		}
	}
	w := model.Workload{
		ID: model.WorkloadID{Namespace: n.Name, Kind: "Deployment", Name: name}, Labels: labels, Annotations: map[string]string{},
		NamespaceAnnotations: n.Annotations, ServiceAccount: []string{name, name, "default"}[r.IntN(3)],
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}},
	}
	w.Selector.MatchLabels = labels
	if app, has := labels["app"]; has && r.IntN(2) == 0 {
		w.Selector = metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
	}
	if r.IntN(2) == 0 {
		w.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 8080, Protocol: corev1.ProtocolTCP}}
	}
	if r.IntN(8) == 0 {
		w.Annotations[injectAnnotation] = "disabled"
	}
	if r.IntN(6) == 0 {
		for _, layer := range [][]model.Layer{{model.LayerMTLS}, {model.LayerAuthorization}, {model.LayerMTLS, model.LayerAuthorization}}[r.IntN(3)] {
			w.Relaxed = append(w.Relaxed, model.Relaxation{Layer: layer, Origin: model.Origin{Ref: model.Ref{Kind: "Exemption", Namespace: n.Name, Name: name}}})
			if r.IntN(2) == 0 {
				w.Relaxed[len(w.Relaxed)-1].Ports = []model.Port{model.TCP(8080)}
			}
		}
	}
	w.Facts = New(m.Cluster.Mesh).Facts(&w)
	return w
}

// shareExemptions gives workloads with the same labels the same exemptions, as Exemptions choose by labels.
func shareExemptions(m *model.Model) {
	first := map[string][]model.Relaxation{}
	for i := range m.Workloads {
		w := &m.Workloads[i]
		key := w.ID.Namespace + " " + model.SelectorKey(&metav1.LabelSelector{MatchLabels: w.Labels})
		if relaxed, seen := first[key]; seen {
			w.Relaxed = relaxed
		}
		first[key] = w.Relaxed
	}
}

func randomFlow(r *rand.Rand, m *model.Model, i int) model.Flow {
	selector := metav1.LabelSelector{MatchLabels: map[string]string{}}
	if r.IntN(4) > 0 {
		selector.MatchLabels[[]string{"app", "tier", "track"}[r.IntN(3)]] = []string{"a", "b"}[r.IntN(2)]
	}
	f := model.Flow{
		Origin: model.Origin{Ref: model.Ref{Kind: "TrafficRule", Namespace: "east", Name: fmt.Sprintf("r%d", i)}},
		Client: model.Peer{Kind: model.PeerPods}, Server: model.Peer{Kind: model.PeerPods, Namespace: "east", PodSelector: selector},
		Ports: []model.Port{model.TCP([]int32{8080, 3306}[r.IntN(2)])},
	}
	for _, w := range m.WorkloadsIn("east") {
		if model.Matches(&selector, w.Labels) {
			f.Server.Workloads = append(f.Server.Workloads, w.ID)
		}
	}
	for _, w := range m.Workloads {
		if r.IntN(3) == 0 {
			f.Client.Workloads = append(f.Client.Workloads, w.ID)
		}
	}
	switch r.IntN(4) {
	case 0:
		f.HTTP = []model.HTTPMatch{{Methods: []string{"GET"}, Paths: []string{"/a*"}}}
	case 1:
		f.HTTP = []model.HTTPMatch{{Methods: []string{"GET"}}, {Paths: []string{"/a", "/c"}}}
	}
	return f
}

func story(m *model.Model, objects []model.Object) string {
	var b strings.Builder
	for _, w := range m.Workloads {
		fmt.Fprintln(&b, w.ID, w.Labels, w.Selector.MatchLabels, w.Facts.Mode, w.ServiceAccount, w.Relaxed)
	}
	for _, f := range m.Flows {
		fmt.Fprintln(&b, f.Origin, f.Client.Workloads, "→", f.Server.Workloads, f.Ports, f.HTTP)
	}
	for _, o := range objects {
		fmt.Fprintln(&b, o.Ref(), o.Tree["spec"])
	}
	return b.String()
}
