package linkerd

import (
	"fmt"
	"net/netip"
	"strings"

	"floe.dev/palisade/model"
)

// identityList is whom a MeshTLSAuthentication means. It is not kept where
// Linkerd takes none of it, so that policies find it missing (linkerd2
// policy-controller/k8s/index/src/inbound/meshtls_authentication.rs).
type identityList struct {
	names      []model.NameTerm
	unreadable bool
}

// networkList is the addresses of a NetworkAuthentication.
type networkList struct {
	blocks     []model.AddressBlock
	unreadable bool
}

// reference names an object. Group and kind are compared without regard to case,
// and no group is the core's (linkerd2 policy-controller/k8s/api/src/policy.rs, targets_kind).
type reference struct {
	Group     string `json:"group"`
	Kind      string `json:"kind"`
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
}

const coreGroup = "core"

func (t *reference) is(group, kind string) bool {
	own := t.Group
	if own == "" {
		own = coreGroup
	}
	return strings.EqualFold(own, group) && strings.EqualFold(t.Kind, kind)
}

// in is the reference's namespace, or home where it has none.
func (t *reference) in(home string) string {
	if t.Namespace != "" {
		return t.Namespace
	}
	return home
}

func noFault() error { return nil }

func (r *Reader) addIdentities(o *model.Object) {
	var spec struct {
		Identities   []string    `json:"identities"`
		IdentityRefs []reference `json:"identityRefs"`
	}
	ref, list := o.Ref(), &identityList{}
	if err := readSpec(o, &spec, noFault); err != nil {
		r.unreadable(o, err)
		list.unreadable = true
	} else {
		var accounts, namespaces []string
		for _, t := range spec.IdentityRefs {
			switch {
			case t.is(coreGroup, "ServiceAccount"):
				accounts = append(accounts, t.in(ref.Namespace)+"/"+t.Name)
			case t.is(coreGroup, "Namespace"):
				namespaces = append(namespaces, t.Name)
			default:
				return
			}
		}
		if len(spec.Identities)+len(spec.IdentityRefs) == 0 {
			return
		}
		list.names = names(spec.Identities, accounts, namespaces)
	}
	r.identities[[2]string{ref.Namespace, ref.Name}] = list
}

// names are terms for identities. Those of service accounts and namespaces need
// neither the control plane's namespace nor the trust domain.
func names(identities, accounts, namespaces []string) []model.NameTerm {
	terms := []model.NameTerm{}
	for _, t := range []model.NameTerm{
		{Of: model.NamePrincipal, Patterns: literal(identities)},
		{Of: model.NameAccount, Patterns: accounts},
		{Of: model.NameNamespace, Patterns: namespaces},
	} {
		if len(t.Patterns) > 0 {
			terms = append(terms, t)
		}
	}
	return terms
}

// literal leaves out what no workload of the mesh can be: SPIFFE IDs, which are
// for external workloads, and texts with a "*" that is no wildcard for Linkerd:
// it knows "*" and "*.suffix" (linkerd2 policy-controller/core/src/identity_match.rs).
func literal(identities []string) []string {
	var kept []string
	for _, id := range identities {
		rest := strings.TrimPrefix(id, "*.")
		if id == "*" || rest != "" && !strings.Contains(rest, "*") && !strings.HasPrefix(id, "spiffe://") {
			kept = append(kept, id)
		}
	}
	return kept
}

func (r *Reader) addNetworks(o *model.Object) {
	var spec networkAuthenticationSpec
	var blocks []model.AddressBlock
	ref := o.Ref()
	err := readSpec(o, &spec, func() (err error) {
		blocks, err = blocksOf(spec.Networks)
		return err
	})
	if err != nil {
		r.unreadable(o, err)
	} else if len(blocks) == 0 {
		return
	}
	r.networks[[2]string{ref.Namespace, ref.Name}] = &networkList{blocks, err != nil}
}

func blocksOf(networks []network) ([]model.AddressBlock, error) {
	blocks := make([]model.AddressBlock, len(networks))
	for i, n := range networks {
		cidr, err := parseCIDR(n.CIDR)
		if err != nil {
			return nil, fmt.Errorf("networks[%d].cidr: %w", i, err)
		}
		blocks[i].CIDR = cidr
		for j, text := range n.Except {
			hole, err := parseCIDR(text)
			if err != nil {
				return nil, fmt.Errorf("networks[%d].except[%d]: %w", i, j, err)
			}
			blocks[i].Except = append(blocks[i].Except, hole)
		}
	}
	return blocks, nil
}

// parseCIDR reads "10.1.0.0/16" or "10.1.2.3".
func parseCIDR(text string) (netip.Prefix, error) {
	if !strings.ContainsAny(text, "/%") {
		address, err := netip.ParseAddr(text)
		return netip.PrefixFrom(address, address.BitLen()), err
	}
	prefix, err := netip.ParsePrefix(text)
	return prefix.Masked(), err
}
