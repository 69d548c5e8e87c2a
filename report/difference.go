package report

import (
	"bytes"
	"fmt"
	"io"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// The kinds of changes.
const (
	gained  = "gained"
	lost    = "lost"
	changed = "changed"
)

// ChangeDocument is one change of a ConnectivityDiff, for machines.
type ChangeDocument struct {
	// Change is "gained", "lost" or "changed".
	Change   string          `json:"change"`
	From     string          `json:"from"`
	To       string          `json:"to"`
	Protocol corev1.Protocol `json:"protocol"`
	Ports    string          `json:"ports"`
	// Before and After are how the connection stands; absent where it is refused.
	Before *StandingDocument `json:"before,omitempty"`
	After  *StandingDocument `json:"after,omitempty"`
}

// StandingDocument is how a connection stands in one state.
type StandingDocument struct {
	// Protection is "mtls" or "plaintext".
	Protection string `json:"protection"`
	// Requests is "some" where not every request is let through; absent otherwise.
	Requests string `json:"requests,omitempty"`
	// Known is false where it is not known whether the connection is let through; absent otherwise.
	Known *bool `json:"known,omitempty"`
}

// DifferenceSummary counts pairs of peers.
type DifferenceSummary struct {
	Gained  int `json:"gained"`
	Lost    int `json:"lost"`
	Changed int `json:"changed"`
}

func kindOfChange(d verdict.Delta) string {
	switch {
	case d.Before == nil:
		return gained
	case d.After == nil:
		return lost
	default:
		return changed
	}
}

func standingDocument(a *verdict.Allowance) *StandingDocument {
	if a == nil {
		return nil
	}
	d := &StandingDocument{Protection: a.Protection.String()}
	switch a.Standing {
	case verdict.InPart:
		d.Requests = "some"
	case verdict.Unknown:
		d.Known = new(bool)
	}
	return d
}

// Summarize counts the pairs of peers that gain, lose or change something.
func Summarize(d *verdict.Difference) DifferenceSummary {
	var s DifferenceSummary
	at, seen := [2]int{-1, -1}, map[string]bool{}
	for c := range d.Changes() {
		if pair := [2]int{c.From, c.To}; pair != at {
			at = pair
			clear(seen)
		}
		kind := kindOfChange(c.Delta)
		if seen[kind] {
			continue
		}
		seen[kind] = true
		switch kind {
		case gained:
			s.Gained++
		case lost:
			s.Lost++
		default:
			s.Changed++
		}
	}
	return s
}

// WriteDifference writes what changes for machines: kind ConnectivityDiff, docs/schemas/connectivity-diff.json.
func WriteDifference(w io.Writer, diff *verdict.Difference, o MapOptions) error {
	d := beginDocument(w, "ConnectivityDiff")
	peers := diff.Peers()
	d.field("summary", Summarize(diff))
	used := make([]bool, len(peers))
	for c := range diff.Changes() {
		if o.shows(peers, c.From, c.To) {
			used[c.From], used[c.To] = true, true
		}
	}
	d.list("peers")
	for i, p := range peers {
		if used[i] {
			d.add(peerDocument(p))
		}
	}
	d.list("changes")
	for c := range diff.Changes() {
		if !o.shows(peers, c.From, c.To) {
			continue
		}
		a := c.After
		if a == nil {
			a = c.Before
		}
		d.add(ChangeDocument{
			Change: kindOfChange(c.Delta), From: peers[c.From].ID(), To: peers[c.To].ID(), Protocol: a.Protocol, Ports: a.Ports,
			Before: standingDocument(c.Before), After: standingDocument(c.After),
		})
	}
	d.list("problems")
	for _, p := range o.Problems {
		d.add(p)
	}
	return d.end()
}

// changeSigns mark a change at the beginning of its line.
var changeSigns = map[string]struct{ sign, paint string }{gained: {"+", "add"}, lost: {"-", "remove"}, changed: {"~", "change"}}

// DifferenceText is what changes, for people: peers for which the same changes stand together.
func DifferenceText(diff *verdict.Difference, o MapOptions, paint Paint) []byte {
	if paint == nil {
		paint = func(_, text string) string { return text }
	}
	var out bytes.Buffer
	peers := diff.Peers()
	for _, kind := range []string{gained, changed, lost} {
		var lines []string
		for _, g := range diff.Groups() {
			for _, part := range focused(peers, crowd{g.From, g.To}, o) {
				lines = append(lines, changeLines(peers, part.from, part.to, g.Deltas, kind)...)
			}
		}
		if len(lines) == 0 {
			continue
		}
		slices.Sort(lines)
		fmt.Fprintf(&out, "%s\n", paint("title", map[string]string{gained: "Opened", lost: "Closed", changed: "Protected or limited otherwise"}[kind]))
		sign := changeSigns[kind]
		for _, line := range slices.Compact(lines) {
			fmt.Fprintf(&out, "  %s\n", paint(sign.paint, sign.sign+" "+line))
		}
		out.WriteByte('\n')
	}
	s := Summarize(diff)
	fmt.Fprintf(&out, "%s\n", paint("title", fmt.Sprintf("Pairs of peers: %d gain connections, %d lose some, %d keep some with another protection", s.Gained, s.Lost, s.Changed)))
	return out.Bytes()
}

// changeLines are the changes of one kind between some peers, those alike but for their ports in one line.
func changeLines(peers []verdict.Peer, from, to []int, deltas []verdict.Delta, kind string) []string {
	type how struct{ before, after string }
	ports := map[how][]verdict.Allowance{}
	var order []how
	for _, d := range deltas {
		if kindOfChange(d) != kind {
			continue
		}
		h, a := how{}, d.After
		if d.Before != nil {
			h.before = protectionText(*d.Before)
		}
		if a != nil {
			h.after = protectionText(*a)
		} else {
			a = d.Before
		}
		if ports[h] == nil {
			order = append(order, h)
		}
		ports[h] = append(ports[h], *a)
	}
	var lines []string
	for _, h := range order {
		text := h.before + h.after
		if h.before != "" && h.after != "" {
			text = h.before + " → " + h.after
		}
		lines = append(lines, fmt.Sprintf("%s → %s: %s (%s)", peersText(peers, from), serversText(peers, from, to), portsText(ports[h]), text))
	}
	return lines
}

// ProblemsOf joins the problems of two states, each once.
func ProblemsOf(lists ...[]model.Problem) []model.Problem {
	all := slices.Concat(lists...)
	slices.SortFunc(all, model.CompareProblems)
	return slices.Compact(all)
}
