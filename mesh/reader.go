package mesh

import (
	"slices"

	"floe.dev/palisade/mesh/istio"
	"floe.dev/palisade/mesh/linkerd"
	"floe.dev/palisade/model"
)

// Reader is what a dialect offers when it can also judge objects that it did not
// write. It reads what filters and ways come from; package verdict judges by them.
type Reader interface {
	// Ways tells how TCP connections of a client to a server travel, in the order
	// in which a client would take them. One of the two may be nil: an address
	// outside of the cluster. None at all is plaintext on the port itself.
	Ways(client, server *model.Workload) []model.Way
	// Filters are what the server's proxy enforces, in order.
	Filters(server *model.Workload) []*model.Filter
	// Between are all filters that a Way to the server may have as ViaFilters.
	Between(server *model.Workload) []*model.Filter
	// Sender and Receiver are what of a client and of a server its ways depend on;
	// Sender is empty for clients that send as an address outside does.
	Sender(client *model.Workload) string
	Receiver(server *model.Workload) string
	// Problems are objects that could not be read.
	Problems() []model.Problem
}

var (
	_ Reader = (*istio.Reader)(nil)
	_ Reader = (*linkerd.Reader)(nil)
)

// NewReader reads the objects of a state for the mesh in use; nil where there is
// none. Of the model it takes the cluster, the workloads with their Facts, and the Services.
func NewReader(m *model.Model, objects []model.Object) Reader {
	switch m.Cluster.Mesh.Kind {
	case model.MeshIstio:
		return istio.NewReader(m, objects)
	case model.MeshLinkerd:
		return linkerd.NewReader(m, objects)
	default:
		return nil
	}
}

// Implied are the workloads that a mesh runs for objects, where they were not
// read themselves: waypoints. Their Facts are filled in.
func Implied(m *model.Model, objects []model.Object) []model.Workload {
	if m.Cluster.Mesh.Kind != model.MeshIstio {
		return nil
	}
	list := istio.Implied(m, objects)
	d := New(m.Cluster.Mesh, m.Cluster.Domain)
	for i := range list {
		list[i].Facts = d.Facts(&list[i])
	}
	slices.SortFunc(list, func(a, b model.Workload) int { return model.CompareWorkloadIDs(a.ID, b.ID) })
	return list
}
