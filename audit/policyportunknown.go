package audit

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// policyPortUnknown is a port of a policy that none of its pods is known to have: a
// name that no container gives, which opens nothing; or a number that no container
// declares and no Service leads to, which may be right, for nobody has to declare a port.
func policyPortUnknown() Kind {
	return Kind{
		Code: "PolicyPortUnknown", Severities: []model.Severity{model.Warning, model.Info},
		Says: "a NetworkPolicy opens a port that its pods are not known to have",
		Why:  "A name that no container gives to a port opens nothing, and a wrong number opens a port on which nothing answers.",
		Fix:  "give the port by the number on which the pods listen, or by the name that their containers give it",
		Find: findPolicyPortUnknown,
	}
}

func findPolicyPortUnknown(e *Evidence) []model.Finding {
	var found []model.Finding
	e.eachRuledPort(func(r ruledPort) {
		port, byName := policyPort(&r.port)
		switch {
		case byName:
			if message := nameUnknown(&r, r.port.Port.StrVal, port.Protocol); message != "" {
				found = append(found, policyPortUnknown().At(model.Warning, r.policy.Ref(), r.field, message, ""))
			}
		case port.Number == 0 || port.Last() > port.Number:
		case slices.ContainsFunc(r.servers, func(w *model.Workload) bool { return listensOn(w, port) || !saysSomething(w) }):
		default:
			if s, _, _ := servicePort(r.servers, port); s != nil {
				return // PolicyPortIsServicePort says it
			}
			found = append(found, policyPortUnknown().At(model.Info, r.policy.Ref(), r.field,
				fmt.Sprintf("no container of %s declares %s and no Service leads to it%s; that is no fault where they listen on it all the same", named(r.servers), port, otherProtocol(r.servers, port)), ""))
		}
	})
	return found
}

// otherProtocol tells that the number is that of a port of another protocol.
func otherProtocol(servers []*model.Workload, port model.Port) string {
	for _, w := range servers {
		for _, p := range w.ContainerPorts() {
			if p.Number == port.Number {
				return fmt.Sprintf(" (declared is %s)", p.Port)
			}
		}
	}
	return ""
}

// nameUnknown says why a name is that of no port; empty where some pods have it.
func nameUnknown(r *ruledPort, name string, protocol corev1.Protocol) string {
	other := corev1.Protocol("")
	for _, w := range r.servers {
		if w.PortNamed(name, protocol) != 0 {
			return ""
		}
		for _, p := range []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP} {
			if w.PortNamed(name, p) != 0 {
				other = p
			}
		}
	}
	text := fmt.Sprintf("no container of %s has a %s port named %q: it opens nothing", named(r.servers), protocol, name)
	if other != "" {
		return text + fmt.Sprintf(" (the port of that name is %s)", other)
	}
	for _, w := range r.servers {
		for _, s := range w.Services {
			if slices.ContainsFunc(s.Ports, func(p corev1.ServicePort) bool { return p.Name == name }) {
				return text + fmt.Sprintf(" (Service %s/%s has a port of that name, but policies know the names of containers' ports)", s.Namespace, s.Name)
			}
		}
	}
	return text
}
