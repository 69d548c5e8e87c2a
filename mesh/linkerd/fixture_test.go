package linkerd

import (
	"cmp"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/model"
)

// fixture is a Model in few words: what intent would have made of manifests and rules.
type fixture struct {
	Cluster    model.Cluster      `json:"cluster"`
	Namespaces []fixtureNamespace `json:"namespaces"`
	Workloads  []fixtureWorkload  `json:"workloads"`
	Services   []fixtureService   `json:"services"`
	Flows      []fixtureFlow      `json:"flows"`
	Existing   []map[string]any   `json:"existing"`
	Held       []model.Hold       `json:"held"`
}

type fixtureNamespace struct {
	Name        string             `json:"name"`
	Annotations map[string]string  `json:"annotations"`
	Posture     *model.MeshPosture `json:"posture"`
}

type fixtureWorkload struct {
	// Name is "namespace/name".
	Name        string             `json:"name"`
	Labels      map[string]string  `json:"labels"`
	Annotations map[string]string  `json:"annotations"`
	Running     bool               `json:"running"`
	Addresses   []netip.Addr       `json:"addresses"`
	Account     string             `json:"serviceAccount"`
	Spec        corev1.PodSpec     `json:"spec"`
	Relaxed     []model.Relaxation `json:"relaxed"`
}

type fixtureService struct {
	Name        string               `json:"name"`
	Annotations map[string]string    `json:"annotations"`
	Selector    map[string]string    `json:"selector"`
	ClusterIPs  []string             `json:"clusterIPs"`
	Ports       []corev1.ServicePort `json:"ports"`
}

type fixtureFlow struct {
	// Rule is "namespace/name" of a TrafficRule.
	Rule string `json:"rule"`
	// From are clients, "namespace/name", or one kind of peer: "Nodes".
	From      []string             `json:"from"`
	Addresses []model.AddressBlock `json:"addresses"`
	// To are servers, "namespace/name".
	To        []string          `json:"to"`
	Ports     []string          `json:"ports"`
	HTTP      []model.HTTPMatch `json:"http"`
	Plaintext bool              `json:"plaintext"`
}

func loadFixture(t *testing.T, file string) (*Dialect, *model.Model) {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	return parseFixture(t, string(data))
}

func parseFixture(t *testing.T, text string) (*Dialect, *model.Model) {
	t.Helper()
	var f fixture
	require.NoError(t, yaml.UnmarshalStrict([]byte(text), &f))
	f.Cluster.Mesh.Kind = model.MeshLinkerd
	m := &model.Model{Cluster: f.Cluster, Held: f.Held}
	for _, n := range f.Namespaces {
		namespace := model.Namespace{Name: n.Name, Annotations: n.Annotations, Declared: true}
		if n.Posture != nil {
			namespace.Posture = &model.Posture{Profile: "strict", Enforcement: model.Enforce, Mesh: *n.Posture}
		}
		m.Namespaces = append(m.Namespaces, namespace)
	}
	slices.SortFunc(m.Namespaces, func(a, b model.Namespace) int { return strings.Compare(a.Name, b.Name) })
	for _, s := range f.Services {
		namespace, name, _ := strings.Cut(s.Name, "/")
		m.Services = append(m.Services, model.Service{Namespace: namespace, Name: name, Annotations: s.Annotations, Selector: s.Selector, ClusterIPs: s.ClusterIPs, Ports: s.Ports})
	}
	d := New(f.Cluster.Mesh)
	for _, w := range f.Workloads {
		workload := w.model(m)
		workload.Facts = d.Facts(&workload)
		m.Workloads = append(m.Workloads, workload)
	}
	slices.SortFunc(m.Workloads, func(a, b model.Workload) int { return model.CompareWorkloadIDs(a.ID, b.ID) })
	for _, flow := range f.Flows {
		m.Flows = append(m.Flows, flow.model(t))
	}
	for _, tree := range f.Existing {
		m.Existing = append(m.Existing, model.Object{Tree: tree})
	}
	return d, m
}

func (w fixtureWorkload) model(m *model.Model) model.Workload {
	namespace, name, _ := strings.Cut(w.Name, "/")
	labels := map[string]string{"app": name}
	for key, value := range w.Labels {
		labels[key] = value
	}
	workload := model.Workload{
		ID: model.WorkloadID{Namespace: namespace, Kind: "Deployment", Name: name}, APIVersion: "apps/v1",
		Labels: labels, Annotations: w.Annotations,
		Selector:       metav1.LabelSelector{MatchLabels: map[string]string{"app": labels["app"]}},
		ServiceAccount: cmp.Or(w.Account, name), Spec: w.Spec, Running: w.Running, Addresses: w.Addresses, Relaxed: w.Relaxed, Replicas: 1,
	}
	if n := m.Namespace(namespace); n != nil {
		workload.NamespaceAnnotations = n.Annotations
	}
	for i := range m.Services {
		s := &m.Services[i]
		if s.Namespace == namespace && model.Matches(&metav1.LabelSelector{MatchLabels: s.Selector}, labels) {
			workload.Services = append(workload.Services, s)
		}
	}
	return workload
}

func (f fixtureFlow) model(t *testing.T) model.Flow {
	t.Helper()
	namespace, name, _ := strings.Cut(f.Rule, "/")
	flow := model.Flow{
		Origin: model.Origin{Ref: model.Ref{Kind: "TrafficRule", Namespace: namespace, Name: name}},
		Client: model.Peer{Kind: model.PeerPods, Addresses: f.Addresses}, Server: model.Peer{Kind: model.PeerPods},
		HTTP: f.HTTP, Plaintext: f.Plaintext,
	}
	for _, from := range f.From {
		if strings.Contains(from, "/") {
			flow.Client.Workloads = append(flow.Client.Workloads, deployment(from))
		} else {
			flow.Client.Kind = model.PeerKind(from)
		}
	}
	for _, to := range f.To {
		flow.Server.Workloads = append(flow.Server.Workloads, deployment(to))
	}
	for _, text := range f.Ports {
		flow.Ports = append(flow.Ports, fixturePort(t, text))
	}
	return flow
}

func deployment(name string) model.WorkloadID {
	namespace, name, _ := strings.Cut(name, "/")
	return model.WorkloadID{Namespace: namespace, Kind: "Deployment", Name: name}
}

// fixturePort reads "8080", "8000-8100" or "53/UDP".
func fixturePort(t *testing.T, text string) model.Port {
	t.Helper()
	text, protocol, _ := strings.Cut(text, "/")
	ports, bad := parsePorts(text, nil)
	require.Empty(t, bad)
	if protocol != "" {
		ports[0].Protocol = corev1.Protocol(protocol)
	}
	return ports[0]
}

// serversByPort finds written Servers by "app:port".
func serversByPort(objects []model.Object) map[string]model.Object {
	found := map[string]model.Object{}
	for _, o := range objects {
		if o.Ref().Kind == "Server" {
			app, _ := o.Map("spec", "podSelector", "matchLabels")["app"].(string)
			found[app+":"+portText(o.Map("spec")["port"])] = o
		}
	}
	return found
}

func portText(port any) string {
	number, _ := port.(int64)
	return strconv.FormatInt(number, 10)
}

// permitted lists who the policies let in on a target: identities and networks, sorted.
func permitted(objects []model.Object, kind, name string) []string {
	held := map[string][]string{}
	for _, o := range objects {
		ref := o.Ref()
		for _, item := range asList(o.Map("spec")["identities"]) {
			held[ref.Kind+"/"+ref.Name] = append(held[ref.Kind+"/"+ref.Name], item.(string))
		}
		for _, item := range asList(o.Map("spec")["networks"]) {
			held[ref.Kind+"/"+ref.Name] = append(held[ref.Kind+"/"+ref.Name], item.(map[string]any)["cidr"].(string))
		}
	}
	var all []string
	for _, o := range objects {
		target := o.Map("spec", "targetRef")
		if target["kind"] != kind || target["name"] != name {
			continue
		}
		for _, item := range asList(o.Map("spec")["requiredAuthenticationRefs"]) {
			ref := item.(map[string]any)
			all = append(all, held[ref["kind"].(string)+"/"+ref["name"].(string)]...)
		}
	}
	slices.Sort(all)
	return all
}

func asList(v any) []any {
	list, _ := v.([]any)
	return list
}

func codes(problems []model.Problem) []string {
	var list []string
	for _, p := range problems {
		list = append(list, p.Code)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func findingCodes(findings []model.Finding) []string {
	var list []string
	for _, f := range findings {
		list = append(list, f.Code)
	}
	slices.Sort(list)
	return slices.Compact(list)
}
