package plan

import (
	"fmt"
	"net/netip"
	"slices"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// crowds names many peers in few words.
type crowds struct {
	peers []verdict.Peer
	// workloads is how many of the peers are workloads: they come first.
	workloads int
	// bySpace counts the workloads of each namespace.
	bySpace map[string]int
}

func newCrowds(peers []verdict.Peer) crowds {
	c := crowds{peers: peers, bySpace: map[string]int{}}
	for _, p := range peers {
		if p.Workload != nil {
			c.workloads++
			c.bySpace[p.Workload.ID.Namespace]++
		}
	}
	return c
}

// clients puts peers into words, given by their numbers, sorted, without the server among them.
func (c *crowds) clients(from []int, server int) Clients {
	clients := Clients{}
	var in []int
	for _, p := range from {
		switch {
		case p == server:
			continue
		case c.peers[p].Workload != nil:
			in = append(in, p)
		default:
			clients.Addresses = append(clients.Addresses, c.peers[p].CIDRs...)
		}
		clients.Count++
	}
	slices.SortFunc(clients.Addresses, netip.Prefix.Compare)
	if len(in) > 1 && 2*len(in) > c.workloads {
		clients.All = true
		clients.Except = c.names(c.others(in, server), server)
		return clients
	}
	clients.Workloads = c.names(in, server)
	return clients
}

// others are the workloads that are not among some, which are sorted.
func (c *crowds) others(some []int, server int) []int {
	var rest []int
	for w := range c.workloads {
		if len(some) > 0 && some[0] == w {
			some = some[1:]
			continue
		}
		if w != server {
			rest = append(rest, w)
		}
	}
	return rest
}

// names lists workloads, a namespace of which all are there as one. Whether the
// server is among them says nothing.
func (c *crowds) names(of []int, server int) []string {
	count := map[string]int{}
	for _, p := range of {
		count[c.peers[p].Workload.ID.Namespace]++
	}
	var names []string
	said := map[string]bool{}
	for _, p := range of {
		w := c.peers[p].Workload
		home := w.ID.Namespace
		all := c.bySpace[home]
		if c.peers[server].Workload.ID.Namespace == home {
			all--
		}
		switch {
		case count[home] < all || all < 2:
			names = append(names, verdict.WorkloadID(w))
		case !said[home]:
			said[home] = true
			names = append(names, home+"/*")
		}
	}
	slices.Sort(names)
	return names
}

func serviceName(s *model.Service, port int32) string {
	return fmt.Sprintf("%s/%s:%d", s.Namespace, s.Name, port)
}
