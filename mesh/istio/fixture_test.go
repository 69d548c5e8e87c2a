package istio

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/model"
)

// fixture is a model in few words: what intent would have made of manifests and rules.
type fixture struct {
	Mesh       model.Mesh         `json:"mesh"`
	Domain     string             `json:"domain"`
	DNS        model.DNS          `json:"dns"`
	Namespaces []fixtureNamespace `json:"namespaces"`
	Workloads  []fixtureWorkload  `json:"workloads"`
	Services   []fixtureService   `json:"services"`
	Flows      []fixtureFlow      `json:"flows"`
	Existing   []map[string]any   `json:"existing"`
	Held       []model.Hold       `json:"held"`
}

type fixtureNamespace struct {
	Name   string             `json:"name"`
	Labels map[string]string  `json:"labels"`
	Mesh   *model.MeshPosture `json:"posture"`
}

type fixtureWorkload struct {
	// Name is "namespace/name".
	Name           string                `json:"name"`
	Kind           string                `json:"kind"`
	Labels         map[string]string     `json:"labels"`
	Annotations    map[string]string     `json:"annotations"`
	Selector       *metav1.LabelSelector `json:"selector"`
	ServiceAccount string                `json:"serviceAccount"`
	Running        bool                  `json:"running"`
	Addresses      []netip.Addr          `json:"addresses"`
	Spec           corev1.PodSpec        `json:"spec"`
	Relaxed        []model.Relaxation    `json:"relaxed"`
}

type fixtureService struct {
	Name        string               `json:"name"`
	Labels      map[string]string    `json:"labels"`
	Annotations map[string]string    `json:"annotations"`
	Selector    map[string]string    `json:"selector"`
	ClusterIPs  []string             `json:"clusterIPs"`
	Ports       []corev1.ServicePort `json:"ports"`
}

type fixtureFlow struct {
	// Rule names the TrafficRule, "namespace/name".
	Rule string `json:"rule"`
	// From are clients, "namespace/name", or a kind of peer: "Nodes".
	From []string `json:"from"`
	// To is "namespace" with ToLabels or ToSelector, or a kind of peer: "Host api.example.com".
	To         string                `json:"to"`
	ToLabels   map[string]string     `json:"toLabels"`
	ToSelector *metav1.LabelSelector `json:"toSelector"`
	Ports      []string              `json:"ports"`
	HTTP       []model.HTTPMatch     `json:"http"`
	Plaintext  bool                  `json:"plaintext"`
	Base       bool                  `json:"base"`
}

func loadFixture(t *testing.T, file string) (*Dialect, *model.Model) {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	return parseFixture(t, string(data))
}

func parseFixture(t *testing.T, text string) (*Dialect, *model.Model) {
	t.Helper()
	return readFixture(t, text).model(t)
}

func readFixture(t *testing.T, text string) *fixture {
	t.Helper()
	var f fixture
	require.NoError(t, yaml.UnmarshalStrict([]byte(text), &f))
	return &f
}

func (f *fixture) model(t *testing.T) (*Dialect, *model.Model) {
	t.Helper()
	f.Mesh.Kind = model.MeshIstio
	m := &model.Model{Cluster: model.Cluster{Domain: f.Domain, Mesh: f.Mesh, DNS: f.DNS}, Held: f.Held}
	for _, n := range f.Namespaces {
		m.Namespaces = append(m.Namespaces, n.model())
	}
	slices.SortFunc(m.Namespaces, func(a, b model.Namespace) int { return strings.Compare(a.Name, b.Name) })
	for _, s := range f.Services {
		m.Services = append(m.Services, s.model())
	}
	d := New(f.Mesh, f.Domain)
	for _, w := range f.Workloads {
		m.Workloads = append(m.Workloads, w.model(m))
	}
	slices.SortFunc(m.Workloads, func(a, b model.Workload) int { return model.CompareWorkloadIDs(a.ID, b.ID) })
	for i := range m.Workloads {
		m.Workloads[i].Facts = d.Facts(&m.Workloads[i])
	}
	for _, flow := range f.Flows {
		m.Flows = append(m.Flows, flow.model(t, m))
	}
	for _, tree := range f.Existing {
		m.Existing = append(m.Existing, model.Object{Tree: tree})
	}
	return d, m
}

func (n fixtureNamespace) model() model.Namespace {
	namespace := model.Namespace{Name: n.Name, Labels: n.Labels, Declared: true}
	if n.Mesh != nil {
		namespace.Posture = &model.Posture{Profile: "baseline", Enforcement: model.Enforce, Mesh: *n.Mesh}
	}
	return namespace
}

func (s fixtureService) model() model.Service {
	namespace, name, _ := strings.Cut(s.Name, "/")
	return model.Service{Namespace: namespace, Name: name, Labels: s.Labels, Annotations: s.Annotations, Selector: s.Selector, ClusterIPs: s.ClusterIPs, Ports: s.Ports}
}

func (w fixtureWorkload) model(m *model.Model) model.Workload {
	namespace, name, _ := strings.Cut(w.Name, "/")
	if w.Kind == "" {
		w.Kind = "Deployment"
	}
	if w.ServiceAccount == "" {
		w.ServiceAccount = name
	}
	if w.Labels == nil {
		w.Labels = map[string]string{"app": name}
	}
	if w.Selector == nil {
		w.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": w.Labels["app"]}}
	}
	workload := model.Workload{
		ID: model.WorkloadID{Namespace: namespace, Kind: w.Kind, Name: name}, APIVersion: "apps/v1",
		Labels: w.Labels, Annotations: w.Annotations, Selector: *w.Selector, ServiceAccount: w.ServiceAccount,
		Spec: w.Spec, Running: w.Running, Addresses: w.Addresses, Relaxed: w.Relaxed, Replicas: 1,
	}
	if n := m.Namespace(namespace); n != nil {
		workload.NamespaceLabels = n.Labels
	}
	for i := range m.Services {
		if s := &m.Services[i]; s.Namespace == namespace && selects(s.Selector, w.Labels) {
			workload.Services = append(workload.Services, s)
		}
	}
	return workload
}

func (f fixtureFlow) model(t *testing.T, m *model.Model) model.Flow {
	t.Helper()
	namespace, name, _ := strings.Cut(f.Rule, "/")
	flow := model.Flow{
		Origin: model.Origin{Ref: model.Ref{Kind: "TrafficRule", Namespace: namespace, Name: name}},
		HTTP:   f.HTTP, Plaintext: f.Plaintext, Base: f.Base,
		Client: model.Peer{Kind: model.PeerPods}, Server: model.Peer{Kind: model.PeerPods, Namespace: f.To},
	}
	for _, from := range f.From {
		ns, workload, isPod := strings.Cut(from, "/")
		if !isPod {
			flow.Client.Kind = model.PeerKind(from)
			continue
		}
		flow.Client.Workloads = append(flow.Client.Workloads, model.WorkloadID{Namespace: ns, Kind: "Deployment", Name: workload})
	}
	if kind, host, other := strings.Cut(f.To, " "); other {
		flow.Server = model.Peer{Kind: model.PeerKind(kind), Host: host}
	}
	if f.ToSelector != nil {
		flow.Server.PodSelector = *f.ToSelector
	} else {
		flow.Server.PodSelector.MatchLabels = f.ToLabels
	}
	for _, w := range m.WorkloadsIn(flow.Server.Namespace) {
		if model.Matches(&flow.Server.PodSelector, w.Labels) {
			flow.Server.Workloads = append(flow.Server.Workloads, w.ID)
		}
	}
	for _, text := range f.Ports {
		flow.Ports = append(flow.Ports, parsePort(t, text))
	}
	return flow
}

// parsePort reads "8080", "8000-8100" or "53/UDP".
func parsePort(t *testing.T, text string) model.Port {
	t.Helper()
	number, protocol, found := strings.Cut(text, "/")
	if !found {
		protocol = "TCP"
	}
	p := model.Port{Protocol: corev1.Protocol(protocol)}
	if _, err := fmt.Sscanf(number, "%d-%d", &p.Number, &p.End); err != nil {
		_, err := fmt.Sscanf(number, "%d", &p.Number)
		require.NoError(t, err)
	}
	return p
}

// find returns the objects of a kind, by name.
func find(objects []model.Object, kind string) map[string]model.Object {
	found := map[string]model.Object{}
	for _, o := range objects {
		if ref := o.Ref(); ref.Kind == kind {
			found[ref.Namespace+"/"+ref.Name] = o
		}
	}
	return found
}

func codes(problems []model.Problem) []string {
	var list []string
	for _, p := range problems {
		list = append(list, p.Code)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func specYAML(t *testing.T, o model.Object) string {
	t.Helper()
	data, err := yaml.Marshal(o.Tree["spec"])
	require.NoError(t, err)
	return string(data)
}

// firstOf finds the one object of a kind whose name begins with prefix.
func firstOf(t *testing.T, objects []model.Object, kind, prefix string) model.Object {
	t.Helper()
	for _, o := range objects {
		if ref := o.Ref(); ref.Kind == kind && strings.HasPrefix(ref.Name, prefix) {
			return o
		}
	}
	require.Failf(t, "not written", "%s %s…", kind, prefix)
	return model.Object{}
}
