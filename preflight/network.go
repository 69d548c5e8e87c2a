package preflight

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// enforcement is what is known of a CNI: Passed where it holds NetworkPolicies in both directions, Failed where it does not.
type enforcement struct {
	status Status
	why    string
}

func networkPolicyEnforced() Check {
	return Check{
		ID: "NetworkPolicyEnforced", Category: Network, Reads: []string{readDaemonSets},
		What: "the CNI holds NetworkPolicies, ingress and egress",
		Why:  "The API server takes a policy whether or not anybody enforces it: it then looks closed and is open.",
		Fix:  "prove it with real packets: palisade verify; or look up whether your CNI enforces policies, and has that switched on",
		Run: func(in *Input) Outcome {
			e := in.enforcement()
			o := outcome(e.status, "%s", e.why)
			if e.status == Failed {
				o.Fix = "switch the enforcement on, add an engine (kube-network-policies, Calico's policies), or move to a CNI that enforces"
			}
			return o
		},
	}
}

// policyEngines are DaemonSets that enforce NetworkPolicies beside a CNI, or for one that has no name here.
var policyEngines = []struct{ daemonSet, name string }{
	{"anetd", "GKE Dataplane V2"},
	{"azure-npm", "Azure Network Policy Manager"},
	{"kube-network-policies", "kube-network-policies"},
	{"kube-ovn-cni", "Kube-OVN"},
}

func (in *Input) enforcement() enforcement {
	for _, engine := range policyEngines {
		if len(in.daemonSets(engine.daemonSet)) > 0 {
			return enforcement{Passed, engine.name + " enforces them, both directions"}
		}
	}
	switch cni := in.Model.Cluster.CNI; cni {
	case "":
		return enforcement{Warning, "no DaemonSet of a CNI that palisade knows was found: whether policies hold is not known" + in.builtIn()}
	case "cilium":
		return in.ciliumEnforcement()
	case "aws":
		return in.awsEnforcement()
	case "kindnet":
		return in.kindnetEnforcement()
	case "flannel":
		if len(in.coded("NetworkPolicyNotEnforced")) > 0 {
			return enforcement{Failed, "flannel enforces none, in neither direction, and no engine stands beside it"}
		}
		return enforcement{Passed, "flannel, with an engine for policies beside it, both directions"}
	case "calico", "canal", "antrea", "kube-router", "weave", "ovn":
		return enforcement{Passed, cni + " enforces them, both directions"}
	default:
		return enforcement{Warning, cni + ": whether it enforces policies is not known"}
	}
}

// builtIn says of distributions whose network is a part of the kubelet's own process what they do by default.
func (in *Input) builtIn() string {
	if slices.ContainsFunc(in.Nodes, func(n corev1.Node) bool { return strings.Contains(n.Status.NodeInfo.KubeletVersion, "+k3s") }) {
		return "; k3s enforces them itself, unless it was started with --disable-network-policy"
	}
	return ""
}

// ciliumEnforcement looks at enable-policy of cilium-config: default, always, or never (docs.cilium.io, policy enforcement modes).
func (in *Input) ciliumEnforcement() enforcement {
	for _, o := range in.configMaps("cilium-config") {
		if o.Map("data")["enable-policy"] == "never" {
			return enforcement{Failed, "cilium enforces none: " + o.Ref().String() + " has enable-policy: never"}
		}
		if o.Map("data")["enable-k8s-networkpolicy"] == "false" {
			return enforcement{Failed, "cilium enforces no NetworkPolicies: " + o.Ref().String() + " has enable-k8s-networkpolicy: false"}
		}
	}
	return enforcement{Passed, "cilium enforces them, both directions"}
}

// awsEnforcement: the VPC CNI enforces by an agent beside it, which is there but off unless asked for (aws/amazon-vpc-cni-k8s, enableNetworkPolicy).
func (in *Input) awsEnforcement() enforcement {
	for _, w := range in.daemonSets("aws-node") {
		for i := range w.Spec.Containers {
			if c := &w.Spec.Containers[i]; c.Name == "aws-eks-nodeagent" && slices.Contains(slices.Concat(c.Command, c.Args), "--enable-network-policy=true") {
				return enforcement{Passed, "the VPC CNI's agent enforces them, both directions"}
			}
		}
	}
	return enforcement{Failed, "the VPC CNI enforces none: its agent for policies is off (enable-network-policy)"}
}

// The dates in kindnetd's tag: that of kind 0.24, which brought policies (kind#3705), and that of 0.23, which had none.
const (
	kindnetEnforces = "v20240813"
	kindnetWithout  = "v20240513"
)

func (in *Input) kindnetEnforcement() enforcement {
	for _, w := range in.daemonSets("kindnet") {
		for i := range w.Spec.Containers {
			_, tag, found := strings.Cut(w.Spec.Containers[i].Image, "kindnetd:")
			switch {
			case !found:
			case tag >= kindnetEnforces && len(tag) >= len(kindnetEnforces):
				return enforcement{Passed, "kindnet enforces them, both directions"}
			case strings.HasPrefix(tag, "v20") && tag[:min(len(tag), len(kindnetWithout))] <= kindnetWithout:
				return enforcement{Failed, "kindnet enforces none before kind 0.24 (kindnetd " + tag + ")"}
			}
		}
	}
	return enforcement{Warning, "kindnet: from its image it does not show whether it enforces policies (kind 0.24 and later do)"}
}

func (in *Input) daemonSets(name string) []*model.Workload {
	return in.workloads(func(w *model.Workload) bool { return w.ID.Kind == "DaemonSet" && w.ID.Name == name })
}

func nodesReady() Check {
	return Check{
		ID: "NodesReady", Category: Network, Reads: []string{readNodes},
		What: "every node is ready",
		Why:  "On a node that is not ready, pods are neither moved, restarted, nor probed: a rollout waits for them.",
		Fix:  "kubectl describe node says which condition is not met",
		Run: func(in *Input) Outcome {
			var t tally
			for i := range in.Nodes {
				n := &in.Nodes[i]
				j := slices.IndexFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool { return c.Type == corev1.NodeReady })
				switch {
				case j < 0 && !in.live():
					t.look(Skipped, "")
				case j < 0:
					t.look(Unknown, "%s: no word of whether it is ready", n.Name)
				case n.Status.Conditions[j].Status == corev1.ConditionTrue:
					t.look(Passed, "")
				default:
					t.look(Warning, "%s: %s", n.Name, n.Status.Conditions[j].Message)
				}
			}
			switch {
			case t.looked == 0 && in.live():
				return outcome(Unknown, "the cluster has no nodes: nothing runs, and nothing can be judged of it")
			case t.looked == 0:
				return in.none("Node")
			}
			return t.outcome(plural(t.looked, "node"), fmt.Sprintf("%d of %s not known to be ready", len(t.details), plural(t.looked, "node")))
		},
	}
}

func dnsFound() Check {
	return Check{
		ID: "DNSFound", Category: Network, Reads: []string{readServices, readConfigMaps},
		What: "the resolver that pods use is known, a node-local cache included",
		Why:  "A default deny without the way to DNS is an outage of everything; without the resolver palisade writes no NetworkPolicy.",
		Fix:  "let palisade read Services and pods of kube-system, or give --dns-server",
		Run: func(in *Input) Outcome {
			d := &in.Model.Cluster.DNS
			if !d.Known() {
				return in.missing("no resolver was found")
			}
			text := "resolver"
			if d.Namespace != "" {
				text += " pods in " + d.Namespace
			}
			if len(d.ServiceIPs) > 0 {
				text += ", Service at " + addresses(d.ServiceIPs)
			}
			if len(d.NodeLocal) > 0 {
				text += ", node-local cache at " + addresses(d.NodeLocal)
			}
			if n := len(d.Caches); n > 0 {
				text += ", " + plural(n, "cache") + " in pods on each node"
			}
			if faults := in.coded("NodeLocalDNSClosed", "ResolverCutOff", "DNSClosed"); len(faults) > 0 {
				o := outcome(Warning, "%s; policies that are there now keep pods from it", text).fix("see palisade audit")
				o.Details = faults
				return o
			}
			return outcome(Passed, "%s", text)
		},
	}
}

func addresses(list []netip.Addr) string {
	texts := make([]string, len(list))
	for i, a := range list {
		texts[i] = a.String()
	}
	return strings.Join(texts, ", ")
}

func apiServerFound() Check {
	return Check{
		ID: "APIServerFound", Category: Network, Reads: []string{"discovery.k8s.io/endpointslices"},
		What: "the addresses and ports of the API server are known, as pods reach it",
		Why:  "Without them what needs the Kubernetes API (controllers, meshes' own pods) stays closed under a default deny.",
		Fix:  "let palisade read Service and EndpointSlice default/kubernetes, or give --api-server",
		Run: func(in *Input) Outcome {
			a := &in.Model.Cluster.APIServer
			if !a.Known() {
				return in.missing("no endpoints of Service default/kubernetes were found")
			}
			return outcome(Passed, "%s at %s, Service at %s", plural(len(a.Endpoints), "endpoint"), addresses(a.Endpoints), addresses(a.ServiceIPs))
		},
	}
}

func rangesFound() Check {
	return Check{
		ID: "RangesFound", Category: Network, Reads: []string{readNodes},
		What: "the address ranges of pods and Services are known",
		Why:  "Egress to wide ranges must leave them out, or a rule for the Internet opens every pod: until they are known it stays closed.",
		Fix:  "give --pod-cidr and --service-cidr",
		Run: func(in *Input) Outcome {
			c := &in.Model.Cluster
			var missing []string
			if len(c.PodCIDRs) == 0 {
				missing = append(missing, "pods")
			}
			if len(c.ServiceCIDRs) == 0 {
				missing = append(missing, "Services")
			}
			if len(missing) > 0 {
				return outcome(Warning, "not known of %s", strings.Join(missing, " and of "))
			}
			return outcome(Passed, "pods %s, Services %s", prefixes(c.PodCIDRs), prefixes(c.ServiceCIDRs))
		},
	}
}

func prefixes(list []netip.Prefix) string {
	texts := make([]string, len(list))
	for i, p := range list {
		texts[i] = p.String()
	}
	const most = 4
	if rest := len(texts) - most; rest > 1 {
		texts = append(texts[:most], fmt.Sprintf("%d more", rest))
	}
	return strings.Join(texts, ", ")
}

func otherPolicies() Check {
	return Check{
		ID: "OtherPolicies", Category: Network,
		Reads: []string{"policy.networking.k8s.io/*", "cilium.io/*", "crd.projectcalico.org/*", "projectcalico.org/*"},
		What:  "no policies are about that palisade does not judge",
		Why:   "AdminNetworkPolicies and those of Cilium and Calico may allow or refuse what the NetworkPolicies do not: palisade's verdicts leave them out.",
		Fix:   "look at these policies yourself before enforcing, and prove the result: palisade verify",
		Run: func(in *Input) Outcome {
			var t tally
			for _, text := range in.coded("PolicyNotJudged") {
				t.look(Warning, "%s", text)
			}
			t.look(Passed, "")
			return t.outcome("none", plural(len(t.details), "kind")+" of policies that palisade does not judge")
		},
	}
}

func meshSeesTraffic() Check {
	return Check{
		ID: "MeshSeesTraffic", Category: Network, Reads: []string{readConfigMaps},
		What: "the CNI leaves the mesh its traffic, and its plugin",
		Why:  "A CNI that translates Services at the socket, or that removes other plugins, takes the traffic past the proxies in silence: plaintext.",
		Fix:  "Cilium: socketLB.hostNamespaceOnly=true and cni.exclusive=false",
		Run: inMesh(func(in *Input) Outcome {
			var t tally
			for _, text := range in.coded("SocketLoadBalancingBypassesMesh", "CiliumExclusiveRemovesMeshCNI") {
				t.look(Failed, "%s", text)
			}
			t.look(Passed, "")
			return t.outcome("nothing shows that would take it past the proxies", "traffic goes past the proxies")
		}),
	}
}
