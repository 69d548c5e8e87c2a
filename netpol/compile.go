package netpol

import (
	"maps"
	"net/netip"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// Compile writes the policies of every namespace whose posture wants default
// deny, or a stage on the way there, and that is not held, sorted by
// model.CompareObjects. Flows between a governed and any other namespace are
// written on the governed side only.
func Compile(m *model.Model) ([]model.Object, []model.Problem) {
	c := newCompiler(m)
	for i := range m.Flows {
		c.flow(&m.Flows[i])
	}
	c.exemptions()
	var objects []model.Object
	for _, h := range c.homes {
		objects = append(objects, h.objects(m)...)
	}
	slices.SortFunc(objects, model.CompareObjects)
	return objects, slices.SortedFunc(maps.Keys(c.problems), model.CompareProblems)
}

// compiler carries the policies while they grow.
type compiler struct {
	m *model.Model
	// homes are the governed namespaces, sorted by name.
	homes  []*home
	byName map[string]*home
	// chosen remembers which homes a namespace selector matches, by its key.
	chosen map[string][]*home
	// hostNetwork are the workloads that no pod selector can match, sorted.
	hostNetwork []model.WorkloadID
	// egressHoles and ingressHoles are the ranges that no address peer may contain.
	egressHoles, ingressHoles []netip.Prefix
	problems                  map[model.Problem]bool
	// others are policies of somebody else's, one a namespace.
	others map[string]*model.Object
}

func newCompiler(m *model.Model) *compiler {
	c := &compiler{
		m: m, byName: map[string]*home{}, chosen: map[string][]*home{}, problems: map[model.Problem]bool{},
		egressHoles: egressHoles(&m.Cluster), ingressHoles: aggregate(m.Cluster.PodCIDRs),
	}
	for i := range m.Namespaces {
		n := &m.Namespaces[i]
		if stage := c.stageOf(n); stage != model.StageObserve {
			h := &home{namespace: n, stage: stage, subjects: map[string]*subject{}}
			h.subject(&metav1.LabelSelector{}) // palisade-default is there even without any flow
			h.verifiers()
			c.homes = append(c.homes, h)
			c.byName[n.Name] = h
		}
	}
	for i := range m.Workloads {
		if m.Workloads[i].Spec.HostNetwork {
			c.hostNetwork = append(c.hostNetwork, m.Workloads[i].ID)
		}
	}
	return c
}

// homesOf lists the governed namespaces in which the pods of a peer may live.
func (c *compiler) homesOf(peer *model.Peer) []*home {
	switch {
	case peer.Kind != model.PeerPods:
		return nil
	case peer.Namespace != "":
		if h := c.byName[peer.Namespace]; h != nil {
			return []*home{h}
		}
		return nil
	case peer.NamespaceSelector == nil:
		return nil
	}
	key := model.SelectorKey(peer.NamespaceSelector)
	if known, ok := c.chosen[key]; ok {
		return known
	}
	var found []*home
	for _, h := range c.homes {
		if model.Matches(peer.NamespaceSelector, h.namespace.Labels) {
			found = append(found, h)
		}
	}
	c.chosen[key] = found
	return found
}

// matchesHostNetwork tells whether some workload of a peer runs in its node's network.
func (c *compiler) matchesHostNetwork(peer *model.Peer) bool {
	few, many := c.hostNetwork, peer.Workloads
	if len(few) > len(many) {
		few, many = many, few
	}
	return slices.ContainsFunc(few, func(id model.WorkloadID) bool {
		_, found := slices.BinarySearchFunc(many, id, model.CompareWorkloadIDs)
		return found
	})
}

// onlyHostNetwork tells whether the pods of a peer in a namespace all run in their node's network; false where there is none yet.
func (c *compiler) onlyHostNetwork(peer *model.Peer, namespace string) bool {
	if !c.matchesHostNetwork(peer) || model.IsEverything(&peer.PodSelector) {
		return false
	}
	found := false
	for _, id := range peer.Workloads {
		if id.Namespace != namespace {
			continue
		}
		if _, host := slices.BinarySearchFunc(c.hostNetwork, id, model.CompareWorkloadIDs); !host {
			return false
		}
		found = true
	}
	return found
}

// onCilium tells that addresses never match pods or nodes, and that entities and names can be used instead.
func (c *compiler) onCilium() bool { return c.m.Cluster.CNI == "cilium" }
