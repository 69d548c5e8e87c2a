package audit

import (
	"fmt"
	"slices"
	"strings"

	"floe.dev/palisade/model"
)

// sharedServiceAccount is a service account as which several workloads of the mesh
// run. Those behind one Service are versions of one thing and are let be. Package
// intent reports it as well, for the clients that rules declare.
func sharedServiceAccount() Kind {
	return Kind{
		Code: "SharedServiceAccount", Severities: []model.Severity{model.Warning, model.Info},
		Says: "workloads share one identity of the mesh, so that it cannot tell them apart",
		Why:  "A mesh knows workloads by their service account alone: it is the whole identity in the certificate (spiffe://…/ns/shop/sa/default, or default.shop.serviceaccount.identity… in Linkerd).",
		Fix:  "Give each workload an account of its own",
		Find: findSharedServiceAccount,
	}
}

func findSharedServiceAccount(e *Evidence) []model.Finding {
	type account struct{ namespace, name string }
	users := map[account][]*model.Workload{}
	var order []account
	e.eachWorkload(func(w *model.Workload) {
		if home := w.ID.Namespace; !w.Facts.Meshed() || isGateway(w) || e.wantsMTLS(home) || e.wantsAuthorization(home) || e.ofMesh(home) {
			return
		}
		a := account{w.ID.Namespace, w.ServiceAccount}
		if users[a] == nil {
			order = append(order, a)
		}
		users[a] = append(users[a], w)
	})
	known := e.namedIdentities()
	var found []model.Finding
	for _, a := range order {
		list := users[a]
		if len(list) < 2 || oneService(list) {
			continue
		}
		severity, message := model.Info, fmt.Sprintf("%s run as it, so the mesh cannot tell them apart: what is allowed to one is allowed to all", named(list))
		if cause := namingOf(known, model.IdentityOf(list[0])); cause != nil {
			severity = model.Warning
			message = fmt.Sprintf("%s run as it, so the mesh cannot tell them apart, and %s allows or refuses clients by this very name", named(list), cause.Object)
		}
		found = append(found, sharedServiceAccount().At(severity,
			model.Ref{APIVersion: "v1", Kind: "ServiceAccount", Namespace: a.namespace, Name: a.name}, "", message, "give each workload a service account of its own"))
	}
	return found
}

// oneService tells whether some Service leads to all of some workloads.
func oneService(list []*model.Workload) bool {
	return slices.ContainsFunc(list[0].Services, func(s *model.Service) bool {
		return !slices.ContainsFunc(list, func(w *model.Workload) bool { return !slices.Contains(w.Services, s) })
	})
}

// naming is a rule that names identities in full.
type naming struct {
	term  model.NameTerm
	cause model.Cause
}

// namedIdentities are the names of accounts that rules of proxies go by, wildcards left out.
func (e *Evidence) namedIdentities() []naming {
	if e.State.Mesh == nil {
		return nil
	}
	seen := map[*model.Filter]bool{}
	var all []naming
	e.eachWorkload(func(w *model.Workload) {
		for _, f := range slices.Concat(e.State.Mesh.Filters(w), e.State.Mesh.Between(w)) {
			if seen[f] {
				continue
			}
			seen[f] = true
			for i := range f.Rules {
				for _, t := range f.Rules[i].Peers {
					for _, n := range t.Names {
						if n.Of != model.NameNamespace && f.Rules[i].Cause.Object.Name != "" {
							all = append(all, naming{n, f.Rules[i].Cause})
						}
					}
				}
			}
		}
	})
	return all
}

func namingOf(all []naming, identity model.Identity) *model.Cause {
	for i := range all {
		if slices.ContainsFunc(all[i].term.Patterns, func(pattern string) bool { return names(pattern, all[i].term.Of, identity) }) {
			return &all[i].cause
		}
	}
	return nil
}

// names tells whether a pattern is the name of an identity, whatever the trust domain.
func names(pattern string, of model.NameOf, identity model.Identity) bool {
	if of == model.NamePrincipal && (strings.HasSuffix(pattern, "/ns/"+identity.Namespace+"/sa/"+identity.Account) ||
		strings.HasPrefix(pattern, identity.Account+"."+identity.Namespace+".serviceaccount.identity.")) {
		return true
	}
	return pattern == identity.Part(of)
}
