package audit

import (
	"fmt"
	"slices"
	"strings"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// waypointBypassed are pods behind a waypoint that clients reach straight as well: by
// the pods' addresses, by a headless Service, or from sidecars, which do not go by
// waypoints. What the waypoint allows then binds nobody who goes around it, unless the pods
// let in the waypoint alone (istio.io#17520).
func waypointBypassed() Kind {
	return Kind{
		Code: "WaypointBypassed", Severities: []model.Severity{model.Warning},
		Says: "clients reach pods past the waypoint that would refuse them",
		Why:  "A waypoint judges what comes through it. The pods' own ztunnel knows nothing of its policies, so a client that calls the pods' addresses is not held to them.",
		Fix:  "let the pods take connections from the waypoint alone: an AuthorizationPolicy by selector that allows its service account",
		Find: findWaypointBypassed,
	}
}

// straight is a mesh without its waypoints.
type straight struct{ verdict.Mesh }

// Ways are those that no waypoint stands in.
func (s straight) Ways(client, server *model.Workload) []model.Way {
	ways := slices.DeleteFunc(slices.Clone(s.Mesh.Ways(client, server)), func(w model.Way) bool { return w.Via != nil })
	if len(ways) == 0 && client != nil && client.Facts.Meshed() {
		return []model.Way{{Ports: []model.Port{}}} // for no port
	}
	return ways
}

func findWaypointBypassed(e *Evidence) []model.Finding {
	if e.State.Mesh == nil {
		return nil
	}
	past := e.State
	past.Mesh = straight{e.State.Mesh}
	clients := e.kindsOfClients()
	var found []model.Finding
	e.eachWorkload(func(w *model.Workload) {
		filters := limiting(e.State.Mesh.Between(w))
		if len(filters) == 0 {
			return
		}
		around, cause := e.goingPast(past, filters, clients, w)
		if len(around) > 0 {
			found = append(found, waypointBypassed().At(model.Warning, w.Ref(), "",
				fmt.Sprintf("clients such as %s reach the pods past their waypoint, so that what %s limits there does not bind them: the pods let in more than the waypoint", named(around), cause.Object), ""))
		}
	})
	return found
}

// goingPast are the first few clients that go past the waypoint of a server, and what would limit
// them there. Clients that no rule tells apart fare alike as far as the mesh goes; of each such class a few are tried, for networks tell them apart as well.
func (e *Evidence) goingPast(past verdict.Input, filters []*model.Filter, clients []clientKind, server *model.Workload) (around []*model.Workload, cause model.Cause) {
	const mostNamed, mostTried = 4, 8
	apart := termsOf(slices.Concat(filters, e.State.Mesh.Filters(server)))
	meshOnly := past
	meshOnly.Network = nil
	limits, tried := map[string]*model.Cause{}, map[string]int{}
	for i := range clients {
		client := clients[i].Workload
		if client.ID == server.ID || len(around) == mostNamed {
			continue
		}
		class := clients[i].sender + apart.class(client)
		limit, known := limits[class]
		if !known {
			if c, ok := goesPast(meshOnly, filters, client, server); ok {
				limit = &c
			}
			limits[class] = limit
		}
		if limit == nil || tried[class] == mostTried {
			continue
		}
		tried[class]++
		if c, ok := goesPast(past, filters, client, server); ok {
			around, cause = append(around, client), c
		}
	}
	return around, cause
}

// terms are what rules tell clients apart by.
type terms struct {
	names     []model.NameTerm
	addresses bool
}

func termsOf(filters []*model.Filter) terms {
	var all terms
	for _, f := range filters {
		for i := range f.Rules {
			for _, t := range f.Rules[i].Peers {
				all.names = append(all.names, t.Names...)
				all.addresses = all.addresses || t.In != nil || t.NotIn != nil
			}
		}
	}
	return all
}

// class is equal for clients that none of the terms tells apart.
func (t *terms) class(client *model.Workload) string {
	identity := model.IdentityOf(client)
	class := make([]byte, 0, len(t.names)+1)
	for i := range t.names {
		part, matches := identity.Part(t.names[i].Of), byte('-')
		if slices.ContainsFunc(t.names[i].Patterns, func(p string) bool { return matchesGlob(p, part) }) {
			matches = '+'
		}
		class = append(class, matches)
	}
	if t.addresses {
		return string(class) + fmt.Sprint(client.Addresses)
	}
	return string(class)
}

// matchesGlob compares as meshes do: exactly, by "prefix*", by "*suffix", or by "*" for whatever is there.
func matchesGlob(pattern, text string) bool {
	if suffix, found := strings.CutPrefix(pattern, "*"); found {
		return text != "" && strings.HasSuffix(text, suffix)
	}
	if prefix, found := strings.CutSuffix(pattern, "*"); found {
		return strings.HasPrefix(text, prefix)
	}
	return pattern == text
}

// limiting are the filters that do not let everybody in.
func limiting(filters []*model.Filter) []*model.Filter {
	return slices.DeleteFunc(slices.Clone(filters), func(f *model.Filter) bool {
		return f.Otherwise == model.Allow && !slices.ContainsFunc(f.Rules, func(r model.FilterRule) bool { return r.Effect == model.Deny })
	})
}

// goesPast tells whether a waypoint limits a client on a port that the client reaches wholly without it, and by what.
func goesPast(past verdict.Input, filters []*model.Filter, client, server *model.Workload) (model.Cause, bool) {
	for _, port := range tcpPorts(server) {
		for _, f := range filters {
			limit := judged([]*model.Filter{f}, client, server, port)
			answer := answerOf(&limit, model.FilterAuthorization)
			if limit.Decision != verdict.Refused && limit.Decision != verdict.Partial || answer == nil || len(answer.Causes) == 0 {
				continue
			}
			told := verdict.Explain(past, verdict.Question{From: verdict.End{Workload: client}, To: verdict.End{Workload: server}, Port: port})
			if told.Decision == verdict.Open {
				return answer.Causes[len(answer.Causes)-1], true
			}
		}
	}
	return model.Cause{}, false
}

// clientKind is one of the clients that send alike under one identity.
type clientKind struct {
	*model.Workload
	sender string
}

// kindsOfClients is one workload for each that differs by identity and by how it sends; waypoints are none.
func (e *Evidence) kindsOfClients() []clientKind {
	seen := map[string]bool{}
	var kinds []clientKind
	e.eachWorkload(func(w *model.Workload) {
		sender := e.State.Mesh.Sender(w)
		key := sender + " as " + model.IdentityOf(w).String()
		if !seen[key] && w.Labels["gateway.networking.k8s.io/gateway-class-name"] != "istio-waypoint" && !w.Spec.HostNetwork && !e.ofMesh(w.ID.Namespace) {
			seen[key] = true
			kinds = append(kinds, clientKind{w, sender})
		}
	})
	return kinds
}
