package difftest

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/mesh/istio"
	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// reading is a world as the product reads it.
type reading struct {
	*istio.Reader
	m     *model.Model
	input verdict.Input
	// loads are the pods as workloads, in the order of the world's.
	loads map[*pod]*model.Workload
}

func read(w *world) *reading {
	r := &reading{m: &model.Model{}, loads: map[*pod]*model.Workload{}}
	r.m.Cluster = model.Cluster{Domain: "cluster.local", Mesh: model.Mesh{
		Kind: model.MeshIstio, Namespace: rootNamespace, RootNamespace: rootNamespace, TrustDomain: trustDomain, TrustDomainAliases: []string{aliasDomain},
		AutoMTLS: w.autoMTLS, RegistryOnly: w.registryOnly, Ambient: w.ambient,
	}}
	for _, n := range w.namespaces {
		r.m.Namespaces = append(r.m.Namespaces, model.Namespace{Name: n.Name, Labels: n.Labels, Declared: true})
	}
	slices.SortFunc(r.m.Namespaces, func(a, b model.Namespace) int { return strings.Compare(a.Name, b.Name) })
	for _, s := range w.services {
		r.m.Services = append(r.m.Services, model.Service{
			Namespace: s.Namespace, Name: s.Name, Labels: s.Labels, Annotations: s.Annotations, Selector: s.Spec.Selector, ClusterIPs: s.Spec.ClusterIPs, Ports: s.Spec.Ports,
		})
	}
	slices.SortFunc(r.m.Services, func(a, b model.Service) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	r.workloads(w)
	var objects []model.Object
	for _, o := range w.objects() {
		objects = append(objects, treeOf(o))
	}
	r.Reader = istio.NewReader(r.m, objects)
	r.input = verdict.Input{Cluster: &r.m.Cluster, Namespaces: r.m.Namespaces, Workloads: r.m.Workloads, Mesh: r.Reader}
	return r
}

func (r *reading) workloads(w *world) {
	dialect := istio.New(r.m.Cluster.Mesh, r.m.Cluster.Domain)
	for _, p := range w.pods {
		load := model.Workload{
			ID: model.WorkloadID{Namespace: p.Namespace, Kind: "Pod", Name: p.Name}, APIVersion: "v1", Labels: p.Labels, Annotations: p.Annotations,
			Selector: metav1.LabelSelector{MatchLabels: p.Labels}, NamespaceLabels: r.m.Namespace(p.Namespace).Labels, ServiceAccount: p.Spec.ServiceAccountName,
			Spec: p.Spec, Replicas: 1, Running: true, Addresses: []netip.Addr{netip.MustParseAddr(p.Status.PodIP)},
		}
		for i := range r.m.Services {
			if s := &r.m.Services[i]; s.Namespace == p.Namespace && selects(s.Selector, p.Labels) {
				load.Services = append(load.Services, s)
			}
		}
		load.Facts = dialect.Facts(&load)
		r.m.Workloads = append(r.m.Workloads, load)
	}
	slices.SortFunc(r.m.Workloads, func(a, b model.Workload) int { return model.CompareWorkloadIDs(a.ID, b.ID) })
	for _, p := range w.pods {
		r.loads[p] = r.m.Workload(model.WorkloadID{Namespace: p.Namespace, Kind: "Pod", Name: p.Name})
	}
}

// treeOf is an object as an API server writes it: with its age.
func treeOf(o any) model.Object {
	tree := model.ObjectFrom(o, 0)
	born := o.(metav1.Object).GetCreationTimestamp()
	tree.Map("metadata")["creationTimestamp"] = born.UTC().Format(time.RFC3339)
	return tree
}

func yamlOf(o any) (string, error) {
	data, err := yaml.Marshal(treeOf(o).Tree)
	return string(data), err
}

// forced is the reader, with one way between any two.
type forced struct {
	*istio.Reader
	way model.Way
}

func (f forced) Ways(_, _ *model.Workload) []model.Way { return []model.Way{f.way} }

// answers puts one connection to the reader, on a given way.
func (r *reading) answers(from, to *pod, port int32, way model.Way) []verdict.Answer {
	in := r.input
	in.Mesh = forced{r.Reader, way}
	q := verdict.Question{To: verdict.End{Workload: r.loads[to]}, Port: model.TCP(port)}
	if from != nil {
		q.From.Workload = r.loads[from]
	} else {
		q.From.Address = netip.MustParseAddr(stranger)
	}
	return verdict.Explain(in, q).Answers
}

// answerOf is the decision of one layer at a workload; Open where the layer has nothing there.
func answerOf(answers []verdict.Answer, layer model.FilterLayer, at *model.Workload) verdict.Decision {
	decision := verdict.Open
	for _, a := range answers {
		if a.Layer == layer && a.At == at {
			decision = min(decision, a.Decision)
		}
	}
	return decision
}

// decisionOf is what the reader should say where Istio says t.
func decisionOf(t tri) verdict.Decision {
	return [...]verdict.Decision{no: verdict.Refused, external: verdict.Unclear, some: verdict.Partial, yes: verdict.Open}[t]
}

// overServices are the ways by Services to a port.
func (r *reading) overServices(from, to *pod, port int32) []outcome {
	if !r.served(to, port) {
		return nil
	}
	ways := r.Ways(r.loads[from], r.loads[to])
	if len(ways) == 0 {
		return []outcome{{}}
	}
	var out []outcome
	for i := range ways {
		if leadsTo(&ways[i], port) && !ways[i].ByAddress {
			out = append(out, outcomeOf(&ways[i]))
		}
	}
	return out
}

func leadsTo(w *model.Way, port int32) bool {
	return w.Ports == nil || slices.Contains(w.Ports, model.TCP(port))
}

// byAddress is the way to a port of no Service.
func (r *reading) byAddress(from, to *pod) outcome {
	ways := r.Ways(r.loads[from], r.loads[to])
	for i := range ways {
		if ways[i].Ports == nil {
			return outcomeOf(&ways[i])
		}
	}
	return outcome{}
}

// wayVia is the way that stands for an outcome by a waypoint.
func (r *reading) wayVia(from, to *pod, port int32, o outcome) *model.Way {
	ways := r.Ways(r.loads[from], r.loads[to])
	for i := range ways {
		w := &ways[i]
		at := outcomeOf(w)
		byService := w.Cause.Object.Kind == "Service"
		if !leadsTo(w, port) || at.via != o.via || byService != (o.service != nil) {
			continue
		}
		if !byService || w.Cause.Object.Name == o.service.Name {
			return w
		}
	}
	return nil
}

func outcomeOf(w *model.Way) outcome {
	o := outcome{protected: w.Protected, tunnel: w.Dials == 15008, fails: w.Fails != "", beyond: w.Unknown != ""}
	if w.Via != nil {
		o.via = w.Via.ID.Namespace + "/" + w.Via.Labels["gateway.networking.k8s.io/gateway-name"]
	}
	return o
}

// served tells whether some Service leads to a port.
func (r *reading) served(to *pod, port int32) bool {
	for _, s := range r.loads[to].Services {
		for _, p := range s.Ports {
			if targetOf(p, to) == port {
				return true
			}
		}
	}
	return false
}
