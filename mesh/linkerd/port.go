package linkerd

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// stance is how far a port is closed.
type stance int

// The stances.
const (
	// byClient lets in the clients of the flows.
	byClient stance = iota
	// byMesh lets in every identity of the mesh.
	byMesh
	// open lets in everyone.
	open
)

// grant is one permission on a port.
type grant struct {
	clients clientSet
	http    []model.HTTPMatch
	// exact tells that the paths are meant to the letter, "*" at their end too.
	exact  bool
	origin model.Origin
}

// portOf is one port of a group of workloads on its way to objects.
type portOf struct {
	group group
	// selector finds the group's pods and no others.
	selector metav1.LabelSelector
	number   int32
	opaque   bool
	stance   stance
	// grants to clients of flows, and to the kubelet.
	grants []grant
}

// port writes the Server of one port with its authorizations, unless something stands against it.
func (c *compiler) port(out *writer, p *portOf) {
	g, w, number := p.group, p.group[0], p.number
	if skipsProxy(w, number) {
		c.problem("PortSkipsProxy", model.Warning, w.Ref(), "",
			fmt.Sprintf("connections to port %d go around the proxy, so no Server can hold there: none is written", number),
			"take the port off the skipped inbound ports")
		return
	}
	if server := c.shadow(g, number); server != nil {
		c.problem("ServerShadowed", model.Error, server.Ref(), "spec",
			fmt.Sprintf("the Server selects port %d of %s and is older than one of palisade's, so that alone would count: neither Server nor authorizations are written for the port", number, w.ID),
			"delete the Server, or take it over by deleting it and applying palisade's")
		return
	}
	p.opaque = contains(c.dialect.opaquePorts(w), number)
	var relaxed []model.Origin
	p.stance, relaxed = stanceOf(&out.posture.Mesh, g, number)
	c.flowGrants(p)
	if out.audit {
		c.auditRequests(p)
	}
	if !c.probeGrants(p) {
		return
	}
	out.port(p, relaxed)
}

// stanceOf decides between posture and exemptions. Authorization given up leaves
// mTLS, and with both given up everyone is let in. mTLS given up alone opens
// nothing: whom authorization asks for brings an identity, and that comes by mTLS.
// A permissive posture is for namespaces on their way into the mesh, and open.
func stanceOf(p *model.MeshPosture, g group, number int32) (stance, []model.Origin) {
	var origins []model.Origin
	if audits(p) {
		p = &model.MeshPosture{MTLS: model.MTLSStrict, Authorization: true}
	}
	mtls, authorization := p.MTLS, p.Authorization
	for _, w := range g {
		for _, r := range w.Relaxed {
			if r.Ports != nil && !contains(r.Ports, number) {
				continue
			}
			switch r.Layer {
			case model.LayerMTLS:
				mtls = ""
			case model.LayerAuthorization:
				authorization = false
			default:
				continue
			}
			origins = append(origins, r.Origin)
		}
	}
	switch {
	case p.MTLS == model.MTLSPermissive:
		return open, origins
	case authorization:
		return byClient, origins
	case mtls == model.MTLSStrict:
		return byMesh, origins
	default:
		return open, origins
	}
}

// shadow finds a Server of somebody else's for the same pods and port.
func (c *compiler) shadow(g group, number int32) *model.Object {
	for _, o := range c.servers[g[0].ID.Namespace] {
		for _, w := range g {
			if selectsPods(o, w) && selectsPort(o, w, number) {
				return o
			}
		}
	}
	return nil
}

// flowGrants gathers what the flows permit on the port.
func (c *compiler) flowGrants(p *portOf) {
	for _, w := range p.group {
		declared, probed := declaredTCP(w), probes(w)
		for _, index := range c.byServer[w.ID] {
			f := &c.model.Flows[index]
			if !slices.Contains(c.flowPorts(f, w, declared), p.number) || p.stance == open || kubelet(f, probed, p.number) {
				continue
			}
			g := grant{clients: c.clients(index), http: f.HTTP, origin: f.Origin}
			if p.stance == byMesh {
				// Authorization is not asked for, so only clients without an identity need a permission.
				g.clients.identities, g.http = nil, nil
			}
			if len(g.http) > 0 && p.opaque {
				c.flowProblem(f, "HTTPOnOpaquePort", model.Error,
					fmt.Sprintf("port %d of %s is opaque to Linkerd, which sees no requests there: the flow stays closed", p.number, w.ID),
					"take the port off the opaque ports, or drop http from the rule")
				continue
			}
			if !g.clients.empty() {
				p.grants = append(p.grants, g)
			}
		}
	}
}

// kubelet tells whether a flow is the nodes' to a probed port: probes are
// permitted as narrowly as each needs, not by opening the port to the nodes.
func kubelet(f *model.Flow, probed []probe, number int32) bool {
	return f.Client.Kind == model.PeerNodes && slices.ContainsFunc(probed, func(p probe) bool { return p.port == number })
}

// probeGrants keeps the kubelet's probes of the port working. False means that
// they would fail, so that no Server may be written.
func (c *compiler) probeGrants(p *portOf) bool {
	if p.stance == open {
		return true
	}
	routes := slices.ContainsFunc(p.grants, func(g grant) bool { return len(g.http) > 0 })
	var streams, paths []string
	for _, w := range p.group {
		for _, probe := range probes(w) {
			switch {
			case probe.port != p.number || probe.kind == probeTCP:
			case probe.kind == probeStream || p.opaque:
				streams = append(streams, probe.field)
			case !probe.automatic(c.model.Cluster.Mesh.Version) || routes:
				paths = append(paths, probe.pathOnly())
			}
		}
	}
	if len(streams) == 0 && len(paths) == 0 {
		return true
	}
	nodes := newClientSet(nil, networksOf(c.model.Cluster.NodeCIDRs))
	if nodes.empty() {
		c.problem("NodesUnknown", model.Error, p.group[0].Ref(), "",
			fmt.Sprintf("the kubelet's probes of port %d (%s) need a permission for the nodes, whose addresses are not known: no Server is written for the port, lest the probes fail",
				p.number, strings.Join(sorted(append(streams, paths...)), ", ")), nodesFix)
		return false
	}
	origin := model.Origin{Ref: p.group[0].Ref(), Part: "kubelet probes"}
	if len(streams) > 0 {
		p.grants = append(p.grants, grant{clients: nodes, origin: origin})
	}
	if len(paths) > 0 {
		p.grants = append(p.grants, grant{clients: nodes, origin: origin, exact: true, http: []model.HTTPMatch{{Methods: []string{"GET"}, Paths: p.allProbePaths()}}})
	}
	return true
}

// allProbePaths are the paths of all HTTP probes of the port: once a route is
// attached, none of them is permitted of itself.
func (p *portOf) allProbePaths() []string {
	var paths []string
	for _, w := range p.group {
		for _, probe := range probes(w) {
			if probe.port == p.number && probe.kind == probeHTTP {
				paths = append(paths, probe.pathOnly())
			}
		}
	}
	return sorted(paths)
}

func sorted(texts []string) []string {
	slices.Sort(texts)
	return slices.Compact(texts)
}
