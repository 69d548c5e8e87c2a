package istio

import (
	"maps"
	"slices"
	"strings"

	"floe.dev/palisade/model"
)

// destinationRule is a DestinationRule as far as TLS goes.
type destinationRule struct {
	number int
	ref    model.Ref
	// host is in full, or a wildcard.
	host string
	// clients are the labels of the client's pods that it is for, where selects is true: then of its own namespace only.
	clients map[string]string
	selects bool
	// exportTo are the namespaces that see it, sorted; none means every one.
	exportTo []string
	// policy is nil where it has no traffic policy at all.
	policy *tlsPolicy
}

// tlsPolicy is what a traffic policy says of TLS.
type tlsPolicy struct {
	// ref is the rule that it stands in.
	ref   model.Ref
	whole tlsSetting
	// ports are those of the Service that have settings of their own, with an empty mode where these say nothing of TLS.
	ports map[int32]tlsSetting
}

// hostRules holds rules by host, merged as Istio merges those of one host.
type hostRules map[string][]destinationRule

// ruleIndex is where rules are found for clients of a namespace.
type ruleIndex struct {
	// local are all rules of a namespace that it sees itself, exported those that others may see.
	local, exported map[string]hostRules
	// root are rules of the root namespace that no other sees.
	root hostRules
	// limited tells that some rule is exported to some namespaces only.
	limited bool
	// selecting are those with a selector, by namespace.
	selecting map[string][]destinationRule
	count     int
}

func (r *Reader) readRules(objects []model.Object) {
	r.rules = ruleIndex{local: map[string]hostRules{}, exported: map[string]hostRules{}, root: hostRules{}, selecting: map[string][]destinationRule{}}
	// Those with a selector come first, and the oldest of each sort.
	for _, selecting := range []bool{true, false} {
		for i := range objects {
			if o := &objects[i]; (o.Map("spec", "workloadSelector") != nil) == selecting {
				r.addRule(o)
			}
		}
	}
}

// addRule puts a rule where clients look for it (pilot/pkg/model/push_context.go, setDestinationRules).
func (r *Reader) addRule(o *model.Object) {
	d := r.ruleOf(o)
	home, x := d.ref.Namespace, &r.rules
	x.count++
	if d.selects {
		x.selecting[home] = append(x.selecting[home], d)
	}
	own := slices.Contains(d.exportTo, ".") || slices.Contains(d.exportTo, home)
	everybody := len(d.exportTo) == 0 || slices.Contains(d.exportTo, "*")
	if own || everybody {
		rulesIn(x.local, home).merge(d)
	}
	switch private := len(d.exportTo) == 1 && own; {
	case !private:
		rulesIn(x.exported, home).merge(d)
		x.limited = x.limited || !everybody
	case home == r.root:
		x.root.merge(d)
	}
}

func rulesIn(sets map[string]hostRules, namespace string) hostRules {
	if sets[namespace] == nil {
		sets[namespace] = hostRules{}
	}
	return sets[namespace]
}

func (r *Reader) ruleOf(o *model.Object) destinationRule {
	d := destinationRule{number: r.rules.count, ref: o.Ref(), host: text(o, "spec", "host"), clients: matchLabels(o, "workloadSelector", "matchLabels")}
	d.selects = o.Map("spec", "workloadSelector") != nil
	if d.host != "*" && !strings.Contains(d.host, ".") {
		d.host += "." + d.ref.Namespace + ".svc." + r.domain
	}
	list, _ := o.Map("spec")["exportTo"].([]any)
	for _, namespace := range list {
		if name, ok := namespace.(string); ok {
			d.exportTo = append(d.exportTo, name)
		}
	}
	if d.selects {
		d.exportTo = []string{"."}
	}
	slices.Sort(d.exportTo)
	d.exportTo = slices.Compact(d.exportTo)
	if policy := o.Map("spec", "trafficPolicy"); policy != nil {
		d.policy = policyOf(d.ref, policy)
	}
	return d
}

func policyOf(ref model.Ref, policy map[string]any) *tlsPolicy {
	p := &tlsPolicy{ref: ref, whole: tlsSetting{"spec.trafficPolicy.tls.mode", settingMode(policy)}, ports: map[int32]tlsSetting{}}
	list, _ := policy["portLevelSettings"].([]any)
	for i, item := range list {
		fields, _ := item.(map[string]any)
		port, _ := fields["port"].(map[string]any)
		at := int32(number(port["number"]))
		if _, first := p.ports[at]; !first && at > 0 {
			p.ports[at] = tlsSetting{"spec.trafficPolicy.portLevelSettings[" + itoa(i) + "].tls.mode", settingMode(fields)}
		}
	}
	return p
}

// merge adds a rule to those of its host. A rule with the same audience as one
// before it is not kept beside it: it only lends it its traffic policy where that
// has none. So a rule that is exported to its own namespace only is lost behind
// one with a selector (pilot/pkg/model/destination_rule.go).
func (s hostRules) merge(d destinationRule) {
	apart := true
	list := slices.Clone(s[d.host])
	for i := range list {
		m := &list[i]
		apart = !slices.Equal(d.exportTo, m.exportTo)
		if apart && (len(m.exportTo) == 0 || !containsAll(d.exportTo, m.exportTo)) {
			continue
		}
		if d.selects && m.selects && !maps.Equal(d.clients, m.clients) {
			apart = true
			continue
		}
		if d.selects == m.selects {
			apart = false
		}
		if m.policy == nil {
			m.policy = d.policy
		}
	}
	if apart {
		list = append(list, d)
	}
	s[d.host] = list
}

func containsAll(list, of []string) bool {
	return !slices.ContainsFunc(of, func(x string) bool { return !slices.Contains(list, x) })
}

// forService are the rules of the most specific host that stands for a Service.
func (r *Reader) forService(rules hostRules, s *model.Service) []destinationRule {
	best := ""
	for host := range rules {
		wild := strings.HasPrefix(host, "*")
		switch {
		case !hostMatches(host, s.Namespace, r.domain, s):
		case !wild:
			return rules[host]
		case len(host) > len(best):
			best = host
		}
	}
	return rules[best]
}

// ruleFor finds the DestinationRule by which a client calls a Service: of its own
// namespace, else of the Service's, else of the root; in each, those of the most
// specific host, and nothing else where none of these is for the client
// (pilot/pkg/model/push_context.go, destinationRule; sidecar.go, DestinationRule).
func (r *Reader) ruleFor(client *model.Workload, s *model.Service) *destinationRule {
	home, x := client.ID.Namespace, &r.rules
	rules := x.local[home]
	if home == r.root {
		rules = x.root
	}
	found := r.forService(rules, s)
	for _, owner := range []string{s.Namespace, r.root} {
		if len(found) == 0 {
			found = slices.DeleteFunc(slices.Clone(r.forService(x.exported[owner], s)), func(d destinationRule) bool { return !d.seenFrom(home) })
		}
	}
	var whole *destinationRule
	for i := range found {
		d := &found[i]
		if !d.selects {
			whole = d
		} else if d.ref.Namespace == home && selects(d.clients, client.Labels) {
			return d
		}
	}
	return whole
}

// seenFrom tells whether another namespace sees the rule.
func (d *destinationRule) seenFrom(namespace string) bool {
	return len(d.exportTo) == 0 || slices.Contains(d.exportTo, "*") || slices.Contains(d.exportTo, namespace)
}

// cluster is the TLS of connections to a port of the Service: settings of the port
// replace those of the whole, even where they say nothing of TLS
// (pilot/pkg/networking/util/util.go, GetPortLevelTrafficPolicy).
func (d *destinationRule) cluster(port int32) tlsSetting {
	if d == nil || d.policy == nil {
		return tlsSetting{}
	}
	if s, found := d.policy.ports[port]; found {
		return s
	}
	return d.policy.whole
}

// endpoint is the mode by which it is decided whether an endpoint gets mTLS where
// the client finds out: that of the port, else of the whole (pilot/pkg/xds/endpoints/mtls_checker.go).
func (d *destinationRule) endpoint(port int32) tlsSetting {
	if s := d.cluster(port); s.mode != "" || d == nil || d.policy == nil {
		return s
	}
	return d.policy.whole
}

// heeds are the numbers of the rules that are for a client's labels, and whether
// its namespace matters to which rules it heeds: what a sender's key is made of.
func (r *Reader) heeds(client *model.Workload) (numbers []int, home bool) {
	namespace := client.ID.Namespace
	for _, d := range r.rules.selecting[namespace] {
		if selects(d.clients, client.Labels) {
			numbers = append(numbers, d.number)
		}
	}
	return numbers, r.rules.count > 0 && (r.rules.limited || namespace == r.root || r.rules.local[namespace] != nil)
}
