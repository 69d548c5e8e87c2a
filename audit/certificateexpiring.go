package audit

import "floe.dev/palisade/model"

// certificateExpiring is reported by package verify, findings.go.
func certificateExpiring() Kind {
	return Kind{
		Code: "CertificateExpiring", Severities: []model.Severity{model.Error, model.Warning}, OnWire: true,
		Says: "a root or issuer of the mesh is near its end, or a leaf outlives it",
		Why:  "When a root or an issuer ends, everything below it is refused at once, in the whole mesh; renewing it takes the steps of a rotation, and those take time.",
		Fix:  "Rotate it in the order that palisade verify shows: add, reissue, verify, drop.",
	}
}
