// Package mesh is the seam between the model and the meshes: the Dialect
// interface, the detection of the mesh in use, and the list of dialects. It is
// pure: objects in, objects out.
package mesh

import "floe.dev/palisade/model"

// Dialect translates between the model and one mesh. It is pure.
type Dialect interface {
	// Name is the mesh's name as --mesh takes it.
	Name() string
	// Facts tells what the mesh makes of a workload: identity, rewritten ports, control-plane flows.
	Facts(w *model.Workload) model.Facts
	// Compile turns intent into objects; what it cannot express comes back as problems.
	Compile(m *model.Model) ([]model.Object, []model.Problem)
}
