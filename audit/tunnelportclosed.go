package audit

import (
	"fmt"
	"slices"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// tunnelPortClosed is a rule that opens the port of an application between meshed pods,
// where the mesh dials another in its place: 15008 in Istio's ambient mode, 4143 in
// Linkerd (istio#52742, linkerd2#15246). Policies see the port that is dialled, on both sides.
func tunnelPortClosed() Kind {
	return Kind{
		Code: "TunnelPortClosed", Severities: []model.Severity{model.Error, model.Warning, model.Info},
		Says: "a NetworkPolicy opens the application's port, and not the one by which the mesh carries it",
		Why:  "Policies see the port that proxies dial and not the one that is meant, so what the rule allows is dropped.",
		Fix:  "allow the mesh's port (TCP 15008 for ambient, 4143 for Linkerd) to the same peers, and restrict ports in the mesh's authorization",
		Find: findTunnelPortClosed,
	}
}

func findTunnelPortClosed(e *Evidence) []model.Finding {
	if e.State.Mesh == nil {
		return nil
	}
	t := newTunnels(e)
	d := &drops{byRule: map[dropKey]*drop{}}
	for _, group := range e.isolatedFor(model.FilterIngress) {
		for _, server := range group.workloads {
			t.droppedIn(d, group.filter, server)
		}
	}
	for _, group := range e.isolatedFor(model.FilterEgress) {
		t.droppedOut(d, group)
	}
	var found []model.Finding
	for _, drop := range d.list {
		severity := model.Error
		if drop.perhaps {
			severity = model.Warning
		}
		cause := drop.cause
		cause.Field += ".ports"
		found = append(found, e.closed(tunnelPortClosed(), severity, cause, drop.says(), ""))
	}
	return found
}

// drop is what one rule allows in vain.
type drop struct {
	cause   model.Cause
	layer   model.FilterLayer
	tunnel  int32
	perhaps bool
	// ports are the application's, on the servers.
	ports            []model.Port
	clients, servers crowd
	via              *model.Workload
}

// drops are in the order of their coming.
type drops struct {
	list []*drop
	// byRule remembers where what a rule allows in vain is collected.
	byRule map[dropKey]*drop
}

type dropKey struct {
	rule    *model.FilterRule
	tunnel  int32
	relayed bool
}

func (d *drops) add(r *model.FilterRule, layer model.FilterLayer, client, server *model.Workload, port model.Port, c carriage) {
	key := dropKey{r, c.port, c.via != nil}
	to := d.byRule[key]
	if to == nil {
		to = d.collect(r.Cause, layer, c)
		d.byRule[key] = to
	}
	to.perhaps = to.perhaps && c.perhaps
	to.ports = once(to.ports, port)
	to.clients.add(client)
	to.servers.add(server)
}

// collect finds the drop of a rule, which may stand in several filters.
func (d *drops) collect(cause model.Cause, layer model.FilterLayer, c carriage) *drop {
	for _, o := range d.list {
		if o.cause == cause && o.layer == layer && o.tunnel == c.port && (o.via == nil) == (c.via == nil) {
			return o
		}
	}
	d.list = append(d.list, &drop{cause: cause, layer: layer, tunnel: c.port, perhaps: true, via: c.via})
	return d.list[len(d.list)-1]
}

func once[T comparable](list []T, one T) []T {
	if slices.Contains(list, one) {
		return list
	}
	return append(list, one)
}

func (d *drop) says() string {
	carries := fmt.Sprintf("%s these connections on port %d", carrier(d.tunnel), d.tunnel)
	if d.via != nil {
		carries += fmt.Sprintf(" by way of the waypoint %s/%s", d.via.ID.Namespace, d.via.ID.Name)
	}
	ends := "which no rule opens: they are dropped"
	if d.perhaps {
		ends = "or may do so (its transport mode is not known), and no rule opens that port: they are dropped then"
	}
	if d.layer == model.FilterIngress {
		return fmt.Sprintf("it lets %s in on %s of %s, but %s, %s", named(d.clients.list), portTexts(d.ports), named(d.servers.list), carries, ends)
	}
	return fmt.Sprintf("it lets %s out to %s of %s, but %s, %s", named(d.clients.list), portTexts(d.ports), named(d.servers.list), carries, ends)
}

// droppedIn looks for clients that the rules of a server's filter let in on the application's port alone.
func (t *tunnels) droppedIn(d *drops, f *model.Filter, server *model.Workload) {
	if server.Facts.Tunnel.Port == 0 {
		return
	}
	tunnel := model.TCP(server.Facts.Tunnel.Port)
	letIn := t.opens(f, tunnel, server)
	if letIn.everybody {
		return
	}
	for i := range f.Rules {
		r := &f.Rules[i]
		if r.Effect != model.Allow || r.Ports == nil || holdsPort(r, tunnel, server) {
			continue
		}
		ports := appPorts(r, server)
		if len(ports) == 0 {
			continue
		}
		peers := t.finds(r.Peers)
		for _, client := range t.clients {
			if client != server && (peers == nil || peers[client]) {
				t.droppedFrom(d, r, client, server, ports, &letIn)
			}
		}
	}
}

func (t *tunnels) droppedFrom(d *drops, r *model.FilterRule, client, server *model.Workload, ports []model.Port, letIn *open) {
	tunnel := model.TCP(server.Facts.Tunnel.Port)
	for _, port := range ports {
		c := t.carries(client, server, port)
		arrives := client
		if c.via != nil {
			arrives = c.via
		}
		ask := func() verdict.Decision { return t.e.takes(server, verdict.End{Workload: arrives}, tunnel).Decision }
		if c.port == tunnel.Number && !letIn.lets(arrives, c, ask) {
			d.add(r, model.FilterIngress, client, server, port, c)
		}
	}
}

// droppedOut looks for servers to which the rules of clients' filter open the application's port alone.
func (t *tunnels) droppedOut(d *drops, group isolated) {
	f := group.filter
	letOut := map[int32]open{}
	for i := range f.Rules {
		r := &f.Rules[i]
		if r.Effect != model.Allow || r.Ports == nil {
			continue
		}
		peers := t.finds(r.Peers)
		for _, server := range t.clients {
			tunnel := model.TCP(server.Facts.Tunnel.Port)
			if tunnel.Number == 0 || peers == nil || !peers[server] || holdsPort(r, tunnel, server) {
				continue // of a rule for everybody it is not known whom it is written for
			}
			to, known := letOut[tunnel.Number]
			if !known {
				to = t.opens(f, tunnel, nil)
				letOut[tunnel.Number] = to
			}
			for _, port := range appPorts(r, server) {
				t.droppedTo(d, r, group.workloads, server, port, &to)
			}
		}
	}
}

func (t *tunnels) droppedTo(d *drops, r *model.FilterRule, clients []*model.Workload, server *model.Workload, port model.Port, letOut *open) {
	for _, client := range clients {
		if client == server || !client.Facts.Meshed() {
			continue
		}
		c := t.carries(client, server, port)
		dialled := server
		if c.via != nil {
			dialled = c.via
		}
		ask := func() verdict.Decision {
			return t.e.sends(client, verdict.End{Workload: dialled}, model.TCP(c.port)).Decision
		}
		if c.port != 0 && !letOut.lets(dialled, c, ask) {
			d.add(r, model.FilterEgress, client, server, port, c)
		}
	}
}
