package audit

import (
	"fmt"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// dnsClosed is pods that policies isolate and that may not ask the cluster's
// resolver. Pods that may send nothing at all are most often meant to, so they are
// for the record only. Where no resolver was read nothing is said: what pods ask is not known.
func dnsClosed() Kind {
	return Kind{
		Code: "DNSClosed", Severities: []model.Severity{model.Error, model.Warning, model.Info},
		Says: "NetworkPolicies isolate pods and open no way to the cluster's DNS",
		Why:  "Nearly every connection begins with a name, so all others that the policies open fail as well.",
		Fix:  "allow UDP and TCP port 53 to the pods of the cluster's resolver, and to a node-local cache by its address",
		Find: findDNSClosed,
	}
}

func findDNSClosed(e *Evidence) []model.Finding {
	dns := &e.State.Cluster.DNS
	if !dns.Known() {
		return nil
	}
	closed := map[dnsClosing]*blamed{}
	for _, group := range e.isolatedFor(model.FilterEgress) {
		answer := e.asksResolver(group.workloads[0])
		if answer.Decision > verdict.Unclear || answer.Decision == verdict.Unclear && !answer.byService {
			continue
		}
		cause := e.isolator(group.filter)
		cause.Field = "spec.egress"
		for _, w := range group.workloads {
			if !asksForNames(w, dns) {
				continue
			}
			how := closing(group.filter, answer, w)
			if closed[how] == nil {
				closed[how] = &blamed{}
			}
			closed[how].add(cause, w)
		}
	}
	var found []model.Finding
	for _, how := range []dnsClosing{namesFail, meshNamesOnly, byServiceOnly, perhapsByService, nothingLeaves} {
		b := closed[how]
		if b == nil {
			continue
		}
		for _, cause := range b.causes {
			severity, message := how.says(named(b.of(cause)), e.resolverText())
			fix := ""
			if how == nothingLeaves {
				fix = "nothing, if these pods call nobody; otherwise allow what they call, and UDP and TCP port 53 to the cluster's resolver"
			}
			found = append(found, e.closed(dnsClosed(), severity, cause, message, fix))
		}
	}
	return found
}

// dnsClosing is in which way DNS is closed.
type dnsClosing int

const (
	namesFail dnsClosing = iota
	// meshNamesOnly: ztunnel answers for the names of Services itself, and asks the resolver for all others.
	meshNamesOnly
	byServiceOnly
	perhapsByService
	nothingLeaves
)

func closing(f *model.Filter, answer dnsAnswer, w *model.Workload) dnsClosing {
	switch {
	case answer.byService && answer.Decision == verdict.Unclear:
		return perhapsByService
	case answer.byService:
		return byServiceOnly
	case opensNothing(f):
		return nothingLeaves
	case w.Facts.Mode == model.ModeAmbient:
		return meshNamesOnly
	default:
		return namesFail
	}
}

func (how dnsClosing) says(pods, resolver string) (model.Severity, string) {
	switch how {
	case namesFail:
		return model.Error, fmt.Sprintf("no rule lets %s ask the cluster's resolver (%s): every name that they look up fails, and what else is open with it", pods, resolver)
	case meshNamesOnly:
		return model.Warning, fmt.Sprintf("no rule lets %s ask the cluster's resolver (%s): they find Services that ztunnel answers for, and no name besides", pods, resolver)
	case byServiceOnly:
		return model.Error, fmt.Sprintf("of the cluster's resolver (%s) only the address of its Service is open to %s, and the CNI translates that before it judges: every name that they look up fails", resolver, pods)
	case perhapsByService:
		return model.Warning, fmt.Sprintf("of the cluster's resolver (%s) only the address of its Service is open to %s, which most CNIs translate before they judge: no name resolves there", resolver, pods)
	default:
		return model.Info, fmt.Sprintf("it lets %s send nothing at all, so they cannot ask the cluster's resolver either: that is right only for pods that call nobody", pods)
	}
}

// resolverText says where the resolver is.
func (e *Evidence) resolverText() string {
	dns := &e.State.Cluster.DNS
	if dns.Namespace == "" {
		if len(dns.NodeLocal) == 0 {
			return dns.ServiceIPs[0].String()
		}
		return dns.NodeLocal[0].String()
	}
	return fmt.Sprintf("pods %s in namespace %s, %s", model.SelectorKey(&dns.PodSelector), dns.Namespace, portTexts(udp(dns.Ports)))
}
