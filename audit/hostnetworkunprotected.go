package audit

import "floe.dev/palisade/model"

// hostNetworkUnprotected is reported by package intent, findings.go.
func hostNetworkUnprotected() Kind {
	return Kind{
		Code: "HostNetworkUnprotected", Severities: []model.Severity{model.Warning},
		Says: "pods on the host's network, out of reach of policies and mesh",
		Why:  "They have the node's address and no network of their own.",
		Fix:  "Take the workload off the host's network; often a hostPort is all that it needs (Pod Security baseline refuses both)",
	}
}
