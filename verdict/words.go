package verdict

import (
	"fmt"
	"net/netip"
	"strings"

	"floe.dev/palisade/model"
)

const (
	// shownRanges is how many ranges of addresses a person is shown.
	shownRanges = 3
	// shownCauses is how many rules of one layer a person is shown.
	shownCauses = 5
)

// ID is stable for a workload whatever else is read. Addresses are known by
// their first range: no two peers of a result share one.
func (p Peer) ID() string {
	if p.Workload != nil {
		return WorkloadID(p.Workload)
	}
	return "outside:" + p.CIDRs[0].String()
}

// String is how a person reads a peer in a table or a picture.
func (p Peer) String() string {
	if p.Workload != nil {
		return p.Workload.ID.Namespace + "/" + p.Workload.ID.Name
	}
	return addressesName(p.CIDRs)
}

// WorkloadID is the ID of a workload as a peer.
func WorkloadID(w *model.Workload) string {
	return w.ID.Namespace + "/" + w.ID.Kind + "/" + w.ID.Name
}

// ID is that of the workload, or the address.
func (e End) ID() string {
	if e.Workload != nil {
		return WorkloadID(e.Workload)
	}
	return e.Address.String()
}

// String is how a person reads it.
func (e End) String() string {
	if e.Workload != nil {
		return e.Workload.ID.String()
	}
	return e.Address.String()
}

// Reason says in a sentence why a verdict is what it is.
func (e *Explanation) Reason() string {
	if a := e.Deciding(); a != nil {
		return e.Says(a)
	}
	if e.Protection == MTLS {
		return "encrypted by mTLS, authenticated as " + e.Identity.String()
	}
	why := "in plaintext, as nobody"
	if t := e.transport(); t != nil && len(t.Causes) > 0 {
		why += ": " + causeText(t.Causes[0])
	}
	return why
}

// Deciding is the answer that makes the verdict what it is; nil where all layers let the connection through.
func (e *Explanation) Deciding() *Answer {
	for i := range e.Answers {
		if a := &e.Answers[i]; a.Decision == e.Decision && e.Decision != Open {
			return a
		}
	}
	return nil
}

func (e *Explanation) transport() *Answer {
	if len(e.Answers) > 0 && e.Answers[0].Layer == model.FilterTransport {
		return &e.Answers[0]
	}
	return nil
}

// Says tells what one of the layers does, and by which rule.
func (e *Explanation) Says(a *Answer) string {
	switch a.Layer {
	case model.FilterTransport:
		return transportText(a, e)
	case model.FilterEgress, model.FilterIngress:
		return networkText(a)
	default:
		return proxyText(a)
	}
}

func transportText(a *Answer, e *Explanation) string {
	text := "plaintext"
	if e.Protection == MTLS {
		text = "mTLS"
	}
	if a.Decision == Refused {
		text += ", which fails"
	}
	if a.Dialled.Number != 0 {
		text += fmt.Sprintf(", dialled on %d", a.Dialled.Number)
	}
	if len(a.Causes) == 0 {
		return text + ": nothing of a mesh carries it"
	}
	return text + ": " + causesText(a.Causes)
}

func networkText(a *Answer) string {
	at, way := "an address outside", "may be reached"
	if a.At != nil {
		at = a.At.ID.String()
	}
	if a.Layer == model.FilterEgress {
		way = "may send anything"
	}
	port := ""
	if a.Dialled.Number != 0 {
		port = fmt.Sprintf(" (it sees port %d)", a.Dialled.Number)
	}
	switch {
	case a.Silent && a.At == nil:
		return "no policy is for addresses outside"
	case a.Silent:
		return fmt.Sprintf("no NetworkPolicy isolates %s, so it %s", at, way)
	case a.Decision == Refused && a.NoRule:
		return "no rule lets it through" + port + "; isolated by " + causesText(a.Causes)
	default:
		return causesText(a.Causes) + port
	}
}

func proxyText(a *Answer) string {
	switch {
	case len(a.Causes) == 0 && a.Layer == model.FilterAuthorization:
		return "no policy is for this workload, so everybody is let in"
	case a.Decision == Refused && a.NoRule && a.Layer == model.FilterAuthorization:
		return "no rule lets it in; there are " + causesText(a.Causes)
	default:
		return causesText(a.Causes)
	}
}

// causesText names rules; the first says what it does where it has words for it.
func causesText(causes []model.Cause) string {
	var parts []string
	for i, c := range causes {
		if i == shownCauses && len(causes) > shownCauses+1 {
			parts = append(parts, fmt.Sprintf("%d more", len(causes)-i))
			break
		}
		parts = append(parts, causeText(c))
	}
	return strings.Join(parts, ", ")
}

func causeText(c model.Cause) string {
	name := strings.TrimSpace(c.Object.String() + " " + c.Field)
	if name == "" || c.Message == "" {
		return name + c.Message
	}
	return name + ": " + c.Message
}

// addressesName shortens a long list: of a whole address space less a few holes, the holes tell more than the rest.
func addressesName(cidrs []netip.Prefix) string {
	if isRest(cidrs) {
		return "any other address"
	}
	var texts []string
	for _, c := range cidrs[:min(len(cidrs), shownRanges)] {
		if c.IsSingleIP() {
			texts = append(texts, c.Addr().String())
			continue
		}
		texts = append(texts, c.String())
	}
	if rest := len(cidrs) - shownRanges; rest > 0 {
		texts = append(texts, fmt.Sprintf("%d more ranges", rest))
	}
	return "addresses " + strings.Join(texts, ", ")
}

// isRest tells whether addresses are more than half of all IPv4 addresses: then they are what no rule names.
func isRest(cidrs []netip.Prefix) bool {
	share := 0.0
	for _, c := range cidrs {
		if c.Addr().Is4() {
			share += 1 / float64(uint64(1)<<c.Bits())
		}
	}
	return share > 0.5
}
