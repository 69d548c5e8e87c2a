package audit

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// tunnelErasesPorts is a rule that opens the mesh's port to peers whose other rules
// name ports: by that port the mesh carries all of them, and policies cannot tell
// which is meant (istio#56659). It is no fault where the mesh's authorization restricts them.
func tunnelErasesPorts() Kind {
	return Kind{
		Code: "TunnelErasesPorts", Severities: []model.Severity{model.Warning, model.Info},
		Says: "a NetworkPolicy opens the mesh's port, by which peers reach ports that no rule opens to them",
		Why:  "The mesh carries every port by one, so whoever may dial that one reaches all of them, whatever ports the rules name.",
		Fix:  "restrict the ports in the mesh: an AuthorizationPolicy of Istio with to.operation.ports, a Server and its authorization in Linkerd",
		Find: findTunnelErasesPorts,
	}
}

func findTunnelErasesPorts(e *Evidence) []model.Finding {
	if e.State.Mesh == nil {
		return nil
	}
	t := newTunnels(e)
	var order []model.Cause
	erased := map[model.Cause]*erasure{}
	for _, group := range e.isolatedFor(model.FilterIngress) {
		for _, server := range group.workloads {
			tunnel := model.TCP(server.Facts.Tunnel.Port)
			if tunnel.Number == 0 || server.Facts.Tunnel.Only != nil {
				continue
			}
			for i := range group.filter.Rules {
				r := &group.filter.Rules[i]
				if !opensTunnel(r, tunnel, server) {
					continue
				}
				if erased[r.Cause] == nil {
					order = append(order, r.Cause)
					erased[r.Cause] = &erasure{asked: map[string]verdict.Decision{}}
				}
				t.erase(erased[r.Cause], group.filter, r, server)
			}
		}
	}
	var found []model.Finding
	for _, cause := range order {
		if x := erased[cause]; len(x.declared.servers.list)+len(x.other.servers.list) > 0 {
			severity, message := x.says()
			found = append(found, tunnelErasesPorts().At(severity, cause.Object, cause.Field+".ports", message, ""))
		}
	}
	return found
}

// opensTunnel tells of a rule that names the tunnel among some ports; what opens all ports erases none.
func opensTunnel(r *model.FilterRule, tunnel model.Port, server *model.Workload) bool {
	return r.Effect == model.Allow && r.Ports != nil && holdsPort(r, tunnel, server) &&
		!slices.ContainsFunc(r.Ports, func(p model.PortTerm) bool { return p.Protocol == corev1.ProtocolTCP && p.Name == "" && p.Number == 0 })
}

// erasure is what one rule opens by the tunnel beyond what is opened by number.
type erasure struct {
	tunnel int32
	// declared is who reaches declared ports beyond those named to them, other who reaches any.
	declared, other reached
	// asked remembers what the mesh says to clients with the same identity.
	asked map[string]verdict.Decision
}

type reached struct {
	clients, servers crowd
	// named are the ports that rules name, ports those that are reached.
	named, ports []model.Port
}

func (x *erasure) says() (model.Severity, string) {
	text := fmt.Sprintf("%s every port on %d, and it opens that port to", carrier(x.tunnel), x.tunnel)
	if to := &x.declared; len(to.servers.list) > 0 {
		return model.Warning, fmt.Sprintf("%s %s: they reach %s of %s as well, which no rule opens to them, and nothing in the mesh's authorization restricts it",
			text, named(to.clients.list), portTexts(to.ports), named(to.servers.list))
	}
	to := &x.other
	return model.Info, fmt.Sprintf("%s %s: they reach every port on which %s may listen, although rules name %s alone, and nothing in the mesh's authorization restricts it",
		text, named(to.clients.list), named(to.servers.list), portTexts(to.named))
}

// erase looks for ports of a server that clients reach by the tunnel alone.
func (t *tunnels) erase(x *erasure, f *model.Filter, r *model.FilterRule, server *model.Workload) {
	x.tunnel = server.Facts.Tunnel.Port
	names := narrowPorts(f, server)
	if len(names) == 0 {
		return // nobody meant to restrict ports
	}
	peers := t.finds(r.Peers)
	for _, port := range candidates(server) {
		letIn := t.opens(f, port, server)
		if letIn.everybody {
			continue
		}
		to := &x.other
		if listensOn(server, port) {
			to = &x.declared
		}
		for _, client := range t.clients {
			if client == server || peers != nil && !peers[client] || letIn.pods[client] {
				continue
			}
			if t.carries(client, server, port).port == x.tunnel && t.reaches(x, client, server, port) {
				to.clients.add(client)
				to.servers.add(server)
				to.ports = once(to.ports, port)
				for _, p := range names {
					to.named = once(to.named, p)
				}
			}
		}
	}
}

// reaches asks all layers, once for clients that the mesh cannot tell apart.
func (t *tunnels) reaches(x *erasure, client, server *model.Workload, port model.Port) bool {
	key := fmt.Sprintf("%s\x00%s\x00%d\x00%s\x00%d", client.ID.Namespace, client.ServiceAccount, t.senders[client], server.ID, port.Number)
	decision, known := x.asked[key]
	if !known {
		decision = t.e.Ask(verdict.End{Workload: client}, verdict.End{Workload: server}, port).Decision
		x.asked[key] = decision
	}
	return decision == verdict.Open
}

// narrowPorts are the ports of applications that the rules of a filter name for a server.
func narrowPorts(f *model.Filter, server *model.Workload) []model.Port {
	var ports []model.Port
	for i := range f.Rules {
		if r := &f.Rules[i]; r.Effect == model.Allow && r.Ports != nil {
			for _, p := range appPorts(r, server) {
				ports = once(ports, p)
			}
		}
	}
	return model.SortPorts(ports)
}

// candidates are the declared ports of a server, and one that nobody declares: pods may listen on more than they declare.
func candidates(server *model.Workload) []model.Port {
	var ports []model.Port
	for _, p := range server.ContainerPorts() {
		if p.Protocol == corev1.ProtocolTCP && !isOfProxy(server, p.Port) {
			ports = append(ports, p.Port)
		}
	}
	const first = 1024
	for n := int32(first); ; n++ {
		if port := model.TCP(n); !listensOn(server, port) {
			return append(ports, port)
		}
	}
}
