package linkerd

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"floe.dev/palisade/model"
)

// serversOf visits the Servers for pods that can be read and are not palisade's own, the oldest of a namespace first.
func (a *auditor) serversOf(visit func(*serverEntry)) {
	for _, namespace := range slices.Sorted(maps.Keys(a.servers)) {
		list := a.servers[namespace]
		for i := range list {
			s := &list[i]
			if o := a.objects[keyOf(s.ref)]; s.unreadable || s.spec.PodSelector == nil || o != nil && o.Owned() {
				continue
			}
			visit(s)
		}
	}
}

// server reports a Server that holds nothing, or less than it says.
func (a *auditor) server(s *serverEntry) {
	var chosen, meshed []*model.Workload
	workloads := a.m.WorkloadsIn(s.ref.Namespace)
	for i := range workloads {
		if w := model.AtBest(&workloads[i], a.pods[workloads[i].ID]); s.selects(w) {
			chosen = append(chosen, w)
			if w.Facts.Meshed() {
				meshed = append(meshed, w)
			}
		}
	}
	if len(meshed) == 0 {
		a.selectsNothing(s, chosen)
		return
	}
	a.serverPort(s, meshed)
	a.shadowed(s, meshed)
	if policy := s.spec.AccessPolicy; !a.governed(s.ref.Namespace) && !a.ofMesh(s.ref.Namespace) && isPolicy(policy) && !authenticates(policy) {
		a.find("ServerAccessPolicyOpen", model.Warning, s.ref, "spec.accessPolicy",
			fmt.Sprintf("its access policy is %q, so port %s of %s takes clients without an identity, in plaintext%s", policy, s.spec.Port.String(), model.Named(meshed), auditOnly(policy)),
			"set it to deny, and let clients in by AuthorizationPolicies; or to all-authenticated")
	}
}

func auditOnly(policy string) string {
	if policy == policyAudit {
		return "; what is not authorized is logged and let through"
	}
	return ""
}

func (a *auditor) selectsNothing(s *serverEntry, chosen []*model.Workload) {
	if hasLateLabel(s.spec.PodSelector) {
		return
	}
	severity, message := model.Warning, fmt.Sprintf("no pods of namespace %s that were read have these labels, so it holds no port%s", s.ref.Namespace, a.serviceWithLabels(s))
	switch {
	case len(chosen) > 0:
		message = fmt.Sprintf("all that it selects is outside the mesh (%s), where no proxy holds its port", model.Named(chosen))
	case len(a.m.WorkloadsIn(s.ref.Namespace)) == 0:
		severity, message = model.Info, fmt.Sprintf("no workload of namespace %s was read, so it is not known whether it holds any port", s.ref.Namespace)
	}
	a.find("AuthorizationPolicySelectsNothing", severity, s.ref, "spec.podSelector", message, "correct the labels, which are those of the pods, or enrol these in the mesh")
}

// hasLateLabel tells whether a selector asks for labels that pods may have though their template has not.
func hasLateLabel(selector *metav1.LabelSelector) bool {
	for key := range selector.MatchLabels {
		if model.LateLabel(key) {
			return true
		}
	}
	return slices.ContainsFunc(selector.MatchExpressions, func(e metav1.LabelSelectorRequirement) bool { return model.LateLabel(e.Key) })
}

// serviceWithLabels finds a Service that bears the labels which no pod does.
func (a *auditor) serviceWithLabels(s *serverEntry) string {
	for i := range a.m.Services {
		if service := &a.m.Services[i]; service.Namespace == s.ref.Namespace && model.Matches(s.spec.PodSelector, service.Labels) && !model.IsEverything(s.spec.PodSelector) {
			return fmt.Sprintf("; Service %s/%s bears them, but its pods do not", service.Namespace, service.Name)
		}
	}
	return ""
}

// proxyPortNames are those that injection declares.
var proxyPortNames = []string{proxyContainer, "linkerd-admin", "linkerd-tap"}

// serverPort reports a Server whose port none of its pods is known to have, or that goes around their proxies.
func (a *auditor) serverPort(s *serverEntry, pods []*model.Workload) {
	port := s.spec.Port
	if port.Type == intstr.String && slices.Contains(proxyPortNames, port.StrVal) || port.Type == intstr.Int && isProxyPort(port.IntVal) {
		return
	}
	var skipped []*model.Workload
	found, declares := false, false
	for _, w := range pods {
		declares = declares || len(w.ContainerPorts()) > 0
		for _, number := range s.numbers(w) {
			found = found || port.Type == intstr.String || listens(w, number)
			if skipsProxy(w, number) {
				skipped = append(skipped, w)
			}
		}
	}
	switch {
	case len(skipped) > 0:
		a.find("ServerPortUndeclared", model.Error, s.ref, "spec.port",
			fmt.Sprintf("connections to port %s of %s go around the proxy, so the Server holds nothing there, and neither do its authorizations", port.String(), model.Named(skipped)),
			"take the port off the skipped inbound ports (config.linkerd.io/skip-inbound-ports)")
	case found:
	case port.Type == intstr.String:
		a.find("ServerPortUndeclared", model.Error, s.ref, "spec.port",
			fmt.Sprintf("no container of %s gives this name to a TCP port, so the Server holds none: the default inbound policy counts", model.Named(pods)),
			"name a port of the containers, or give its number")
	default:
		a.undeclaredNumber(s, pods, declares)
	}
}

func (a *auditor) undeclaredNumber(s *serverEntry, pods []*model.Workload, declares bool) {
	number := s.spec.Port.IntVal
	for _, w := range pods {
		for _, service := range w.Services {
			for i := range service.Ports {
				if p := &service.Ports[i]; p.Port == number {
					a.find("ServerPortUndeclared", model.Warning, s.ref, "spec.port",
						fmt.Sprintf("%d is the port of Service %s/%s, and %s listens on %d behind it: the Server holds a port that nobody is known to use, and the default inbound policy counts for the other", number, service.Namespace, service.Name, w.ID, targetPort(w, p)),
						"name the port on which the pods listen")
					return
				}
			}
		}
	}
	if declares {
		a.find("ServerPortUndeclared", model.Info, s.ref, "spec.port",
			fmt.Sprintf("no container of %s declares port %d, and no Service leads to it: it is not known whether anything listens there", model.Named(pods), number), "check the number")
	}
}

// listens tells whether a workload is known to listen on a TCP port: a container declares it, a Service leads to it, or the kubelet probes it.
func listens(w *model.Workload, number int32) bool {
	if slices.ContainsFunc(w.ContainerPorts(), func(p model.NamedPort) bool { return p.Contains(corev1.ProtocolTCP, number) }) {
		return true
	}
	for _, s := range w.Services {
		for i := range s.Ports {
			if targetPort(w, &s.Ports[i]) == number {
				return true
			}
		}
	}
	return slices.ContainsFunc(probes(w), func(p probe) bool { return p.port == number })
}

// shadowed reports a Server whose port an older one holds: nothing is merged.
func (a *auditor) shadowed(s *serverEntry, pods []*model.Workload) {
	var lost []*model.Workload
	var by *serverEntry
	for _, w := range pods {
		for _, c := range a.claims(w) {
			if c.server != s && !c.server.unreadable && slices.Contains(s.numbers(w), c.port) {
				lost, by = append(lost, w), c.server
				break
			}
		}
	}
	if by == nil {
		return
	}
	message := fmt.Sprintf("%s is older and holds port %s of %s alone: nothing that is attached to this one counts there", by.ref, s.spec.Port.String(), model.Named(lost))
	if !a.dated(s) && !a.dated(by) {
		message = fmt.Sprintf("%s is for port %s of %s as well: only the one that is created first will hold it, and nothing that is attached to the other counts", by.ref, s.spec.Port.String(), model.Named(lost))
	}
	a.find("ServerShadowed", model.Warning, s.ref, "spec", message, "leave one Server for the port, and attach the authorizations to it")
}

func (a *auditor) dated(s *serverEntry) bool {
	o := a.objects[keyOf(s.ref)]
	return o != nil && o.Map("metadata")["creationTimestamp"] != nil
}
