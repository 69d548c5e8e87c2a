package intent

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/model"
)

// target is a set of servers with the ports that are meant on them.
type target struct {
	server model.Peer
	ports  []model.Port
}

// targets resolves the ports of a rule on its servers. Numbers hold for all
// servers alike. A name holds for the workloads that give it to a port; where
// they give it to different numbers, each workload becomes a target of its own, so
// that no number is opened on a workload that does not mean it.
func (r *resolver) targets(rule model.Ref, server model.Peer, ports []v1alpha1.RulePort) []target {
	common := target{server: server}
	own := map[model.WorkloadID][]model.Port{}
	for i := range ports {
		field := fmt.Sprintf("spec.ports[%d].port", i)
		if ports[i].Port.Type == intstr.Int {
			port := numberedPort(&ports[i])
			common.ports = append(common.ports, port)
			r.checkDeclared(rule, field, &server, port)
			continue
		}
		r.resolveName(rule, field, &ports[i], &common, own)
	}
	var all []target
	if len(common.ports) > 0 {
		common.ports = model.SortPorts(common.ports)
		all = append(all, common)
	}
	for _, id := range server.Workloads {
		if own[id] != nil {
			all = append(all, target{server: r.workloadPeer(r.model.Workload(id)), ports: model.SortPorts(own[id])})
		}
	}
	return all
}

func numberedPort(p *v1alpha1.RulePort) model.Port {
	port := model.Port{Protocol: model.ProtocolOr(p.Protocol), Number: p.Port.IntVal}
	if p.EndPort != nil && *p.EndPort > port.Number {
		port.End = *p.EndPort
	}
	return port
}

func (r *resolver) resolveName(rule model.Ref, field string, p *v1alpha1.RulePort, common *target, own map[model.WorkloadID][]model.Port) {
	name, protocol := p.Port.StrVal, model.ProtocolOr(p.Protocol)
	numbers := map[model.WorkloadID]int32{}
	var distinct []int32
	for _, w := range r.workloads(&common.server) {
		if number := w.PortNamed(name, protocol); number != 0 {
			numbers[w.ID] = number
			distinct = append(distinct, number)
		}
	}
	slices.Sort(distinct)
	distinct = slices.Compact(distinct)
	switch {
	case len(distinct) == 0:
		r.problem("PortNameUnknown", model.Error, rule, field,
			fmt.Sprintf("no container of the rule's servers has a %s port named %q: the port stays closed", protocol, name),
			"name a port that the containers declare, or give its number")
	case len(distinct) == 1 && len(numbers) == len(common.server.Workloads):
		common.ports = append(common.ports, model.Port{Protocol: protocol, Number: distinct[0]})
	default:
		for _, id := range common.server.Workloads {
			port := model.Port{Protocol: protocol, Number: numbers[id]}
			if port.Number != 0 && r.standsAlone(rule, field, id, port, numbers, common.server.Workloads) {
				own[id] = append(own[id], port)
			}
		}
	}
}

// standsAlone tells whether a workload's selector finds no other pods on which
// the number means something else: no port of that name, or of another number.
// Another server of the rule that listens on no such port at all does no harm: a
// Job with the labels of its Deployment, for one.
func (r *resolver) standsAlone(rule model.Ref, field string, id model.WorkloadID, port model.Port, numbers map[model.WorkloadID]int32, servers []model.WorkloadID) bool {
	selector := r.ownSelector(r.model.Workload(id))
	for _, other := range r.match(id.Namespace, &selector, nil) {
		silent := numbers[other] == 0 && slices.Contains(servers, other) && !declares(r.model.Workload(other), port)
		if other != id && numbers[other] != port.Number && !silent {
			r.problem("PortNameAmbiguous", model.Error, rule, field,
				fmt.Sprintf("%s and %s give the port name different numbers, and the selector of the first finds the pods of both: the port stays closed on %s",
					id, other, id),
				"give the port by number, or labels to the pods that tell them apart")
			return false
		}
	}
	return true
}

func declares(w *model.Workload, port model.Port) bool {
	return slices.ContainsFunc(w.ContainerPorts(), func(p model.NamedPort) bool { return p.Port == port })
}

// checkDeclared reports a number that is a Service's port while the pods listen
// elsewhere: policies see the container port, so the rule would open the wrong one.
func (r *resolver) checkDeclared(rule model.Ref, field string, server *model.Peer, port model.Port) {
	for _, w := range r.workloads(server) {
		declared := w.ContainerPorts()
		if len(declared) == 0 || slices.ContainsFunc(declared, func(d model.NamedPort) bool { return port.Contains(d.Protocol, d.Number) }) {
			continue
		}
		for _, service := range w.Services {
			for _, sp := range service.Ports {
				if sp.Port != port.Number || sp.Protocol != port.Protocol {
					continue
				}
				r.finding("RulePortIsServicePort", model.Error, rule, field,
					fmt.Sprintf("port %s is the port of Service %s/%s, but its pods (%s) listen on %s: the rule opens a port on which nothing answers",
						port, service.Namespace, service.Name, w.ID, listPorts(declared)),
					"name the container port (the Service's targetPort): policies are applied behind the Service")
				return
			}
		}
	}
}

func listPorts(ports []model.NamedPort) string {
	var parts []string
	for _, p := range ports {
		parts = append(parts, p.String())
	}
	return strings.Join(parts, ", ")
}
