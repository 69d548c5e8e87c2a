package audit

import "floe.dev/palisade/model"

// initContainerBeforeProxy is reported by package mesh, sidecars.go.
func initContainerBeforeProxy() Kind {
	return Kind{
		Code: "InitContainerBeforeProxy", Severities: []model.Severity{model.Warning, model.Info},
		Says: "an init container runs before there is a proxy",
		Why:  "Until the proxy runs, what an init container sends is either redirected to nobody, or goes past the mesh in plaintext, which strict servers refuse.",
		Fix:  "ask for a native sidecar, which starts before other init containers",
	}
}
