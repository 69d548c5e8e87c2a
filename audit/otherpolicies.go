package audit

import (
	"fmt"
	"slices"
	"strings"

	"floe.dev/palisade/model"
)

// otherPolicies are kinds that count beside NetworkPolicies, and that nothing here judges, by their group.
func otherPolicies(group string) []string {
	switch group {
	case "policy.networking.k8s.io":
		return []string{"AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy"}
	case "cilium.io":
		return []string{"CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy"}
	case "crd.projectcalico.org", "projectcalico.org":
		return []string{"NetworkPolicy", "GlobalNetworkPolicy"}
	default:
		return nil
	}
}

// besides finds a policy of another kind that counts in a namespace, or is zero. What
// NetworkPolicies close there it may open, and the other way round.
func (e *Evidence) besides(namespace string) model.Ref {
	for i := range e.Model.Existing {
		ref := e.Model.Existing[i].Ref()
		if slices.Contains(otherPolicies(ref.Group()), ref.Kind) && (ref.Namespace == "" || ref.Namespace == namespace) {
			return ref
		}
	}
	return model.Ref{}
}

// closed is a finding about what NetworkPolicies keep closed. Where policies of other
// kinds count as well, it is not known whether they open it, and the finding says so.
func (e *Evidence) closed(k Kind, severity model.Severity, cause model.Cause, message, fix string) model.Finding {
	if other := e.besides(cause.Object.Namespace); other != (model.Ref{}) {
		severity = model.Info
		message += fmt.Sprintf(" (unless %s, which is not judged here, or another of its kind opens it)", other)
	}
	return k.At(severity, cause.Object, cause.Field, message, fix)
}

// othersRead are the policies of other kinds.
func (e *Evidence) othersRead() []*model.Object {
	var found []*model.Object
	for i := range e.Model.Existing {
		o := &e.Model.Existing[i]
		if ref := o.Ref(); slices.Contains(otherPolicies(ref.Group()), ref.Kind) {
			found = append(found, o)
		}
	}
	return found
}

// mention tells whether some objects hold a text in what they ask for, an address for example.
func mention(objects []*model.Object, text string) bool {
	return slices.ContainsFunc(objects, func(o *model.Object) bool { return holdsText(o.Tree["spec"], text) || holdsText(o.Tree["specs"], text) })
}

func holdsText(tree any, text string) bool {
	switch value := tree.(type) {
	case string:
		return strings.Contains(value, text)
	case []any:
		return slices.ContainsFunc(value, func(v any) bool { return holdsText(v, text) })
	case map[string]any:
		for _, v := range value {
			if holdsText(v, text) {
				return true
			}
		}
	}
	return false
}
