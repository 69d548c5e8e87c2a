package audit

import "floe.dev/palisade/model"

// destinationRuleDisablesMTLS is reported by package mesh/istio, findings.go.
func destinationRuleDisablesMTLS() Kind {
	return Kind{
		Code: "DestinationRuleDisablesMTLS", Severities: []model.Severity{model.Error, model.Warning},
		Says: "a TLS mode other than ISTIO_MUTUAL wins over automatic mTLS",
		Why:  "Sidecars find out by themselves that a server speaks mTLS, unless a DestinationRule says otherwise: its mode always wins. DISABLE sends plaintext, SIMPLE brings no client certificate, MUTUAL brings one that the mesh did not issue.",
		Fix:  "Delete the tls block, or say what automatic mTLS would do.",
	}
}
