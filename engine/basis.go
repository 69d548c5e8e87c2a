package engine

import (
	"maps"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/intent"
	"floe.dev/palisade/model"
)

// A selector that matches more than maxNeighbours other namespaces is no neighbourhood, and
// is said to be looked at in part. maxNear bounds what is looked at with one batch.
const (
	maxNeighbours = 50
	maxNear       = 5 * batchSize
)

// Basis is what proposals to one snapshot have in common. It is safe for concurrent use.
type Basis struct {
	snapshot *Snapshot
	cluster  model.Cluster
	// Problems are what is not known of the cluster, so that no judgement is complete.
	Problems []model.Problem
	// always are the namespaces that every batch needs: the cluster's own and the mesh's.
	always map[string]bool

	places places

	lock sync.Mutex
	// matched remembers which namespaces a selector matches, by its key.
	matched map[string][]string
	near    func() neighbours
}

// neighbours tells which namespaces have to do with one another.
type neighbours struct {
	of map[string]map[string]bool
	// wide are those with a rule or a profile's preset for more than can be looked at.
	wide map[string]bool
}

// NewBasis prepares a snapshot, which must not be changed any more.
func NewBasis(s *Snapshot, given Given) *Basis {
	b := &Basis{snapshot: s, places: newPlaces(s), matched: map[string][]string{}}
	b.cluster, b.Problems = intent.Facts(s, given)
	b.always = map[string]bool{metav1.NamespaceSystem: true, b.cluster.DNS.Namespace: true, b.cluster.Mesh.Namespace: true, b.cluster.Mesh.RootNamespace: true}
	for i := range s.Profiles {
		network := &s.Profiles[i].Spec.Network
		for _, peer := range slices.Concat(network.IngressGateways, network.Prometheus) {
			if found := b.namespacesOf(&peer, ""); len(found) <= maxNeighbours {
				for _, name := range found {
					b.always[name] = true
				}
			}
		}
	}
	delete(b.always, "")
	b.near = sync.OnceValue(b.neighbours)
	return b
}

// namespacesOf are those in which a peer's pods may be, seen from a namespace.
func (b *Basis) namespacesOf(peer *v1alpha1.PodPeer, home string) []string {
	switch {
	case peer.NamespaceSelector == nil && peer.Namespace == "":
		return []string{home}
	case peer.NamespaceSelector == nil:
		return []string{peer.Namespace}
	}
	key := model.SelectorKey(peer.NamespaceSelector)
	b.lock.Lock()
	defer b.lock.Unlock()
	if known, ok := b.matched[key]; ok {
		return known
	}
	var found []string
	for i := range b.snapshot.Namespaces {
		if n := &b.snapshot.Namespaces[i]; model.Matches(peer.NamespaceSelector, n.Labels) {
			found = append(found, n.Name)
		}
	}
	b.matched[key] = found
	return found
}

// peersOf shows the namespaces of each client of a rule.
func (b *Basis) peersOf(r *v1alpha1.TrafficRule, show func([]string)) {
	for i := range r.Spec.From {
		if pods := r.Spec.From[i].Pods; pods != nil {
			show(b.namespacesOf(pods, r.Namespace))
		}
	}
}

// neighbours reads from rules and manifests which namespaces call which.
func (b *Basis) neighbours() neighbours {
	n := neighbours{of: make(map[string]map[string]bool, len(b.snapshot.Namespaces)), wide: map[string]bool{}}
	for i := range b.snapshot.Rules {
		r := &b.snapshot.Rules[i]
		b.peersOf(r, func(found []string) {
			if len(found) > maxNeighbours {
				n.wide[r.Namespace] = true
				return
			}
			for _, name := range found {
				n.link(r.Namespace, name)
			}
		})
	}
	exists := make(map[string]bool, len(b.snapshot.Namespaces))
	for i := range b.snapshot.Namespaces {
		exists[b.snapshot.Namespaces[i].Name] = true
	}
	for i := range b.snapshot.Workloads {
		w := &b.snapshot.Workloads[i]
		mentions(w, func(label string) {
			if exists[label] {
				n.link(w.ID.Namespace, label)
			}
		})
	}
	return n
}

func (n *neighbours) link(a, b string) {
	if a == b {
		return
	}
	for _, pair := range [][2]string{{a, b}, {b, a}} {
		if n.of[pair[0]] == nil {
			n.of[pair[0]] = map[string]bool{}
		}
		n.of[pair[0]][pair[1]] = true
	}
}

// mentions shows the labels of all dotted names in the environment and the
// commands of a workload: one that calls a Service of another namespace names that.
func mentions(w *model.Workload, show func(string)) {
	read := func(text string) {
		if !strings.Contains(text, ".") {
			return
		}
		for _, name := range strings.FieldsFunc(text, func(r rune) bool {
			return r != '-' && r != '.' && (r < '0' || r > '9') && (r < 'a' || r > 'z')
		}) {
			labels := strings.Split(name, ".")
			for _, label := range labels[1:] { // the first is the Service, or a pod of it
				show(label)
			}
		}
	}
	for _, containers := range [][]corev1.Container{w.Spec.InitContainers, w.Spec.Containers} {
		for i := range containers {
			for _, e := range containers[i].Env {
				read(e.Value)
			}
			for _, text := range containers[i].Command {
				read(text)
			}
			for _, text := range containers[i].Args {
				read(text)
			}
		}
	}
}

// around is a batch with all that has to do with it, and whether that is cut short.
func (b *Basis) around(batch []string) (near map[string]bool, partial bool) {
	links := b.near()
	near = make(map[string]bool, 2*len(batch))
	for name := range b.always {
		near[name] = true
	}
	for _, name := range batch {
		near[name] = true
	}
	for _, name := range batch {
		partial = partial || links.wide[name]
		for _, other := range slices.Sorted(maps.Keys(links.of[name])) {
			if !near[other] && len(near) >= maxNear {
				partial = true
				continue
			}
			near[other] = true
		}
	}
	return near, partial
}

// narrow is the part of a snapshot that lies in some namespaces, with the
// workloads of all others by which presets and control planes are found. The snapshot
// differs from that of the basis in palisade's own kinds at most.
func (b *Basis) narrow(s *Snapshot, near map[string]bool) *Snapshot {
	out := *s
	homes := make(map[string]bool, len(near))
	for _, i := range b.places.infrastructure {
		homes[s.Workloads[i].ID.Namespace] = true
	}
	out.Namespaces = kept(s.Namespaces, func(n *model.Namespace) bool { return near[n.Name] || homes[n.Name] })
	names := slices.Sorted(maps.Keys(near))
	out.Workloads = taken(s.Workloads, b.places.workloads, names)
	for _, i := range b.places.infrastructure {
		if !near[s.Workloads[i].ID.Namespace] {
			out.Workloads = append(out.Workloads, s.Workloads[i])
		}
	}
	slices.SortFunc(out.Workloads, func(a, b model.Workload) int { return model.CompareWorkloadIDs(a.ID, b.ID) })
	out.Pods = taken(s.Pods, b.places.pods, names)
	out.Services = taken(s.Services, b.places.services, names)
	out.Objects = slices.Concat(taken(s.Objects, b.places.objects, []string{""}), taken(s.Objects, b.places.objects, names), taken(s.Objects, b.places.trees, names))
	out.Rules = kept(s.Rules, func(v *v1alpha1.TrafficRule) bool { return near[v.Namespace] })
	out.ExternalAccess = kept(s.ExternalAccess, func(v *v1alpha1.ExternalAccess) bool { return near[v.Namespace] })
	out.Exemptions = kept(s.Exemptions, func(v *v1alpha1.Exemption) bool { return near[v.Namespace] })
	return &out
}

// places tells where in the lists of a snapshot the things of each namespace are.
type places struct {
	workloads, pods, services, objects map[string][]int
	// trees are the Namespaces among the objects, by their names.
	trees map[string][]int
	// infrastructure are the workloads that matter to every namespace.
	infrastructure []int
}

func newPlaces(s *Snapshot) places {
	p := places{
		workloads: placed(s.Workloads, func(w *model.Workload) string { return w.ID.Namespace }),
		pods:      placed(s.Pods, func(w *model.Workload) string { return w.ID.Namespace }),
		services:  placed(s.Services, func(v *model.Service) string { return v.Namespace }),
		objects:   map[string][]int{}, trees: map[string][]int{},
	}
	for i := range s.Objects {
		if ref := s.Objects[i].Ref(); ref.Kind == "Namespace" && ref.Group() == "" {
			p.trees[ref.Name] = append(p.trees[ref.Name], i)
		} else {
			p.objects[ref.Namespace] = append(p.objects[ref.Namespace], i)
		}
	}
	for i := range s.Workloads {
		if intent.IsInfrastructure(&s.Workloads[i]) {
			p.infrastructure = append(p.infrastructure, i)
		}
	}
	return p
}

func placed[T any](list []T, namespace func(*T) string) map[string][]int {
	places := map[string][]int{}
	for i := range list {
		name := namespace(&list[i])
		places[name] = append(places[name], i)
	}
	return places
}

func taken[T any](list []T, places map[string][]int, names []string) []T {
	var out []T
	for _, name := range names {
		for _, i := range places[name] {
			out = append(out, list[i])
		}
	}
	return out
}

func kept[T any](list []T, keep func(*T) bool) []T {
	var out []T
	for i := range list {
		if keep(&list[i]) {
			out = append(out, list[i])
		}
	}
	return out
}
