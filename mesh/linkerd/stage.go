package linkerd

import (
	"fmt"

	"floe.dev/palisade/model"
)

// audits tells whether a posture asks for the stage Audit: the Servers and
// authorizations of Enforce with accessPolicy "audit", which lets through what
// nothing authorizes, and logs and counts it. A Server has one such policy, so
// mTLS that is strict already leaves no room for it.
func audits(p *model.MeshPosture) bool {
	return p.Stage == model.StageAudit && !p.Authorization && p.MTLS != model.MTLSStrict
}

// audits tells whether the Servers of a namespace are to audit, and can.
func (c *compiler) audits(n *model.Namespace) bool {
	if !audits(&n.Posture.Mesh) {
		return false
	}
	workloads := c.model.WorkloadsIn(n.Name)
	for i := range workloads {
		if why := workloads[i].Facts.NoAudit; why != "" {
			c.problem("StageNotWritten", model.Info, workloads[i].Ref(), "", "authorization is not audited in namespace "+n.Name+": "+why, "")
			return false
		}
	}
	return true
}

// noAudit says why Servers cannot audit a workload; empty where they can. A
// Server takes the place of the default inbound policy, so where that refuses anything, one that audits would open it.
func (d *Dialect) noAudit(w *model.Workload) string {
	if d.mesh.Linkerd.ServerVersion != "v1beta3" {
		return "Linkerd has the access policy audit since 2.16 (Server v1beta3)"
	}
	p := (&Reader{dialect: d}).defaultOf(w)
	switch {
	case p.policy == "":
		return "the default inbound policy is not known, and a Server that audits might open what it refuses"
	case p.policy != allUnauthenticated && p.policy != policyAudit:
		return fmt.Sprintf("the default inbound policy is %q, and a Server that audits would open what it refuses", p.policy)
	case len(p.required) > 0:
		return "the default inbound policy demands an identity on some ports, and a Server that audits would open them"
	default:
		return ""
	}
}

// auditRequests takes the limits on requests off the grants of a port: they are
// held by routes, and a route refuses every request that it does not match, whatever the Server says.
func (c *compiler) auditRequests(p *portOf) {
	for i := range p.grants {
		g := &p.grants[i]
		if len(g.http) == 0 {
			continue
		}
		g.http = nil
		c.requestsNotAudited(p, g.origin)
	}
}

func (c *compiler) requestsNotAudited(p *portOf, origin model.Origin) {
	for _, w := range p.group {
		for _, index := range c.byServer[w.ID] {
			if f := &c.model.Flows[index]; f.Origin == origin {
				c.flowProblem(f, "RequestsNotAudited", model.Info,
					"methods and paths are not audited: the routes that hold them would refuse other requests already, so all that these clients send counts as declared until authorization is enforced", "")
			}
		}
	}
}
