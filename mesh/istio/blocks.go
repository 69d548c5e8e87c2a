package istio

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	securityapi "istio.io/api/security/v1beta1"
	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// verdict is how surely a rule matches a flow.
type verdict int

// The verdicts, from no to yes; and is their minimum, or their maximum.
const (
	never verdict = iota
	perhaps
	surely
)

// authorizationPolicyBlocks reports policies of others that refuse what flows
// declare: DENY and CUSTOM are judged before any ALLOW
// (istio pilot/pkg/security/authz/builder/builder.go).
func (r *faultReader) authorizationPolicyBlocks(o *model.Object) {
	action := strings.ToUpper(text(o, "spec", "action"))
	if o.Owned() || o.Annotations()["istio.io/dry-run"] == "true" || action != "DENY" && action != "CUSTOM" {
		return
	}
	spec, ok := policySpec(o)
	if !ok {
		return
	}
	for i, rule := range spec.GetRules() {
		worst, flows := never, []string{}
		for j := range r.m.Flows {
			f := &r.m.Flows[j]
			v := r.ruleOnFlow(o, spec, rule, f)
			if action == "CUSTOM" {
				v = min(v, perhaps) // the provider decides
			}
			if v > worst {
				worst, flows = v, nil
			}
			if v == worst && v > never {
				flows = append(flows, f.Origin.String())
			}
		}
		r.blocked(o, fmt.Sprintf("spec.rules[%d]", i), action, worst, flows)
	}
}

func (r *faultReader) blocked(o *model.Object, field, action string, worst verdict, flows []string) {
	const most = 3
	slices.Sort(flows)
	flows = slices.Compact(flows)
	names := strings.Join(flows[:min(len(flows), most)], ", ")
	if len(flows) > most {
		names += fmt.Sprintf(" and %d more", len(flows)-most)
	}
	switch worst {
	case surely:
		r.find("AuthorizationPolicyBlocks", model.Error, o, field,
			"the rule refuses what is declared by "+names+", and a DENY goes before every allow", "take these clients and ports out of the policy, or the rule out of the intent")
	case perhaps:
		r.find("AuthorizationPolicyBlocks", model.Info, o, field,
			fmt.Sprintf("the rule may refuse a part of what is declared by %s: %s goes before every allow, and what it looks at shows in requests only", names, action), "")
	}
}

func policySpec(o *model.Object) (*securityapi.AuthorizationPolicy, bool) {
	data, err := json.Marshal(o.Tree["spec"])
	if err != nil {
		return nil, false
	}
	spec := &securityapi.AuthorizationPolicy{}
	return spec, spec.UnmarshalJSON(data) == nil
}

// ruleOnFlow is the gravest verdict over the servers and clients of a flow.
func (r *faultReader) ruleOnFlow(o *model.Object, spec *securityapi.AuthorizationPolicy, rule *securityapi.Rule, f *model.Flow) verdict {
	worst := never
	if f.Server.Kind != model.PeerPods || f.Client.Kind == model.PeerNodes && !f.Plaintext {
		return never // probes do not pass the proxy
	}
	for _, id := range f.Server.Workloads {
		server := r.m.Workload(id)
		if server == nil || !server.Facts.Meshed() {
			continue
		}
		reach := r.policyReaches(o, spec, server)
		if reach == never {
			continue
		}
		to := min(reach, operationsMatch(rule.GetTo(), f, server.Facts.Mode == model.ModeAmbient))
		for _, client := range r.callers(f) {
			v := min(to, sourcesMatch(rule.GetFrom(), client, o.Ref().Namespace))
			if len(rule.GetWhen()) > 0 {
				v = min(v, perhaps)
			}
			worst = max(worst, v)
		}
	}
	return worst
}

// policyReaches tells whether a policy counts for a workload. One with
// targetRefs counts at gateways and waypoints only, where the intent's flows do
// not show in full.
func (r *faultReader) policyReaches(o *model.Object, spec *securityapi.AuthorizationPolicy, w *model.Workload) verdict {
	namespace := o.Ref().Namespace
	if len(spec.GetTargetRefs()) > 0 || spec.GetTargetRef() != nil {
		behind := false
		for _, ref := range spec.GetTargetRefs() {
			behind = behind || slices.ContainsFunc(w.Services, func(s *model.Service) bool {
				return ref.GetKind() == "Service" && s.Name == ref.GetName() && s.Namespace == namespace
			})
		}
		if behind && w.Facts.Waypoint.Bound {
			return perhaps
		}
		return never
	}
	if namespace != w.ID.Namespace && namespace != r.existing.root || isWaypoint(w) {
		return never
	}
	if !selects(spec.GetSelector().GetMatchLabels(), w.Labels) {
		return never
	}
	return surely
}

// caller is one client as a policy sees it; without names it came in plaintext.
type caller struct {
	// names are its principal under every trust domain that counts as its own.
	names              []string
	namespace, account string
}

func (r *faultReader) callers(f *model.Flow) []caller {
	var all []caller
	if f.Plaintext {
		all = append(all, caller{})
	}
	for _, id := range f.Client.Workloads {
		w := r.m.Workload(id)
		if w == nil || !w.Facts.Meshed() || w.Facts.Identity == "" {
			continue
		}
		c := caller{namespace: w.ID.Namespace, account: w.ServiceAccount}
		for _, domain := range append([]string{r.m.Cluster.Mesh.TrustDomain}, r.m.Cluster.Mesh.TrustDomainAliases...) {
			c.names = append(c.names, domain+"/ns/"+c.namespace+"/sa/"+c.account)
		}
		all = append(all, c)
	}
	return all
}

func sourcesMatch(from []*securityapi.Rule_From, c caller, home string) verdict {
	if len(from) == 0 {
		return surely
	}
	best := never
	for _, each := range from {
		best = max(best, sourceMatches(each.GetSource(), c, home))
	}
	return best
}

func sourceMatches(s *securityapi.Source, c caller, home string) verdict {
	principal := func(p string) bool {
		return slices.ContainsFunc(c.names, func(name string) bool { return globMatches(p, name) })
	}
	namespace := func(p string) bool { return c.names != nil && globMatches(p, c.namespace) }
	account := func(p string) bool {
		ns, name, full := strings.Cut(p, "/")
		if !full {
			ns, name = home, p
		}
		return c.names != nil && ns == c.namespace && name == c.account
	}
	for _, list := range []struct {
		all, not []string
		is       func(string) bool
	}{
		{s.GetPrincipals(), s.GetNotPrincipals(), principal},
		{s.GetNamespaces(), s.GetNotNamespaces(), namespace},
		{s.GetServiceAccounts(), s.GetNotServiceAccounts(), account},
	} {
		if len(list.all) > 0 && !slices.ContainsFunc(list.all, list.is) || slices.ContainsFunc(list.not, list.is) {
			return never
		}
	}
	if len(s.GetIpBlocks())+len(s.GetNotIpBlocks())+len(s.GetRemoteIpBlocks())+len(s.GetNotRemoteIpBlocks())+
		len(s.GetRequestPrincipals())+len(s.GetNotRequestPrincipals()) > 0 {
		return perhaps
	}
	return surely
}

// globMatches compares as Istio does: exact, "prefix*", "*suffix", or "*" for whatever is there.
func globMatches(pattern, value string) bool {
	if suffix, found := strings.CutPrefix(pattern, "*"); found {
		return value != "" && strings.HasSuffix(value, suffix)
	}
	if prefix, found := strings.CutSuffix(pattern, "*"); found {
		return strings.HasPrefix(value, prefix)
	}
	return pattern == value
}

// operationsMatch judges ports, of which one suffices, and leaves HTTP open; on
// ztunnel a DENY counts without its HTTP attributes
// (istio pilot/pkg/serviceregistry/ambient/authorization.go).
func operationsMatch(to []*securityapi.Rule_To, f *model.Flow, ambient bool) verdict {
	if len(to) == 0 {
		return surely
	}
	best := never
	for _, each := range to {
		op := each.GetOperation()
		if !slices.ContainsFunc(f.Ports, func(p model.Port) bool { return portListed(op, p) }) {
			continue
		}
		v := surely
		http := len(op.GetHosts()) + len(op.GetNotHosts()) + len(op.GetMethods()) + len(op.GetNotMethods()) + len(op.GetPaths()) + len(op.GetNotPaths())
		if http > 0 && !ambient {
			v = perhaps
		}
		best = max(best, v)
	}
	return best
}

// portListed tells whether an operation's ports hold some port of a range.
func portListed(op *securityapi.Operation, p model.Port) bool {
	in := func(list []string, n int32) bool { return slices.Contains(list, strconv.Itoa(int(n))) }
	switch {
	case p.Protocol != corev1.ProtocolTCP:
		return false
	case p.Number == 0:
		return true
	}
	for n := p.Number; n <= p.Last(); n++ {
		if (len(op.GetPorts()) == 0 || in(op.GetPorts(), n)) && !in(op.GetNotPorts(), n) {
			return true
		}
	}
	return false
}
