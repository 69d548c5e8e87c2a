package pss

import (
	"fmt"
	"slices"

	"floe.dev/palisade/model"
)

// Compile writes the Pod Security labels of every governed namespace: an object
// that holds them and nothing else, to be applied server-side, so that nothing
// else of the Namespace is touched. A level that is there already and stricter
// stays, and a Problem says so. Labels of ours that nothing wants any more are
// taken away by an object without them, wherever they are.
func Compile(m *model.Model) ([]model.Object, []model.Problem) {
	var objects []model.Object
	var problems []model.Problem
	existing := namespaceObjects(m)
	for i := range m.Namespaces {
		n := &m.Namespaces[i]
		if m.IsHeld(n.Name, model.LayerPodSecurity) {
			continue
		}
		labels := labelsOf(n, existing[n.Name])
		if object, some := namespaceObject(n.Name, labels); some {
			objects = append(objects, object)
		}
		if n.Posture != nil {
			problems = append(problems, problemsOf(n, labels)...)
		}
	}
	slices.SortFunc(objects, model.CompareObjects)
	slices.SortFunc(problems, model.CompareProblems)
	return objects, problems
}

// namespaceObject is the part of a Namespace that palisade applies; false where there is nothing to write or to take away.
func namespaceObject(name string, labels []label) (model.Object, bool) {
	set := map[string]any{}
	removes := false
	for _, l := range labels {
		removes = removes || l.removed()
		if !l.written() {
			continue
		}
		set[l.levelKey] = l.wanted
		if l.wantedVersion != "" {
			set[l.versionKey] = l.wantedVersion
		}
	}
	return model.Object{
		Phase: model.PhaseDeny,
		Tree: map[string]any{
			"apiVersion": "v1",
			"kind":       "Namespace",
			"metadata":   map[string]any{"name": name, "labels": set},
		},
	}, len(set) > 0 || removes
}

func problemsOf(n *model.Namespace, labels []label) []model.Problem {
	var problems []model.Problem
	profile := "SecurityProfile " + n.Posture.Profile
	for _, l := range labels {
		switch {
		case l.wrong != "":
			problems = append(problems, model.Problem{
				Code: "PodSecurityLevelUnknown", Severity: model.Error, Subject: n.Ref(), Field: l.field(),
				Message: fmt.Sprintf("%s wants a Pod Security label that Kubernetes does not know: %s; %s is not written", profile, l.wrong, l.mode),
				Fix:     "correct podSecurity in " + profile,
			})
		case l.kept:
			problems = append(problems, wouldLower(n, l))
		}
	}
	return problems
}

func wouldLower(n *model.Namespace, l label) model.Problem {
	by := "SecurityProfile " + n.Posture.Profile
	if origin := n.Posture.PodSecurity.Origin; origin != nil && l.mode == "enforce" {
		by = origin.String()
	}
	return model.Problem{
		Code: "PodSecurityWouldLower", Severity: model.Warning, Subject: n.Ref(), Field: l.field(),
		Message: fmt.Sprintf("the label %s is %q, set by somebody else and stricter than %q of %s; it stays as it is", l.mode, l.there, l.wanted, by),
		Fix:     fmt.Sprintf("raise podSecurity.%s of SecurityProfile %s to %s, or, if less is meant, remove the label by hand", l.mode, n.Posture.Profile, l.level),
	}
}

// namespaceObjects finds the Namespaces among the existing objects, by name.
func namespaceObjects(m *model.Model) map[string]*model.Object {
	found := map[string]*model.Object{}
	for i := range m.Existing {
		if ref := m.Existing[i].Ref(); ref.Kind == "Namespace" && ref.APIVersion == "v1" {
			found[ref.Name] = &m.Existing[i]
		}
	}
	return found
}
