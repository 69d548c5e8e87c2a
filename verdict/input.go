package verdict

import "floe.dev/palisade/model"

// Input is one state of a cluster, with the readers of its objects.
type Input struct {
	Cluster *model.Cluster
	// Namespaces with their labels, sorted by name: those of all workloads among them.
	Namespaces []model.Namespace
	// Workloads with Services and Facts, sorted by model.CompareWorkloadIDs.
	Workloads []model.Workload
	// Network is nil where nothing holds the network.
	Network Network
	// Mesh is nil where there is none.
	Mesh Mesh
}

// Network is what verdict asks of a reader of NetworkPolicies.
type Network interface {
	// Egress is what the policies do with connections that a workload's pods open,
	// Ingress with those that are opened to them; nil where no policy isolates the
	// pods. Workloads that the same policies select in the same way get the same Filter.
	Egress(w *model.Workload) *model.Filter
	Ingress(w *model.Workload) *model.Filter
}

// Mesh is what verdict asks of a reader of a mesh's objects.
type Mesh interface {
	// Ways tells how TCP connections of a client to a server travel, in the order
	// in which a client would take them: the first one that is let through is
	// what happens. One of the two may be nil: an address outside of the cluster.
	// No way at all stands for plaintext on the port itself.
	Ways(client, server *model.Workload) []model.Way
	// Filters are what the server's proxy enforces, in order; none where it has no proxy.
	// Workloads for which the same holds get the same Filters.
	Filters(server *model.Workload) []*model.Filter
	// Between are all filters that a Way to the server may have as ViaFilters.
	Between(server *model.Workload) []*model.Filter
	// Sender and Receiver are texts: Ways answers alike for clients with the same
	// Sender and servers with the same Receiver. Sender is empty for clients that send as
	// an address outside does, and only for those.
	Sender(client *model.Workload) string
	Receiver(server *model.Workload) string
}
