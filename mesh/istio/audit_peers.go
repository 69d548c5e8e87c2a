package istio

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// peerAuthentications reports those that count for nothing, or for less than they say.
func (a *auditor) peerAuthentications() {
	for _, namespace := range slices.Sorted(maps.Keys(a.peers)) {
		list := a.peers[namespace]
		for i := range list {
			p := &list[i]
			if a.owned(p.ref) {
				continue
			}
			a.peerShadowed(p, list[:i])
			a.peerIgnored(p)
		}
	}
}

// peerShadowed reports one that an older one of the same scope stands before: only the oldest
// counts, and nothing is merged (pilot/pkg/model/authentication.go). Those that say the same do no harm.
func (a *auditor) peerShadowed(p *peerAuthentication, older []peerAuthentication) {
	if p.selector == nil {
		if i := slices.IndexFunc(older, func(o peerAuthentication) bool { return o.selector == nil }); i >= 0 && !sameModes(p, &older[i]) {
			a.shadowedBy(p, &older[i], scopeOf(p.ref.Namespace, nil, a.root))
		}
		return
	}
	if p.ref.Namespace == a.root {
		return // it counts nowhere
	}
	var first *peerAuthentication
	var lost []*model.Workload
	workloads := a.m.WorkloadsIn(p.ref.Namespace)
	for i := range workloads {
		w := &workloads[i]
		if !selects(p.selector, w.Labels) {
			continue
		}
		at := slices.IndexFunc(older, func(o peerAuthentication) bool { return o.selector != nil && selects(o.selector, w.Labels) })
		if at < 0 || sameModes(p, &older[at]) {
			continue
		}
		if first == nil {
			first = &older[at]
		}
		lost = append(lost, w)
	}
	if first != nil {
		a.shadowedBy(p, first, model.Named(lost))
	}
}

func (a *auditor) shadowedBy(p, other *peerAuthentication, where string) {
	message := fmt.Sprintf("%s is older and of the same scope, so it alone counts for %s, and nothing of this one does", other.ref, where)
	if born(a.objects[p.ref]) == "" && born(a.objects[other.ref]) == "" {
		message = fmt.Sprintf("%s is of the same scope: for %s only the one that is created first will count, and nothing of the other", other.ref, where)
	}
	a.find("PeerAuthenticationShadowed", model.Warning, p.ref, "spec", message, "say it in one PeerAuthentication, and delete the other")
}

func born(o *model.Object) string {
	if o == nil {
		return ""
	}
	return text(o, "metadata", "creationTimestamp")
}

func sameModes(a, b *peerAuthentication) bool {
	return a.mode == b.mode && maps.Equal(a.ports, b.ports)
}

// peerIgnored reports what of one counts for nothing. That one with a selector in
// the root namespace does not is said among the faults that stand in an intent's way.
func (a *auditor) peerIgnored(p *peerAuthentication) {
	if p.selector == nil {
		if len(p.ports) > 0 {
			a.find("PeerAuthenticationIgnored", model.Warning, p.ref, "spec.portLevelMtls",
				"Istio heeds modes of ports only beside a selector, and there is none: those of "+portsOf(slices.Sorted(maps.Keys(p.ports)))+" count for nothing", "choose the pods by spec.selector.matchLabels")
		}
		return
	}
	if p.ref.Namespace == a.root {
		return
	}
	var chosen []*model.Workload
	workloads := a.m.WorkloadsIn(p.ref.Namespace)
	for i := range workloads {
		if selects(p.selector, workloads[i].Labels) {
			chosen = append(chosen, &workloads[i])
		}
	}
	if len(chosen) == 0 {
		a.peerOfNobody(p)
		return
	}
	for _, port := range slices.Sorted(maps.Keys(p.ports)) {
		a.peerPort(p, chosen, port)
	}
}

func (a *auditor) peerOfNobody(p *peerAuthentication) {
	if hasLateLabel(p.selector) {
		return
	}
	severity, message := model.Warning, fmt.Sprintf("no workload of namespace %s that was read has the labels %s, so it counts for nothing%s", p.ref.Namespace, quoted(p.selector), a.serviceWithLabels(p.ref.Namespace, p.selector))
	if !a.runsIn(p.ref.Namespace) {
		severity, message = model.Info, fmt.Sprintf("no workload of namespace %s was read, so it is not known whether it counts for any", p.ref.Namespace)
	}
	a.find("PeerAuthenticationIgnored", severity, p.ref, "spec.selector", message, "correct the labels: they are those of the pods")
}

// peerPort reports the mode of a port on which none of the pods is known to listen.
// Most often it is that of the Service: keys are the pods' own ports.
func (a *auditor) peerPort(p *peerAuthentication, chosen []*model.Workload, port int32) {
	service, declares := "", false
	for _, w := range chosen {
		known := w.ContainerPorts()
		declares = declares || len(known) > 0
		if slices.ContainsFunc(known, func(k model.NamedPort) bool { return k.Contains(corev1.ProtocolTCP, port) }) {
			return
		}
		for _, s := range w.Services {
			for _, sp := range s.Ports {
				target := int32(targetPort(sp, w))
				if target == port {
					return
				}
				if sp.Port == port && target > 0 && service == "" {
					service = fmt.Sprintf("; it is the port of Service %s/%s, which leads to %d", s.Namespace, s.Name, target)
				}
			}
		}
	}
	severity := model.Info
	if service != "" {
		severity = model.Warning
	} else if !declares {
		return // ports need not be declared
	}
	a.find("PeerAuthenticationIgnored", severity, p.ref, fmt.Sprintf("spec.portLevelMtls[%d]", port),
		fmt.Sprintf("%s declares no port %d, so the mode counts for nothing that is known to be there%s", model.Named(chosen), port, service), "name the port on which the pods listen, not that of the Service")
}
