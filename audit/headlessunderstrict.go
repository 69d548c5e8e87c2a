package audit

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// headlessUnderStrict are pods that find each other by a headless Service and
// would call each other on a port that no Service has: a sidecar passes that on in
// plaintext, which the strict sidecar on the other side refuses (istio#7495, istio#12551).
// Ports of Services fare well.
func headlessUnderStrict() Kind {
	return Kind{
		Code: "HeadlessUnderStrict", Severities: []model.Severity{model.Info},
		Says: "pods behind a headless Service cannot call each other on ports that it leaves out",
		Why:  "A sidecar knows addresses of pods by Services only: what no Service names it sends in plaintext, so members of one StatefulSet do not find each other once mTLS is strict.",
		Fix:  "name the port in the headless Service (tcp-… where it is no HTTP), or take it out of strict mTLS",
		Find: findHeadlessUnderStrict,
	}
}

func findHeadlessUnderStrict(e *Evidence) []model.Finding {
	if e.State.Mesh == nil {
		return nil
	}
	state := e.State
	state.Network = nil
	var found []model.Finding
	e.eachWorkload(func(w *model.Workload) {
		service := headless(w)
		if service == nil || w.Facts.Mode != model.ModeSidecar || w.Replicas < 2 {
			return
		}
		var lost []model.Port
		for _, port := range containerPorts(w, corev1.ProtocolTCP) {
			if slices.Contains(w.Facts.MetricsPorts, port) || slices.Contains(servicePorts(w), port) {
				continue
			}
			told := verdict.Explain(state, verdict.Question{From: verdict.End{Workload: w}, To: verdict.End{Workload: w}, Port: port})
			if mtls := answerOf(&told, model.FilterMTLS); told.Decision == verdict.Refused && mtls != nil && mtls.Decision == verdict.Refused {
				lost = append(lost, port)
			}
		}
		if len(lost) > 0 {
			found = append(found, headlessUnderStrict().At(model.Info, w.Ref(), w.TemplatePath()+"spec.containers",
				fmt.Sprintf("no Service has port %s: should its pods call each other there by their addresses (Service %s/%s is headless), the sidecar sends plaintext, and strict mTLS refuses it", joinPorts(lost), service.Namespace, service.Name), ""))
		}
	})
	return found
}

// headless is a Service of a workload that hands out the addresses of its pods, or nil.
func headless(w *model.Workload) *model.Service {
	i := slices.IndexFunc(w.Services, func(s *model.Service) bool { return slices.Contains(s.ClusterIPs, corev1.ClusterIPNone) })
	if i < 0 {
		return nil
	}
	return w.Services[i]
}

// servicePorts are the ports of a workload that Services lead to.
func servicePorts(w *model.Workload) []model.Port {
	var ports []model.Port
	for _, s := range w.Services {
		for i := range s.Ports {
			if p, ok := model.TargetPort(w, &s.Ports[i]); ok {
				ports = append(ports, p)
			}
		}
	}
	return model.SortPorts(ports)
}
