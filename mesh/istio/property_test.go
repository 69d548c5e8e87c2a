package istio

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	securityapi "istio.io/api/security/v1beta1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// TestWhatTheObjectsAllowIsWhatTheFlowsDeclare reads the written objects as
// Istio would, by an evaluator that shares nothing with the compiler, over random
// models: nothing may be allowed that no flow declares, and where no problem was
// reported everything declared must be.
func TestWhatTheObjectsAllowIsWhatTheFlowsDeclare(t *testing.T) {
	complete := 0
	for seed := range uint64(400) {
		m := randomModel(rand.New(rand.NewPCG(seed, 15008)))
		objects, problems := New(m.Cluster.Mesh, m.Cluster.Domain).Compile(m)
		e := newEvaluator(t, m, objects)
		sound := !slices.ContainsFunc(problems, func(p model.Problem) bool { return p.Severity != model.Info })
		if sound {
			complete++
		}
		for _, c := range calls(m) {
			declared, allowed := declares(m, c), e.allows(c)
			if allowed && !declared || sound && declared && !allowed && !passesBy(c) {
				t.Fatalf("seed %d: %s\ndeclared %v, allowed %v\n%s", seed, c, declared, allowed, story(m, objects, problems))
			}
		}
		e.mtls(seed)
	}
	require.Greater(t, complete, 50, "too few models are free of problems to say anything")
}

// call is one request; a client without workload comes in plaintext from outside.
type call struct {
	client, server *model.Workload
	port           int32
	method, path   string
	// direct tells that the client dials the pod and no Service.
	direct bool
}

func (c call) String() string {
	from := "a stranger"
	if c.client != nil {
		from = c.client.ID.String()
	}
	return fmt.Sprintf("%s → %s:%d %s %s (direct: %v)", from, c.server.ID, c.port, c.method, c.path, c.direct)
}

var propertyPorts = []int32{8080, 8081, 9090}

func calls(m *model.Model) []call {
	var all []call
	for i := range m.Workloads {
		server := &m.Workloads[i]
		if n := m.Namespace(server.ID.Namespace); n.Posture == nil || !n.Posture.Mesh.Authorization || !server.Facts.Meshed() {
			continue
		}
		for j := -1; j < len(m.Workloads); j++ {
			var client *model.Workload
			if j >= 0 {
				client = &m.Workloads[j]
			}
			for _, port := range propertyPorts {
				for _, r := range [][2]string{{"GET", "/a"}, {"POST", "/a/b"}, {"GET", "/c"}} {
					all = append(all, call{client: client, server: server, port: port, method: r[0], path: r[1]},
						call{client: client, server: server, port: port, method: r[0], path: r[1], direct: true})
				}
			}
		}
	}
	return all
}

// passesBy tells that a call goes past the waypoint that it should go by, where
// it may be refused: it dials the pod, or a port that no Service has.
func passesBy(c call) bool {
	if !c.server.Facts.Waypoint.Bound || c.client == nil || c.client.Facts.Mode != model.ModeAmbient {
		return false
	}
	return c.direct || !slices.ContainsFunc(c.server.Services, func(s *model.Service) bool {
		return slices.ContainsFunc(s.Ports, func(p corev1.ServicePort) bool { return p.TargetPort.IntVal == c.port })
	})
}

// declares tells whether the flows and exemptions let a call in.
func declares(m *model.Model, c call) bool {
	for _, r := range c.server.Relaxed {
		if r.Layer == model.LayerAuthorization && (r.Ports == nil || slices.ContainsFunc(r.Ports, func(p model.Port) bool { return p.Number == c.port })) {
			return true
		}
	}
	named := presents(c)
	return slices.ContainsFunc(m.Flows, func(f model.Flow) bool {
		if !slices.Contains(f.Server.Workloads, c.server.ID) || !slices.ContainsFunc(f.Ports, func(p model.Port) bool { return p.Number == c.port }) {
			return false
		}
		if len(f.HTTP) > 0 && !slices.ContainsFunc(f.HTTP, func(h model.HTTPMatch) bool {
			return (h.Methods == nil || slices.Contains(h.Methods, c.method)) && (h.Paths == nil || slices.ContainsFunc(h.Paths, func(p string) bool { return glob(p, c.path) }))
		}) {
			return false
		}
		if !named {
			return f.Plaintext && c.server.Facts.Mode != model.ModeProxyless
		}
		return slices.ContainsFunc(f.Client.Workloads, func(id model.WorkloadID) bool { return m.Workload(id).Facts.Identity == c.client.Facts.Identity })
	})
}

// presents tells whether the client's side shows an identity to the server's.
func presents(c call) bool {
	if c.client == nil || !c.client.Facts.Meshed() {
		return false
	}
	from, to := c.client.Facts.Mode, c.server.Facts.Mode
	switch {
	case from == model.ModeAmbient && to == model.ModeSidecar:
		return c.server.Labels["networking.istio.io/tunnel"] == "http"
	case from == model.ModeAmbient && to == model.ModeProxyless, from == model.ModeProxyless && to == model.ModeAmbient:
		return false
	default:
		return true
	}
}

func glob(pattern, value string) bool {
	if prefix, found := strings.CutSuffix(pattern, "*"); found {
		return strings.HasPrefix(value, prefix)
	}
	return pattern == value
}

// evaluator judges calls by AuthorizationPolicies alone.
type evaluator struct {
	t        *testing.T
	m        *model.Model
	policies []readPolicy
	peer     []readPeer
}

type readPolicy struct {
	namespace, name string
	spec            *securityapi.AuthorizationPolicy
}

type readPeer struct {
	namespace string
	spec      *securityapi.PeerAuthentication
}

func newEvaluator(t *testing.T, m *model.Model, objects []model.Object) *evaluator {
	e := &evaluator{t: t, m: m}
	names := map[model.Ref]bool{}
	for _, o := range objects {
		require.False(t, names[o.Ref()], "%s twice", o.Ref())
		names[o.Ref()] = true
		data, err := json.Marshal(o.Tree["spec"])
		require.NoError(t, err)
		if o.Tree["spec"] == nil {
			data = []byte("{}")
		}
		switch o.Ref().Kind {
		case "AuthorizationPolicy":
			p := readPolicy{namespace: o.Ref().Namespace, name: o.Ref().Name, spec: &securityapi.AuthorizationPolicy{}}
			require.NoError(t, p.spec.UnmarshalJSON(data))
			e.policies = append(e.policies, p)
		case "PeerAuthentication":
			p := readPeer{namespace: o.Ref().Namespace, spec: &securityapi.PeerAuthentication{}}
			require.NoError(t, p.spec.UnmarshalJSON(data))
			e.peer = append(e.peer, p)
		}
	}
	return e
}

// source is who a policy sees; the empty one has no certificate.
type source string

func (e *evaluator) allows(c call) bool {
	var who source
	if presents(c) {
		who = source(c.client.Facts.Identity)
	}
	if c.server.Facts.Mode != model.ModeAmbient {
		return e.judge(e.forPod(c.server), who, uint32(c.port), &c, c.server.Facts.Mode)
	}
	// ztunnel and the waypoint: only ambient clients that call a Service pass a waypoint.
	waypoint := c.server.NamespaceLabels["istio.io/use-waypoint"]
	if waypoint == "" || c.direct || c.client == nil || c.client.Facts.Mode != model.ModeAmbient {
		return e.judge(e.forPod(c.server), who, uint32(c.port), nil, model.ModeAmbient)
	}
	behind := source("td.example/ns/" + c.server.ID.Namespace + "/sa/" + waypoint)
	for _, s := range c.server.Services {
		for _, p := range s.Ports {
			if p.TargetPort.IntVal == c.port && e.judge(e.forService(s), who, uint32(p.Port), &c, model.ModeSidecar) &&
				e.judge(e.forPod(c.server), behind, uint32(c.port), nil, model.ModeAmbient) {
				return true
			}
		}
	}
	return false
}

func (e *evaluator) forPod(w *model.Workload) []readPolicy {
	return slices.DeleteFunc(slices.Clone(e.policies), func(p readPolicy) bool {
		if p.namespace != w.ID.Namespace || len(p.spec.TargetRefs) > 0 {
			return true
		}
		for key, value := range p.spec.GetSelector().GetMatchLabels() {
			if w.Labels[key] != value {
				return true
			}
		}
		return false
	})
}

func (e *evaluator) forService(s *model.Service) []readPolicy {
	return slices.DeleteFunc(slices.Clone(e.policies), func(p readPolicy) bool {
		return p.namespace != s.Namespace || len(p.spec.TargetRefs) == 0 || p.spec.TargetRefs[0].Name != s.Name
	})
}

// judge is CUSTOM aside: any DENY that matches refuses; with an ALLOW present one has to match.
// http is nil where the enforcer sees no requests. gRPC drops policies without rules.
func (e *evaluator) judge(policies []readPolicy, who source, port uint32, http *call, mode model.MeshMode) bool {
	allows, allowed := false, false
	for _, p := range policies {
		matched := slices.ContainsFunc(p.spec.Rules, func(r *securityapi.Rule) bool { return ruleHolds(r, who, port, http) })
		if p.spec.Action == securityapi.AuthorizationPolicy_DENY {
			if matched {
				return false
			}
			continue
		}
		allows = allows || mode != model.ModeProxyless || len(p.spec.Rules) > 0
		allowed = allowed || matched
	}
	return !allows || allowed
}

func ruleHolds(r *securityapi.Rule, who source, port uint32, http *call) bool {
	from := len(r.From) == 0 || slices.ContainsFunc(r.From, func(f *securityapi.Rule_From) bool {
		if len(f.Source.NotPrincipals) > 0 && who != "" {
			return false // "*" is the only one that is written
		}
		return len(f.Source.Principals) == 0 || slices.Contains(f.Source.Principals, string(who)) || who != "" && f.Source.Principals[0] == "*"
	})
	to := len(r.To) == 0 || slices.ContainsFunc(r.To, func(t *securityapi.Rule_To) bool {
		op := t.Operation
		if len(op.Ports) > 0 && !slices.Contains(op.Ports, strconv.Itoa(int(port))) {
			return false
		}
		if len(op.Methods)+len(op.Paths) == 0 {
			return true
		}
		return http != nil && (len(op.Methods) == 0 || slices.Contains(op.Methods, http.method)) &&
			(len(op.Paths) == 0 || slices.ContainsFunc(op.Paths, func(p string) bool { return glob(p, http.path) }))
	})
	return from && to
}

// mtls holds the modes of ports to postures, plaintext flows and exemptions.
func (e *evaluator) mtls(seed uint64) {
	for i := range e.m.Workloads {
		w := &e.m.Workloads[i]
		n := e.m.Namespace(w.ID.Namespace)
		if n.Posture == nil || n.Posture.Mesh.MTLS != model.MTLSStrict || !w.Facts.Meshed() || w.Facts.Mode == model.ModeProxyless {
			continue
		}
		for _, port := range propertyPorts {
			strict, wanted := e.strict(w, uint32(port)), true
			for _, r := range w.Relaxed {
				if r.Layer == model.LayerMTLS && (r.Ports == nil || slices.ContainsFunc(r.Ports, func(p model.Port) bool { return p.Number == port })) {
					wanted = false
				}
			}
			for _, f := range e.m.Flows {
				if f.Plaintext && slices.Contains(f.Server.Workloads, w.ID) && slices.ContainsFunc(f.Ports, func(p model.Port) bool { return p.Number == port }) {
					wanted = false
				}
			}
			require.False(e.t, wanted && !strict, "seed %d: %s:%d takes plaintext that nobody asked for", seed, w.ID, port)
		}
	}
}

// strict resolves the mode; where several select a workload each of them is tried as the oldest.
func (e *evaluator) strict(w *model.Workload, port uint32) bool {
	namespace, found, all := false, false, true
	for _, p := range e.peer {
		if p.namespace != w.ID.Namespace {
			continue
		}
		if p.spec.Selector == nil {
			namespace = p.spec.Mtls.Mode == securityapi.PeerAuthentication_MutualTLS_STRICT
			continue
		}
		matches := true
		for key, value := range p.spec.Selector.MatchLabels {
			matches = matches && w.Labels[key] == value
		}
		if !matches {
			continue
		}
		found = true
		mode := p.spec.Mtls.GetMode()
		if own := p.spec.PortLevelMtls[port]; own != nil {
			mode = own.Mode
		}
		all = all && mode == securityapi.PeerAuthentication_MutualTLS_STRICT
	}
	if found {
		return all
	}
	return namespace
}

func randomModel(r *rand.Rand) *model.Model {
	mesh := model.Mesh{
		Kind: model.MeshIstio, Namespace: "istio-system", RootNamespace: "istio-system", TrustDomain: "td.example", AutoMTLS: true, Ambient: true,
	}
	m := &model.Model{Cluster: model.Cluster{Domain: "cluster.local", Mesh: mesh}}
	for _, name := range []string{"east", "north", "west"} {
		n := model.Namespace{Name: name, Declared: true, Labels: map[string]string{}}
		switch r.IntN(7) {
		case 0, 1, 2:
			n.Labels["istio-injection"] = "enabled"
		case 3, 4:
			n.Labels["istio.io/dataplane-mode"] = "ambient"
		case 5:
			n.Labels["istio.io/dataplane-mode"], n.Labels["istio.io/use-waypoint"] = "ambient", "wp"
			m.Existing = append(m.Existing, model.Object{Tree: map[string]any{
				"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": map[string]any{"namespace": name, "name": "wp"},
			}})
		}
		if name != "west" {
			n.Posture = &model.Posture{Profile: "p", Mesh: model.MeshPosture{MTLS: model.MTLSStrict, Authorization: true, SidecarScope: r.IntN(2) == 0}}
		}
		m.Namespaces = append(m.Namespaces, n)
		randomServices(r, m, name)
	}
	for _, n := range m.Namespaces {
		for i := range 2 + r.IntN(3) {
			m.Workloads = append(m.Workloads, randomWorkload(r, m, &n, i))
		}
	}
	for range 1 + r.IntN(5) {
		m.Flows = append(m.Flows, randomFlow(r, m, len(m.Flows)))
	}
	return m
}

func randomServices(r *rand.Rand, m *model.Model, namespace string) {
	for _, app := range []string{"a", "b", "c"} {
		s := model.Service{Namespace: namespace, Name: app, Selector: map[string]string{"app": app}}
		for i, port := range propertyPorts {
			sp := corev1.ServicePort{Port: int32(80 + i), Protocol: corev1.ProtocolTCP}
			sp.TargetPort.IntVal = port
			if r.IntN(6) > 0 {
				s.Ports = append(s.Ports, sp)
			}
		}
		m.Services = append(m.Services, s)
	}
}

func randomWorkload(r *rand.Rand, m *model.Model, n *model.Namespace, i int) model.Workload {
	labels := map[string]string{"app": []string{"a", "b", "c"}[r.IntN(3)]}
	if r.IntN(2) == 0 {
		labels["tier"] = []string{"x", "y"}[r.IntN(2)]
	}
	name := fmt.Sprintf("w%d", i)
	w := model.Workload{
		ID: model.WorkloadID{Namespace: n.Name, Kind: "Deployment", Name: name}, APIVersion: "apps/v1", Labels: labels, Annotations: map[string]string{},
		ServiceAccount: name, NamespaceLabels: n.Labels, Selector: metav1.LabelSelector{MatchLabels: map[string]string{"app": labels["app"]}},
	}
	if r.IntN(3) == 0 {
		w.Selector.MatchLabels = labels
	}
	if r.IntN(6) == 0 {
		w.ServiceAccount = "default"
	}
	switch r.IntN(10) {
	case 0:
		labels["sidecar.istio.io/inject"], labels["istio.io/dataplane-mode"] = "false", "none"
	case 1:
		w.Annotations["inject.istio.io/templates"] = "grpc-agent"
	case 2, 3:
		labels["networking.istio.io/tunnel"] = "http"
	}
	if r.IntN(6) == 0 {
		layer := []model.Layer{model.LayerMTLS, model.LayerAuthorization}[r.IntN(2)]
		w.Relaxed = append(w.Relaxed, model.Relaxation{Layer: layer, Origin: model.Origin{Ref: model.Ref{Kind: "Exemption", Namespace: n.Name, Name: name}}})
		if r.IntN(2) == 0 {
			w.Relaxed[0].Ports = []model.Port{model.TCP(propertyPorts[r.IntN(3)])}
		}
	}
	for i := range m.Services {
		if s := &m.Services[i]; s.Namespace == n.Name && s.Selector["app"] == labels["app"] {
			w.Services = append(w.Services, s)
		}
	}
	w.Facts = New(m.Cluster.Mesh, m.Cluster.Domain).Facts(&w)
	return w
}

func randomFlow(r *rand.Rand, m *model.Model, i int) model.Flow {
	namespace := m.Namespaces[r.IntN(2)].Name
	selectors := []metav1.LabelSelector{
		{},
		{MatchLabels: map[string]string{"app": "a"}},
		{MatchLabels: map[string]string{"app": "b"}},
		{MatchLabels: map[string]string{"tier": "x"}},
		{MatchLabels: map[string]string{"app": "a", "tier": "x"}},
		{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "tier", Operator: metav1.LabelSelectorOpDoesNotExist}}},
		{MatchLabels: map[string]string{"app": "c"}, MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "tier", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"y"}}}},
	}
	f := model.Flow{
		Origin: model.Origin{Ref: model.Ref{Kind: "TrafficRule", Namespace: namespace, Name: fmt.Sprintf("r%d", i)}},
		Client: model.Peer{Kind: model.PeerPods},
		Server: model.Peer{Kind: model.PeerPods, Namespace: namespace, PodSelector: selectors[r.IntN(len(selectors))]},
	}
	for _, w := range m.WorkloadsIn(namespace) {
		if model.Matches(&f.Server.PodSelector, w.Labels) {
			f.Server.Workloads = append(f.Server.Workloads, w.ID)
		}
	}
	if r.IntN(5) == 0 {
		f.Client.Kind, f.Plaintext = model.PeerAddresses, true
	} else {
		from := m.Namespaces[r.IntN(3)].Name
		for _, w := range m.WorkloadsIn(from) {
			if r.IntN(2) == 0 {
				f.Client.Workloads = append(f.Client.Workloads, w.ID)
			}
		}
	}
	for _, port := range propertyPorts {
		if r.IntN(2) == 0 {
			f.Ports = append(f.Ports, model.TCP(port))
		}
	}
	if f.Ports == nil {
		f.Ports = []model.Port{model.TCP(8080)}
	}
	switch r.IntN(6) {
	case 0:
		f.HTTP = []model.HTTPMatch{{Methods: []string{"GET"}, Paths: []string{"/a*"}}}
	case 1:
		f.HTTP = []model.HTTPMatch{{Methods: []string{"GET"}}, {Paths: []string{"/a", "/a/b"}}}
	}
	return f
}

func story(m *model.Model, objects []model.Object, problems []model.Problem) string {
	var b strings.Builder
	for _, w := range m.Workloads {
		fmt.Fprintln(&b, w.ID, w.Labels, w.Selector.MatchLabels, w.Facts.Mode, w.Facts.Identity, w.Relaxed)
	}
	for _, f := range m.Flows {
		fmt.Fprintln(&b, f.Origin, f.Client.Kind, f.Client.Workloads, "→", f.Server.Workloads, model.SelectorKey(&f.Server.PodSelector), f.Ports, f.HTTP, f.Plaintext)
	}
	for _, o := range objects {
		if o.Ref().Kind == "AuthorizationPolicy" {
			data, _ := json.Marshal(o.Tree["spec"])
			fmt.Fprintln(&b, o.Ref(), string(data))
		}
	}
	for _, p := range problems {
		fmt.Fprintln(&b, p.Severity, p.Code, p.Message)
	}
	return b.String()
}
