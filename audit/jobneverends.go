package audit

import "floe.dev/palisade/model"

// jobNeverEnds is reported by package mesh, sidecars.go.
func jobNeverEnds() Kind {
	return Kind{
		Code: "JobNeverEnds", Severities: []model.Severity{model.Warning, model.Info},
		Says: "the proxy keeps the pods of a job from completing",
		Why:  "A proxy that is an ordinary container goes on when the job's own containers have ended, so the pod never completes, and the next run waits or piles up.",
		Fix:  "ask for a native sidecar, or end the proxy from the job's own container",
	}
}
