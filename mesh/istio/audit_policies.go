package istio

import (
	"fmt"
	"slices"

	"floe.dev/palisade/model"
)

// selectsNothing reports a policy that no proxy enforces, since it chooses no pods, or none in the mesh.
func (a *auditor) selectsNothing(p *authorizationPolicy) {
	if len(p.spec.TargetRefs) > 0 {
		a.targetsNothing(p)
		return
	}
	if len(a.selected[p]) > 0 {
		return
	}
	chosen := a.chosenBy(p)
	switch {
	case slices.ContainsFunc(chosen, func(w *model.Workload) bool { return runsGateway(w) || !a.enrolmentKnown(w) }):
	case len(chosen) > 0:
		a.find("AuthorizationPolicySelectsNothing", model.Warning, p.ref, selectorField(p),
			fmt.Sprintf("all that it chooses is outside the mesh (%s), where no proxy enforces it", model.Named(chosen)), "enrol the pods in the mesh, or delete the policy")
	case p.spec.Selector == nil || len(p.spec.Selector.MatchLabels) == 0 || hasLateLabel(p.spec.Selector.MatchLabels):
	default:
		a.choosesNobody(p)
	}
}

// choosesNobody reports a selector that matches no pods which were read. In a folder, those of other namespaces may
// be elsewhere.
func (a *auditor) choosesNobody(p *authorizationPolicy) {
	const fix = "correct the labels: they are those of the pods"
	namespace, labels := p.ref.Namespace, p.spec.Selector.MatchLabels
	severity, where := model.Warning, "namespace "+namespace
	if namespace == a.root {
		namespace, where = "", "any namespace"
		if !a.wholeCluster() {
			severity = model.Info
		}
	} else if !a.runsIn(namespace) {
		a.find("AuthorizationPolicySelectsNothing", model.Info, p.ref, "spec.selector",
			fmt.Sprintf("no workload of namespace %s was read, so it is not known whether any proxy enforces it", namespace), fix)
		return
	}
	a.find("AuthorizationPolicySelectsNothing", severity, p.ref, "spec.selector",
		fmt.Sprintf("no workload of %s that was read has the labels %s, so nothing enforces it%s", where, quoted(labels), a.serviceWithLabels(namespace, labels)), fix)
}

func selectorField(p *authorizationPolicy) string {
	if p.spec.Selector == nil {
		return "spec"
	}
	return "spec.selector"
}

// chosenBy are all workloads that a policy's namespace and selector choose, in the mesh or not. Those of the
// mesh itself, and pods on their node's network, are nothing that anybody means by a whole namespace.
func (a *auditor) chosenBy(p *authorizationPolicy) []*model.Workload {
	var labels map[string]string
	if p.spec.Selector != nil {
		labels = p.spec.Selector.MatchLabels
	}
	var chosen []*model.Workload
	for i := range a.m.Workloads {
		w := &a.m.Workloads[i]
		if p.ref.Namespace != a.root && p.ref.Namespace != w.ID.Namespace || !selects(labels, w.Labels) {
			continue
		}
		if len(labels) == 0 && (w.ID.Namespace == a.root || w.ID.Namespace == a.mesh.Namespace || slices.Contains(systemNamespaces, w.ID.Namespace)) {
			continue
		}
		chosen = append(chosen, w)
	}
	return chosen
}

// targetsNothing reports targets that are not there, or that nothing takes for one
// (pilot/pkg/model/policyattachment.go). That a Service has no waypoint is said elsewhere.
func (a *auditor) targetsNothing(p *authorizationPolicy) {
	for i, t := range p.spec.TargetRefs {
		field := fmt.Sprintf("spec.targetRefs[%d]", i)
		if p.spec.TargetRef != nil {
			field = "spec.targetRef"
		}
		if why := a.missing(p, &t); why != "" {
			a.find("AuthorizationPolicySelectsNothing", model.Warning, p.ref, field, why+": nothing enforces the policy there", "name a Service, or the Gateway of a waypoint, of the policy's own namespace")
		}
	}
}

func (a *auditor) missing(p *authorizationPolicy, t *targetRef) string {
	home := p.ref.Namespace
	there := false
	switch {
	case t.Namespace != "" && t.Namespace != home:
		return fmt.Sprintf("it names a target in namespace %s, and Istio looks in the policy's own only", t.Namespace)
	case t.Kind == "GatewayClass" && t.Group == gatewayGroup:
		return a.wrongClass(p, t)
	case t.Kind == "Service" && (t.Group == "" || t.Group == "core"):
		there = a.service(home, t.Name) != nil
	case t.Kind == "ServiceEntry" && t.Group == "networking.istio.io":
		there = a.serviceEntry(home, t.Name)
	case t.Kind == "Gateway" && t.Group == gatewayGroup:
		there = a.gateways[[2]string{home, t.Name}] != nil || a.runsGatewayNamed(home, t.Name)
	default:
		return fmt.Sprintf("%s of group %q is no kind of target", t.Kind, t.Group)
	}
	if there {
		return ""
	}
	return fmt.Sprintf("no %s %s of namespace %s was read", t.Kind, t.Name, home)
}

// wrongClass: the class of all waypoints is a target in the root namespace, and no other class is one.
func (a *auditor) wrongClass(p *authorizationPolicy, t *targetRef) string {
	switch {
	case p.ref.Namespace != a.root:
		return fmt.Sprintf("a GatewayClass is a target in the root namespace (%s) only", a.root)
	case t.Name != waypointClass:
		return fmt.Sprintf("the only GatewayClass that is a target is %s", waypointClass)
	default:
		return ""
	}
}

func (a *auditor) serviceEntry(namespace, name string) bool {
	return slices.ContainsFunc(a.m.Existing, func(o model.Object) bool {
		ref := o.Ref()
		return ref.Kind == "ServiceEntry" && ref.Group() == "networking.istio.io" && ref.Namespace == namespace && ref.Name == name
	})
}

func (a *auditor) service(namespace, name string) *model.Service {
	i := slices.IndexFunc(a.m.Services, func(s model.Service) bool { return s.Namespace == namespace && s.Name == name })
	if i < 0 {
		return nil
	}
	return &a.m.Services[i]
}

func (a *auditor) runsGatewayNamed(namespace, name string) bool {
	return slices.ContainsFunc(a.m.WorkloadsIn(namespace), func(w model.Workload) bool { return w.Labels[gatewayNameLabel] == name })
}

// dryRun reports a policy that only shows in logs and counters what it would do
// (pilot/pkg/security/authz/builder/builder.go).
func (a *auditor) dryRun(p *authorizationPolicy) {
	if !p.dryRun {
		return
	}
	message := "it is in dry run: what it would refuse is let through, and shows in debug logs and counters alone"
	if p.spec.Action == "CUSTOM" {
		message = "it is in dry run, but for the action CUSTOM the provider is asked all the same, and only its answer is not heeded"
	}
	for _, w := range a.selected[p] {
		if w.Facts.Mode == model.ModeProxyless {
			message += "; gRPC's own servers know of no dry run and enforce it: " + w.ID.String()
			break
		}
	}
	a.find("AuthorizationPolicyDryRun", model.Warning, p.ref, "metadata.annotations[istio.io/dry-run]", message, "take the annotation off once the counters show what you expect")
}

// meshWide reports a policy in the root namespace that closes every proxy of
// the mesh, its gateways too (istio#35626), unless these have allows of their own.
func (a *auditor) meshWide(p *authorizationPolicy) {
	whole := p.spec.Selector == nil || len(p.spec.Selector.MatchLabels) == 0
	if p.ref.Namespace != a.root || !whole || len(p.spec.TargetRefs) > 0 || p.dryRun {
		return
	}
	switch p.spec.Action {
	case "DENY":
		for i := range p.spec.Rules {
			if rule := &p.spec.Rules[i]; len(rule.From)+len(rule.To)+len(rule.When) == 0 {
				a.find("MeshWideDeny", model.Warning, p.ref, fmt.Sprintf("spec.rules[%d]", i),
					"the rule matches everything, in the root namespace for the whole mesh: every proxy refuses every connection, gateways included, and no ALLOW counts against it",
					"name what is to be refused, or move the policy to the namespace that is meant")
			}
		}
	case "ALLOW":
		if len(p.spec.Rules) == 0 {
			a.allowNothing(p)
		}
	}
}

func (a *auditor) allowNothing(p *authorizationPolicy) {
	const message = "it allows nothing, in the root namespace for the whole mesh: every proxy refuses what no other ALLOW lets in, gateways included"
	const fix = "write an ALLOW for the gateways beside it, by their labels"
	var closed []*model.Workload
	read := false
	for i := range a.m.Workloads {
		w := &a.m.Workloads[i]
		if !runsGateway(w) {
			continue
		}
		read = true
		allowed := slices.ContainsFunc(a.policiesFor(w), func(o *authorizationPolicy) bool {
			return o.spec.Action == "ALLOW" && !o.dryRun && len(o.spec.Rules) > 0
		})
		if !allowed {
			closed = append(closed, w)
		}
	}
	switch {
	case len(closed) > 0:
		a.find("MeshWideDeny", model.Warning, p.ref, "spec", message+"; nobody gets in at "+model.Named(closed), fix)
	case !read:
		a.find("MeshWideDeny", model.Info, p.ref, "spec", message+" (none was read)", fix)
	}
}
