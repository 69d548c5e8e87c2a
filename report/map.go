package report

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// MapOptions say how much of a map is written.
type MapOptions struct {
	// Focus keeps the connections from or to these peers; nil keeps all.
	Focus func(verdict.Peer) bool
	// Problems are what leaves the map incomplete.
	Problems []model.Problem
}

// ConnectionDocument is one connection of a ConnectivityMap, for machines.
type ConnectionDocument struct {
	From     string          `json:"from"`
	To       string          `json:"to"`
	Protocol corev1.Protocol `json:"protocol"`
	Ports    string          `json:"ports"`
	// Protection is "mtls" or "plaintext".
	Protection string `json:"protection"`
	// Requests is "some" where not every request is let through; absent otherwise.
	Requests string `json:"requests,omitempty"`
}

func connectionDocument(peers []verdict.Peer, c verdict.Connection) ConnectionDocument {
	d := ConnectionDocument{
		From: peers[c.From].ID(), To: peers[c.To].ID(), Protocol: c.Protocol, Ports: c.Ports, Protection: c.Protection.String(),
	}
	if c.Standing == verdict.InPart {
		d.Requests = "some"
	}
	return d
}

// WriteMap writes a map for machines, connection by connection, for it may be
// large: kind ConnectivityMap, docs/schemas/connectivity-map.json. What is not known
// to be let through is not among the connections.
func WriteMap(w io.Writer, m *verdict.Map, o MapOptions) error {
	d := beginDocument(w, "ConnectivityMap")
	peers := m.Peers()
	d.list("peers")
	for i, used := range usedPeers(m, o) {
		if used {
			d.add(peerDocument(peers[i]))
		}
	}
	d.list("connections")
	for c := range m.Connections() {
		if c.Standing != verdict.Unknown && o.shows(peers, c.From, c.To) {
			d.add(connectionDocument(peers, c))
		}
	}
	d.list("problems")
	for _, p := range o.Problems {
		d.add(p)
	}
	return d.end()
}

func (o MapOptions) shows(peers []verdict.Peer, from, to int) bool {
	return o.Focus == nil || o.Focus(peers[from]) || o.Focus(peers[to])
}

// usedPeers are all, or those that have to do with what is in focus.
func usedPeers(m *verdict.Map, o MapOptions) []bool {
	peers := m.Peers()
	used := make([]bool, len(peers))
	for i := range peers {
		used[i] = o.Focus == nil || o.Focus(peers[i])
	}
	if o.Focus == nil {
		return used
	}
	for c := range m.Connections() {
		if o.shows(peers, c.From, c.To) {
			used[c.From], used[c.To] = true, true
		}
	}
	return used
}

// shownPeers is how many peers are named in one cell of a table.
const shownPeers = 4

// MapText is a map for people: peers that may do the same stand together.
func MapText(m *verdict.Map, o MapOptions, paint Paint) []byte {
	if paint == nil {
		paint = func(_, text string) string { return text }
	}
	var rows []mapRow
	peers := m.Peers()
	for _, g := range m.Groups() {
		for _, part := range focused(peers, crowd{g.From, g.To}, o) {
			rows = append(rows, mapRows(peers, part.from, part.to, g.Allowances)...)
		}
	}
	slices.SortStableFunc(rows, func(a, b mapRow) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), strings.Compare(a.from, b.from), strings.Compare(a.to, b.to))
	})
	var out bytes.Buffer
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "FROM\tTO\tPORTS\tPROTECTION")
	for _, r := range rows {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", r.from, r.to, r.ports, r.protection)
	}
	_ = table.Flush() // like the lines before, it writes to memory
	header, rest, _ := bytes.Cut(out.Bytes(), []byte("\n"))
	if len(rows) == 0 {
		return []byte("nothing reaches anything\n")
	}
	return append([]byte(paint("title", string(header))+"\n"), rest...)
}

// crowd is some clients and some servers, each of the first to each of the second.
type crowd struct{ from, to []int }

// focused are the parts of a group that are shown. A single server is not named
// among its own clients.
func focused(peers []verdict.Peer, all crowd, o MapOptions) []crowd {
	parts := []crowd{all}
	if o.Focus != nil {
		chosen := func(list []int) (in, out []int) {
			for _, i := range list {
				if o.Focus(peers[i]) {
					in = append(in, i)
				} else {
					out = append(out, i)
				}
			}
			return in, out
		}
		servers, others := chosen(all.to)
		clients, _ := chosen(all.from)
		parts = []crowd{{all.from, servers}, {clients, others}}
	}
	var shown []crowd
	for _, p := range parts {
		if len(p.to) == 1 {
			p.from = slices.DeleteFunc(slices.Clone(p.from), func(i int) bool { return i == p.to[0] })
		}
		if len(p.from) > 0 && len(p.to) > 0 {
			shown = append(shown, p)
		}
	}
	return shown
}

type mapRow struct {
	from, to, ports, protection string
	// rank puts clients outside last.
	rank int
}

// mapRows are the lines of one group, one for each protection and standing.
func mapRows(peers []verdict.Peer, from, to []int, list []verdict.Allowance) []mapRow {
	rank := 0
	if peers[from[0]].Workload == nil {
		rank = 1
	}
	var rows []mapRow
	for _, same := range byStanding(list) {
		rows = append(rows, mapRow{peersText(peers, from), serversText(peers, from, to), portsText(same), protectionText(same[0]), rank})
	}
	return rows
}

// byStanding parts allowances by how they are protected and how surely they stand.
func byStanding(list []verdict.Allowance) [][]verdict.Allowance {
	var parts [][]verdict.Allowance
	for _, a := range list {
		i := slices.IndexFunc(parts, func(p []verdict.Allowance) bool {
			return p[0].Protection == a.Protection && p[0].Standing == a.Standing
		})
		if i < 0 {
			parts = append(parts, nil)
			i = len(parts) - 1
		}
		parts[i] = append(parts[i], a)
	}
	return parts
}

// How every port of a protocol is written for machines, and every port of all protocols for people.
const (
	everyPort = "1-65535"
	allPorts  = "all"
)

func portsText(list []verdict.Allowance) string {
	if len(list) == 3 && !slices.ContainsFunc(list, func(a verdict.Allowance) bool { return a.Ports != everyPort }) {
		return allPorts
	}
	var parts []string
	for _, a := range list {
		ports := a.Ports
		if ports == everyPort {
			ports = allPorts
		}
		parts = append(parts, string(a.Protocol)+" "+ports)
	}
	return strings.Join(parts, "; ")
}

func protectionText(a verdict.Allowance) string {
	text := "plaintext"
	if a.Protection == verdict.MTLS {
		text = "mTLS"
	}
	switch a.Standing {
	case verdict.InPart:
		return text + ", some requests"
	case verdict.Unknown:
		return text + ", if at all: not known"
	default:
		return text
	}
}

// serversText names servers; where the clients are the same peers, they reach each other.
func serversText(peers []verdict.Peer, from, to []int) string {
	if len(to) > 1 && slices.Equal(from, to) {
		return "each other"
	}
	return peersText(peers, to)
}

// peersText names a few peers, and counts many by their namespaces.
func peersText(peers []verdict.Peer, list []int) string {
	if len(list) <= shownPeers {
		names := make([]string, len(list))
		for i, p := range list {
			names[i] = peers[p].String()
		}
		return strings.Join(names, ", ")
	}
	counts := map[string]int{}
	var namespaces, rest []string
	for _, p := range list {
		w := peers[p].Workload
		if w == nil {
			rest = append(rest, peers[p].String())
			continue
		}
		if counts[w.ID.Namespace]++; counts[w.ID.Namespace] == 1 {
			namespaces = append(namespaces, w.ID.Namespace)
		}
	}
	var parts []string
	workloads := 0
	for _, n := range namespaces {
		workloads += counts[n]
	}
	switch {
	case len(namespaces) > shownPeers:
		parts = append(parts, fmt.Sprintf("%d peers in %d namespaces", workloads, len(namespaces)))
	default:
		for _, n := range namespaces {
			parts = append(parts, fmt.Sprintf("%d in %s", counts[n], n))
		}
	}
	if len(rest) > 0 {
		parts = append(parts, restText(rest))
	}
	return strings.Join(parts, ", ")
}

func restText(names []string) string {
	if len(names) > 1 && slices.Contains(names, "any other address") {
		return "any address"
	}
	return strings.Join(names, ", ")
}
