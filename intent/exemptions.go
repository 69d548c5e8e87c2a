package intent

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/model"
)

// expiryNotice is how long before its end an Exemption begins to say so.
const expiryNotice = 7 * 24 * time.Hour

// levelRank orders the levels of Pod Security.
var levelRank = map[string]int{"privileged": 0, "baseline": 1, "restricted": 2}

// applyExemptions relaxes workloads and postures by the Exemptions in force.
func (r *resolver) applyExemptions() {
	for i := range r.snapshot.Exemptions {
		exemption := &r.snapshot.Exemptions[i]
		ref := ruleRef("Exemption", exemption.Namespace, exemption.Name)
		if !r.namespaceExists(ref, "metadata.namespace", exemption.Namespace) || !r.inForce(exemption, ref) {
			continue
		}
		for _, layer := range exemption.Spec.Layers {
			if layer == v1alpha1.LayerPodSecurity {
				r.lowerPodSecurity(exemption, ref)
			}
		}
		r.relaxWorkloads(exemption, ref)
	}
}

// inForce judges the expiry: on that second the exemption has stopped counting.
func (r *resolver) inForce(exemption *v1alpha1.Exemption, ref model.Ref) bool {
	expires := exemption.Spec.Expires.Time
	text := expires.UTC().Format(time.RFC3339)
	owner := exemption.Spec.Owner
	switch {
	case !r.now.Before(expires):
		r.finding("ExemptionExpired", model.Warning, ref, "spec.expires",
			fmt.Sprintf("the exemption of %s ended at %s and no longer counts: %s", owner, text, exemption.Spec.Reason),
			"delete it, or give it a new term with a fresh reason")
		return false
	case expires.Sub(r.now) <= expiryNotice:
		r.finding("ExemptionExpiring", model.Warning, ref, "spec.expires",
			fmt.Sprintf("the exemption of %s ends at %s, within a week: %s", owner, text, exemption.Spec.Reason),
			"remove what it was needed for, or extend it in time")
	default:
		r.finding("ExemptionInForce", model.Info, ref, "spec.expires",
			fmt.Sprintf("the exemption of %s is in force until %s: %s", owner, text, exemption.Spec.Reason), "")
	}
	return true
}

func (r *resolver) lowerPodSecurity(exemption *v1alpha1.Exemption, ref model.Ref) {
	posture := r.posture(exemption.Namespace)
	level := string(exemption.Spec.PodSecurityLevel)
	if posture == nil || levelRank[level] >= levelRank[posture.PodSecurity.Enforce] {
		return
	}
	posture.PodSecurity.Enforce = level
	posture.PodSecurity.Origin = &model.Origin{Ref: ref}
}

func (r *resolver) relaxWorkloads(exemption *v1alpha1.Exemption, ref model.Ref) {
	matched := false
	for _, w := range r.workloadsIn(exemption.Namespace) {
		if !model.Matches(&exemption.Spec.Workloads, w.Labels) {
			continue
		}
		matched = true
		ports, ok := r.exemptedPorts(exemption, ref, w)
		if !ok {
			continue
		}
		for _, layer := range exemption.Spec.Layers {
			relaxation := model.Relaxation{
				Layer: model.Layer(layer), Ports: ports, Origin: model.Origin{Ref: ref}, Until: exemption.Spec.Expires.Time,
			}
			if layer == v1alpha1.LayerPodSecurity {
				relaxation.Ports = nil
				relaxation.PodSecurityLevel = string(exemption.Spec.PodSecurityLevel)
			}
			w.Relaxed = append(w.Relaxed, relaxation)
		}
	}
	if !matched {
		r.finding("ExemptionMatchesNothing", model.Warning, ref, "spec.workloads", "no workload that was read has the labels of spec.workloads", "check the labels of the pods, or delete the exemption")
	}
}

// exemptedPorts resolves the ports on one workload. It reports false where ports
// are named and the workload has none of them: nil would mean all.
func (r *resolver) exemptedPorts(exemption *v1alpha1.Exemption, ref model.Ref, w *model.Workload) ([]model.Port, bool) {
	if len(exemption.Spec.Ports) == 0 {
		return nil, true
	}
	var ports []model.Port
	for i := range exemption.Spec.Ports {
		p := &exemption.Spec.Ports[i]
		if p.Port.Type == intstr.Int {
			ports = append(ports, numberedPort(p))
			continue
		}
		if number := w.PortNamed(p.Port.StrVal, model.ProtocolOr(p.Protocol)); number != 0 {
			ports = append(ports, model.Port{Protocol: model.ProtocolOr(p.Protocol), Number: number})
			continue
		}
		r.problem("PortNameUnknown", model.Error, ref, fmt.Sprintf("spec.ports[%d].port", i),
			fmt.Sprintf("%s has no %s port named %q: nothing is relaxed for it", w.ID, model.ProtocolOr(p.Protocol), p.Port.StrVal),
			"name a port that the containers declare, or give its number")
	}
	return model.SortPorts(slices.Clone(ports)), len(ports) > 0
}
