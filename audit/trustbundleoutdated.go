package audit

import "floe.dev/palisade/model"

// trustBundleOutdated is reported by package mesh/linkerd, audit_roots.go.
func trustBundleOutdated() Kind {
	return Kind{
		Code: "TrustBundleOutdated", Severities: []model.Severity{model.Warning},
		Says: "running proxies of Linkerd hold another trust bundle than the mesh's",
		Why:  "A proxy has the bundle from its start. When the root changes, proxies that were not restarted trust nobody with a certificate of the new one, and nobody trusts theirs once the old one is gone.",
		Fix:  "restart these pods before the issuer is changed, and before an old root is taken out",
	}
}
