package audit

import "floe.dev/palisade/model"

// metricsPortPlaintext is reported by package intent, presets.go.
func metricsPortPlaintext() Kind {
	return Kind{
		Code: "MetricsPortPlaintext", Severities: []model.Severity{model.Warning},
		Says: "a metrics port takes plaintext from a Prometheus outside the mesh",
		Why:  "A scraper without a certificate is refused by a strict port, and metrics vanish (istio#38720, istio#27328).",
		Fix:  "Enrol Prometheus, or have the proxy show the application's metrics.",
	}
}
