package engine

import (
	"cmp"
	"fmt"
	"slices"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/model"
	"floe.dev/palisade/rollout"
)

// freeze leaves namespaces as they are of which it cannot be told what is wanted
// there: where profiles contradict each other, or one is stored in a form that is not valid, nothing
// governs a namespace, and that must not be taken for a wish to open it. It returns why, by namespace.
func (g *governor) freeze(o *rollout.Outcome, written *model.Model) map[string]string {
	frozen := map[string]string{}
	for i := range o.Model.Namespaces {
		n := &o.Model.Namespaces[i]
		if why := g.unreadable(n.Name); why != "" {
			frozen[n.Name] = why
		}
	}
	if len(frozen) == 0 {
		return nil
	}
	for name := range frozen {
		delete(o.Memory, name)
		if was, remembered := g.past.Memory[name]; remembered {
			o.Memory[name] = was
		}
		o.Model.Namespace(name).Posture = written.Namespace(name).Posture
	}
	o.Notes = slices.DeleteFunc(o.Notes, func(n rollout.Note) bool { return frozen[n.Namespace] != "" })
	return frozen
}

// unreadable says why it cannot be told what is wanted in a namespace; empty where it can.
func (g *governor) unreadable(namespace string) string {
	profile := g.past.Memory[namespace].Profile
	for i := range g.problems {
		p := &g.problems[i]
		if p.Severity != model.Error {
			continue
		}
		own := p.Code == "ObjectInvalid" && p.Subject.Group() == v1alpha1.GroupVersion.Group
		switch {
		case p.Subject == model.Ref{},
			p.Subject == model.Ref{APIVersion: "v1", Kind: "Namespace", Name: namespace} && g.demanded.Namespace(namespace).Posture == nil,
			own && p.Subject.Kind == "SecurityProfile" && p.Subject.Name == profile,
			own && p.Subject.Namespace == namespace && p.Subject.Kind != "NamespacePosture" && p.Subject.Kind != "MTLSReport":
			return fmt.Sprintf("%s: %s", cmp.Or(p.Subject.String(), p.Code), p.Message)
		}
	}
	return ""
}
