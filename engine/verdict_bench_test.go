package engine_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/cluster"
	"floe.dev/palisade/engine"
	"floe.dev/palisade/mesh"
	"floe.dev/palisade/model"
	"floe.dev/palisade/report"
	"floe.dev/palisade/verdict"
)

// The shape of the cluster that verdicts are measured on: in each namespace pods of
// four roles, a Service for each role, six NetworkPolicies (a default deny, DNS and four
// allows, of which one leads to the next namespace and one outside), and in a mesh strict
// mTLS with an authorization for each role.

var cityRoles = []string{"frontend", "api", "worker", "db"}

var cityPorts = map[string]int32{"frontend": 8443, "api": 8080, "worker": 9000, "db": 5432}

// cityMesh is a mesh that the cluster runs.
type cityMesh struct {
	name string
	mesh model.Mesh
	// labels and annotations enrol a namespace.
	labels, annotations map[string]string
	// tunnel is the port that NetworkPolicies have to open beside each other.
	tunnel string
}

var cityMeshes = []cityMesh{
	{name: "none"},
	{name: "sidecar", mesh: model.Mesh{Kind: model.MeshIstio, Namespace: "istio-system", TrustDomain: "corp.example"}, labels: map[string]string{"istio-injection": "enabled"}},
	{name: "ambient", mesh: model.Mesh{Kind: model.MeshIstio, Namespace: "istio-system", TrustDomain: "corp.example"}, labels: map[string]string{"istio.io/dataplane-mode": "ambient"}, tunnel: ", {port: 15008}"},
	{name: "linkerd", mesh: model.Mesh{Kind: model.MeshLinkerd, Namespace: "linkerd", TrustDomain: "corp.example", Linkerd: model.LinkerdFacts{Transport: "transport-header", DefaultInboundPolicy: "deny"}}, annotations: map[string]string{"linkerd.io/inject": "enabled"}, tunnel: ", {port: 4143}"},
}

// newCity makes a model of pods, and the objects before and after a change: before
// there are NetworkPolicies in all namespaces; afterwards the mesh is strict and authorizes, and
// in every tenth namespace a policy is another.
func newCity(b *testing.B, namespaces, podsEach int, m cityMesh) (city *model.Model, before, after []model.Object) {
	b.Helper()
	city = &model.Model{}
	city.Cluster = model.Cluster{Domain: "cluster.local", IPv4: true, PodCIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, CNI: "calico", Mesh: m.mesh}
	city.Services = make([]model.Service, 0, namespaces*len(cityRoles))
	dialect := mesh.New(m.mesh, "cluster.local")
	for n := range namespaces {
		name, next := fmt.Sprintf("ns-%05d", n), fmt.Sprintf("ns-%05d", (n+1)%namespaces)
		labels := map[string]string{corev1.LabelMetadataName: name}
		for key, value := range m.labels {
			labels[key] = value
		}
		city.Namespaces = append(city.Namespaces, model.Namespace{Name: name, Labels: labels, Annotations: m.annotations})
		services := map[string]*model.Service{}
		for _, role := range cityRoles {
			city.Services = append(city.Services, model.Service{
				Namespace: name, Name: role, Selector: map[string]string{"role": role}, Type: corev1.ServiceTypeClusterIP, ClusterIPs: []string{fmt.Sprintf("172.16.%d.%d", n/250, n%250)},
				Ports: []corev1.ServicePort{{Name: "tcp", Port: cityPorts[role], TargetPort: intstr.FromInt32(cityPorts[role]), Protocol: corev1.ProtocolTCP}},
			})
			services[role] = &city.Services[len(city.Services)-1]
		}
		for p := range podsEach {
			role := cityRoles[p%4]
			w := model.Workload{
				ID: model.WorkloadID{Namespace: name, Kind: "Deployment", Name: fmt.Sprintf("%s-%05d", role, p)}, Labels: map[string]string{"role": role, "pod": fmt.Sprint(p)},
				NamespaceLabels: labels, NamespaceAnnotations: m.annotations, ServiceAccount: role, Services: []*model.Service{services[role]},
			}
			w.Spec.Containers = []corev1.Container{{Name: "c", Ports: []corev1.ContainerPort{{ContainerPort: cityPorts[role], Protocol: corev1.ProtocolTCP}}}}
			if dialect != nil {
				w.Facts = dialect.Facts(&w)
			}
			city.Workloads = append(city.Workloads, w)
		}
		policies := trees(b, strings.NewReplacer("HOME", name, "NEXT", next, "TUNNEL", m.tunnel).Replace(cityPolicies))
		before = append(before, policies...)
		if n%10 == 0 {
			policies = slices.Clone(policies)
			policies[len(policies)-1] = trees(b, strings.NewReplacer("HOME", name, "8443", "8444", "NEXT", next, "TUNNEL", m.tunnel).Replace(cityPolicies))[len(policies)-1]
		}
		after = append(after, policies...)
		after = append(after, trees(b, strings.ReplaceAll(map[string]string{"none": "", "linkerd": cityLinkerd}[m.name]+map[bool]string{true: cityIstio}[m.mesh.Kind == model.MeshIstio], "HOME", name))...)
	}
	slices.SortFunc(city.Workloads, func(a, b model.Workload) int { return model.CompareWorkloadIDs(a.ID, b.ID) })
	return city, before, after
}

func trees(b *testing.B, text string) []model.Object {
	b.Helper()
	var list []model.Object
	for document := range strings.SplitSeq(text, "\n---\n") {
		if strings.TrimSpace(document) == "" {
			continue
		}
		var tree map[string]any
		if err := yaml.Unmarshal([]byte(document), &tree); err != nil {
			b.Fatal(err)
		}
		list = append(list, model.Object{Tree: integers(tree).(map[string]any)})
	}
	return list
}

// integers are whole numbers as objects of a snapshot have them.
func integers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			v[key] = integers(v[key])
		}
	case []any:
		for i := range v {
			v[i] = integers(v[i])
		}
	case float64:
		if v == float64(int64(v)) {
			return int64(v)
		}
	}
	return v
}

const cityPolicies = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-deny, namespace: HOME}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: dns, namespace: HOME}
spec: {podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: api, namespace: HOME}
spec:
  podSelector: {matchLabels: {role: api}}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{podSelector: {matchLabels: {role: frontend}}}], ports: [{port: 8080}TUNNEL]}]
  egress: [{to: [{podSelector: {matchLabels: {role: db}}}], ports: [{port: 5432}TUNNEL]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: HOME}
spec:
  podSelector: {matchLabels: {role: db}}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {matchLabels: {role: api}}}], ports: [{port: 5432}TUNNEL]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: outside, namespace: HOME}
spec:
  podSelector: {matchLabels: {role: worker}}
  policyTypes: [Egress]
  egress: [{to: [{ipBlock: {cidr: 172.16.0.0/12, except: [172.20.1.0/24]}}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: frontend, namespace: HOME}
spec:
  podSelector: {matchLabels: {role: frontend}}
  policyTypes: [Ingress, Egress]
  ingress: [{ports: [{port: 8443}TUNNEL]}]
  egress:
  - {to: [{podSelector: {matchLabels: {role: api}}}], ports: [{port: 8080}TUNNEL]}
  - {to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NEXT}}, podSelector: {matchLabels: {role: frontend}}}], ports: [{port: 8443}TUNNEL]}`

const cityIstio = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: HOME}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny-all, namespace: HOME}
spec: {}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: api, namespace: HOME}
spec:
  selector: {matchLabels: {role: api}}
  rules: [{from: [{source: {principals: ["corp.example/ns/HOME/sa/frontend"]}}], to: [{operation: {ports: ["8080"]}}]}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: db, namespace: HOME}
spec:
  selector: {matchLabels: {role: db}}
  rules: [{from: [{source: {principals: ["corp.example/ns/HOME/sa/api"]}}], to: [{operation: {ports: ["5432"]}}]}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: frontend, namespace: HOME}
spec:
  selector: {matchLabels: {role: frontend}}
  rules: [{to: [{operation: {ports: ["8443"]}}]}]
`

const cityLinkerd = `apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: api, namespace: HOME, labels: {role: api}}
spec: {podSelector: {matchLabels: {role: api}}, port: 8080}
---
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: db, namespace: HOME}
spec: {podSelector: {matchLabels: {role: db}}, port: 5432}
---
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: {name: api, namespace: HOME}
spec:
  targetRef: {group: policy.linkerd.io, kind: Server, name: api}
  requiredAuthenticationRefs: [{kind: ServiceAccount, name: frontend}]
---
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: {name: db, namespace: HOME}
spec:
  targetRef: {group: policy.linkerd.io, kind: Server, name: db}
  requiredAuthenticationRefs: [{kind: ServiceAccount, name: api}]
`

// BenchmarkDifference judges a cluster of 10,000 pods before and after a change, from objects in memory, and compares.
func BenchmarkDifference(b *testing.B) {
	for _, m := range cityMeshes {
		b.Run("pods=10000/mesh="+m.name, func(b *testing.B) {
			city, before, after := newCity(b, 500, 20, m)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				was, is, _ := engine.States(city, before, after)
				d := verdict.Compare(was, is)
				b.ReportMetric(float64(len(d.Groups())), "groups")
			}
			b.ReportMetric(peakMB(b), "peak-MB")
		})
	}
}

// BenchmarkMap judges every connection of large clusters, all layers included.
func BenchmarkMap(b *testing.B) {
	for _, shape := range []struct{ namespaces, pods int }{{500, 20}, {10000, 15}} {
		for _, m := range cityMeshes {
			b.Run(fmt.Sprintf("pods=%d/namespaces=%d/mesh=%s", shape.namespaces*shape.pods, shape.namespaces, m.name), func(b *testing.B) {
				city, _, after := newCity(b, shape.namespaces, shape.pods, m)
				b.ReportAllocs()
				b.ResetTimer()
				for range b.N {
					state, _ := engine.State(city, after)
					b.ReportMetric(float64(verdict.NewMap(state).Rows()), "rows")
				}
				b.ReportMetric(peakMB(b), "peak-MB")
			})
		}
	}
}

// BenchmarkExplain asks about single connections in a cluster that is loaded already.
func BenchmarkExplain(b *testing.B) {
	for _, m := range cityMeshes {
		b.Run("pods=10000/mesh="+m.name, func(b *testing.B) {
			city, _, after := newCity(b, 500, 20, m)
			state, _ := engine.State(city, after)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				from, to := &state.Workloads[i*7919%len(state.Workloads)], &state.Workloads[i*104729%len(state.Workloads)]
				verdict.Explain(state, verdict.Question{From: verdict.End{Workload: from}, To: verdict.End{Workload: to}, Port: model.TCP(8080)})
			}
		})
	}
}

// writeCity writes the cluster as two folders of YAML, before and after the change: a file a namespace.
func writeCity(b *testing.B, namespaces, podsEach int, m cityMesh) (before, after string) {
	b.Helper()
	root := b.TempDir()
	for _, state := range []string{"before", "after"} {
		folder := filepath.Join(root, state)
		require.NoError(b, os.Mkdir(folder, 0o755))
		base := map[model.MeshKind]string{model.MeshIstio: istio + "\n---" + istioCNI + "\n---" + ztunnel, model.MeshLinkerd: linkerd}[m.mesh.Kind]
		require.NoError(b, os.WriteFile(filepath.Join(folder, "base.yaml"), []byte(facts+"\n---"+kubeDNS+"\n---"+base), 0o600))
		for n := range namespaces {
			text := cityNamespace(n, namespaces, podsEach, m, state == "after")
			require.NoError(b, os.WriteFile(filepath.Join(folder, fmt.Sprintf("ns-%05d.yaml", n)), []byte(text), 0o600))
		}
	}
	return filepath.Join(root, "before"), filepath.Join(root, "after")
}

func cityNamespace(n, namespaces, podsEach int, m cityMesh, after bool) string {
	name, next := fmt.Sprintf("ns-%05d", n), fmt.Sprintf("ns-%05d", (n+1)%namespaces)
	labels, _ := json.Marshal(m.labels)
	annotations, _ := json.Marshal(m.annotations)
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: %s, annotations: %s}\n", name, labels, annotations)
	for _, role := range cityRoles {
		fmt.Fprintf(&b, "---\napiVersion: v1\nkind: Service\nmetadata: {name: %s, namespace: %s}\nspec: {selector: {role: %s}, ports: [{name: tcp, port: %d}]}\n", role, name, role, cityPorts[role])
	}
	for p := range podsEach {
		role := cityRoles[p%4]
		fmt.Fprintf(&b, `---
apiVersion: v1
kind: Pod
metadata:
  name: %[1]s-%05[2]d
  namespace: %[3]s
  labels: {role: %[1]s, pod: "%[2]d"}
spec:
  serviceAccountName: %[1]s
  containers:
  - name: c
    image: registry.example/%[1]s:1
    ports:
    - {name: main, containerPort: %[4]d}
    resources: {requests: {cpu: 100m, memory: 64Mi}}
    readinessProbe: {tcpSocket: {port: main}}
`, role, p, name, cityPorts[role])
	}
	policies := strings.NewReplacer("HOME", name, "NEXT", next, "TUNNEL", m.tunnel).Replace(cityPolicies)
	if after && n%10 == 0 {
		policies = strings.ReplaceAll(policies, "8443", "8444")
	}
	b.WriteString("---\n" + policies + "\n")
	if after {
		b.WriteString("---\n" + strings.ReplaceAll(map[model.MeshKind]string{model.MeshIstio: cityIstio, model.MeshLinkerd: cityLinkerd}[m.mesh.Kind], "HOME", name))
	}
	return b.String()
}

// BenchmarkFromYAML is palisade map of a folder, and palisade diff of two, with the peak of the process's memory.
func BenchmarkFromYAML(b *testing.B) {
	look := func(b *testing.B, folder, kind string) engine.View {
		s, err := cluster.Read([]string{folder}, nil, cluster.Options{})
		require.NoError(b, err)
		return engine.Look(s, engine.ViewOptions{Options: engine.Options{Given: engine.Given{Mesh: kind}, Now: noon}, Level: engine.Pods, When: engine.Current})
	}
	for _, podsEach := range []int{10, 20} {
		for _, m := range cityMeshes {
			before, after := writeCity(b, 50, podsEach, m)
			kind := string(m.mesh.Kind)
			if m.mesh.Kind == model.MeshNone {
				kind = "none"
			}
			b.Run(fmt.Sprintf("map/pods=%d/policies=300/mesh=%s", 50*podsEach, m.name), func(b *testing.B) {
				for range b.N {
					v := look(b, after, kind)
					require.NoError(b, report.WriteMap(io.Discard, v.Map(), report.MapOptions{}))
				}
				b.ReportMetric(peakMB(b), "peak-MB")
			})
			b.Run(fmt.Sprintf("diff/pods=%d/policies=300/mesh=%s", 50*podsEach, m.name), func(b *testing.B) {
				for range b.N {
					was, is := look(b, before, kind), look(b, after, kind)
					require.NoError(b, report.WriteDifference(io.Discard, engine.Compare(&was, &is), report.MapOptions{}))
				}
				b.ReportMetric(peakMB(b), "peak-MB")
			})
		}
	}
}

// BenchmarkAgainstPairs holds the map against cyclonus, which judges pair by pair
// and port by port: first that both say the same of every pair on the ports that policies name,
// then how many times as long it takes. The map has every other port and the addresses outside as well.
func BenchmarkAgainstPairs(b *testing.B) {
	for _, podsEach := range []int{2, 10} {
		b.Run(fmt.Sprintf("pods=%d/policies=300", 50*podsEach), func(b *testing.B) {
			city, objects, _ := newCity(b, 50, podsEach, cityMeshes[0])
			var list []*networkingv1.NetworkPolicy
			for i := range objects {
				var p networkingv1.NetworkPolicy
				require.NoError(b, runtime.DefaultUnstructuredConverter.FromUnstructured(objects[i].Tree, &p))
				list = append(list, &p)
			}
			ports := []model.Port{model.TCP(8443), model.TCP(8080), model.TCP(5432), model.TCP(53), model.UDP(53), model.TCP(80)}
			var fast, slow time.Duration
			for range b.N {
				start := time.Now()
				state, _ := engine.State(city, objects)
				m := verdict.NewMap(state)
				shown := map[[2]int][]verdict.Allowance{}
				for c := range m.Connections() {
					shown[[2]int{c.From, c.To}] = append(shown[[2]int{c.From, c.To}], c.Allowance)
				}
				fast += time.Since(start)
				start = time.Now()
				judged := pairByPair(matcher.BuildNetworkPolicies(true, list), city, ports)
				slow += time.Since(start)
				for pair, open := range judged {
					for i, port := range ports {
						covered := slices.ContainsFunc(shown[pair], func(a verdict.Allowance) bool { return a.Covers(port) })
						require.Equal(b, open[i], covered, "%s → %s %s", city.Workloads[pair[0]].ID, city.Workloads[pair[1]].ID, port)
					}
				}
			}
			b.ReportMetric(fast.Seconds()/float64(b.N)*1000, "map-ms")
			b.ReportMetric(slow.Seconds()/fast.Seconds(), "times-as-long-by-pairs")
		})
	}
}

func pairByPair(policy *matcher.Policy, city *model.Model, ports []model.Port) map[[2]int][]bool {
	peers := make([]*matcher.TrafficPeer, len(city.Workloads))
	for i := range city.Workloads {
		w := &city.Workloads[i]
		peers[i] = &matcher.TrafficPeer{IP: "10.1.1.1", Internal: &matcher.InternalPeer{PodLabels: w.Labels, NamespaceLabels: w.NamespaceLabels, Namespace: w.ID.Namespace}}
	}
	judged := make(map[[2]int][]bool, len(peers)*len(peers))
	for from := range peers {
		for to := range peers {
			if from == to {
				continue
			}
			open := make([]bool, len(ports))
			for i, port := range ports {
				open[i] = policy.IsTrafficAllowed(&matcher.Traffic{Source: peers[from], Destination: peers[to], ResolvedPort: int(port.Number), Protocol: port.Protocol}).IsAllowed()
			}
			judged[[2]int{from, to}] = open
		}
	}
	return judged
}

// BenchmarkReplacePolicy changes one NetworkPolicy in a cluster that is loaded
// already, and says what that changes: a policy that names its peers, and one that lets everybody in.
func BenchmarkReplacePolicy(b *testing.B) {
	for _, m := range cityMeshes {
		city, before, _ := newCity(b, 500, 20, m)
		state, _ := engine.State(city, before)
		verdict.NewMap(state)
		for name, c := range map[string]struct {
			policy   int
			from, to string
		}{"names-peers": {2, "role: db", "role: worker"}, "everybody": {5, "8443", "8444"}} {
			b.Run("pods=10000/mesh="+m.name+"/"+name, func(b *testing.B) {
				text := strings.Split(strings.NewReplacer("HOME", "ns-00007", "NEXT", "ns-00008", "TUNNEL", m.tunnel).Replace(cityPolicies), "\n---\n")[c.policy]
				changed := trees(b, strings.ReplaceAll(text, c.from, c.to))[0]
				b.ReportAllocs()
				b.ResetTimer()
				for range b.N {
					_, d, err := engine.ReplacePolicy(state, changed.Ref(), &changed)
					require.NoError(b, err)
					changes := 0
					for range d.Changes() {
						changes++
					}
					b.ReportMetric(float64(changes), "changes")
				}
			})
		}
	}
}
