package netpol

import (
	"strings"

	"floe.dev/palisade/model"
)

// complaint is a Problem before it is known whom it concerns. Its message may hold one %s.
type complaint struct {
	code         string
	severity     model.Severity
	message, fix string
}

// about fills in what the complaint is about.
func (p complaint) about(what string) complaint {
	p.message = strings.ReplaceAll(p.message, "%s", what)
	return p
}

// problem notes a complaint about the object that a flow came from, once.
func (c *compiler) problem(origin model.Origin, p complaint) {
	message := p.message
	if origin.Part != "" {
		message = origin.Part + ": " + message
	}
	c.problems[model.Problem{Code: p.code, Severity: p.severity, Subject: origin.Ref, Message: message, Fix: p.fix}] = true
}

const (
	giveNodes  = "give --node-cidr, or read the Node objects (-f)"
	giveRanges = "give --pod-cidr and --service-cidr for every address family of the cluster, or read the objects that show them (-f)"
	giveAPI    = "give --api-server, or read the Service default/kubernetes and its EndpointSlice (-f)"
	giveDNS    = "give --dns-server, or read the kube-dns Service and its pods (-f)"
)

// What keeps a permission from being written, in full or in part.
var (
	portsUnknown = complaint{
		"PortsUnknown", model.Error, "no port is known: it stays closed, since a rule without ports would open all of them", "name the ports",
	}
	tunnelUnknown = complaint{
		"TunnelUnknown", model.Error, "traffic passes a waypoint, but the mesh's port to it is not known: it stays closed", "",
	}
	peerUnknown = complaint{
		"PeerNotExpressible", model.Error, "a NetworkPolicy cannot hold this peer (%s) on this side: it stays closed", "",
	}
	namespaceMissing = complaint{
		"PeerWithoutNamespace", model.Error, "the pods have neither a namespace nor a namespaceSelector: it stays closed", "add one",
	}
	notSelectable = complaint{
		"WorkloadNotSelectable", model.Error,
		"the pods of %s have no label that tells them from others: a policy would mean the whole namespace, so it stays closed",
		"give the pods a label",
	}
	addressesMissing = complaint{
		"AddressesMissing", model.Error, "the range holds no address: it stays closed", "write a range such as 198.51.100.0/24",
	}
	nothingLeft = complaint{
		"NothingLeftOfRange", model.Error,
		"%s lies wholly in its own exceptions, in the cluster's own ranges, or in a metadata service's: nothing is left of it, and it stays closed",
		"name pods by a TrafficRule, and the API server by its preset",
	}
	clusterRangesUnknown = complaint{
		"ClusterRangesUnknown", model.Error,
		"%s may contain pods and Services, whose ranges are not known, and on some CNIs would open them: it stays closed", giveRanges,
	}
	clusterRangesAssumed = complaint{
		"ClusterRangesAssumed", model.Info,
		"the ranges of pods and Services are not known; %s is opened because a cluster seldom takes its own addresses from public ranges", giveRanges,
	}
	nodesNotLeftOut = complaint{
		"NodesNotLeftOut", model.Warning, "the nodes' addresses are not known: those that lie in %s are opened with it", giveNodes,
	}
	hostNetworkPeerUnknown = complaint{
		"HostNetworkPeerUnknown", model.Error,
		"some of the pods run in their node's network, where no selector finds them, and the nodes' addresses are not known: it stays closed for them", giveNodes,
	}
	probesFromUnknownNodes = complaint{
		"NodesUnknown", model.Warning,
		"the nodes' addresses are not known: kubelets come in only where the CNI lets the own node through, which most do", giveNodes,
	}
	nodesUnknown = complaint{
		"NodesUnknown", model.Error, "the nodes' addresses are not known: it stays closed", giveNodes,
	}
	dnsUnknown = complaint{
		"DNSUnknown", model.Error, "the cluster's resolver is not known: DNS stays closed", giveDNS,
	}
	dnsPortsUnknown = complaint{
		"DNSPortsUnknown", model.Error, "the ports on which the resolver's pods listen are not known: the pods stay closed", giveDNS,
	}
	apiServerUnknown = complaint{
		"APIServerUnknown", model.Error, "the addresses and ports of the Kubernetes API server are not known: it stays closed", giveAPI,
	}
	apiServerServiceUnknown = complaint{
		"APIServerServiceUnknown", model.Info,
		"the Service address of the API server is not known: it is opened only as the CNI sees it after translation, which most do", giveAPI,
	}
	apiServerOtherPort = complaint{
		"APIServerOtherPort", model.Error, "the API server listens on none of these ports: it stays closed", "leave the ports out: those of the API server are known",
	}
	hostNotExpressible = complaint{
		"HostNotExpressible", model.Error,
		"a NetworkPolicy cannot hold the name %s, and neither the CNI nor the mesh of every client can hold it on these ports: it stays closed",
		"name addresses by cidr, or run the clients with Istio sidecars under a profile with mesh.sidecarScope, or use Cilium",
	}
	hostNeedsResolver = complaint{
		"HostNotExpressible", model.Error,
		"Cilium learns the name %s from answers of the resolver's pods, which are not known: it stays closed", "read the kube-dns Service and its pods (-f)",
	}
	hostHeldByMeshOnly = complaint{
		"HostHeldByMeshOnly", model.Info,
		"only the mesh holds the name %s: the network lets every public address through on these ports", "use Cilium to hold the name in the network as well",
	}
)
