package audit

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// fact is whether something is so, where it may not be known.
type fact int8

const (
	unknown fact = iota
	no
	yes
)

// datapath is what is known of how a CNI holds policies, where CNIs differ.
type datapath struct {
	// exemptsNode: what a node opens to pods of its own passes, whatever policies say. The
	// API asks for that (k8s.io/api networking/v1, NetworkPolicySpec.Ingress).
	exemptsNode fact
	// exemptsRewritten: so does what comes from the node under an address that is not the node's.
	exemptsRewritten fact
	// seesServices: rules for egress are held against the address of a Service, before it is translated.
	seesServices fact
}

func datapathOf(cni string) datapath {
	switch cni {
	case "cilium": // identities: host is exempt, an address that is no host's is not (istio#49277); Services are translated at the socket
		return datapath{yes, no, no}
	case "calico", "canal", "antrea": // what the host sends is not filtered (felix' chain OUTPUT), or bears a mark (antrea#1816)
		return datapath{yes, yes, no}
	case "kube-router": // exempts sources of type LOCAL (kube-router#195)
		return datapath{yes, no, no}
	case "ovn": // exempts the address of the node's management port (openshift-docs#117141)
		return datapath{yes, no, no}
	case "weave":
		return datapath{yes, unknown, no}
	case "aws": // exempts the node's address (amazon-vpc-cni-k8s#2571, istio#56484); judges at the pod's interface, before kube-proxy
		return datapath{yes, no, yes}
	case "kindnet": // has held policies against its node (kind#3875, kube-network-policies#150)
		return datapath{no, no, no}
	default:
		return datapath{}
	}
}

// datapath is what is known of the cluster's CNI. Calico's eBPF mode exempts the
// addresses of the host alone; kindnet exempts the node in some later releases, and which is not known.
func (e *Evidence) datapath() datapath {
	cni := e.State.Cluster.CNI
	d := datapathOf(cni)
	if cni == "calico" && e.calicoEBPF() {
		d.exemptsRewritten = no
	}
	if cni == "kindnet" && e.kindnetSince(kindnetMended) {
		d.exemptsNode, d.exemptsRewritten = unknown, unknown
	}
	return d
}

// kindnetMended is the date in the tag of the first kindnetd after kube-network-policies#160.
const kindnetMended = "v20250512"

// kindnetSince tells whether kindnet's image bears a date in its tag, and one not before another.
func (e *Evidence) kindnetSince(date string) bool {
	return slices.ContainsFunc(e.Model.Workloads, func(w model.Workload) bool {
		return w.ID.Kind == "DaemonSet" && w.ID.Name == "kindnet" && slices.ContainsFunc(w.Spec.Containers, func(c corev1.Container) bool {
			_, tag, found := strings.Cut(c.Image, "kindnetd:")
			return found && len(tag) >= len(date) && tag[:len(date)] >= date
		})
	})
}

func (e *Evidence) calicoEBPF() bool {
	if slices.ContainsFunc(e.Model.Existing, func(o model.Object) bool {
		on, _ := o.Map("spec")["bpfEnabled"].(bool)
		return o.Ref().Kind == "FelixConfiguration" && on
	}) {
		return true
	}
	return slices.ContainsFunc(e.Model.Workloads, func(w model.Workload) bool {
		return w.ID.Kind == "DaemonSet" && w.ID.Name == "calico-node" && slices.ContainsFunc(w.Spec.Containers, func(c corev1.Container) bool {
			return slices.ContainsFunc(c.Env, func(v corev1.EnvVar) bool {
				return v.Name == "FELIX_BPFENABLED" && strings.EqualFold(v.Value, "true")
			})
		})
	})
}
