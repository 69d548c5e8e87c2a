package audit

import "floe.dev/palisade/model"

// podBelowEnforce is reported by package pss, findings.go.
func podBelowEnforce() Kind {
	return Kind{
		Code: "PodBelowEnforce", Severities: []model.Severity{model.Error},
		Says: "the level to be enforced refuses the pods",
		Why:  "Pod Security looks at pods and not at their controllers: a Deployment or Job is accepted, and its pods are missing later (FailedCreate in the events of the ReplicaSet).",
		Fix:  "Change the fields named.",
	}
}
