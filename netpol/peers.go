package netpol

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// peer is one peer of a NetworkPolicy rule, with what tells it from others.
type peer struct {
	// key is equal for equal peers, and only for them.
	key string
	// cidr is the zero Prefix where the peer is not an address block.
	cidr    netip.Prefix
	written networkingv1.NetworkPolicyPeer
	// anyone is the peer of an exemption: it is written as the absence of a peer list.
	anyone bool
}

// anyone is written by an Exemption in force, and by nothing else.
var anyone = peer{key: "*", anyone: true}

// podPeer selects pods as seen from a policy's namespace. It always carries a selector.
func podPeer(of *model.Peer, home string) peer {
	pods := canonical(&of.PodSelector)
	key := "pods " + model.SelectorKey(&pods)
	if of.Namespace == home {
		return peer{key: key, written: networkingv1.NetworkPolicyPeer{PodSelector: &pods}}
	}
	namespaces := metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: of.Namespace}}
	if of.Namespace == "" {
		namespaces = canonical(of.NamespaceSelector)
	}
	p := peer{
		key:     "pods in " + model.SelectorKey(&namespaces) + " " + key,
		written: networkingv1.NetworkPolicyPeer{NamespaceSelector: &namespaces},
	}
	if !model.IsEverything(&pods) {
		p.written.PodSelector = &pods
	}
	return p
}

// block is a range of addresses less some parts of it.
func block(cidr netip.Prefix, except []netip.Prefix) peer {
	ip := &networkingv1.IPBlock{CIDR: cidr.String()}
	for _, e := range except {
		ip.Except = append(ip.Except, e.String())
	}
	return peer{
		key: "block " + ip.CIDR + " except " + strings.Join(ip.Except, " "), cidr: cidr,
		written: networkingv1.NetworkPolicyPeer{IPBlock: ip},
	}
}

func blocks(cidrs []netip.Prefix) []peer {
	var peers []peer
	for _, cidr := range cidrs {
		peers = append(peers, block(cidr, nil))
	}
	return peers
}

func single(a netip.Addr) peer {
	a = a.Unmap().WithZone("")
	return block(netip.PrefixFrom(a, a.BitLen()), nil)
}

func (p peer) same(q peer) bool { return p.key == q.key }

// comparePeers orders pods before addresses, and addresses by number.
func comparePeers(a, b peer) int {
	if a.cidr.IsValid() != b.cidr.IsValid() {
		return cmp.Compare(a.cidr.Bits(), b.cidr.Bits()) // -1 where there is none
	}
	if a.cidr.IsValid() {
		return cmp.Or(netip.Prefix.Compare(a.cidr, b.cidr), cmp.Compare(a.key, b.key))
	}
	return cmp.Compare(a.key, b.key)
}

func sortPeers(peers []peer) []peer {
	slices.SortFunc(peers, comparePeers)
	return slices.CompactFunc(peers, peer.same)
}
