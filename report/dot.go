package report

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"floe.dev/palisade/verdict"
)

// picture is a map as nodes and edges: peers that no rule tells apart are one node.
type picture struct {
	nodes []pictureNode
	edges []pictureEdge
	// notes are edges that would cover the picture, in words: those of peers that have to do with nearly all others.
	notes []string
}

type pictureNode struct {
	// place is the namespace, "several namespaces", or empty for addresses outside.
	place string
	// lines are what stands in the node.
	lines []string
	// outside tells that it is addresses.
	outside bool
	// inFocus tells that it stays in a picture even without edges.
	inFocus bool
	// bend tells that it is a point that an edge passes.
	bend bool
}

type pictureEdge struct {
	from, to int
	label    string
	how      verdict.Allowance
	// kind is how it is drawn, where how does not say it.
	kind *line
}

// says is the edge's label and its protection, in words.
func (e *pictureEdge) says() string {
	if e.kind != nil {
		return e.label + ", " + e.kind.text
	}
	return e.label + ", " + protectionText(e.how)
}

// severalNamespaces is the place of peers that no rule tells apart although their namespaces differ.
const severalNamespaces = "several namespaces"

// draw makes the picture of a map. Nodes without edges are left out where there is a focus.
func draw(m *verdict.Map, o MapOptions) picture {
	peers := m.Peers()
	var p picture
	number := map[int]int{}
	bundles := m.Bundles()
	inFocus := func(b int) bool {
		return o.Focus == nil || slices.ContainsFunc(bundles[b], func(i int) bool { return o.Focus(peers[i]) })
	}
	node := func(b int) int {
		i, known := number[b]
		if !known {
			i = len(p.nodes)
			number[b] = i
			p.nodes = append(p.nodes, nodeOf(peers, bundles[b]))
			p.nodes[i].inFocus = inFocus(b)
		}
		return i
	}
	for b := range bundles {
		if inFocus(b) && peers[bundles[b][0]].Workload != nil {
			node(b)
		}
	}
	for e := range m.Edges() {
		if !inFocus(e.From) && !inFocus(e.To) {
			continue
		}
		for _, same := range byStanding(e.Allowances) {
			p.edges = append(p.edges, pictureEdge{from: node(e.From), to: node(e.To), label: portsText(same), how: same[0]})
		}
	}
	return p
}

// nodeOf names what stands in a node: a few peers, and how many more.
func nodeOf(peers []verdict.Peer, bundle verdict.Bundle) pictureNode {
	first := peers[bundle[0]]
	if first.Workload == nil {
		return pictureNode{lines: []string{first.String()}, outside: true}
	}
	n := pictureNode{place: first.Workload.ID.Namespace}
	for _, i := range bundle {
		if peers[i].Workload.ID.Namespace != n.place {
			n.place = severalNamespaces
		}
	}
	for _, i := range bundle[:min(len(bundle), shownPeers)] {
		name := peers[i].Workload.ID.Name
		if n.place == severalNamespaces {
			name = peers[i].Workload.ID.Namespace + "/" + name
		}
		n.lines = append(n.lines, name)
	}
	if rest := len(bundle) - shownPeers; rest > 0 {
		n.lines = append(n.lines, fmt.Sprintf("and %d more", rest))
	}
	return n
}

// hub is how many edges one way make a node one that has to do with nearly all others.
const hub = 6

// unhub takes the edges of hubs out of the picture (a resolver, a control plane,
// the kubelets' addresses) and puts them into words. Servers are hubs by what comes in, clients by what goes out.
func (p *picture) unhub() {
	in, out := make([]int, len(p.nodes)), make([]int, len(p.nodes))
	for _, e := range p.edges {
		in[e.to]++
		out[e.from]++
	}
	most := max(hub, len(p.nodes)*2/3)
	type note struct {
		node  int
		label string
		from  bool
	}
	counts := map[note][]int{}
	var order []note
	p.edges = slices.DeleteFunc(p.edges, func(e pictureEdge) bool {
		n, other := note{e.to, e.says(), false}, e.from
		if out[e.from] >= most {
			n.node, n.from, other = e.from, true, e.to
		} else if in[e.to] < most {
			return false
		}
		if counts[n] == nil {
			order = append(order, n)
		}
		counts[n] = append(counts[n], other)
		return true
	})
	for _, n := range order {
		others := fmt.Sprintf("%d of these", len(counts[n]))
		if len(counts[n]) <= shownPeers {
			names := make([]string, len(counts[n]))
			for i, other := range counts[n] {
				names[i] = p.nodes[other].name()
			}
			others = strings.Join(names, ", ")
		}
		from, to := others, p.nodes[n.node].name()
		if n.from {
			from, to = to, from
		}
		p.notes = append(p.notes, fmt.Sprintf("%s → %s: %s", from, to, n.label))
	}
}

// unrestricted takes connections out of the picture that nothing limits, where
// there are more than a few: they lie over those that somebody thought of.
func (p *picture) unrestricted() {
	free := func(e pictureEdge) bool {
		return e.label == allPorts && e.how.Protection == verdict.Plaintext && e.how.Standing == verdict.Allowed
	}
	count := 0
	for _, e := range p.edges {
		if free(e) {
			count++
		}
	}
	if count <= hub {
		return
	}
	p.edges = slices.DeleteFunc(p.edges, free)
	p.notes = append(p.notes, fmt.Sprintf("not drawn: %d connections that nothing limits, on all ports in plaintext (the table has them)", count))
}

// name is a node in a line of text.
func (n *pictureNode) name() string {
	if n.place == "" || n.place == severalNamespaces {
		return strings.Join(n.lines, ", ")
	}
	return n.place + "/" + strings.Join(n.lines, ", ")
}

// lonely takes out nodes without edges that only notes speak of.
func (p *picture) lonely() {
	used := make([]bool, len(p.nodes))
	for _, e := range p.edges {
		used[e.from], used[e.to] = true, true
	}
	number := make([]int, len(p.nodes))
	var kept []pictureNode
	for i, n := range p.nodes {
		number[i] = len(kept)
		if used[i] || !n.outside && n.inFocus {
			kept = append(kept, n)
		}
	}
	p.nodes = kept
	for i := range p.edges {
		p.edges[i].from, p.edges[i].to = number[p.edges[i].from], number[p.edges[i].to]
	}
}

// places are the namespaces of a picture, in the order in which they first come.
func (p *picture) places() []string {
	var places []string
	for _, n := range p.nodes {
		if n.place != "" && !slices.Contains(places, n.place) {
			places = append(places, n.place)
		}
	}
	return places
}

// MapDot is a map as a graph in the language of Graphviz.
func MapDot(m *verdict.Map, o MapOptions) []byte {
	p := draw(m, o)
	var out bytes.Buffer
	out.WriteString("digraph palisade {\n  rankdir=LR\n  node [shape=box style=rounded fontname=\"Helvetica\"]\n  edge [fontname=\"Helvetica\" fontsize=10]\n")
	for i, place := range p.places() {
		fmt.Fprintf(&out, "  subgraph cluster_%d {\n    label=%s\n", i, quoted(place))
		for n := range p.nodes {
			if p.nodes[n].place == place {
				fmt.Fprintf(&out, "    n%d [label=%s]\n", n, quoted(p.nodes[n].lines...))
			}
		}
		out.WriteString("  }\n")
	}
	for n := range p.nodes {
		if p.nodes[n].place == "" {
			fmt.Fprintf(&out, "  n%d [label=%s shape=ellipse style=solid]\n", n, quoted(p.nodes[n].lines...))
		}
	}
	for _, e := range p.edges {
		fmt.Fprintf(&out, "  n%d -> n%d [label=%s %s]\n", e.from, e.to, quoted(e.label+", "+protectionText(e.how)), edgeStyle(e.how))
	}
	out.WriteString("}\n")
	return out.Bytes()
}

// edgeStyle parts protections by the line as well as by its colour.
func edgeStyle(a verdict.Allowance) string {
	switch {
	case a.Standing == verdict.Unknown:
		return "style=dotted color=gray40"
	case a.Protection == verdict.MTLS:
		return "style=solid color=darkgreen"
	default:
		return "style=dashed color=orangered3"
	}
}

// quoted is text as a string of the language, its lines under each other.
func quoted(lines ...string) string {
	escaped := make([]string, len(lines))
	for i, line := range lines {
		escaped[i] = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(line)
	}
	return `"` + strings.Join(escaped, `\n`) + `"`
}
