package istio

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	securityapi "istio.io/api/security/v1beta1"
	security "istio.io/client-go/pkg/apis/security/v1"

	"floe.dev/palisade/model"
)

// dryRunAnnotation has Envoy note what a policy would refuse, and let it through
// (istio pilot/pkg/security/authz/builder: shadow rules).
const dryRunAnnotation = "istio.io/dry-run"

// authorizationStage is how far authorization is written in a namespace:
//
//	Prepare     palisade-open, and the waypoint that HTTP rules need
//	Audit       these, and every policy as a dry run
//	Permissive  these, and every policy in earnest, but those of waypoints, which palisade-open does not reach
//	Enforce     every policy, without palisade-open
//
// What ALLOW policies let through adds up, so beside palisade-open none of them
// refuses anything, and each step is safe in whatever order its objects are written.
func (c *compilation) authorizationStage(n *model.Namespace) model.Stage {
	mesh := n.Posture.Mesh
	switch {
	case mesh.Authorization:
		return model.StageEnforce
	case mesh.Stage == model.StageAudit && !c.audits(n):
		return model.StagePrepare
	case mesh.Stage == model.StagePermissive && !c.opened(n):
		if c.audits(n) {
			return model.StageAudit
		}
		return model.StagePrepare
	case mesh.Stage == "":
		return model.StageObserve
	default:
		return mesh.Stage
	}
}

// audits tells whether every proxy of a namespace can take a dry run.
func (c *compilation) audits(n *model.Namespace) bool {
	for _, w := range c.meshed(n.Name) {
		if w.Facts.NoAudit != "" {
			c.problem("StageNotWritten", model.Info, w.Ref(), "",
				"authorization is not audited in namespace "+n.Name+": "+w.Facts.NoAudit, "")
			return false
		}
	}
	return true
}

// noAudit says why a proxy cannot take a dry run; empty where it can. Waypoints
// and gateways are Envoys, but those of ambient judge for Services of pods that are not.
func noAudit(e enrolment) string {
	switch e.mode {
	case model.ModeAmbient:
		return "ztunnel before 1.29 enforces a dry run, and istiod keeps it from later ones"
	case model.ModeProxyless:
		return "proxyless gRPC enforces a dry run as it does any policy"
	default:
		return ""
	}
}

// opened tells whether palisade-open may be written: beside an ALLOW policy of
// somebody else's, which closes what it does not name, it would open that.
func (c *compilation) opened(n *model.Namespace) bool {
	for i := range c.existing.authorizationPolicies {
		o := &c.existing.authorizationPolicies[i]
		if ref := o.Ref(); ref.Namespace != n.Name && ref.Namespace != c.existing.root || !closesByAllowing(o) {
			continue
		}
		c.problem("StageNotWritten", model.Info, n.Ref(), "",
			fmt.Sprintf("beside %s of somebody else's a policy that lets everything through would open what that one closes: no AuthorizationPolicy is enforced ahead, default deny will come with all of them at once", o.Ref()), "")
		return false
	}
	return true
}

// closesByAllowing tells of an enforced ALLOW policy of somebody else's that pods heed.
func closesByAllowing(o *model.Object) bool {
	if dryRun, _ := strconv.ParseBool(o.Annotations()[dryRunAnnotation]); dryRun || o.Owned() {
		return false
	}
	action := strings.ToUpper(text(o, "spec", "action"))
	refs, _ := o.Map("spec")["targetRefs"].([]any)
	return (action == "" || action == "ALLOW") && len(refs) == 0 && o.Map("spec", "targetRef") == nil
}

// write writes what the stage asks for.
func (a *authorization) write() {
	if a.stage != model.StageEnforce && a.opens {
		a.compilation.write(a.open(), model.PhaseFirst)
	}
	if len(a.asksWaypoint) > 0 {
		a.compilation.write(a.waypointGateway(), model.PhaseAllow)
	}
	if a.stage == model.StagePrepare {
		return
	}
	a.writeAllows()
	if a.stage == model.StageEnforce {
		a.writeWaypoints()
	}
	a.policy(a.denyAll(), model.PhaseDeny)
}

// policy writes an AuthorizationPolicy as the stage has it.
func (a *authorization) policy(p *security.AuthorizationPolicy, phase model.Phase) {
	if a.stage == model.StageAudit {
		p.Annotations[dryRunAnnotation] = "true"
	}
	a.compilation.write(p, phase)
}

// open is the policy beside which no ALLOW policy of pods refuses anything.
func (a *authorization) open() *security.AuthorizationPolicy {
	origin := profileOrigin(a.namespace)
	origin.Part = "rollout"
	p := &security.AuthorizationPolicy{TypeMeta: authorizationPolicyType, ObjectMeta: meta(a.namespace, model.OpenName, origins{origin.String(): true})}
	p.Spec.Action = securityapi.AuthorizationPolicy_ALLOW
	p.Spec.Rules = []*securityapi.Rule{{}}
	return p
}

// strictAnyway tells whether a namespace would be strict if palisade wrote nothing there.
func (e *existing) strictAnyway(namespace string) bool {
	theirs := existing{root: e.root, peerAuthentications: slices.Clone(e.peerAuthentications)}
	theirs.peerAuthentications = slices.DeleteFunc(theirs.peerAuthentications, func(o model.Object) bool { return o.Owned() })
	return theirs.effectiveMode(namespace, nil) == securityapi.PeerAuthentication_MutualTLS_STRICT.String()
}
