package audit

import "floe.dev/palisade/model"

// certificateOverdue is reported by package verify, findings.go.
func certificateOverdue() Kind {
	return Kind{
		Code: "CertificateOverdue", Severities: []model.Severity{model.Error, model.Warning}, OnWire: true,
		Says: "a workload's certificate was due to be renewed and was not",
		Why:  "A proxy that does not renew goes on until its certificate ends, and is then refused by everybody; until then nothing shows it.",
		Fix:  "Look whether the pod reaches the mesh's CA, then restart it.",
	}
}
