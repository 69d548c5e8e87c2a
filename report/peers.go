package report

import (
	"floe.dev/palisade/verdict"
)

// PeerDocument is one end of connections, for machines: a workload or pod, or addresses outside.
type PeerDocument struct {
	ID        string   `json:"id"`
	Namespace string   `json:"namespace,omitempty"`
	Kind      string   `json:"kind,omitempty"`
	Name      string   `json:"name,omitempty"`
	CIDRs     []string `json:"cidrs,omitempty"`
}

func peerDocument(p verdict.Peer) PeerDocument {
	d := PeerDocument{ID: p.ID()}
	if p.Workload != nil {
		d.Namespace, d.Kind, d.Name = p.Workload.ID.Namespace, p.Workload.ID.Kind, p.Workload.ID.Name
		return d
	}
	for _, cidr := range p.CIDRs {
		d.CIDRs = append(d.CIDRs, cidr.String())
	}
	return d
}
