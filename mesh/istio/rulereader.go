package istio

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"floe.dev/palisade/model"
)

// ruleReader turns one rule of an AuthorizationPolicy into rules of a filter, as
// one enforcer reads it:
//
//	attributes of requests   Envoy, HTTP port   Envoy, TCP port      ztunnel
//	in a rule of ALLOW       as they say        the rule is dropped  the rule is dropped
//	in a rule of DENY        as they say        they are ignored     they are ignored
//
// (pilot/pkg/security/authz/model/model.go, pilot/pkg/serviceregistry/ambient/authorization.go)
type ruleReader struct {
	*Reader
	policy   *authorizationPolicy
	rule     *authorizationRule
	enforcer *enforcer
	effect   model.Effect
	cause    model.Cause
	// invalid tells that Istio skips the rule.
	invalid bool
}

// read gives a rule for each operation, and for ports with and without requests where these differ.
func (t *ruleReader) read() []model.FilterRule {
	terms, fromRequests := t.terms()
	operations := []requestOperation{{}}
	if len(t.rule.To) > 0 {
		operations = operations[:0]
		for _, to := range t.rule.To {
			operations = append(operations, to.Operation)
		}
	}
	anyRequests := fromRequests
	for i := range operations {
		anyRequests = anyRequests || operations[i].requests() != ""
	}
	var rules []model.FilterRule
	for i := range operations {
		ports := t.ports(&operations[i])
		if t.invalid {
			return nil
		}
		rules = append(rules, t.split(terms, ports, operations[i].requests(), anyRequests)...)
	}
	return rules
}

// split makes the rules of one operation.
func (t *ruleReader) split(terms []model.Term, ports ranges, requests string, anyRequests bool) []model.FilterRule {
	rule := model.FilterRule{Effect: t.effect, Peers: terms, Ports: t.serverPorts(ports), Requests: requests, Cause: t.cause}
	blind := rule
	blind.Peers, blind.Requests = withoutRequests(terms), ""
	switch {
	case !anyRequests, t.enforcer.kind == grpc:
		return []model.FilterRule{rule}
	case t.enforcer.kind == ztunnel && t.effect == model.Allow:
		return nil
	case t.enforcer.kind == ztunnel:
		return []model.FilterRule{blind}
	}
	var rules []model.FilterRule
	if seen := ports.without(t.enforcer.tcp); len(seen) > 0 {
		rule.Ports = t.serverPorts(seen)
		rules = append(rules, rule)
	}
	if unseen := ports.only(t.enforcer.tcp); len(unseen) > 0 && t.effect == model.Deny {
		blind.Ports = t.serverPorts(unseen)
		rules = append(rules, blind)
	}
	return rules
}

func withoutRequests(terms []model.Term) []model.Term {
	if terms == nil {
		return nil
	}
	out := make([]model.Term, 0, len(terms))
	for _, term := range terms {
		term.Requests = ""
		out = append(out, term)
	}
	return out
}

// serverPorts turns ports as policies name them into those of the server.
func (t *ruleReader) serverPorts(of ranges) []model.PortTerm {
	terms := []model.PortTerm{}
	for _, r := range of {
		if t.enforcer.at == nil || r == everyTCP[0] {
			p := model.TCP(r.first)
			if r == everyTCP[0] {
				p = model.AllTCP()
			} else if r.last > r.first {
				p.End = r.last
			}
			terms = append(terms, model.PortTerm{Port: p})
			continue
		}
		for port := r.first; port <= r.last; port++ {
			for _, at := range t.enforcer.at(port) {
				terms = append(terms, model.PortTerm{Port: model.TCP(at)})
			}
		}
	}
	return terms
}

// ports are those of an operation, narrowed by the rule's conditions.
func (t *ruleReader) ports(op *requestOperation) ranges {
	ports := t.narrowed(everyTCP, op.Ports, op.NotPorts)
	for _, when := range t.rule.When {
		if when.Key == "destination.port" {
			ports = t.narrowed(ports, when.Values, when.NotValues)
		}
	}
	return ports
}

// narrowed keeps the ports of a list, less those of another. What is no port makes a rule of ALLOW invalid, and is ignored in one of DENY.
func (t *ruleReader) narrowed(ports ranges, only, not []string) ranges {
	if list := t.numbers(only); len(list) > 0 {
		ports = ports.only(list)
	}
	return ports.without(t.numbers(not))
}

func (t *ruleReader) numbers(texts []string) []int32 {
	var list []int32
	for _, text := range texts {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			t.invalid = t.invalid || t.effect == model.Allow
			continue
		}
		list = append(list, int32(n))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// requests says what of requests an operation looks at, or is empty.
func (op *requestOperation) requests() string {
	var parts []string
	for _, part := range []struct {
		name string
		list []string
	}{
		{"hosts", op.Hosts}, {"not hosts", op.NotHosts}, {"methods", op.Methods}, {"not methods", op.NotMethods}, {"paths", op.Paths}, {"not paths", op.NotPaths},
	} {
		if len(part.list) > 0 {
			parts = append(parts, part.name+" "+strings.Join(part.list, ", "))
		}
	}
	return strings.Join(parts, "; ")
}

// terms are the sources of the rule, each with all conditions; nil is everybody.
func (t *ruleReader) terms() (terms []model.Term, requests bool) {
	sources := []peerSource{{}}
	if len(t.rule.From) > 0 {
		sources = sources[:0]
		for _, from := range t.rule.From {
			sources = append(sources, from.Source)
		}
	}
	anybody := true
	for i := range sources {
		term := t.term(&sources[i])
		for _, when := range t.rule.When {
			t.condition(&term, when)
		}
		requests = requests || term.Requests != ""
		anybody = anybody && len(term.Names) == 0 && term.In == nil && term.NotIn == nil && term.Requests == "" && term.Unknown == ""
		terms = append(terms, term)
	}
	if anybody {
		return nil, requests
	}
	return terms, requests
}

func (t *ruleReader) term(s *peerSource) model.Term {
	var term model.Term
	t.name(&term, model.NamePrincipal, t.principals(s.Principals), t.principals(s.NotPrincipals))
	t.name(&term, model.NameNamespace, s.Namespaces, s.NotNamespaces)
	t.name(&term, model.NameAccount, t.accounts(s.ServiceAccounts), t.accounts(s.NotServiceAccounts))
	t.trustDomains(&term, s.TrustDomains, s.NotTrustDomains)
	t.within(&term, s.IPBlocks, s.NotIPBlocks)
	t.depends(&term, "request principals", append(slices.Clone(s.RequestPrincipals), s.NotRequestPrincipals...))
	t.depends(&term, "remote addresses", append(slices.Clone(s.RemoteIPBlocks), s.NotRemoteIPBlocks...))
	return term
}

func (t *ruleReader) condition(term *model.Term, when condition) {
	switch when.Key {
	case "destination.port":
	case "source.ip":
		t.within(term, when.Values, when.NotValues)
	case "source.namespace":
		t.name(term, model.NameNamespace, when.Values, when.NotValues)
	case "source.principal":
		t.name(term, model.NamePrincipal, t.principals(when.Values), t.principals(when.NotValues))
	case "source.serviceAccount":
		t.name(term, model.NameAccount, t.accounts(when.Values), t.accounts(when.NotValues))
	case "source.trustDomain":
		t.trustDomains(term, when.Values, when.NotValues)
	case "destination.ip":
		term.Unknown = "destination.ip is compared with the server's address"
	default:
		t.depends(term, when.Key, []string{when.Key})
		known := slices.ContainsFunc([]string{"request.headers[", "request.auth.", "connection.sni", "remote.ip", "experimental.envoy.filters."}, func(prefix string) bool {
			return strings.HasPrefix(when.Key, prefix)
		})
		t.invalid = t.invalid || !known && t.enforcer.kind != ztunnel
	}
}

func (t *ruleReader) name(term *model.Term, of model.NameOf, patterns, not []string) {
	if len(patterns) > 0 {
		term.Names = append(term.Names, model.NameTerm{Of: of, Patterns: patterns})
	}
	if len(not) > 0 {
		term.Names = append(term.Names, model.NameTerm{Of: of, Patterns: not, Not: true})
	}
}

// depends notes that a term looks at more than connections show.
func (t *ruleReader) depends(term *model.Term, what string, values []string) {
	if len(values) == 0 {
		return
	}
	if term.Requests != "" {
		what = term.Requests + "; " + what
	}
	term.Requests = what
}

// principals reads names under the mesh's own trust domain, where they are given
// under one of its aliases or under "cluster.local", which stands for it
// (pilot/pkg/security/trustdomain/bundle.go). ztunnel takes them to the letter.
func (t *ruleReader) principals(patterns []string) []string {
	if t.enforcer.kind != envoy || t.mesh.TrustDomain == "" {
		return patterns
	}
	var out []string
	for _, pattern := range patterns {
		out = append(out, pattern)
		parts := strings.Split(pattern, "/")
		if len(parts) != 5 || parts[0] == "*" {
			continue
		}
		local := parts[0] == defaultTrustDomain || slices.ContainsFunc(append([]string{t.mesh.TrustDomain}, t.mesh.TrustDomainAliases...), func(domain string) bool {
			return globMatches(parts[0], domain) || globMatches(domain, parts[0])
		})
		if local {
			out = append(out, t.mesh.TrustDomain+"/"+strings.Join(parts[1:], "/"))
		}
	}
	return out
}

// accounts completes names without a namespace by the policy's own.
func (t *ruleReader) accounts(names []string) []string {
	var out []string
	for _, name := range names {
		if !strings.Contains(name, "/") {
			name = t.policy.ref.Namespace + "/" + name
		}
		out = append(out, name)
	}
	return out
}

// trustDomains judges by the mesh's own, which is that of every workload in it.
func (t *ruleReader) trustDomains(term *model.Term, domains, not []string) {
	for _, list := range []struct {
		domains []string
		not     bool
	}{{domains, false}, {not, true}} {
		if len(list.domains) == 0 {
			continue
		}
		if t.enforcer.kind == ztunnel {
			term.Unknown = "ztunnel does not say whether it looks at trust domains"
			continue
		}
		patterns := []string{}
		for _, domain := range list.domains {
			if slices.Contains(t.mesh.TrustDomainAliases, domain) {
				domain = t.mesh.TrustDomain
			}
			if domain == "*" || globMatches(domain, t.mesh.TrustDomain) {
				patterns = append(patterns, "*")
			}
		}
		if t.mesh.TrustDomain == "" {
			term.Unknown = "the trust domain is not known"
			continue
		}
		term.Names = append(term.Names, model.NameTerm{Of: model.NamePrincipal, Patterns: patterns, Not: list.not})
	}
}

// within narrows a term to addresses. Blocks that two conditions name are cut with each other.
func (t *ruleReader) within(term *model.Term, blocks, not []string) {
	if len(blocks) > 0 {
		list := t.blocks(blocks)
		if term.In != nil {
			list = overlap(term.In, list)
		}
		term.In = list
	}
	if len(not) > 0 {
		term.NotIn = append(term.NotIn, t.blocks(not)...)
	}
}

func (t *ruleReader) blocks(texts []string) []model.AddressBlock {
	list := []model.AddressBlock{}
	for _, text := range texts {
		prefix, err := parseBlock(text)
		if err != nil {
			t.invalid = t.invalid || t.effect == model.Allow
			continue
		}
		list = append(list, model.AddressBlock{CIDR: prefix})
	}
	return list
}

// parseBlock reads "10.1.2.3" or "10.1.0.0/16".
func parseBlock(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		address, err := netip.ParseAddr(text)
		if err != nil {
			return netip.Prefix{}, err
		}
		address = address.Unmap().WithZone("")
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	if prefix.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%s is IPv4 written as IPv6", text)
	}
	return prefix.Masked(), nil
}

// overlap is what lies in both of two lists of blocks without exceptions.
func overlap(a, b []model.AddressBlock) []model.AddressBlock {
	both := []model.AddressBlock{}
	for _, x := range a {
		for _, y := range b {
			switch {
			case !x.CIDR.Overlaps(y.CIDR):
			case x.CIDR.Bits() > y.CIDR.Bits():
				both = append(both, x)
			default:
				both = append(both, y)
			}
		}
	}
	return both
}
