package audit

import (
	"fmt"
	"slices"
	"strings"

	"floe.dev/palisade/model"
)

// policyShadowedByAllowAll is a policy that lets everybody in (or everything out) on
// every port, beside others that let in less: policies add up, so what these restrict
// is open. That a policy for some pods opens what one for the whole namespace closes is
// how exceptions are written, and no fault; it is one where nothing is left of the narrower policy.
func policyShadowedByAllowAll() Kind {
	return Kind{
		Code: "PolicyShadowedByAllowAll", Severities: []model.Severity{model.Warning},
		Says: "one NetworkPolicy opens everything, and the narrower ones beside it restrict nothing",
		Why:  "What any policy allows is allowed, so the narrower rules give a protection that is not there.",
		Fix:  "delete the rule that opens everything, or the policies that it makes void",
		Find: findPolicyShadowedByAllowAll,
	}
}

func findPolicyShadowedByAllowAll(e *Evidence) []model.Finding {
	var found []model.Finding
	for _, layer := range []model.FilterLayer{model.FilterIngress, model.FilterEgress} {
		left, opened := e.rulesLeft(layer)
		for _, cause := range opened.causes {
			void := e.madeVoid(layer, cause, opened.of(cause), left)
			if len(void) == 0 {
				continue
			}
			does := "lets everybody in on every port of"
			if layer == model.FilterEgress {
				does = "lets everything out of"
			}
			found = append(found, policyShadowedByAllowAll().At(model.Warning, cause.Object, cause.Field,
				fmt.Sprintf("it %s %s, so what %s there restricts nothing", does, named(opened.of(cause)), sayAlso(void)), ""))
		}
	}
	return found
}

// sayAlso is "NetworkPolicy shop/a says" or, of several, "... say".
func sayAlso(void []string) string {
	verb := "says"
	if len(void) > 1 {
		verb = "say"
	}
	return firstFew(void) + " " + verb
}

// rulesLeft finds the rules that open everything, with the workloads for which they do,
// and the policies of which some pods are not opened in this way.
func (e *Evidence) rulesLeft(layer model.FilterLayer) (left map[model.Ref]bool, opened *blamed) {
	left, opened = map[model.Ref]bool{}, &blamed{}
	for _, group := range e.isolatedFor(layer) {
		i := slices.IndexFunc(group.filter.Rules, func(r model.FilterRule) bool { return opensAll(&r) })
		for _, w := range group.workloads {
			if i >= 0 {
				opened.add(group.filter.Rules[i].Cause, w)
			}
		}
		for _, cause := range group.filter.Because {
			left[cause.Object] = left[cause.Object] || i < 0
		}
	}
	return left, opened
}

// madeVoid lists what a rule that opens everything leaves without effect: policies
// with rules of their own for the same pods, and other rules of its own policy.
func (e *Evidence) madeVoid(layer model.FilterLayer, cause model.Cause, workloads []*model.Workload, left map[model.Ref]bool) []string {
	opener := e.Policy(cause.Object)
	var void []string
	for _, w := range workloads {
		for _, r := range e.filter(layer, w).Rules {
			p := e.Policy(r.Cause.Object)
			exception := p != nil && opener != nil && model.IsEverything(&p.Spec.PodSelector) && !model.IsEverything(&opener.Spec.PodSelector)
			text := r.Cause.Object.String()
			switch {
			case opensAll(&r), left[r.Cause.Object], exception:
				continue
			case r.Cause.Object == cause.Object:
				text = "its " + strings.TrimPrefix(r.Cause.Field, "spec.")
			}
			if !slices.Contains(void, text) {
				void = append(void, text)
			}
		}
	}
	return void
}
