package report

import (
	"fmt"
	"net/netip"
	"strings"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// shownRanges is how many ranges of addresses a person is shown.
const shownRanges = 3

// PeerDocument is one end of connections, for machines: a workload or pod, or addresses outside.
type PeerDocument struct {
	ID        string   `json:"id"`
	Namespace string   `json:"namespace,omitempty"`
	Kind      string   `json:"kind,omitempty"`
	Name      string   `json:"name,omitempty"`
	CIDRs     []string `json:"cidrs,omitempty"`
}

func peerDocument(p verdict.Peer) PeerDocument {
	d := PeerDocument{ID: peerID(p)}
	if p.Workload != nil {
		d.Namespace, d.Kind, d.Name = p.Workload.ID.Namespace, p.Workload.ID.Kind, p.Workload.ID.Name
		return d
	}
	for _, cidr := range p.CIDRs {
		d.CIDRs = append(d.CIDRs, cidr.String())
	}
	return d
}

// peerID is stable for a workload whatever else is read. Addresses are known by
// their first range: no two peers share one.
func peerID(p verdict.Peer) string {
	if p.Workload != nil {
		return workloadID(p.Workload)
	}
	return "outside:" + p.CIDRs[0].String()
}

func workloadID(w *model.Workload) string {
	return w.ID.Namespace + "/" + w.ID.Kind + "/" + w.ID.Name
}

// peerName is how a person reads a peer in a table or a picture.
func peerName(p verdict.Peer) string {
	if p.Workload != nil {
		return p.Workload.ID.Namespace + "/" + p.Workload.ID.Name
	}
	return addressesName(p.CIDRs)
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
