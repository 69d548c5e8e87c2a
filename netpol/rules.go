package netpol

import (
	"cmp"
	"slices"
	"strings"

	"floe.dev/palisade/model"
)

// permission lets some peers use some ports, each peer each port.
type permission struct {
	peers []peer
	ports []model.Port
	// everyPort takes the place of ports; only an Exemption sets it.
	everyPort bool
	origin    model.Origin
}

// rule is one rule of a policy, with every origin that it carries.
type rule struct {
	peers     []peer
	ports     []model.Port
	everyPort bool
	origins   []string
}

// merge writes permissions as few rules and opens nothing that they do not: the
// ports of the same peer become one list, then the peers of the same list.
func merge(permissions []permission) []rule {
	var rules []rule
	byPorts := map[string]int{}
	for _, r := range mergeByPeer(permissions) {
		key := portsKey(r.ports)
		if r.peers[0].anyone {
			key = anyone.key // never beside a peer: one of the two would be lost
		}
		i, ok := byPorts[key]
		if !ok {
			i = len(rules)
			byPorts[key] = i
			rules = append(rules, r)
			continue
		}
		rules[i].peers = append(rules[i].peers, r.peers...)
		rules[i].origins = append(rules[i].origins, r.origins...)
	}
	for i := range rules {
		rules[i].peers = sortPeers(rules[i].peers)
		slices.Sort(rules[i].origins)
		rules[i].origins = slices.Compact(rules[i].origins)
	}
	slices.SortFunc(rules, compareRules)
	return rules
}

// mergeByPeer makes one rule of each peer, with all of its ports.
func mergeByPeer(permissions []permission) []rule {
	var rules []rule
	byPeer := map[string]int{}
	for _, p := range permissions {
		if len(p.ports) == 0 && !p.everyPort {
			continue // an empty list would mean every port
		}
		origin := p.origin.String()
		for _, q := range p.peers {
			i, ok := byPeer[q.key]
			if !ok {
				i = len(rules)
				byPeer[q.key] = i
				rules = append(rules, rule{peers: []peer{q}})
			}
			r := &rules[i]
			r.ports = append(r.ports, p.ports...)
			r.everyPort = r.everyPort || p.everyPort
			r.origins = append(r.origins, origin)
		}
	}
	for i := range rules {
		rules[i].ports = mergePorts(rules[i].ports)
	}
	return rules
}

func compareRules(a, b rule) int {
	return cmp.Or(slices.CompareFunc(a.peers, b.peers, comparePeers), slices.CompareFunc(a.ports, b.ports, model.ComparePorts))
}

// mostOrigins bounds the annotation, of which an object takes 256 KiB in all (apimachinery, TotalAnnotationSizeLimitB).
const mostOrigins = 200 << 10

// originText says, a line each, which rules every rule of a policy came from.
func originText(lines []string) string {
	text := strings.Join(lines, "\n")
	if len(text) <= mostOrigins {
		return text
	}
	cut := max(strings.LastIndex(text[:mostOrigins], "; "), strings.LastIndex(text[:mostOrigins], "\n"))
	return text[:cut] + "\n… and more than an annotation holds"
}
