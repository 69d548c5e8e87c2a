package linkerd

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"floe.dev/palisade/model"
)

// clientSet is who may call: meshed clients by identity, others by address. Both lists are sorted.
type clientSet struct {
	identities []string
	networks   []network
}

func (c clientSet) empty() bool { return len(c.identities) == 0 && len(c.networks) == 0 }

// key is equal for equal sets.
func (c clientSet) key() string {
	return strings.Join(c.identities, ",") + "|" + networksKey(c.networks)
}

func networksKey(networks []network) string {
	parts := make([]string, len(networks))
	for i, n := range networks {
		parts[i] = n.CIDR + "-" + strings.Join(n.Except, "-")
	}
	return strings.Join(parts, ",")
}

// with returns the union of two sets.
func (c clientSet) with(other clientSet) clientSet {
	return newClientSet(slices.Concat(c.identities, other.identities), slices.Concat(c.networks, other.networks))
}

func newClientSet(identities []string, networks []network) clientSet {
	slices.Sort(identities)
	slices.SortFunc(networks, func(a, b network) int { return strings.Compare(networksKey([]network{a}), networksKey([]network{b})) })
	return clientSet{
		identities: slices.Compact(identities),
		networks: slices.CompactFunc(networks, func(a, b network) bool {
			return networksKey([]network{a}) == networksKey([]network{b})
		}),
	}
}

// anyIdentity is every client with an identity of the mesh; anyone is every client.
func anyIdentity() clientSet { return clientSet{identities: []string{"*"}} }
func anyone() clientSet {
	return clientSet{networks: []network{{CIDR: "0.0.0.0/0"}, {CIDR: "::/0"}}}
}

func networksOf(prefixes []netip.Prefix) []network {
	networks := make([]network, len(prefixes))
	for i, p := range prefixes {
		networks[i] = network{CIDR: p.Masked().String()}
	}
	return networks
}

// clients resolves the clients of a flow, once: what cannot be resolved is a
// problem and stays closed.
func (c *compiler) clients(index int) clientSet {
	if known, ok := c.resolved[index]; ok {
		return known
	}
	set := c.resolve(&c.model.Flows[index])
	c.resolved[index] = set
	return set
}

func (c *compiler) resolve(f *model.Flow) clientSet {
	cluster := &c.model.Cluster
	switch f.Client.Kind {
	case model.PeerPods:
		return c.pods(f)
	case model.PeerAPIServer:
		var hosts []netip.Prefix
		for _, a := range cluster.APIServer.Endpoints {
			hosts = append(hosts, netip.PrefixFrom(a, a.BitLen()))
		}
		return c.known(f, hosts, "APIServerUnknown", "the addresses of the API server are", "read the EndpointSlice or Endpoints of Service default/kubernetes (-f), or give --api-server")
	case model.PeerNodes:
		return c.known(f, cluster.NodeCIDRs, "NodesUnknown", "the addresses of the nodes are", nodesFix)
	case model.PeerAddresses:
		return newClientSet(nil, c.blocks(f))
	default:
		c.flowProblem(f, "ClientNotExpressible", model.Error,
			fmt.Sprintf("Linkerd cannot authorize a client of the kind %s: it stays closed in the mesh", f.Client.Kind), "name the clients by pods or addresses")
		return clientSet{}
	}
}

const nodesFix = "read the Nodes (-f), or give --node-cidr"

// known makes a set of addresses, or a problem where there are none.
func (c *compiler) known(f *model.Flow, prefixes []netip.Prefix, code, what, fix string) clientSet {
	if len(prefixes) == 0 {
		c.flowProblem(f, code, model.Error, what+" not known, and such clients have no identity of the mesh: they stay closed in the mesh", fix)
		return clientSet{}
	}
	return newClientSet(nil, networksOf(prefixes))
}

// pods resolves pods: by identity where they are meshed, by address where the
// flow says that they come in plaintext.
func (c *compiler) pods(f *model.Flow) clientSet {
	var set clientSet
	var strangers []string
	onNodes, onPods := false, len(f.Client.Workloads) == 0
	for _, id := range f.Client.Workloads {
		w := c.model.Workload(id)
		if w == nil {
			continue
		}
		if w.Facts.Meshed() && w.Facts.Identity != "" {
			set.identities = append(set.identities, w.Facts.Identity)
			continue
		}
		strangers = append(strangers, id.String())
		onNodes, onPods = onNodes || w.Spec.HostNetwork, onPods || !w.Spec.HostNetwork
	}
	set = newClientSet(set.identities, nil)
	if !f.Plaintext {
		c.withoutIdentity(f, strangers)
		return set
	}
	if onPods || !onNodes {
		set = set.with(c.known(f, c.model.Cluster.PodCIDRs, "PodCIDRsUnknown", "the addresses of pods are", "give --pod-cidr"))
	}
	if onNodes {
		set = set.with(c.known(f, c.model.Cluster.NodeCIDRs, "NodesUnknown", "the addresses of the nodes are", nodesFix))
	}
	if len(set.networks) > 0 {
		c.flowProblem(f, "PlaintextByAddress", model.Info,
			"the clients come without an identity of the mesh, so Linkerd lets in whatever has an address of their range: only NetworkPolicies tell them from other pods",
			"take the clients into the mesh")
	}
	return set
}

func (c *compiler) withoutIdentity(f *model.Flow, strangers []string) {
	const most = 3
	if len(strangers) == 0 {
		return
	}
	names := strings.Join(strangers[:min(len(strangers), most)], ", ")
	if len(strangers) > most {
		names += fmt.Sprintf(" and %d more", len(strangers)-most)
	}
	c.flowProblem(f, "ClientHasNoIdentity", model.Warning,
		names+": outside the mesh, so there is no identity to authorize; the servers in the mesh stay closed to them",
		"take the clients into the mesh, or exempt the servers' ports from MTLS and Authorization for the time being")
}
