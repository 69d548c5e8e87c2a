package model

import (
	"slices"
)

// Model is one cluster with one intent: all that a compiler may know.
type Model struct {
	Cluster Cluster
	// Namespaces, sorted by name: every one that exists, governed or not.
	Namespaces []Namespace
	// Workloads, sorted by CompareWorkloadIDs.
	Workloads []Workload
	// Pods are those that run for one of Workloads (Owner says which), as far as
	// they were read, sorted alike. Compilers look at Workloads only.
	Pods []Workload
	// Services, sorted by namespace and name.
	Services []Service
	// Flows are all permissions of the intent, in a stable order.
	Flows []Flow
	// Existing are objects of the cluster that a layer may have to take into
	// account (the user's own PeerAuthentications, DestinationRules, Sidecars,
	// Servers, Gateways, NetworkPolicies, …), sorted by CompareRefs.
	Existing []Object
	// Held are namespaces whose allows could not be worked out in full for a
	// layer, so that the layer must not write a deny there. The reason is in a Problem.
	Held []Hold
}

// Hold keeps a layer from writing to a namespace.
type Hold struct {
	Namespace string
	Layer     Layer
}

// Workload finds a workload, or nil.
func (m *Model) Workload(id WorkloadID) *Workload {
	i, found := slices.BinarySearchFunc(m.Workloads, id, func(w Workload, id WorkloadID) int {
		return CompareWorkloadIDs(w.ID, id)
	})
	if !found {
		return nil
	}
	return &m.Workloads[i]
}

// WorkloadsIn returns the workloads of a namespace.
func (m *Model) WorkloadsIn(namespace string) []Workload { return inNamespace(m.Workloads, namespace) }

// PodsIn returns the pods of a namespace that run for workloads.
func (m *Model) PodsIn(namespace string) []Workload { return inNamespace(m.Pods, namespace) }

func inNamespace(list []Workload, namespace string) []Workload {
	from, _ := slices.BinarySearchFunc(list, namespace, func(w Workload, ns string) int {
		switch {
		case w.ID.Namespace < ns:
			return -1
		default:
			return 1
		}
	})
	to := from
	for to < len(list) && list[to].ID.Namespace == namespace {
		to++
	}
	return list[from:to]
}

// Namespace finds a namespace, or nil.
func (m *Model) Namespace(name string) *Namespace {
	i, found := slices.BinarySearchFunc(m.Namespaces, name, func(n Namespace, name string) int {
		switch {
		case n.Name < name:
			return -1
		case n.Name > name:
			return 1
		default:
			return 0
		}
	})
	if !found {
		return nil
	}
	return &m.Namespaces[i]
}

// IsHeld tells whether a layer must not write to a namespace.
func (m *Model) IsHeld(namespace string, layer Layer) bool {
	return slices.Contains(m.Held, Hold{Namespace: namespace, Layer: layer})
}
