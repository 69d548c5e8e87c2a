package netpol

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// special is one permission that only a CiliumNetworkPolicy can hold: a DNS
// name, or an entity, because on Cilium an address block never matches a node,
// a pod, or the API server.
type special struct {
	inbound  bool
	entities []string
	host     string
	ports    []model.Port
	origin   model.Origin
}

func (s special) to() string { return s.host + strings.Join(s.entities, ",") }

func compareSpecials(a, b special) int {
	return cmp.Or(
		cmp.Compare(a.to(), b.to()), slices.CompareFunc(a.ports, b.ports, model.ComparePorts),
		cmp.Compare(a.origin.String(), b.origin.String()),
	)
}

// ciliumPolicy is written beside the NetworkPolicy of the same name. It only
// opens (enableDefaultDeny, Cilium 1.16 and later): the NetworkPolicy closes.
func (h *home) ciliumPolicy(s *subject, dns *model.DNS) model.Object {
	name, _ := s.name()
	ingress, inLines := ciliumRules("ingress", 0, pick(s.special, true))
	spec := map[string]any{
		"endpointSelector":  selectorTree(&s.selector),
		"enableDefaultDeny": map[string]any{"ingress": false, "egress": false},
	}
	outward := pick(s.special, false)
	var egress []any
	if slices.ContainsFunc(outward, func(s special) bool { return s.host != "" }) {
		egress = append(egress, dnsVisibility(dns))
		inLines = append(inLines, "egress[0]: lets Cilium learn the addresses of names")
	}
	rest, outLines := ciliumRules("egress", len(egress), outward)
	if egress = append(egress, rest...); len(egress) > 0 {
		spec["egress"] = egress
	}
	if len(ingress) > 0 {
		spec["ingress"] = ingress
	}
	return h.object("cilium.io/v2", "CiliumNetworkPolicy", name, model.PhaseAllow, spec, append(inLines, outLines...))
}

func pick(all []special, inbound bool) []special {
	var some []special
	for _, s := range all {
		if s.inbound == inbound {
			s.ports = mergePorts(s.ports)
			some = append(some, s)
		}
	}
	slices.SortFunc(some, compareSpecials)
	return some
}

// ciliumRules writes a rule for each target and list of ports; first is the index of the first.
func ciliumRules(direction string, first int, sorted []special) (rules []any, lines []string) {
	for i := 0; i < len(sorted); {
		j, origins := i, []string(nil)
		for ; j < len(sorted) && sorted[j].to() == sorted[i].to() && portsKey(sorted[j].ports) == portsKey(sorted[i].ports); j++ {
			origins = append(origins, sorted[j].origin.String())
		}
		lines = append(lines, originLine(direction, first+len(rules), slices.Compact(origins)))
		rules = append(rules, ciliumRule(&sorted[i]))
		i = j
	}
	return rules, lines
}

func ciliumRule(s *special) map[string]any {
	rule := map[string]any{"toPorts": []any{map[string]any{"ports": ciliumPorts(s.ports)}}}
	switch {
	case strings.HasPrefix(s.host, "*."):
		// Cilium's * ends at a dot; a leading **. takes any number of labels, and just one on releases that do not know it
		rule["toFQDNs"] = []any{map[string]any{"matchPattern": "*" + s.host}}
	case s.host != "":
		rule["toFQDNs"] = []any{map[string]any{"matchName": s.host}}
	case s.inbound:
		rule["fromEntities"] = texts(s.entities)
	default:
		rule["toEntities"] = texts(s.entities)
	}
	return rule
}

// dnsVisibility sends the subject's questions to the resolver through Cilium's
// DNS proxy: without it no name is ever learnt, and no name ever matches.
func dnsVisibility(dns *model.DNS) map[string]any {
	resolver := canonical(dns.PodSelector.DeepCopy())
	metav1.AddLabelToSelector(&resolver, "k8s:io.kubernetes.pod.namespace", dns.Namespace)
	var ports []any
	for _, p := range mergePorts(dns.Ports) {
		port := ciliumPort(p)
		port["protocol"] = "ANY"
		if !slices.ContainsFunc(ports, func(q any) bool { return q.(map[string]any)["port"] == port["port"] }) {
			ports = append(ports, port)
		}
	}
	return map[string]any{
		"toEndpoints": []any{selectorTree(&resolver)},
		"toPorts": []any{map[string]any{
			"ports": ports,
			"rules": map[string]any{"dns": []any{map[string]any{"matchPattern": "*"}}},
		}},
	}
}

func ciliumPorts(ports []model.Port) []any {
	var to []any
	for _, p := range ports {
		to = append(to, ciliumPort(p))
	}
	return to
}

// ciliumPort writes every port of a protocol as the port 0.
func ciliumPort(p model.Port) map[string]any {
	to := map[string]any{"port": strconv.Itoa(int(p.Number)), "protocol": string(cmp.Or(p.Protocol, corev1.ProtocolTCP))}
	if p.Number != 0 && p.Last() > p.Number {
		to["endPort"] = int64(p.End)
	}
	return to
}
