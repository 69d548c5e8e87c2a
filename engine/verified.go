package engine

import (
	"fmt"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/rollout"
)

// verificationOf is what a report tells package rollout; false where nothing was verified yet.
func verificationOf(r *v1alpha1.MTLSReport) (rollout.Verification, bool) {
	s := &r.Status
	if s.Began == nil {
		return rollout.Verification{}, false
	}
	v := rollout.Verification{Began: s.Began.UTC(), Result: rollout.NotApplicable}
	switch {
	case s.Failed > 0:
		v.Result = rollout.Red
	case s.Inconclusive > 0:
		v.Result = rollout.Unclear
	case s.Passed > 0:
		v.Result = rollout.Green
	}
	for i := range s.Ports {
		if p := &s.Ports[i]; p.Result != v1alpha1.VerificationPass {
			v.Failed = append(v.Failed, fmt.Sprintf("%s:%d", p.Workload, p.Port))
		}
	}
	return v, true
}
