package audit

import "floe.dev/palisade/model"

// podSecurityLabelInvalid is reported by package pss, standing.go.
func podSecurityLabelInvalid() Kind {
	return Kind{
		Code: "PodSecurityLabelInvalid", Severities: []model.Severity{model.Error},
		Says: "a Pod Security label has a key or value that Kubernetes does not know",
		Why:  "The API server refuses the Namespace for a wrong value; a wrong key it takes for any other label, and nothing is enforced.",
		Fix:  "write one of privileged, baseline, restricted as the level, and latest or v1.N as the version",
	}
}
