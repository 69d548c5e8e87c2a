package audit

import "floe.dev/palisade/model"

// hostNetworkUnprotected is pods on their node's network. In governed namespaces
// package intent reports it; here it is found in all others. The cluster's own
// components belong there, and are for the record.
func hostNetworkUnprotected() Kind {
	return Kind{
		Code: "HostNetworkUnprotected", Severities: []model.Severity{model.Warning, model.Info},
		Says: "pods on the host's network, out of reach of policies and mesh",
		Why:  "They have the node's address and no network of their own.",
		Fix:  "Take the workload off the host's network; often a hostPort is all that it needs (Pod Security baseline refuses both)",
		Find: findHostNetworkUnprotected,
	}
}

func findHostNetworkUnprotected(e *Evidence) []model.Finding {
	var found []model.Finding
	e.eachWorkload(func(w *model.Workload) {
		if !w.Spec.HostNetwork || e.governed(w.ID.Namespace) {
			return
		}
		severity := model.Warning
		if e.isSystem(w.ID.Namespace) {
			severity = model.Info
		}
		found = append(found, hostNetworkUnprotected().At(severity, w.Ref(), w.TemplatePath()+"spec.hostNetwork",
			"pods on the host's network are matched by no NetworkPolicy and enter no mesh: their ports are as open as the node's",
			"take the workload off the host's network, or protect the node"))
	})
	return found
}
