package istio

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	securityapi "istio.io/api/security/v1beta1"

	"floe.dev/palisade/model"
)

// Sources that are no principals. A principal is "<trust domain>/ns/<ns>/sa/<sa>".
const (
	// anySource is every client: a rule without from.
	anySource = ""
	// noIdentity is every client that presented no certificate: notPrincipals ["*"].
	//
	// istiod turns it, for Envoy, into NOT (authenticated with a name matching ".+"),
	// which holds for plaintext connections only (pilot/pkg/security/authz/model/generator.go,
	// matcher/string.go), and for ztunnel into NOT (principal present), the very
	// match of its own strict policy (pilot/pkg/serviceregistry/ambient/authorization.go,
	// stringToMatch). So such a rule lets in what comes directly, which the
	// NetworkPolicy limits by address on the original port, and opens the port to no
	// meshed peer: those come with a principal, by 15008 too.
	noIdentity = "*"
)

// operation is what of a port is allowed, lists joined by newlines; the zero operation is all.
type operation struct{ methods, paths string }

func (o operation) any() bool { return o == operation{} }

// ruleSet gathers what one policy allows.
type ruleSet struct {
	bySource map[string]map[operation]map[uint32]bool
	from     origins
}

func newRuleSet() *ruleSet {
	return &ruleSet{bySource: map[string]map[operation]map[uint32]bool{}, from: origins{}}
}

// allow adds ports (everyPort for all) for sources; http empty allows any traffic there.
func (r *ruleSet) allow(origin model.Origin, sources []string, ports []uint32, http []model.HTTPMatch) {
	if len(sources) == 0 || len(ports) == 0 {
		return
	}
	r.from.add(origin)
	operations := []operation{{}}
	if len(http) > 0 {
		operations = operations[:0]
		for _, h := range http {
			operations = append(operations, operation{methods: joined(h.Methods), paths: joined(h.Paths)})
		}
	}
	for _, source := range sources {
		byOperation := r.bySource[source]
		if byOperation == nil {
			byOperation = map[operation]map[uint32]bool{}
			r.bySource[source] = byOperation
		}
		for _, o := range operations {
			if byOperation[o] == nil {
				byOperation[o] = map[uint32]bool{}
			}
			for _, p := range ports {
				byOperation[o][p] = true
			}
		}
	}
}

func joined(list []string) string {
	sorted := slices.Clone(list)
	slices.Sort(sorted)
	return strings.Join(slices.Compact(sorted), "\n")
}

// rules merges clients that may do the same into one rule, and ports that are used alike into one operation.
func (r *ruleSet) rules() []*securityapi.Rule {
	merged := map[string][]string{}
	to := map[string][]*securityapi.Rule_To{}
	for source, byOperation := range r.bySource {
		operations, key := operationsOf(byOperation)
		if source == anySource || source == noIdentity {
			key = source + "|" + key
		}
		merged[key] = append(merged[key], source)
		to[key] = operations
	}
	keys := slices.SortedFunc(maps.Keys(merged), func(a, b string) int {
		slices.Sort(merged[a])
		slices.Sort(merged[b])
		return slices.Compare(merged[a], merged[b])
	})
	rules := make([]*securityapi.Rule, 0, len(keys))
	for _, key := range keys {
		slices.Sort(merged[key])
		rules = append(rules, &securityapi.Rule{From: fromSources(merged[key]), To: to[key]})
	}
	return rules
}

func fromSources(sources []string) []*securityapi.Rule_From {
	switch sources[0] {
	case anySource:
		return nil
	case noIdentity:
		return []*securityapi.Rule_From{{Source: &securityapi.Source{NotPrincipals: []string{"*"}}}}
	default:
		return []*securityapi.Rule_From{{Source: &securityapi.Source{Principals: sources}}}
	}
}

// operationsOf renders the operations of one source; nil means every operation
// on every port. What a wider operation covers already is left out.
func operationsOf(byOperation map[operation]map[uint32]bool) (to []*securityapi.Rule_To, key string) {
	if byOperation[operation{}][everyPort] {
		return nil, ""
	}
	open := byOperation[operation{}]
	byPorts := map[operation][]string{}
	for o, ports := range byOperation {
		var texts []string
		for _, p := range slices.Sorted(maps.Keys(ports)) {
			if o.any() || !open[p] {
				texts = append(texts, strconv.FormatUint(uint64(p), 10))
			}
		}
		if ports[everyPort] {
			texts = nil
		} else if len(texts) == 0 {
			continue
		}
		byPorts[o] = texts
	}
	var parts []string
	for _, o := range slices.SortedFunc(maps.Keys(byPorts), compareOperations) {
		op := &securityapi.Operation{Ports: byPorts[o], Methods: lines(o.methods), Paths: lines(o.paths)}
		to = append(to, &securityapi.Rule_To{Operation: op})
		parts = append(parts, strings.Join(op.Ports, ",")+";"+o.methods+";"+o.paths)
	}
	return to, strings.Join(parts, "|")
}

func compareOperations(a, b operation) int {
	return slices.Compare([]string{a.paths, a.methods}, []string{b.paths, b.methods})
}

func lines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}
