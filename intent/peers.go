package intent

import (
	"net/netip"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/model"
)

// podsIn is the peer of the pods that a selector chooses in one namespace.
func (r *resolver) podsIn(namespace string, selector metav1.LabelSelector) model.Peer {
	peer := model.Peer{Kind: model.PeerPods, Namespace: namespace, PodSelector: selector}
	peer.Workloads = r.match(namespace, &selector, nil)
	return peer
}

// podPeer resolves a PodPeer as seen from a namespace.
func (r *resolver) podPeer(from *v1alpha1.PodPeer, home string) model.Peer {
	selector := metav1.LabelSelector{}
	if from.PodSelector != nil {
		selector = *from.PodSelector
	}
	if from.NamespaceSelector == nil {
		namespace := from.Namespace
		if namespace == "" {
			namespace = home
		}
		return r.podsIn(namespace, selector)
	}
	peer := model.Peer{Kind: model.PeerPods, NamespaceSelector: from.NamespaceSelector, PodSelector: selector}
	for _, namespace := range r.matchNamespaces(from.NamespaceSelector) {
		peer.Workloads = r.match(namespace, &selector, peer.Workloads)
	}
	slices.SortFunc(peer.Workloads, model.CompareWorkloadIDs)
	return peer
}

// workloadPeer is the peer of exactly one workload, as far as labels can tell its pods from all others.
func (r *resolver) workloadPeer(w *model.Workload) model.Peer {
	return model.Peer{
		Kind: model.PeerPods, Namespace: w.ID.Namespace, PodSelector: r.ownSelector(w), Workloads: []model.WorkloadID{w.ID},
	}
}

// ownSelector is what a workload's controller selects by, narrowed where that
// also finds pods of others: a chart often gives a Job the labels of its Deployment.
func (r *resolver) ownSelector(w *model.Workload) metav1.LabelSelector {
	if known, ok := r.own[w.ID]; ok {
		return known
	}
	selector := w.Selector
	if model.IsEverything(&selector) {
		return selector // by what others bear and this does not, every pod yet to come could be meant
	}
	for _, id := range r.match(w.ID.Namespace, &w.Selector, nil) {
		if stray := r.model.Workload(id); id != w.ID && model.Matches(&selector, stray.Labels) {
			selector, _ = model.Exclude(&selector, w.Labels, stray.Labels)
		}
	}
	r.own[w.ID] = selector
	return selector
}

func (r *resolver) match(namespace string, selector *metav1.LabelSelector, into []model.WorkloadID) []model.WorkloadID {
	workloads := r.model.WorkloadsIn(namespace)
	for i := range workloads {
		if model.Matches(selector, workloads[i].Labels) {
			into = append(into, workloads[i].ID)
		}
	}
	return into
}

func (r *resolver) matchNamespaces(selector *metav1.LabelSelector) []string {
	key := model.SelectorKey(selector)
	if known, ok := r.namespaces[key]; ok {
		return known
	}
	var found []string
	for i := range r.model.Namespaces {
		if model.Matches(selector, r.model.Namespaces[i].Labels) {
			found = append(found, r.model.Namespaces[i].Name)
		}
	}
	r.namespaces[key] = found
	return found
}

// workloads looks the workloads of a peer up.
func (r *resolver) workloads(peer *model.Peer) []*model.Workload {
	found := make([]*model.Workload, 0, len(peer.Workloads))
	for _, id := range peer.Workloads {
		if w := r.model.Workload(id); w != nil {
			found = append(found, w)
		}
	}
	return found
}

// addressPeer resolves a CIDR with its exceptions. The kinds are validated on
// reading; text that does not parse yields no address, which opens nothing.
func addressPeer(cidr v1alpha1.CIDR, except []v1alpha1.CIDR) model.Peer {
	peer := model.Peer{Kind: model.PeerAddresses}
	prefix, err := netip.ParsePrefix(string(cidr))
	if err != nil {
		return peer
	}
	block := model.AddressBlock{CIDR: prefix.Masked()}
	for _, text := range except {
		if e, err := netip.ParsePrefix(string(text)); err == nil {
			block.Except = append(block.Except, e.Masked())
		}
	}
	slices.SortFunc(block.Except, netip.Prefix.Compare)
	peer.Addresses = []model.AddressBlock{block}
	return peer
}
