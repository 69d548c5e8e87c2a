package istio

import (
	"slices"
	"strings"

	"floe.dev/palisade/model"
)

// destinationRule is a DestinationRule as far as TLS goes.
type destinationRule struct {
	number int
	ref    model.Ref
	host   string
	// clients are the labels of the client's pods that it is for; nil for all of its namespace, and where it is exported to.
	clients map[string]string
	// exportTo are the namespaces that see it; none means every one.
	exportTo []string
	// whole is the mode of its traffic policy, ports those of single ports of the Service; empty where it sets none.
	whole tlsSetting
	ports map[int32]tlsSetting
}

func (r *Reader) addRule(o *model.Object) {
	d := destinationRule{number: len(r.rules), ref: o.Ref(), host: text(o, "spec", "host"), clients: matchLabels(o, "workloadSelector", "matchLabels"), ports: map[int32]tlsSetting{}}
	list, _ := o.Map("spec")["exportTo"].([]any)
	for _, namespace := range list {
		if name, ok := namespace.(string); ok {
			d.exportTo = append(d.exportTo, name)
		}
	}
	if d.clients != nil {
		d.exportTo = []string{"."}
	}
	policy := o.Map("spec", "trafficPolicy")
	if mode := settingMode(policy); mode != "" {
		d.whole = tlsSetting{"spec.trafficPolicy.tls.mode", mode}
	}
	for _, s := range policySettings("spec.trafficPolicy", policy) {
		if number, ok := settingPort(policy, s.field); ok {
			d.ports[number] = s
		}
	}
	r.rules = append(r.rules, d)
}

// settingPort is the port of the entry of portLevelSettings that a field points to.
func settingPort(policy map[string]any, field string) (int32, bool) {
	list, _ := policy["portLevelSettings"].([]any)
	for i, item := range list {
		if !strings.HasPrefix(field, "spec.trafficPolicy.portLevelSettings["+itoa(i)+"]") {
			continue
		}
		fields, _ := item.(map[string]any)
		port, _ := fields["port"].(map[string]any)
		switch number := port["number"].(type) {
		case int64:
			return int32(number), true
		case float64:
			return int32(number), true
		}
	}
	return 0, false
}

// of is the mode for one port of the Service; its mode is empty where the rule sets none.
func (d *destinationRule) of(port int32) tlsSetting {
	if s, found := d.ports[port]; found {
		return s
	}
	return d.whole
}

// seenFrom tells whether a namespace sees the rule.
func (d *destinationRule) seenFrom(namespace string) bool {
	return len(d.exportTo) == 0 || slices.ContainsFunc(d.exportTo, func(to string) bool {
		return to == "*" || to == namespace || to == "." && d.ref.Namespace == namespace
	})
}

// ruleFor finds the DestinationRule by which a client calls a Service: of its own
// namespace, else of the Service's, else of the root; in each the one of the most
// specific host, and of these the oldest, one that selects the client first
// (pilot/pkg/model/push_context.go, destinationRule).
func (r *Reader) ruleFor(client *model.Workload, s *model.Service) *destinationRule {
	homes := []string{client.ID.Namespace, s.Namespace, r.root}
	if client.ID.Namespace == r.root {
		homes = homes[1:]
	}
	for _, home := range homes {
		var best *destinationRule
		for i := range r.rules {
			d := &r.rules[i]
			if d.ref.Namespace != home || !d.seenFrom(client.ID.Namespace) || !hostMatches(d.host, home, r.domain, s) {
				continue
			}
			if d.clients != nil && (home != client.ID.Namespace || !selects(d.clients, client.Labels)) {
				continue
			}
			if best == nil || d.goesBefore(best) {
				best = d
			}
		}
		if best != nil {
			return best
		}
	}
	return nil
}

// goesBefore compares an older rule, the other one, with a younger.
func (d *destinationRule) goesBefore(other *destinationRule) bool {
	if wild, otherWild := strings.HasPrefix(d.host, "*"), strings.HasPrefix(other.host, "*"); wild != otherWild {
		return otherWild
	} else if wild && len(d.host) != len(other.host) {
		return len(d.host) > len(other.host)
	}
	return d.clients != nil && other.clients == nil
}

// heeds are the numbers of the rules that are for a client's labels, and whether
// its namespace matters to which rules it heeds: what a sender's key is made of.
func (r *Reader) heeds(client *model.Workload) (numbers []int, home bool) {
	for i := range r.rules {
		d := &r.rules[i]
		home = home || d.ref.Namespace == client.ID.Namespace || len(d.exportTo) > 0
		if d.clients != nil && d.ref.Namespace == client.ID.Namespace && selects(d.clients, client.Labels) {
			numbers = append(numbers, i)
		}
	}
	return numbers, home
}
