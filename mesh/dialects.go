package mesh

import (
	"floe.dev/palisade/mesh/istio"
	"floe.dev/palisade/mesh/linkerd"
	"floe.dev/palisade/model"
)

var (
	_ Dialect = (*istio.Dialect)(nil)
	_ Dialect = (*linkerd.Dialect)(nil)
)

// New makes the dialect of a mesh with its facts; nil where there is none.
// clusterDomain is the DNS domain of the cluster, or "" where it is unknown.
func New(m model.Mesh, clusterDomain string) Dialect {
	switch m.Kind {
	case model.MeshIstio:
		return istio.New(m, clusterDomain)
	case model.MeshLinkerd:
		return linkerd.New(m)
	default:
		return nil
	}
}

// Findings reports what in the cluster keeps the mesh in use from holding the posture.
func Findings(m *model.Model) []model.Finding {
	switch m.Cluster.Mesh.Kind {
	case model.MeshIstio:
		return istio.Findings(m)
	case model.MeshLinkerd:
		return linkerd.Findings(m)
	default:
		return nil
	}
}
