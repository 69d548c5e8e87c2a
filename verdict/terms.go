package verdict

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// filter is a model.Filter with its rules numbered.
type filter struct {
	source *model.Filter
	rules  []rule
}

// rule is a model.FilterRule of which all that does not depend on peers is worked out.
type rule struct {
	effect model.Effect
	// limit is how surely it matches at most.
	limit certainty
	// everybody tells that it has no terms and matches every peer.
	everybody bool
	// named are its terms for peers that present their identity, nameless for those
	// that present none. Where no term looks at identities they are the same.
	named, nameless []termID
	// ports are its ports by number; names are resolved at each server.
	ports portsID
	names []model.PortTerm
}

// term is a model.Term with the groups that it matches.
type term struct {
	source *model.Term
	// nameless judges peers as if they had no identity.
	nameless bool
	// matches are the groups that match, sorted by their numbers.
	matches []termMatch
	// whole tells of each kind of peer whether every group of it matches always.
	whole [kinds]bool
	// unplaced is how surely its blocks hold peers of a kind whose addresses are unknown, where judged.
	judged   [kinds]bool
	unplaced [kinds]certainty
	// classes are the classes that match, by how surely.
	classes [always + 1]classSet
}

type termMatch struct {
	group groupID
	match certainty
}

// newFilter numbers the rules of a filter, and notes what its terms read.
func (s *side) newFilter(f *model.Filter) *filter {
	out := &filter{source: f, rules: make([]rule, len(f.Rules))}
	for i := range f.Rules {
		from, to := &f.Rules[i], &out.rules[i]
		to.effect, to.limit, to.everybody = from.Effect, limit(always, from.Requests, from.Unknown), from.Peers == nil
		to.ports, to.names = s.portTerms(from.Ports)
		for j := range from.Peers {
			t := &from.Peers[j]
			to.named = append(to.named, s.term(t, false))
			to.nameless = append(to.nameless, s.term(t, len(t.Names) > 0))
		}
	}
	return out
}

// portTerms parts ports by number, as one set, from those by name.
func (s *side) portTerms(list []model.PortTerm) (portsID, []model.PortTerm) {
	if list == nil {
		return allPorts, nil
	}
	var numbers []model.Port
	var names []model.PortTerm
	for _, p := range list {
		if p.Name == "" {
			numbers = append(numbers, p.Port)
			continue
		}
		names = append(names, p)
		s.byName = true
	}
	return s.tables.intern(newPortSet(numbers)), names
}

// portsAt are the ports of a rule at a server.
func (s *side) portsAt(r *rule, names uint32) portsID {
	if r.names == nil {
		return r.ports
	}
	var numbers []model.Port
	for _, p := range r.names {
		if number := s.named(names, p.Name, p.Protocol); number != 0 {
			numbers = append(numbers, model.Port{Protocol: p.Protocol, Number: number})
		}
	}
	return s.tables.union(r.ports, s.tables.intern(newPortSet(numbers)))
}

// term numbers a term; those that say the same have one number.
func (s *side) term(t *model.Term, nameless bool) termID {
	key := termKey(t, nameless)
	id, known := s.termIDs[key]
	if known {
		return id
	}
	id = termID(len(s.terms))
	s.termIDs[key] = id
	s.terms = append(s.terms, &term{source: t, nameless: nameless})
	if t.Pods != nil && t.Pods.PodSelector != nil {
		s.reads(t.Pods.PodSelector)
	}
	s.byAddress = s.byAddress || t.In != nil || t.NotIn != nil
	s.byAccount = s.byAccount || len(t.Names) > 0
	return id
}

func (s *side) reads(selector *metav1.LabelSelector) {
	note := func(key string) {
		if i, found := slices.BinarySearch(s.labelKeys, key); !found {
			s.labelKeys = slices.Insert(s.labelKeys, i, key)
		}
	}
	for key := range selector.MatchLabels {
		note(key)
	}
	for i := range selector.MatchExpressions {
		note(selector.MatchExpressions[i].Key)
	}
}

// termKey is equal for terms that say the same.
func termKey(t *model.Term, nameless bool) string {
	var b strings.Builder
	if t.Pods != nil {
		b.WriteString("p" + t.Pods.Namespace)
		if t.Pods.Namespace == "" {
			b.WriteString("\x00n" + model.SelectorKey(t.Pods.NamespaceSelector))
		}
		if t.Pods.PodSelector != nil {
			b.WriteString("\x00l" + model.SelectorKey(t.Pods.PodSelector))
		}
	}
	for _, blocks := range [][]model.AddressBlock{t.In, t.NotIn} {
		if blocks != nil {
			fmt.Fprint(&b, "\x00a", t.PodAddresses, blocks)
		}
		b.WriteByte(0)
	}
	for _, n := range t.Names {
		fmt.Fprintf(&b, "\x00i%d%v%q", n.Of, n.Not, n.Patterns)
	}
	if nameless {
		b.WriteString("\x00nameless")
	}
	if t.Requests != "" {
		b.WriteString("\x00r")
	}
	if t.Unknown != "" {
		b.WriteString("\x00u")
	}
	return b.String()
}

// prefixes are the borders of every address block that some term names.
func (s *side) prefixes() []netip.Prefix {
	var all []netip.Prefix
	for _, t := range s.terms {
		for _, blocks := range [][]model.AddressBlock{t.source.In, t.source.NotIn} {
			for _, b := range blocks {
				all = append(append(all, b.CIDR), b.Except...)
			}
		}
	}
	return all
}

// match finds the groups that each term matches, and the memberships of each group.
func (s *side) match() {
	count := [kinds]int{}
	for i := range s.groups {
		count[s.groups[i].kind]++
	}
	for id, t := range s.terms {
		s.matchTerm(t)
		found := [kinds]int{}
		for _, m := range t.matches {
			g := &s.groups[m.group]
			g.memberships = append(g.memberships, membership{termID(id), m.match})
			if m.match == always {
				found[g.kind]++
			}
		}
		for k := range kinds {
			t.whole[k] = found[k] == count[k]
		}
	}
}

func (s *side) matchTerm(t *term) {
	if t.nameless && slices.ContainsFunc(t.source.Names, func(n model.NameTerm) bool { return !n.Not }) {
		return // who presents no identity has none of these names
	}
	add := func(id groupID) {
		if m := s.matchGroup(t, id); m > never {
			t.matches = append(t.matches, termMatch{id, m})
		}
	}
	first := s.firstAddress()
	switch pods := t.source.Pods; {
	case pods != nil && pods.Namespace != "":
		s.eachIn(pods.Namespace, add)
		return // no address outside is a pod
	case pods != nil:
		for _, n := range s.namespaces.choose(pods.NamespaceSelector) {
			s.eachIn(s.namespaces.list[n].Name, add)
		}
		return
	}
	for _, namespace := range s.candidates(t) {
		s.eachIn(namespace, add)
	}
	if !s.addressesOf(t, first) {
		for id := first; int(id) < len(s.groups); id++ {
			add(id)
		}
	}
}

// matchGroup judges one group. Pods whose addresses are unknown are all judged
// alike by address blocks, so they are judged once.
func (s *side) matchGroup(t *term, id groupID) certainty {
	g := &s.groups[id]
	p := peer{workload: g.first}
	switch {
	case g.first == nil:
		p = s.peerOf(id)
	case !t.nameless:
		p.identity = model.IdentityOf(g.first)
	}
	match := matchWho(t.source, &p)
	if match == never || t.source.In == nil && t.source.NotIn == nil {
		return match
	}
	if g.first == nil || len(g.first.Addresses) > 0 {
		p.addresses = s.peerOf(id).addresses
		return min(match, matchAddresses(t.source, &p))
	}
	if !t.judged[g.kind] {
		unplaced := s.peerOf(id)
		t.judged[g.kind], t.unplaced[g.kind] = true, matchAddresses(t.source, &unplaced)
	}
	return min(match, t.unplaced[g.kind])
}

// eachIn visits the groups of a namespace.
func (s *side) eachIn(namespace string, visit func(groupID)) {
	n, known := s.namespaces.numbers[namespace]
	if !known || n >= len(s.ranges) {
		return
	}
	for id := s.ranges[n].first; id < s.ranges[n].last; id++ {
		visit(id)
	}
}

// candidates are the namespaces in which a term about identities may match:
// those that exact names point to, or all of them.
func (s *side) candidates(t *term) []string {
	if !t.nameless {
		for i := range t.source.Names {
			if names, exact := s.homes(&t.source.Names[i]); exact {
				return names
			}
		}
	}
	all := make([]string, len(s.namespaces.list))
	for i := range all {
		all[i] = s.namespaces.list[i].Name
	}
	return all
}

// homes are the namespaces of the identities that a list of exact names means.
func (s *side) homes(t *model.NameTerm) (names []string, exact bool) {
	if t.Not || slices.ContainsFunc(t.Patterns, func(p string) bool { return strings.Contains(p, "*") }) {
		return nil, false
	}
	for _, pattern := range t.Patterns {
		switch t.Of {
		case model.NameNamespace:
			names = append(names, pattern)
		case model.NameAccount:
			namespace, _, _ := strings.Cut(pattern, "/")
			names = append(names, namespace)
		default:
			names = append(names, s.homesOf(pattern)...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), true
}

// homesOf are the namespaces whose workloads present a principal, and of those whose principal is not known in full.
func (s *side) homesOf(principal string) []string {
	if s.principals == nil {
		s.principals = map[string][]string{}
		for i := range s.groups {
			if w := s.groups[i].first; w != nil && w.Facts.Meshed() {
				if homes := s.principals[w.Facts.Identity]; !slices.Contains(homes, w.ID.Namespace) {
					s.principals[w.Facts.Identity] = append(homes, w.ID.Namespace)
				}
			}
		}
	}
	return slices.Concat(s.principals[principal], s.principals[""])
}

// addressesOf finds the parts of a term that only says In, without looking at all of them.
func (s *side) addressesOf(t *term, first groupID) bool {
	if t.source.In == nil || t.source.NotIn != nil || len(t.source.Names) > 0 {
		return false
	}
	var parts []int
	for _, b := range t.source.In {
		parts = s.partition.in(b, parts)
	}
	slices.Sort(parts)
	match := limit(always, t.source.Requests, t.source.Unknown)
	for _, part := range slices.Compact(parts) {
		t.matches = append(t.matches, termMatch{first + groupID(part), match})
	}
	return true
}

// choose finds the namespaces that a selector chooses, by the rarest label that it demands.
func (n *namespaces) choose(selector *metav1.LabelSelector) []int {
	if selector == nil {
		return nil
	}
	key := model.SelectorKey(selector)
	if chosen, known := n.chosen[key]; known {
		return chosen
	}
	var chosen []int
	n.among(selector, func(i int) {
		if model.Matches(selector, n.list[i].Labels) {
			chosen = append(chosen, i)
		}
	})
	n.chosen[key] = chosen
	return chosen
}

func (n *namespaces) among(selector *metav1.LabelSelector, visit func(int)) {
	var fewest []int
	found := false
	for key, value := range selector.MatchLabels {
		if posting := n.postings[key+"="+value]; !found || len(posting) < len(fewest) {
			fewest, found = posting, true
		}
	}
	for i := range n.list {
		if found && i >= len(fewest) {
			return
		}
		if found {
			visit(fewest[i])
		} else {
			visit(i)
		}
	}
}
