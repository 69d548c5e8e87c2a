package mesh

import (
	"fmt"

	"floe.dev/palisade/mesh/istio"
	"floe.dev/palisade/mesh/linkerd"
	"floe.dev/palisade/model"
)

// Decide settles which mesh is in use. want is "auto" (or empty), "istio",
// "linkerd" or "none". Left to itself it takes what the objects show: a control
// plane first, then namespaces and pods that are enrolled. Two meshes are no
// decision. Mesh.Why says from what it was decided.
//
//	want      control plane of    enrolled in    decision
//	auto      one                 –              that one
//	auto      both                –              none, MeshAmbiguous
//	auto      none                one            that one, ControlPlaneNotSeen
//	auto      none                both           none, MeshAmbiguous
//	auto      none                none           none
//	a mesh    –                   –              that one; ControlPlaneNotSeen where it is so
//	none      –                   –              none
func Decide(want string, objects []model.Object, workloads []model.Workload, namespaces []model.Namespace) (model.Mesh, []model.Problem) {
	all := candidates(objects, workloads, namespaces)
	mesh, problems := choose(want, all)
	for i := range all {
		if count := all[i].objects; count > 0 && all[i].facts.Kind != mesh.Kind {
			problems = append(problems, ignored(&all[i], count))
		}
	}
	return mesh, problems
}

// candidate is a mesh with all that speaks for it.
type candidate struct {
	facts    model.Mesh
	found    bool
	problems []model.Problem
	// enrolled says who is enrolled in it, or is empty.
	enrolled string
	// objects counts its own policies.
	objects int
}

func candidates(objects []model.Object, workloads []model.Workload, namespaces []model.Namespace) []candidate {
	var ofIstio, ofLinkerd candidate
	ofIstio.found, ofIstio.facts, ofIstio.problems = istio.Detect(objects, workloads)
	ofLinkerd.found, ofLinkerd.facts, ofLinkerd.problems = linkerd.Detect(objects, workloads)
	ofIstio.facts.Kind, ofLinkerd.facts.Kind = model.MeshIstio, model.MeshLinkerd
	ofIstio.enrolled = enrolled(namespaces, workloads, inIstio)
	ofLinkerd.enrolled = enrolled(namespaces, workloads, inLinkerd)
	for i := range objects {
		switch ref := objects[i].Ref(); ref.Group() {
		case "networking.istio.io", "security.istio.io":
			ofIstio.objects++
		case "policy.linkerd.io":
			ofLinkerd.objects++
		}
	}
	return []candidate{ofIstio, ofLinkerd}
}

func choose(want string, all []candidate) (model.Mesh, []model.Problem) {
	switch want {
	case "", "auto":
		return chooseAlone(all)
	case "none":
		return model.Mesh{Why: "--mesh none"}, nil
	}
	for i := range all {
		if string(all[i].facts.Kind) == want {
			return taken(&all[i], "--mesh "+want)
		}
	}
	return model.Mesh{Why: "--mesh " + want + " is not known"}, []model.Problem{{
		Code: "MeshUnknown", Severity: model.Error,
		Message: fmt.Sprintf("there is no mesh %q: nothing is written into a mesh", want), Fix: "give --mesh auto, istio, linkerd or none",
	}}
}

// chooseAlone decides from what was seen: control planes before enrolment.
func chooseAlone(all []candidate) (model.Mesh, []model.Problem) {
	for _, evidence := range []func(*candidate) string{
		func(c *candidate) string {
			if c.found {
				return c.facts.Why
			}
			return ""
		},
		func(c *candidate) string { return c.enrolled },
	} {
		var seen []*candidate
		for i := range all {
			if evidence(&all[i]) != "" {
				seen = append(seen, &all[i])
			}
		}
		switch len(seen) {
		case 0:
			continue
		case 1:
			return taken(seen[0], evidence(seen[0]))
		default:
			return ambiguous(evidence(seen[0]), evidence(seen[1]))
		}
	}
	return model.Mesh{Why: "neither a control plane nor an enrolled namespace or pod of Istio or Linkerd was read"}, nil
}

func taken(c *candidate, why string) (model.Mesh, []model.Problem) {
	mesh, problems := c.facts, c.problems
	if c.found && why != mesh.Why && mesh.Why != "" {
		why += ": " + mesh.Why
	}
	mesh.Why = why
	if !c.found {
		problems = append(problems, model.Problem{
			Code: "ControlPlaneNotSeen", Severity: model.Info,
			Message: fmt.Sprintf("the mesh is taken to be %s (%s), but nothing of its control plane was read: its facts are unknown where no flag gives them", mesh.Kind, why),
			Fix:     "read the control plane's objects (-f), or give --mesh-namespace and --trust-domain",
		})
	}
	return mesh, problems
}

func ambiguous(istioWhy, linkerdWhy string) (model.Mesh, []model.Problem) {
	why := fmt.Sprintf("Istio (%s) and Linkerd (%s) both show", istioWhy, linkerdWhy)
	return model.Mesh{Why: why}, []model.Problem{{
		Code: "MeshAmbiguous", Severity: model.Error,
		Message: why + ": nothing is written into either mesh", Fix: "give --mesh istio or --mesh linkerd",
	}}
}

// ignored says that objects of a mesh that is not in use have no effect.
func ignored(c *candidate, count int) model.Problem {
	code, name := "IstioObjectsIgnored", "Istio"
	if c.facts.Kind == model.MeshLinkerd {
		code, name = "LinkerdObjectsIgnored", "Linkerd"
	}
	return model.Problem{
		Code: code, Severity: model.Info,
		Message: fmt.Sprintf("%d objects of %s were read (DestinationRules, policies and the like) and are not taken into account, since %s is not the mesh in use", count, name, name),
		Fix:     "give --mesh " + string(c.facts.Kind) + " if it is in use",
	}
}
