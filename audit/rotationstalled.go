package audit

import "floe.dev/palisade/model"

// rotationStalled is reported by package verify, findings.go.
func rotationStalled() Kind {
	return Kind{
		Code: "RotationStalled", Severities: []model.Severity{model.Error}, OnWire: true,
		Says: "the mesh's CA goes on signing with an issuer that was replaced",
		Why:  "The new issuer is in its Secret and the CA has the old one in memory: when that ends, or its root is dropped, every new certificate is refused.",
		Fix:  "Restart the mesh's CA, then verify again.",
	}
}
