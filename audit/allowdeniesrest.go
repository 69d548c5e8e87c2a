package audit

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// allowDeniesRest is an AuthorizationPolicy of ALLOW that cuts off more than it says: with the
// first one that selects a pod, all is refused that none allows (istio#53723). Reported
// are clients that show that they call the pods, probes that are not rewritten, and
// ports that are open to nobody any more. Where a policy without rules says that
// everything is closed, nobody is surprised.
func allowDeniesRest() Kind {
	return Kind{
		Code: "AllowDeniesRest", Severities: []model.Severity{model.Warning, model.Info},
		Says: "an ALLOW closes its pods to others that need them",
		Why:  "In Istio a pod that no ALLOW selects is open to all, and one that some ALLOW selects is closed to all whom none names: other ports, other clients, and the kubelet.",
		Fix:  "allow these clients and ports as well, or name the ports that the policy is about and allow the rest",
		Find: findAllowDeniesRest,
	}
}

// cutOff is who cannot reach the pods of one policy any more.
type cutOff struct {
	calls []string
	ports []string
}

func findAllowDeniesRest(e *Evidence) []model.Finding {
	if e.State.Mesh == nil || e.Model.Cluster.Mesh.Kind != model.MeshIstio {
		return nil
	}
	state := e.State
	state.Network = nil
	callers := e.callers()
	var order []model.Cause
	off := map[model.Cause]*cutOff{}
	e.eachWorkload(func(w *model.Workload) {
		cause, filter := e.closedBy(w)
		if filter == nil || isGateway(w) || e.wantsAuthorization(w.ID.Namespace) {
			return
		}
		c := off[cause]
		if c == nil {
			c = &cutOff{}
			off[cause], order = c, append(order, cause)
		}
		c.calls = append(c.calls, callsRefused(state, w, callers)...)
		c.calls = append(c.calls, e.probesRefused(w)...)
		c.calls = append(c.calls, scrapesRefused(filter, w)...)
		if ports := openToNobody(filter, w); len(ports) > 0 && e.allHeld(filter) {
			c.ports = append(c.ports, fmt.Sprintf("%s of %s", joinPorts(ports), w.ID))
		}
	})
	var found []model.Finding
	for _, cause := range order {
		switch c := off[cause]; {
		case len(c.calls) > 0:
			found = append(found, allowDeniesRest().At(model.Warning, cause.Object, cause.Field, "with an ALLOW for the pods, what none allows is refused: "+some(c.calls), ""))
		case len(c.ports) > 0:
			found = append(found, allowDeniesRest().At(model.Info, cause.Object, cause.Field, "with an ALLOW for the pods, what none allows is refused, and no rule is for "+some(c.ports), ""))
		}
	}
	return found
}

// some joins the first few texts.
func some(texts []string) string {
	const most = 3
	slices.Sort(texts)
	texts = slices.Compact(texts)
	joined := strings.Join(texts[:min(len(texts), most)], "; ")
	if rest := len(texts) - most; rest > 0 {
		joined += fmt.Sprintf("; and %d more", rest)
	}
	return joined
}

// closedBy is the policy whose ALLOW closes a workload, and its filter; nil where none does, or where one
// says that everything is closed.
func (e *Evidence) closedBy(w *model.Workload) (model.Cause, *model.Filter) {
	if !w.Facts.Meshed() {
		return model.Cause{}, nil
	}
	filters := e.State.Mesh.Filters(w)
	i := slices.IndexFunc(filters, func(f *model.Filter) bool { return f.Layer == model.FilterAuthorization })
	if i < 0 || filters[i].Otherwise != model.Deny || len(filters[i].Because) == 0 {
		return model.Cause{}, nil
	}
	for _, cause := range filters[i].Because {
		o := e.object(cause.Object)
		if o == nil {
			return model.Cause{}, nil
		}
		if rules, _ := o.Map("spec")["rules"].([]any); len(rules) == 0 || o.Owned() {
			return model.Cause{}, nil
		}
	}
	return filters[i].Because[0], filters[i]
}

// allHeld tells whether every rule of the policies of a filter shows in it. One that does not is
// dropped for what it looks at, which is a fault of its own (HTTPRuleOnZtunnel, HTTPRuleOnTCPPort).
func (e *Evidence) allHeld(f *model.Filter) bool {
	for _, cause := range f.Because {
		rules, _ := e.object(cause.Object).Map("spec")["rules"].([]any)
		for i := range rules {
			field := fmt.Sprintf("spec.rules[%d]", i)
			if !slices.ContainsFunc(f.Rules, func(r model.FilterRule) bool { return r.Cause.Object == cause.Object && r.Cause.Field == field }) {
				return false
			}
		}
	}
	return true
}

// callers are the workloads that show that they call a Service.
func (e *Evidence) callers() map[*model.Service][]*model.Workload {
	index := model.NewCallIndex(e.Model.Services)
	callers := map[*model.Service][]*model.Workload{}
	e.eachWorkload(func(w *model.Workload) {
		for _, containers := range [][]corev1.Container{w.Spec.InitContainers, w.Spec.Containers} {
			for i := range containers {
				for _, s := range index.CalledBy(&containers[i], w.ID.Namespace) {
					if !slices.Contains(callers[s], w) {
						callers[s] = append(callers[s], w)
					}
				}
			}
		}
	})
	return callers
}

// callsRefused are workloads that show that they call a Service of this one, and are let in by no rule.
func callsRefused(state verdict.Input, w *model.Workload, callers map[*model.Service][]*model.Workload) []string {
	var calls []string
	for _, s := range w.Services {
		for _, client := range callers[s] {
			if client.ID == w.ID {
				continue
			}
			for i := range s.Ports {
				port, ok := model.TargetPort(w, &s.Ports[i])
				if !ok || port.Protocol != corev1.ProtocolTCP {
					continue
				}
				told := verdict.Explain(state, verdict.Question{From: verdict.End{Workload: client}, To: verdict.End{Workload: w}, Port: port, OverService: true})
				if slices.ContainsFunc(told.Answers, func(a verdict.Answer) bool {
					return a.Layer == model.FilterAuthorization && a.At == w && a.Decision == verdict.Refused && a.NoRule // a waypoint's refusal is its own
				}) {
					calls = append(calls, fmt.Sprintf("%s calls %s on port %d", client.ID, w.ID, port.Number))
				}
			}
		}
	}
	return calls
}

// probesRefused are calls of the kubelet to the application itself that no rule lets in.
func (e *Evidence) probesRefused(w *model.Workload) []string {
	if w.Facts.Mode != model.ModeSidecar {
		return nil // ambient lets the kubelet by
	}
	var calls []string
	for i := range w.Spec.Containers {
		c := &w.Spec.Containers[i]
		for _, probe := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
			if probe == nil || probe.HTTPGet == nil {
				continue // TCP probes need no more than a connection
			}
			port := model.TCP(model.ContainerPortOf(c, probe.HTTPGet.Port))
			if !slices.Contains(w.Facts.ProbePorts, port) {
				continue
			}
			told := judged(e.State.Mesh.Filters(w), stranger(), w, port)
			if a := answerOf(&told, model.FilterAuthorization); a != nil && a.Decision == verdict.Refused && a.NoRule {
				calls = append(calls, fmt.Sprintf("the kubelet probes port %d of %s", port.Number, w.ID))
			}
		}
	}
	return calls
}

// scrapesRefused is the port that a workload announces for scraping, where no rule lets anybody in there.
func scrapesRefused(f *model.Filter, w *model.Workload) []string {
	number, err := strconv.ParseInt(strings.TrimSpace(w.Annotations["prometheus.io/port"]), 10, 32)
	if w.Annotations["prometheus.io/scrape"] != "true" || err != nil || w.Facts.MergesMetrics || isOpenTo(f, w, model.TCP(int32(number))) {
		return nil
	}
	return []string{fmt.Sprintf("port %d of %s is announced for scraping", number, w.ID)}
}

// openToNobody are the ports of a workload that no rule of a filter is for.
func openToNobody(f *model.Filter, w *model.Workload) []model.Port {
	return slices.DeleteFunc(tcpPorts(w), func(port model.Port) bool { return isOpenTo(f, w, port) })
}

// isOpenTo tells whether some rule of a filter lets somebody in on a port.
func isOpenTo(f *model.Filter, w *model.Workload, port model.Port) bool {
	return slices.ContainsFunc(f.Rules, func(r model.FilterRule) bool {
		return r.Effect == model.Allow && (r.Peers == nil || len(r.Peers) > 0) && holdsPort(&r, port, w)
	})
}
