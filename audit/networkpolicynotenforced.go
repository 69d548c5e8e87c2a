package audit

import "floe.dev/palisade/model"

// networkPolicyNotEnforced is reported by package intent, network.go.
func networkPolicyNotEnforced() Kind {
	return Kind{
		Code: "NetworkPolicyNotEnforced", Severities: []model.Severity{model.Error},
		Says: "the CNI takes policies and enforces none",
		Why:  "The API server takes the policies, kubectl get networkpolicy shows them, and every packet passes.",
		Fix:  "Add an engine beside it: kube-network-policies by flannel's own chart, or Calico's policies over flannel (canal); or move to another CNI.",
	}
}
