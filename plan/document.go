package plan

import (
	"floe.dev/palisade/manifest"
	"floe.dev/palisade/model"
)

// Document is a plan for machines, versioned like an API. Its schema is
// docs/schemas/plan.json. Lists are empty rather than absent.
type Document struct {
	APIVersion string           `json:"apiVersion"`
	Kind       string           `json:"kind"`
	Mesh       DocumentMesh     `json:"mesh"`
	Summary    Summary          `json:"summary"`
	Changes    []DocumentChange `json:"changes"`
	Impact     []DocumentImpact `json:"impact"`
	Problems   []model.Problem  `json:"problems"`
	Findings   []model.Finding  `json:"findings"`
	// Unknown counts the objects of kinds that were not looked at, by "apiVersion kind".
	Unknown map[string]int `json:"unknown"`
}

// DocumentMesh is the mesh in use.
type DocumentMesh struct {
	// Kind is "istio", "linkerd" or "none".
	Kind string `json:"kind"`
	// Why says from what the kind was decided.
	Why         string `json:"why,omitempty"`
	Namespace   string `json:"namespace,omitempty"`
	TrustDomain string `json:"trustDomain,omitempty"`
}

// NewDocumentMesh is a mesh for machines.
func NewDocumentMesh(m model.Mesh) DocumentMesh {
	d := DocumentMesh{Kind: string(m.Kind), Why: m.Why, Namespace: m.Namespace, TrustDomain: m.TrustDomain}
	if m.Kind == model.MeshNone {
		d.Kind = "none"
	}
	return d
}

// DocumentChange is one change.
type DocumentChange struct {
	Action Action `json:"action"`
	// Would is what Observe stands for.
	Would     Action    `json:"would,omitempty"`
	Object    model.Ref `json:"object"`
	Namespace string    `json:"namespace,omitempty"`
	Profile   string    `json:"profile,omitempty"`
	// Origins are the rules that the object came from.
	Origins []string `json:"origins"`
	// Diff is the hunks of a unified diff of YAML.
	Diff string `json:"diff"`
	// Desired is the whole object; absent for a deletion.
	Desired map[string]any `json:"desired,omitempty"`
}

// Document is the plan for machines.
func (p Plan) Document() Document {
	d := Document{
		APIVersion: "palisade.floe.dev/v1alpha1", Kind: "Plan",
		Mesh:     NewDocumentMesh(p.Mesh),
		Summary:  p.Summary,
		Changes:  make([]DocumentChange, 0, len(p.Changes)),
		Impact:   make([]DocumentImpact, 0, len(p.Impact)),
		Problems: append([]model.Problem{}, p.Problems...),
		Findings: append([]model.Finding{}, p.Findings...),
		Unknown:  p.Unknown,
	}
	for i := range p.Impact {
		d.Impact = append(d.Impact, documentImpact(&p.Impact[i]))
	}
	if d.Unknown == nil {
		d.Unknown = map[string]int{}
	}
	for _, c := range p.Changes {
		d.Changes = append(d.Changes, p.documentChange(c))
	}
	return d
}

func (p Plan) documentChange(c Change) DocumentChange {
	d := DocumentChange{
		Action: c.Action, Would: c.Would, Object: c.Ref, Namespace: c.Namespace,
		Origins: append([]string{}, c.Origins()...), Diff: c.Diff(),
	}
	if posture := p.Postures[c.Namespace]; posture != nil {
		d.Profile = posture.Profile
	}
	if c.Desired != nil {
		d.Desired = manifest.Tidy(c.Desired.Tree)
	}
	return d
}
