package plan

import (
	"slices"
	"strings"

	"floe.dev/palisade/model"
)

// Codes of the problems that a plan adds.
const (
	// NameTaken: somebody else's object has the name of one that is wanted.
	NameTaken = "NameTaken"
	// DeletionHeld: an object that seems no longer wanted stays, because its namespace could not be worked out.
	DeletionHeld = "DeletionHeld"
)

// isNamespace tells of the one kind that palisade writes a part of and never owns.
func isNamespace(r model.Ref) bool { return r.Kind == "Namespace" && r.Group() == "" }

// taken tells whether what exists is an object of somebody else's.
func taken(existing *model.Object) bool {
	return existing != nil && !existing.Owned() && !isNamespace(existing.Ref())
}

// ours tells whether palisade would have given an object this name.
func ours(r model.Ref) bool { return strings.HasPrefix(r.Name, model.NamePrefix) && !isNamespace(r) }

func observed(m *model.Model, namespace string) bool {
	n := m.Namespace(namespace)
	return n != nil && n.Posture != nil && n.Posture.Enforcement == model.Observe
}

// held tells whether it is unknown what the namespace of an object needs: its
// layer is held; or an error is about the whole cluster, such as two meshes to
// choose from; or nothing governs the namespace because of an error, such as two
// profiles of equal priority. What is there then stays.
func (c *comparison) held(r model.Ref) bool {
	if slices.ContainsFunc(layersOf(r), func(l model.Layer) bool { return c.model.IsHeld(r.Home(), l) }) {
		return true
	}
	n := c.model.Namespace(r.Home())
	return slices.ContainsFunc(c.plan.Problems, func(p model.Problem) bool {
		about := p.Subject == model.Ref{} || n != nil && n.Posture == nil && p.Subject == n.Ref()
		return p.Severity == model.Error && about
	})
}

// layersOf names the layers that an object may belong to: NetworkPolicies are
// the network's, labels of Namespaces those of Pod Security, PodDisruptionBudgets are of none, all others are the mesh's.
func layersOf(r model.Ref) []model.Layer {
	if isNamespace(r) {
		return []model.Layer{model.LayerPodSecurity}
	}
	switch r.Group() {
	case "networking.k8s.io":
		return []model.Layer{model.LayerNetwork}
	case "policy":
		return nil
	default:
		return []model.Layer{model.LayerMTLS, model.LayerAuthorization}
	}
}

func nameTaken(r model.Ref) model.Problem {
	return model.Problem{
		Code: NameTaken, Severity: model.Error, Subject: r,
		Message: "an object of this name exists and does not bear palisade's label; it is left alone, and what palisade would write there is missing",
		Fix:     "rename or remove that object, or hand it over with the label " + model.ManagedByLabel + "=" + model.ManagedByValue,
	}
}

func deletionHeld(r model.Ref) model.Problem {
	return model.Problem{
		Code: DeletionHeld, Severity: model.Warning, Subject: r,
		Message: "the object seems no longer wanted, but what its namespace needs could not be worked out, so it stays",
		Fix:     "solve the errors among the problems of the cluster and of namespace " + r.Home(),
	}
}
