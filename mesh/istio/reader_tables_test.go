package istio

import (
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/model"
	judging "floe.dev/palisade/verdict"
)

// readerCase is one rule of Istio, as a mesh in which it decides.
type readerCase struct {
	// objects are "Kind namespace/name: {spec}", the oldest first; "| {…}" adds to the
	// metadata, and "@2" gives an age, of which the lowest is the oldest.
	objects []string
	// change what small mesh has.
	change func(*fixture)
	// want are "client → server:port answer", with "directly" behind where an address is called. The answer is
	// a decision, with how it is protected, or with the layer that refuses.
	want []string
}

func runReaderCases(t *testing.T, cases map[string]readerCase) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, in := c.input(t)
			for _, line := range c.want {
				question, want, found := strings.Cut(line, " is ")
				require.True(t, found, line)
				want, directly := strings.CutSuffix(want, " directly")
				require.Equal(t, want, answerTo(t, in, question, directly), line)
			}
		})
	}
}

// input is the small mesh with the objects of a case.
func (c *readerCase) input(t *testing.T) (*Reader, judging.Input) {
	t.Helper()
	f := smallMesh()
	if c.change != nil {
		c.change(f)
	}
	_, m := f.model(t)
	for i := range m.Workloads {
		if n := m.Namespace(m.Workloads[i].ID.Namespace); n != nil {
			m.Workloads[i].NamespaceLabels = n.Labels
		}
	}
	var objects []model.Object
	for i, line := range c.objects {
		objects = append(objects, parseObject(t, i, line))
	}
	r := NewReader(m, objects)
	return r, judging.Input{Cluster: &m.Cluster, Namespaces: m.Namespaces, Workloads: m.Workloads, Mesh: r}
}

// smallMesh has two namespaces of sidecars, one of ambient pods and one outside the
// mesh, with a Service before every workload: HTTP on 8080, TCP on 8081, and undeclared on 9090.
func smallMesh() *fixture {
	f := &fixture{Domain: "cluster.local", Mesh: model.Mesh{
		Namespace: "istio-system", RootNamespace: "istio-system", TrustDomain: "td.example", TrustDomainAliases: []string{"old.example"}, AutoMTLS: true, Ambient: true,
	}}
	for name, labels := range map[string]map[string]string{
		"north": {injectionLabel: "enabled", "team": "red"}, "south": {injectionLabel: "enabled"}, "calm": {dataplaneLabel: "ambient"}, "wild": {}, "istio-system": {},
	} {
		f.Namespaces = append(f.Namespaces, fixtureNamespace{Name: name, Labels: labels})
	}
	for i, name := range []string{"north/front", "north/back", "north/rpc", "south/far", "calm/pool", "calm/lake", "wild/lone", "istio-system/door"} {
		_, app, _ := strings.Cut(name, "/")
		w := fixtureWorkload{Name: name, Labels: map[string]string{"app": app}, Annotations: map[string]string{}, Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 1, 0, byte(i + 1)})}}
		switch app {
		case "rpc":
			w.Annotations[templatesAnnotation] = "grpc-agent"
		case "door":
			w.Annotations[templatesAnnotation] = "gateway"
		}
		f.Workloads = append(f.Workloads, w)
		s := fixtureService{Name: name, Labels: map[string]string{}, Annotations: map[string]string{}, Selector: map[string]string{"app": app}, ClusterIPs: []string{fmt.Sprint("10.96.0.", i+1)}}
		for _, p := range []struct {
			name         string
			port, target int32
		}{{"http", 80, 8080}, {"tcp", 81, 8081}, {"web", 82, 9090}} {
			s.Ports = append(s.Ports, corev1.ServicePort{Name: p.name, Port: p.port, TargetPort: intstr.FromInt32(p.target)})
		}
		f.Services = append(f.Services, s)
	}
	return f
}

func (f *fixture) workload(name string) *fixtureWorkload {
	for i := range f.Workloads {
		if f.Workloads[i].Name == name {
			return &f.Workloads[i]
		}
	}
	panic("no workload " + name)
}

func (f *fixture) service(name string) *fixtureService {
	for i := range f.Services {
		if f.Services[i].Name == name {
			return &f.Services[i]
		}
	}
	panic("no Service " + name)
}

func (f *fixture) namespace(name string) map[string]string {
	for i := range f.Namespaces {
		if f.Namespaces[i].Name == name {
			return f.Namespaces[i].Labels
		}
	}
	panic("no namespace " + name)
}

// waypoint runs the waypoint wp of a namespace.
func (f *fixture) waypoint(namespace string) {
	f.Workloads = append(f.Workloads, fixtureWorkload{
		Name: namespace + "/wp", ServiceAccount: "wp", Addresses: []netip.Addr{netip.MustParseAddr("10.1.0.99")},
		Labels: map[string]string{gatewayNameLabel: "wp", gatewayClassLabel: waypointClass, gatewayManagedLabel: meshController},
	})
}

// parseObject reads a line of objects; the n-th is the n-th oldest.
func parseObject(t *testing.T, n int, line string) model.Object {
	t.Helper()
	head, body, found := strings.Cut(line, ": ")
	if !found {
		head, body = strings.TrimSuffix(line, ":"), "{}"
	}
	body, more, _ := strings.Cut(body, " | ")
	kind, name, _ := strings.Cut(head, " ")
	name, age, aged := strings.Cut(name, "@")
	if !aged {
		age = fmt.Sprint(n)
	}
	namespace, name, _ := strings.Cut(name, "/")
	versions := map[string]string{
		"PeerAuthentication": "security.istio.io/v1", "AuthorizationPolicy": "security.istio.io/v1", "DestinationRule": "networking.istio.io/v1",
		"Sidecar": "networking.istio.io/v1", "Gateway": gatewayGroup + "/v1",
	}
	metadata := map[string]any{"namespace": namespace, "name": name, "creationTimestamp": fmt.Sprintf("2026-01-01T00:00:%02sZ", age)}
	maps.Copy(metadata, parseTree(t, more))
	return model.Object{Tree: map[string]any{"apiVersion": versions[kind], "kind": kind, "metadata": metadata, "spec": parseTree(t, body)}}
}

func parseTree(t *testing.T, text string) map[string]any {
	t.Helper()
	tree := map[string]any{}
	require.NoError(t, yaml.Unmarshal([]byte(text), &tree), text)
	return tree
}

// answerTo puts "client → server:port" to the verdict. A client "-" is an address outside of the cluster.
func answerTo(t *testing.T, in judging.Input, question string, directly bool) string {
	t.Helper()
	from, to, found := strings.Cut(question, " → ")
	require.True(t, found, question)
	to, port, _ := strings.Cut(to, ":")
	q := judging.Question{From: endNamed(t, in, from), To: endNamed(t, in, to), Port: parsePort(t, port), OverService: !directly}
	e := judging.Explain(in, q)
	switch e.Decision {
	case judging.Refused:
		for _, a := range e.Answers {
			if a.Decision == judging.Refused {
				return fmt.Sprint("denied by ", a.Layer)
			}
		}
		return "denied" // by several layers, each in part
	case judging.Unclear:
		return "unknown"
	}
	how := "plaintext"
	if e.Protection == judging.MTLS {
		how = "mTLS"
	}
	for _, a := range e.Answers {
		if a.Layer == model.FilterTransport && a.Dialled.Number == portHBONE {
			how = "HBONE"
		}
	}
	return e.Decision.String() + " " + how
}

func endNamed(t *testing.T, in judging.Input, name string) judging.End {
	t.Helper()
	if name == "-" {
		return judging.End{Address: netip.MustParseAddr("192.0.2.9")}
	}
	for i := range in.Workloads {
		if w := &in.Workloads[i]; w.ID.Namespace+"/"+w.ID.Name == name {
			return judging.End{Workload: w}
		}
	}
	require.Failf(t, "no workload", "%s", name)
	return judging.End{}
}

func smallPorts(name string, number int32) []corev1.Container {
	return []corev1.Container{{Name: name, Ports: []corev1.ContainerPort{{Name: name, ContainerPort: number}}}}
}

func smallProxy() []corev1.Container { return []corev1.Container{{Name: proxyContainer}} }
