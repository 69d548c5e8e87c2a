package verdict_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"floe.dev/palisade/model"
	"floe.dev/palisade/netpol"
	"floe.dev/palisade/verdict"
)

// changesOf are the changes of a difference, by the ends that an end of the world belongs to.
type changesOf struct {
	peers   []verdict.Peer
	changes map[[2]int][]verdict.Delta
}

func changesIn(d *verdict.Difference) changesOf {
	c := changesOf{d.Peers(), map[[2]int][]verdict.Delta{}}
	for change := range d.Changes() {
		at := [2]int{change.From, change.To}
		c.changes[at] = append(c.changes[at], change.Delta)
	}
	return c
}

func (c *changesOf) peer(e verdict.End) int {
	return slices.IndexFunc(c.peers, func(p verdict.Peer) bool {
		if e.Workload != nil {
			return p.Workload != nil && p.Workload.ID == e.Workload.ID
		}
		return slices.ContainsFunc(p.CIDRs, func(cidr netip.Prefix) bool { return cidr.Contains(e.Address) })
	})
}

// at is what changes between two ends on a port, in words.
func (c *changesOf) at(from, to verdict.End, port model.Port) string {
	text := ""
	for _, d := range c.changes[[2]int{c.peer(from), c.peer(to)}] {
		a := d.Before
		if a == nil {
			a = d.After
		}
		if a.Covers(port) {
			text += fmt.Sprint(standing(d.Before), " becomes ", standing(d.After))
		}
	}
	return text
}

func standing(a *verdict.Allowance) string {
	if a == nil {
		return "refused"
	}
	return fmt.Sprint(a.Standing)
}

func TestLookingAroundAChangedPolicyFindsWhatComparingEverythingFinds(t *testing.T) {
	asked, changed := 0, 0
	for seed := range uint64(1500) {
		w := newWorld(seed)
		before := netpol.NewEvaluator(w.policies, w.in.Cluster.CNI)
		namespace := w.in.Namespaces[w.IntN(len(w.in.Namespaces))].Name
		at := slices.IndexFunc(w.policies, func(p networkingv1.NetworkPolicy) bool { return p.Namespace == namespace })
		policy := w.policy(namespace, 0)
		called := "another"
		after := slices.Clone(w.policies)
		var replaced *networkingv1.NetworkPolicy
		switch {
		case at >= 0 && w.IntN(4) == 0: // it goes
			called = after[at].Name
			after = slices.Delete(after, at, at+1)
		case at >= 0 && w.IntN(3) > 0: // it changes
			called = after[at].Name
			policy.Name = called
			after[at], replaced = policy, &policy
		default:
			policy.Name = called
			after, replaced = append(after, policy), &policy
		}
		change := before.Replace(namespace, called, replaced)
		was, is, whole := w.in, w.in, w.in
		was.Network, is.Network, whole.Network = before, change.Evaluator, netpol.NewEvaluator(after, w.in.Cluster.CNI)
		around := changesIn(verdict.CompareAround(was, is, verdict.Around{
			Touched: change.Selects, Rules: change.Rules, Hidden: func(*model.Workload) bool { return false },
		}))
		all := changesIn(verdict.Compare(was, whole))
		for i, from := range w.ends() {
			for j, to := range w.ends() {
				if i == j || from.Workload == nil && to.Workload == nil {
					continue
				}
				for k := (i + j + int(seed)) % 3; k < len(askedPorts); k += 3 {
					port := askedPorts[k]
					want := all.at(from, to, port)
					asked++
					if want != "" {
						changed++
					}
					if got := around.at(from, to, port); got != want {
						t.Fatalf("seed %d: %s → %s %s: around %q, of everything %q\n%s\n%s", seed, name(from), name(to), port, got, want, w, policy.Spec.String())
					}
				}
			}
		}
	}
	t.Logf("%d connections, of which %d change", asked, changed)
}
