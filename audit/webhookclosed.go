package audit

import (
	"fmt"
	"net/netip"
	"slices"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// webhookClosed is pods that the API server calls (webhooks for admission and
// conversion, aggregated APIs), that policies isolate and that let in none of the addresses
// from which it may call: its own, those of the nodes, and the pods of a konnectivity agent.
func webhookClosed() Kind {
	return Kind{
		Code: "WebhookClosed", Severities: []model.Severity{model.Error, model.Info},
		Says: "NetworkPolicies keep the API server out of pods that it calls",
		Why:  "A webhook that cannot be reached refuses what it should judge, or lets it pass unjudged; an aggregated API is gone.",
		Fix:  "allow ingress from the addresses of the API server to the port on which the pods take its calls",
		Find: findWebhookClosed,
	}
}

func findWebhookClosed(e *Evidence) []model.Finding {
	var found []model.Finding
	callers := e.apiServerEnds()
	said := map[string]bool{}
	for i := range e.Calls {
		call := &e.Calls[i]
		e.calledAt(call, func(w *model.Workload, port model.Port) {
			f := e.filter(model.FilterIngress, w)
			if f == nil || e.onlyNode() || said[call.Ref.String()+w.ID.String()+port.String()] {
				return
			}
			said[call.Ref.String()+w.ID.String()+port.String()] = true
			cause := e.isolator(f)
			cause.Field = "spec.ingress"
			switch {
			case slices.ContainsFunc(callers, func(c verdict.End) bool { return e.takes(w, c, port).Decision != verdict.Refused }):
			case len(e.State.Cluster.APIServer.Endpoints) > 0:
				found = append(found, e.closed(webhookClosed(), model.Error, cause,
					fmt.Sprintf("the API server calls %s on %s for %s, and no rule lets its addresses in (%s): the calls fail", w.ID, port, call.Ref, firstFew(endTexts(callers))), ""))
			case !slices.ContainsFunc(f.Rules, func(r model.FilterRule) bool { return namesAddresses(&r, port, w) }):
				found = append(found, e.closed(webhookClosed(), model.Info, cause,
					fmt.Sprintf("the API server calls %s on %s for %s, and no rule lets addresses in there: the calls fail, unless they come from pods; where it calls from is not known", w.ID, port, call.Ref), ""))
			}
		})
	}
	return together(found)
}

// together joins findings about one field of one policy, so that a policy that closes many calls is one finding.
func together(found []model.Finding) []model.Finding {
	var joined []model.Finding
	more := map[string]int{}
	first := map[string]int{}
	for _, f := range found {
		key := string(f.Severity) + f.Subject.String() + f.Field
		if _, there := first[key]; there {
			more[key]++
			continue
		}
		first[key] = len(joined)
		joined = append(joined, f)
	}
	for key, n := range more {
		f := &joined[first[key]]
		f.Message += fmt.Sprintf(", and %s with them", count(n, "other call"))
	}
	return joined
}

// apiServerEnds are where calls of the API server may come from. Managed clusters
// lead them through agents (konnectivity, KEP-1281).
func (e *Evidence) apiServerEnds() []verdict.End {
	var ends []verdict.End
	add := func(a netip.Addr) {
		if end := at(a); !slices.Contains(ends, end) {
			ends = append(ends, end)
		}
	}
	for _, a := range e.State.Cluster.APIServer.Endpoints {
		add(a)
	}
	for _, p := range e.State.Cluster.NodeCIDRs {
		add(p.Addr())
	}
	e.eachWorkload(func(w *model.Workload) {
		if w.ID.Name == "konnectivity-agent" || w.Labels["k8s-app"] == "konnectivity-agent" {
			ends = append(ends, verdict.End{Workload: w})
		}
	})
	return ends
}

// onlyNode tells of a cluster of one node on which the API server runs: what it calls
// is on its own node, which CNIs exempt.
func (e *Evidence) onlyNode() bool {
	nodes := e.State.Cluster.NodeCIDRs
	return len(nodes) == 1 && nodes[0].IsSingleIP() && e.datapath().exemptsNode != no && slices.Equal(e.State.Cluster.APIServer.Endpoints, []netip.Addr{nodes[0].Addr()})
}

func endTexts(ends []verdict.End) []string {
	texts := make([]string, len(ends))
	for i, e := range ends {
		texts[i] = e.String()
	}
	return texts
}
