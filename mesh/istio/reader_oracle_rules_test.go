package istio

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	securityapi "istio.io/api/security/v1beta1"
	securityclient "istio.io/client-go/pkg/apis/security/v1"

	"floe.dev/palisade/model"
	judging "floe.dev/palisade/verdict"
)

// sureness is how certainly a rule matches, as package verdict knows it.
type sureness int

const (
	unmatched sureness = iota
	unsure
	partly
	certainly
)

// asking is a connection, as one proxy sees it.
type asking struct {
	who         string
	source      netip.Addr
	destination string
	port        int32
	// kind is "ztunnel", "grpc" or "envoy", carries "http", "tcp" or "either".
	kind, carries string
}

// atServer is what a server's own proxy says.
func (o oracle) atServer(to *model.Workload, who string, source netip.Addr, port int32) judging.Decision {
	kind := kindOf(to)
	a := asking{who: who, source: source, destination: to.Addresses[0].String(), port: port, kind: "envoy", carries: "either"}
	switch {
	case kind == "outside", kind == "waypoint":
		return judging.Open
	case kind == "sidecar" && who == "" && o.left(to, port):
		return judging.Open
	case kind != "gateway" && who == "" && o.strict(to, port):
		return judging.Refused
	case kind == "ambient":
		a.kind = "ztunnel"
	case kind == "grpc":
		a.kind = "grpc"
	case kind == "sidecar":
		a.carries = carriedOn(to.Services, port)
	}
	return o.decide(a, func(p *securityclient.AuthorizationPolicy) bool {
		return (p.Namespace == worldRoot || p.Namespace == to.ID.Namespace) && len(p.Spec.TargetRefs) == 0 && subset(p.Spec.GetSelector().GetMatchLabels(), to.Labels)
	})
}

// carriedOn is what is declared of a port: the first three are HTTP, TCP and nothing.
func carriedOn(services []*model.Service, port int32) string {
	for _, s := range services {
		for _, p := range s.Ports {
			if p.TargetPort.IntVal == port {
				return map[string]string{"http": "http", "tcp": "tcp", "web": "either"}[p.Name]
			}
		}
	}
	return "either"
}

// atWaypoint is what a waypoint says.
func (o oracle) atWaypoint(h hop, who string, source netip.Addr, to *model.Workload, port int32) judging.Decision {
	a := asking{who: who, source: source, destination: to.Addresses[0].String(), port: port, kind: "envoy", carries: "either"}
	if h.service != nil {
		a.port, a.destination = h.port, h.service.ClusterIPs[0]
		a.carries = carriedOn([]*model.Service{h.service}, port)
	}
	return o.decide(a, func(p *securityclient.AuthorizationPolicy) bool {
		if len(p.Spec.TargetRefs) == 0 {
			return false
		}
		switch t := p.Spec.TargetRefs[0]; t.Kind {
		case "Service":
			return h.service != nil && p.Namespace == h.service.Namespace && t.Name == h.service.Name
		case "Gateway":
			return p.Namespace == h.via.ID.Namespace
		default:
			return p.Namespace == worldRoot
		}
	})
}

// decide walks the policies that apply: CUSTOM and DENY, then ALLOW.
func (o oracle) decide(a asking, applies func(*securityclient.AuthorizationPolicy) bool) judging.Decision {
	var refuses, allows, closed, unclear bool
	settled := false
	for _, action := range []securityapi.AuthorizationPolicy_Action{securityapi.AuthorizationPolicy_CUSTOM, securityapi.AuthorizationPolicy_DENY, securityapi.AuthorizationPolicy_ALLOW} {
		for _, p := range o.policies {
			if p.Spec.Action != action || !applies(p) || !inForce(p, a.kind) {
				continue
			}
			closed = closed || action == securityapi.AuthorizationPolicy_ALLOW && (a.kind != "grpc" || slices.ContainsFunc(p.Spec.Rules, heardOf))
			for _, r := range p.Spec.Rules {
				m := a.rule(p, r)
				if action == securityapi.AuthorizationPolicy_CUSTOM {
					m = min(m, unsure)
				}
				if m == unmatched || settled {
					continue
				}
				refuses, allows = refuses || action != securityapi.AuthorizationPolicy_ALLOW, allows || action == securityapi.AuthorizationPolicy_ALLOW
				unclear, settled = unclear || m == unsure, m == certainly
			}
		}
	}
	if !settled {
		refuses, allows = refuses || closed, allows || !closed
	}
	switch {
	case !refuses:
		return judging.Open
	case !allows:
		return judging.Refused
	case unclear:
		return judging.Unclear
	default:
		return judging.Partial
	}
}

func inForce(p *securityclient.AuthorizationPolicy, kind string) bool {
	if p.Spec.Action == securityapi.AuthorizationPolicy_CUSTOM {
		return kind == "envoy"
	}
	return p.Annotations["istio.io/dry-run"] != "true" || kind == "grpc"
}

func heardOf(r *securityapi.Rule) bool { return len(r.When) == 0 || r.When[0].Key != "unheard" }

// rule joins how a rule is read where requests show and where they do not.
func (a asking) rule(p *securityclient.AuthorizationPolicy, r *securityapi.Rule) sureness {
	allow := p.Spec.Action == securityapi.AuthorizationPolicy_ALLOW
	onRequests := onRequests(r, a.kind)
	switch {
	case a.kind == "ztunnel":
		if onRequests && allow {
			return unmatched
		}
		return a.read(p, r, false)
	case a.kind == "grpc", a.carries == "http":
		return a.read(p, r, true)
	case a.carries == "tcp":
		if onRequests && allow {
			return unmatched
		}
		return a.read(p, r, false)
	case !onRequests:
		return a.read(p, r, true)
	case allow:
		return min(a.read(p, r, true), partly)
	default:
		return max(a.read(p, r, true), min(a.read(p, r, false), partly))
	}
}

func onRequests(r *securityapi.Rule, kind string) bool {
	for _, f := range r.From {
		if len(f.Source.RequestPrincipals) > 0 {
			return true
		}
	}
	for _, t := range r.To {
		if len(t.Operation.Methods) > 0 {
			return true
		}
	}
	for _, c := range r.When {
		if kind == "ztunnel" && !slices.Contains([]string{"source.ip", "source.namespace", "destination.port", "destination.ip"}, c.Key) || c.Key == "request.headers[x]" {
			return true
		}
	}
	return false
}

// read is how certainly a rule matches; requests tells whether these show.
func (a asking) read(p *securityclient.AuthorizationPolicy, r *securityapi.Rule, requests bool) sureness {
	lenient := p.Spec.Action != securityapi.AuthorizationPolicy_ALLOW || a.kind == "ztunnel"
	if a.kind != "ztunnel" && !heardOf(r) || !lenient && rubbish(r) {
		return unmatched
	}
	from, to := certainly, certainly
	if len(r.From) > 0 {
		from = unmatched
		for _, f := range r.From {
			if a.kind != "ztunnel" || !deafTo(f.Source) {
				from = max(from, a.from(p, f.Source, requests))
			}
		}
	}
	if len(r.To) > 0 {
		to = unmatched
		for _, t := range r.To {
			if a.kind != "ztunnel" || len(readable(t.Operation.Ports))+len(t.Operation.NotPorts) > 0 {
				to = max(to, a.to(t.Operation, requests))
			}
		}
	}
	if a.kind == "ztunnel" && slices.ContainsFunc(r.When, func(c *securityapi.Condition) bool {
		return !slices.Contains([]string{"source.ip", "source.namespace", "destination.port", "destination.ip"}, c.Key)
	}) {
		return unmatched // nothing is left of the condition, and so it never holds
	}
	out := min(from, to)
	for _, c := range r.When {
		out = min(out, a.when(p, c, requests))
	}
	return out
}

// deafTo: ztunnel hears nothing of a source that says nothing of connections, and it then holds for nobody.
func deafTo(s *securityapi.Source) bool {
	return len(s.Principals)+len(s.NotPrincipals)+len(s.Namespaces)+len(s.ServiceAccounts)+len(readable(s.IpBlocks))+len(readable(s.NotIpBlocks)) == 0
}

func readable(values []string) []string {
	return slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "rubbish" || v == "x" })
}

// rubbish tells whether a rule names an address or a port that is none.
func rubbish(r *securityapi.Rule) bool {
	for _, f := range r.From {
		if slices.Contains(slices.Concat(f.Source.IpBlocks, f.Source.NotIpBlocks), "rubbish") {
			return true
		}
	}
	for _, t := range r.To {
		if slices.Contains(t.Operation.Ports, "x") {
			return true
		}
	}
	return false
}

func certain(b bool) sureness {
	if b {
		return certainly
	}
	return unmatched
}

func inBlock(block string, a netip.Addr) bool {
	if !strings.Contains(block, "/") {
		return block == a.String()
	}
	return netip.MustParsePrefix(block).Contains(a)
}

// inList is whether a list holds by one of its values; what cannot be read is no limit.
func inList(values []string, matches func(string) bool) bool {
	values = slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "rubbish" || v == "x" })
	return len(values) == 0 || slices.ContainsFunc(values, matches)
}

func outOf(values []string, matches func(string) bool) bool {
	values = slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "rubbish" })
	return !slices.ContainsFunc(values, matches)
}

func (a asking) from(p *securityclient.AuthorizationPolicy, s *securityapi.Source, requests bool) sureness {
	address := func(v string) bool { return inBlock(v, a.source) }
	holds := inList(s.Principals, a.principal) && outOf(s.NotPrincipals, a.principal) && inList(s.Namespaces, a.namespace) &&
		inList(s.ServiceAccounts, func(v string) bool { return a.account(p, v) }) && (a.kind == "ztunnel" || inList(s.TrustDomains, a.trustDomain)) &&
		inList(s.IpBlocks, address) && outOf(s.NotIpBlocks, address)
	if holds && requests && len(s.RequestPrincipals) > 0 {
		return partly
	}
	return certain(holds)
}

func (a asking) to(op *securityapi.Operation, requests bool) sureness {
	port := func(v string) bool { return v == strconv.Itoa(int(a.port)) }
	holds := inList(op.Ports, port) && outOf(op.NotPorts, port)
	if holds && requests && len(op.Methods) > 0 {
		return partly
	}
	return certain(holds)
}

func (a asking) when(p *securityclient.AuthorizationPolicy, c *securityapi.Condition, requests bool) sureness {
	switch c.Key {
	case "source.ip":
		return certain(inBlock(c.Values[0], a.source))
	case "source.namespace":
		return certain(outOf(c.NotValues, a.namespace))
	case "destination.port":
		return certain(slices.Contains(c.Values, strconv.Itoa(int(a.port))))
	case "destination.ip":
		return certain(inBlock(c.Values[0], netip.MustParseAddr(a.destination)))
	case "source.serviceAccount":
		return certain(a.kind == "ztunnel" || a.account(p, c.Values[0]))
	case "remote.ip":
		if a.kind == "ztunnel" {
			return certainly
		}
		if requests {
			return partly
		}
		return certain(inBlock(c.Values[0], a.source))
	case "request.headers[x]":
		if requests {
			return partly
		}
		return certainly
	case "connection.sni":
		if a.kind == "ztunnel" {
			return certainly
		}
		return partly
	default:
		return certainly // unheard of, for ztunnel one on requests
	}
}

// principal compares a pattern with the client's name.
func (a asking) principal(pattern string) bool {
	if a.who == "" {
		return false
	}
	if a.kind == "envoy" {
		for _, alias := range []string{"cluster.local/", "old.example/"} {
			if rest, found := strings.CutPrefix(pattern, alias); found {
				pattern = "td.example/" + rest
			}
		}
	}
	return like(strings.HasPrefix(pattern, "*"), pattern, a.who)
}

// like matches a pattern with a star at its front, at its end, or nowhere.
func like(front bool, pattern, text string) bool {
	switch {
	case pattern == "*":
		return true
	case front:
		return strings.HasSuffix(text, pattern[1:])
	case strings.HasSuffix(pattern, "*"):
		return strings.HasPrefix(text, pattern[:len(pattern)-1])
	default:
		return text == pattern
	}
}

func (a asking) namespace(pattern string) bool {
	parts := strings.Split(a.who, "/")
	if len(parts) != 5 {
		return false
	}
	if a.kind != "ztunnel" {
		return regexp.MustCompile("^" + strings.ReplaceAll(pattern, "*", ".*") + "$").MatchString(parts[2])
	}
	return like(strings.HasPrefix(pattern, "*"), pattern, parts[2])
}

func (a asking) account(p *securityclient.AuthorizationPolicy, account string) bool {
	if !strings.Contains(account, "/") {
		account = p.Namespace + "/" + account
	}
	return strings.HasSuffix(a.who, "/ns/"+strings.ReplaceAll(account, "/", "/sa/"))
}

func (a asking) trustDomain(domain string) bool {
	return a.who != "" && (domain == "td.example" || domain == "old.example" && a.kind == "envoy")
}
