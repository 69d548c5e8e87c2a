package plan

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// crowds puts many peers into few words.
type crowds struct {
	peers   []verdict.Peer
	bundles []verdict.Bundle
	bundle  func(peer int) int
	// before counts the workloads in the bundles before each; the last is all of them.
	before []int
	// outside are the bundles of addresses.
	outside []int
	// homes are the workloads of each namespace.
	homes map[string][]int
	// known remembers crowds by the bundles that they are made of: many servers have the same clients.
	known map[string]*crowd
}

// crowd is all workloads of some bundles.
type crowd struct {
	// members are the workloads of each namespace, sorted; order lists these namespaces, sorted.
	members map[string][]int
	order   []string
	// names are the members in words, by namespace.
	names map[string][]string
}

func newCrowds(d *verdict.Difference) crowds {
	c := crowds{peers: d.Peers(), bundles: d.Bundles(), bundle: d.BundleOf, homes: map[string][]int{}, known: map[string]*crowd{}}
	for k, p := range c.peers {
		if p.Workload != nil {
			c.homes[p.Workload.ID.Namespace] = append(c.homes[p.Workload.ID.Namespace], k)
		}
	}
	c.before = make([]int, len(c.bundles)+1)
	for k, members := range c.bundles {
		c.before[k+1] = c.before[k]
		if c.peers[members[0]].Workload == nil {
			c.outside = append(c.outside, k)
			continue
		}
		c.before[k+1] += len(members)
	}
	return c
}

// clients are those that lose something, but for some peers, and one of them.
// Addresses outside count where outside is set. The first of those left out is the server.
func (c *crowds) clients(lost []loss, but []int, outside bool) (Clients, int) {
	runs := joined(lost)
	workloads := 0
	for _, r := range runs {
		workloads += c.before[r[1]] - c.before[r[0]]
	}
	for _, p := range but {
		if at(lost, c.bundle(p)) != nil {
			workloads--
		}
	}
	clients := Clients{Count: workloads}
	example := -1
	if workloads > 0 {
		example = c.firstBut(runs, but)
	}
	if outside {
		for _, bundle := range c.outside {
			if at(lost, bundle) == nil {
				continue
			}
			for _, p := range c.bundles[bundle] {
				clients.Addresses = append(clients.Addresses, c.peers[p].CIDRs...)
				clients.Count++
				if example < 0 {
					example = p
				}
			}
		}
		slices.SortFunc(clients.Addresses, netip.Prefix.Compare)
	}
	switch all := c.before[len(c.bundles)]; {
	case workloads > 1 && 2*workloads > all:
		clients.All = true
		clients.Except = c.names(c.crowd(c.complement(runs)), but[:1], but[1:])
	case workloads > 0:
		clients.Workloads = c.names(c.crowd(runs), but, nil)
	}
	return clients, example
}

// firstBut is a workload of some bundles that is not left out.
func (c *crowds) firstBut(runs [][2]int, but []int) int {
	for _, r := range runs {
		for _, members := range c.bundles[r[0]:r[1]] {
			for _, p := range members {
				if c.peers[p].Workload != nil && !slices.Contains(but, p) {
					return p
				}
			}
		}
	}
	return -1
}

// joined are the bundles of losses, neighbours put together.
func joined(lost []loss) [][2]int {
	var runs [][2]int
	for _, l := range lost {
		if n := len(runs); n > 0 && runs[n-1][1] == l.first {
			runs[n-1][1] = l.last
			continue
		}
		runs = append(runs, [2]int{l.first, l.last})
	}
	return runs
}

func (c *crowds) complement(runs [][2]int) [][2]int {
	var rest [][2]int
	at := 0
	for _, r := range runs {
		if r[0] > at {
			rest = append(rest, [2]int{at, r[0]})
		}
		at = r[1]
	}
	if at < len(c.bundles) {
		rest = append(rest, [2]int{at, len(c.bundles)})
	}
	return rest
}

func (c *crowds) crowd(runs [][2]int) *crowd {
	key := make([]byte, 0, 16*len(runs))
	for _, r := range runs {
		key = binary.AppendUvarint(binary.AppendUvarint(key, uint64(r[0])), uint64(r[1]))
	}
	known := c.known[string(key)]
	if known == nil {
		known = c.newCrowd(runs)
		c.known[string(key)] = known
	}
	return known
}

func (c *crowds) newCrowd(runs [][2]int) *crowd {
	made := &crowd{members: map[string][]int{}, names: map[string][]string{}}
	for _, r := range runs {
		for _, members := range c.bundles[r[0]:r[1]] {
			for _, p := range members {
				if w := c.peers[p].Workload; w != nil {
					made.members[w.ID.Namespace] = append(made.members[w.ID.Namespace], p)
				}
			}
		}
	}
	for namespace, members := range made.members {
		slices.Sort(members)
		made.order = append(made.order, namespace)
		made.names[namespace] = c.named(namespace, members, len(c.homes[namespace]))
	}
	slices.Sort(made.order)
	return made
}

// names puts a crowd into words, without some peers and with others. Only the
// namespaces of these are looked at anew. The server, the first of those without,
// does not count as one of its namespace.
func (c *crowds) names(m *crowd, without, with []int) []string {
	special := map[string]bool{}
	for _, p := range slices.Concat(without, with) {
		special[c.peers[p].Workload.ID.Namespace] = true
	}
	order := m.order
	for namespace := range special {
		if _, there := m.members[namespace]; !there {
			order = append(slices.Clip(order), namespace)
		}
	}
	var names []string
	for _, namespace := range order {
		if !special[namespace] {
			names = append(names, m.names[namespace]...)
			continue
		}
		members := slices.DeleteFunc(slices.Clone(m.members[namespace]), func(p int) bool { return slices.Contains(without, p) })
		for _, p := range with {
			if c.peers[p].Workload.ID.Namespace == namespace && !slices.Contains(members, p) {
				members = append(members, p)
			}
		}
		all := len(c.homes[namespace])
		if c.peers[without[0]].Workload.ID.Namespace == namespace {
			all--
		}
		slices.Sort(members)
		names = append(names, c.named(namespace, members, all)...)
	}
	slices.Sort(names)
	return names
}

// named lists workloads of a namespace, or the namespace where all are there.
func (c *crowds) named(namespace string, members []int, all int) []string {
	if len(members) == all && all > 1 {
		return []string{namespace + "/*"}
	}
	names := make([]string, len(members))
	for k, p := range members {
		names[k] = verdict.WorkloadID(c.peers[p].Workload)
	}
	return names
}

func serviceName(s *model.Service, port int32) string {
	return fmt.Sprintf("%s/%s:%d", s.Namespace, s.Name, port)
}
