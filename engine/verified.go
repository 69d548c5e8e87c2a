package engine

import (
	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/rollout"
	"floe.dev/palisade/verify"
)

// verificationOf is what a stored report tells package rollout; false where nothing was verified yet.
func verificationOf(r *v1alpha1.MTLSReport) (rollout.Verification, bool) {
	s, known := StoredSummary(r)
	if !known {
		return rollout.Verification{}, false
	}
	v := rollout.Verification{Began: s.Began, Result: rollout.Unclear}
	switch {
	case s.Light == verify.Unknown && !s.Applies() && s.Counts.Unprotected == 0 && r.Status.Light == v1alpha1.VerificationUnknown:
		v.Result = rollout.NotApplicable // there was nothing that a handshake could show
	case s.Light == verify.Red:
		v.Result = rollout.Red
		for _, id := range s.Failing {
			v.Failed = append(v.Failed, id.String())
		}
	case s.Light == verify.Green:
		v.Result = rollout.Green
	default:
		for _, id := range s.Unclear {
			v.Failed = append(v.Failed, id.String())
		}
	}
	return v, true
}
