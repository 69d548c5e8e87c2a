package engine

import (
	"floe.dev/palisade/intent"
	"floe.dev/palisade/preflight"
)

// PreflightOptions are the arguments of a preflight beside what was read.
type PreflightOptions struct {
	Options
	// For is whose work is checked for.
	For preflight.Audience
	// Home is the namespace in which palisade's controller runs, or will.
	Home string
}

// Preflight gathers what the checks look at. What a running cluster must be
// asked beside is preflight.NeedsOf; the answers go into Survey before preflight.Run.
func Preflight(s *intent.Snapshot, o PreflightOptions) *preflight.Input {
	a := Inspect(s, o.Options)
	in := &preflight.Input{
		Model:      a.Model,
		Validating: s.ValidatingWebhooks, Mutating: s.MutatingWebhooks,
		Nodes: s.Nodes, Slices: s.EndpointSlices, Endpoints: s.Endpoints,
		Findings: a.Findings, Problems: append(a.Problems, a.OfIntent...),
		NoMesh: o.Given.Mesh == "none", For: o.For, Home: o.Home, Now: o.Now,
	}
	for i := range s.Profiles {
		in.Profiles = append(in.Profiles, s.Profiles[i].Name)
	}
	return in
}
