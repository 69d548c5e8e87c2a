package istio

import (
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
//	in a rule of DENY        as they say        they are ignored     they are ignored, see atZtunnel
//
// What cannot be read of a list (an address, a port) drops a rule of ALLOW and is
// ignored in others; ztunnel ignores it in all. A rule with a condition that is
// unheard of counts for nothing, but ztunnel takes the condition for one on requests
// (pilot/pkg/security/authz/model/model.go, pilot/pkg/serviceregistry/ambient/authorization.go).
type ruleReader struct {
	*Reader
	policy   *authorizationPolicy
	rule     *authorizationRule
	enforcer *enforcer
	effect   model.Effect
	cause    model.Cause
	// blind tells that the reading is for ports where requests do not show.
	blind bool
	// invalid tells that the rule counts for nothing.
	invalid bool
}

// read gives a rule for each operation, and for ports with and without requests where these differ.
func (t *ruleReader) read() []model.FilterRule {
	e := t.enforcer
	requests, relayed := t.looksAtRequests(), t.looksAtRelayed()
	switch {
	case e.kind == ztunnel && requests && t.effect == model.Allow:
		return nil
	case e.kind == ztunnel:
		if !t.atZtunnel() {
			return nil
		}
		return t.view(everyTCP, true)
	case e.kind == grpc, !requests && !relayed:
		return t.view(everyTCP, false)
	}
	rules := t.view(everyTCP.only(e.http), false)
	rules = append(rules, t.sniffed(everyTCP.without(e.http).without(e.tcp).without(e.disputed), requests)...)
	for _, rule := range t.view(everyTCP.only(e.disputed), false) {
		rule.Unknown = "Services declare the port differently, and the oldest decides whether requests show there"
		rules = append(rules, rule)
	}
	if requests && t.effect == model.Allow {
		return rules
	}
	return append(rules, t.view(everyTCP.only(e.tcp), true)...)
}

// sniffed reads the rule for ports where the proxy looks whether a connection carries HTTP.
func (t *ruleReader) sniffed(of ranges, requests bool) []model.FilterRule {
	rules := t.view(of, false)
	if !requests || len(rules) == 0 {
		return rules
	}
	if t.effect == model.Allow {
		for i := range rules {
			if rules[i].Requests == "" {
				rules[i].Requests = "HTTP"
			}
		}
		return rules
	}
	for _, rule := range t.view(of, true) {
		rule.Requests = "no HTTP"
		rules = append(rules, rule)
	}
	return rules
}

// view reads the rule for some of the ports that it may name, blind where requests do not show there.
func (t *ruleReader) view(of ranges, blind bool) []model.FilterRule {
	t.blind, t.invalid = blind, t.enforcer.kind != ztunnel && !t.rule.known()
	terms := t.terms()
	operations := []requestOperation{{}}
	if len(t.rule.To) > 0 {
		operations = operations[:0]
		for _, to := range t.rule.To {
			operations = append(operations, to.Operation)
		}
	}
	var rules []model.FilterRule
	for i := range operations {
		rule := model.FilterRule{Effect: t.effect, Peers: terms, Ports: t.serverPorts(t.ports(of, &operations[i])), Cause: t.cause}
		if !blind {
			rule.Requests = operations[i].requests()
		}
		if len(rule.Ports) > 0 {
			rules = append(rules, rule)
		}
	}
	if t.invalid {
		return nil
	}
	return rules
}

// atZtunnel leaves of a rule what ztunnel knows of connections, and tells whether the
// rule can match. A part of a clause in which nothing is left matches nothing, and so
// does a clause of such parts alone: a rule of DENY on requests alone refuses nothing
// (ztunnel src/rbac.rs, "empty clause"; istio#61126).
func (t *ruleReader) atZtunnel() bool {
	left := authorizationRule{When: t.rule.When}
	for _, from := range t.rule.From {
		if from.Source.onConnections() || len(t.blocks(from.Source.IPBlocks))+len(t.blocks(from.Source.NotIPBlocks)) > 0 {
			left.From = append(left.From, from)
		}
	}
	for _, to := range t.rule.To {
		if len(t.numbers(to.Operation.Ports))+len(t.numbers(to.Operation.NotPorts)) > 0 {
			left.To = append(left.To, to)
		}
	}
	lost := len(left.From) == 0 && len(t.rule.From) > 0 || len(left.To) == 0 && len(t.rule.To) > 0 || slices.ContainsFunc(left.When, t.silent)
	t.rule = &left
	return !lost
}

// silent tells whether nothing is left of a condition at ztunnel.
func (t *ruleReader) silent(when condition) bool {
	switch when.Key {
	case "source.namespace", "source.principal":
		return when.empty()
	case "source.ip", "destination.ip":
		return len(t.blocks(when.Values))+len(t.blocks(when.NotValues)) == 0
	case "destination.port":
		return len(t.numbers(when.Values))+len(t.numbers(when.NotValues)) == 0
	default:
		return true
	}
}

// looksAtRequests tells whether the rule has attributes that only requests have, in the eyes of its enforcer.
func (t *ruleReader) looksAtRequests() bool {
	tunnel := t.enforcer.kind == ztunnel
	for _, to := range t.rule.To {
		if to.Operation.requests() != "" {
			return true
		}
	}
	for _, from := range t.rule.From {
		s := &from.Source
		if len(s.RequestPrincipals)+len(s.NotRequestPrincipals) > 0 || tunnel && len(s.RemoteIPBlocks)+len(s.NotRemoteIPBlocks) > 0 {
			return true
		}
	}
	return slices.ContainsFunc(t.rule.When, func(when condition) bool {
		if tunnel {
			return !slices.Contains([]string{"source.ip", "source.namespace", "source.principal", "destination.ip", "destination.port"}, when.Key)
		}
		return !when.empty() && strings.HasPrefix(when.Key, "request.")
	})
}

// looksAtRelayed tells whether the rule looks at the address that requests give of their client; a connection's own stands in where none show.
func (t *ruleReader) looksAtRelayed() bool {
	return slices.ContainsFunc(t.rule.When, func(when condition) bool { return when.Key == "remote.ip" && !when.empty() }) ||
		slices.ContainsFunc(t.rule.From, func(from ruleFrom) bool {
			return len(from.Source.RemoteIPBlocks)+len(from.Source.NotRemoteIPBlocks) > 0
		})
}

// known tells whether Envoy has heard of all conditions of a rule.
func (r *authorizationRule) known() bool {
	exact := []string{
		"source.ip", "source.namespace", "source.principal", "source.serviceAccount", "source.trustDomain", "destination.ip", "destination.port",
		"remote.ip", "connection.sni", "request.auth.principal", "request.auth.audiences", "request.auth.presenter",
	}
	prefixes := []string{"request.headers", "request.auth.claims", "experimental.envoy.filters."}
	return !slices.ContainsFunc(r.When, func(when condition) bool {
		return !slices.Contains(exact, when.Key) && !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(when.Key, p) })
	})
}

func (c *condition) empty() bool { return len(c.Values)+len(c.NotValues) == 0 }

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
		for _, at := range t.enforcer.at {
			if r.first <= at.port && at.port <= r.last {
				terms = append(terms, model.PortTerm{Port: model.TCP(at.target)})
			}
		}
	}
	return terms
}

// ports are those of an operation, narrowed by the rule's conditions.
func (t *ruleReader) ports(of ranges, op *requestOperation) ranges {
	ports := t.narrowed(of, op.Ports, op.NotPorts)
	for _, when := range t.rule.When {
		if when.Key == "destination.port" {
			ports = t.narrowed(ports, when.Values, when.NotValues)
		}
	}
	return ports
}

// narrowed keeps the ports of a list, less those of another. A list of which nothing can be read does not narrow.
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
			t.unread()
			continue
		}
		list = append(list, int32(n))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// unread notes that a value cannot be read.
func (t *ruleReader) unread() {
	t.invalid = t.invalid || t.effect == model.Allow && t.enforcer.kind != ztunnel
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
func (t *ruleReader) terms() (terms []model.Term) {
	sources := []peerSource{{}}
	if len(t.rule.From) > 0 {
		sources = sources[:0]
		for _, from := range t.rule.From {
			sources = append(sources, from.Source)
		}
	}
	for i := range sources {
		term := t.term(&sources[i])
		for _, when := range t.rule.When {
			if !when.empty() {
				t.condition(&term, when)
			}
		}
		terms = append(terms, term)
	}
	anybody := func(term model.Term) bool {
		return len(term.Names) == 0 && term.In == nil && term.NotIn == nil && term.Requests == "" && term.Unknown == ""
	}
	if slices.ContainsFunc(terms, anybody) {
		return nil
	}
	return terms
}

func (t *ruleReader) term(s *peerSource) model.Term {
	var term model.Term
	t.name(&term, model.NamePrincipal, t.principals(s.Principals), t.principals(s.NotPrincipals))
	t.name(&term, model.NameNamespace, t.namespaces(s.Namespaces), t.namespaces(s.NotNamespaces))
	t.name(&term, model.NameAccount, t.accounts(s.ServiceAccounts), t.accounts(s.NotServiceAccounts))
	t.trustDomains(&term, s.TrustDomains, s.NotTrustDomains)
	t.within(&term, s.IPBlocks, s.NotIPBlocks)
	t.relayed(&term, s.RemoteIPBlocks, s.NotRemoteIPBlocks)
	if !t.blind {
		t.depends(&term, "request principals", append(slices.Clone(s.RequestPrincipals), s.NotRequestPrincipals...))
	}
	return term
}

func (t *ruleReader) condition(term *model.Term, when condition) {
	switch when.Key {
	case "destination.port":
	case "source.ip":
		t.within(term, when.Values, when.NotValues)
	case "source.namespace":
		t.name(term, model.NameNamespace, t.namespaces(when.Values), t.namespaces(when.NotValues))
	case "source.principal":
		t.name(term, model.NamePrincipal, t.principals(when.Values), t.principals(when.NotValues))
	case "destination.ip":
		t.destination(term, when.Values, when.NotValues)
	default:
		if t.enforcer.kind != ztunnel {
			t.beyondZtunnel(term, when)
		}
	}
}

// beyondZtunnel reads the conditions that ztunnel takes for some on requests.
func (t *ruleReader) beyondZtunnel(term *model.Term, when condition) {
	switch when.Key {
	case "source.serviceAccount":
		t.name(term, model.NameAccount, t.accounts(when.Values), t.accounts(when.NotValues))
	case "source.trustDomain":
		t.trustDomains(term, when.Values, when.NotValues)
	case "remote.ip":
		t.relayed(term, when.Values, when.NotValues)
	default:
		named := strings.HasPrefix(when.Key, "request.headers") || strings.HasPrefix(when.Key, "request.auth.claims") || strings.HasPrefix(when.Key, "experimental.")
		switch {
		case named && !strings.Contains(when.Key, "["):
			t.unread() // it does not say which header, which claim
		case !t.blind || !strings.HasPrefix(when.Key, "request."):
			t.depends(term, when.Key, []string{when.Key})
		}
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
// (pilot/pkg/security/trustdomain/bundle.go). ztunnel and gRPC take them to the letter.
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

// namespaces reads patterns as Envoy does, for whom "*" may stand anywhere and
// often (pilot/pkg/security/authz/model/generator.go): these are spelled out.
func (t *ruleReader) namespaces(patterns []string) []string {
	if t.enforcer.kind == ztunnel {
		return patterns
	}
	var out []string
	for _, pattern := range patterns {
		if inner := strings.TrimSuffix(strings.TrimPrefix(pattern, "*"), "*"); !strings.Contains(inner, "*") && (inner == pattern || strings.Count(pattern, "*") == 1) {
			out = append(out, pattern)
			continue
		}
		out = append(out, "") // matches none, so that the list is not empty
		for _, n := range t.m.Namespaces {
			if starMatches(strings.Split(pattern, "*"), n.Name) {
				out = append(out, n.Name)
			}
		}
	}
	return out
}

// starMatches tells whether a text consists of parts with anything between them.
func starMatches(parts []string, text string) bool {
	last := len(parts) - 1
	if !strings.HasPrefix(text, parts[0]) {
		return false
	}
	text = text[len(parts[0]):]
	for _, part := range parts[1:last] {
		at := strings.Index(text, part)
		if at < 0 {
			return false
		}
		text = text[at+len(part):]
	}
	return strings.HasSuffix(text, parts[last])
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
// ztunnel does not look at them at all, and gRPC takes aliases to the letter.
func (t *ruleReader) trustDomains(term *model.Term, domains, not []string) {
	if t.enforcer.kind == ztunnel || len(domains)+len(not) == 0 {
		return
	}
	if t.mesh.TrustDomain == "" {
		term.Unknown = "the trust domain is not known"
		return
	}
	for _, list := range []struct {
		domains []string
		not     bool
	}{{domains, false}, {not, true}} {
		if len(list.domains) == 0 {
			continue
		}
		patterns := []string{}
		for _, domain := range list.domains {
			if t.enforcer.kind == envoy && slices.Contains(t.mesh.TrustDomainAliases, domain) {
				domain = t.mesh.TrustDomain
			}
			if domain == t.mesh.TrustDomain || strings.Contains(domain, "*") && starMatches(strings.SplitN(domain, "*", 2), t.mesh.TrustDomain) {
				patterns = append(patterns, "*")
			}
		}
		term.Names = append(term.Names, model.NameTerm{Of: model.NamePrincipal, Patterns: patterns, Not: list.not})
	}
}

// within narrows a term to addresses. Blocks that two conditions name are cut with each other.
func (t *ruleReader) within(term *model.Term, blocks, not []string) {
	if list := t.blocks(blocks); len(list) > 0 {
		if term.In != nil {
			list = overlap(term.In, list)
		}
		term.In = list
	}
	term.NotIn = append(term.NotIn, t.blocks(not)...)
}

// relayed narrows a term to addresses that requests may tell otherwise; where none show, the connection's own counts.
func (t *ruleReader) relayed(term *model.Term, blocks, not []string) {
	switch {
	case t.enforcer.kind == ztunnel:
	case t.blind:
		t.within(term, blocks, not)
	default:
		t.depends(term, "remote addresses", append(t.texts(blocks), t.texts(not)...))
	}
}

// texts are the blocks that can be read.
func (t *ruleReader) texts(blocks []string) []string {
	var list []string
	for _, b := range t.blocks(blocks) {
		list = append(list, b.CIDR.String())
	}
	return list
}

// destination judges by the addresses of the server. Where these are not all on one side, a connection to it may be on either.
func (t *ruleReader) destination(term *model.Term, blocks, not []string) {
	in, out := t.blocks(blocks), t.blocks(not)
	if len(in)+len(out) == 0 {
		return
	}
	inside := 0
	for _, a := range t.enforcer.addresses {
		if (len(in) == 0 || holds(in, a)) && !holds(out, a) {
			inside++
		}
	}
	switch {
	case len(t.enforcer.addresses) == 0 || inside > 0 && inside < len(t.enforcer.addresses):
		term.Unknown = "destination.ip is compared with the server's address"
	case inside == 0:
		term.In = []model.AddressBlock{} // matches nobody
	}
}

func holds(blocks []model.AddressBlock, a netip.Addr) bool {
	return slices.ContainsFunc(blocks, func(b model.AddressBlock) bool { return b.CIDR.Contains(a) })
}

func (t *ruleReader) blocks(texts []string) []model.AddressBlock {
	var list []model.AddressBlock
	for _, text := range texts {
		prefix, err := parseBlock(text)
		if err != nil {
			t.unread()
			continue
		}
		list = append(list, model.AddressBlock{CIDR: prefix})
	}
	return list
}

// parseBlock reads "10.1.2.3" or "10.1.0.0/16". IPv4 written as IPv6 stays IPv6, and so holds for no IPv4 address.
func parseBlock(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		address, err := netip.ParseAddr(text)
		if err != nil {
			return netip.Prefix{}, err
		}
		return netip.PrefixFrom(address.WithZone(""), address.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	return prefix.Masked(), err
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
