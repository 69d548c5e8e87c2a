package linkerd

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// Compile writes, for every governed namespace, a Server for each port of each
// meshed workload, which denies, and the authorizations that the flows ask for.
// Without the control plane's namespace or the trust domain it writes nothing:
// Servers without allows would cut everything off.
func (d *Dialect) Compile(m *model.Model) ([]model.Object, []model.Problem) {
	c := &compiler{
		dialect: d, model: m,
		byServer: map[model.WorkloadID][]int{}, resolved: map[int]clientSet{}, said: map[string]bool{},
	}
	if d.mesh.Namespace == "" || d.mesh.TrustDomain == "" {
		c.identityUnknown()
		return nil, c.problems
	}
	c.indexFlows()
	c.indexServers()
	for i := range m.Namespaces {
		if namespace := &m.Namespaces[i]; c.governs(namespace) {
			c.namespace(namespace)
		}
	}
	slices.SortFunc(c.objects, model.CompareObjects)
	slices.SortFunc(c.problems, model.CompareProblems)
	return c.objects, slices.Compact(c.problems)
}

// compiler carries one run of Compile.
type compiler struct {
	dialect *Dialect
	model   *model.Model
	// byServer are the indices of the flows to each workload.
	byServer map[model.WorkloadID][]int
	// servers are the Servers of somebody else's, by namespace.
	servers map[string][]*model.Object
	// resolved are the clients of flows, by index.
	resolved map[int]clientSet
	// said are problems that concern a flow as a whole and were reported.
	said     map[string]bool
	objects  []model.Object
	problems []model.Problem
}

func (c *compiler) problem(code string, severity model.Severity, subject model.Ref, field, message, fix string) {
	c.problems = append(c.problems, model.Problem{Code: code, Severity: severity, Subject: subject, Field: field, Message: message, Fix: fix})
}

// flowProblem reports once what concerns a flow, whichever of its servers is at hand.
func (c *compiler) flowProblem(f *model.Flow, code string, severity model.Severity, message, fix string) {
	key := code + "\x00" + f.Origin.String() + "\x00" + message
	if c.said[key] {
		return
	}
	c.said[key] = true
	field := f.Origin.Part
	if strings.Contains(field, " ") { // words, not a path
		field = ""
	}
	c.problem(code, severity, f.Origin.Ref, field, message, fix)
}

func (c *compiler) identityUnknown() {
	mesh := &c.dialect.mesh
	if !slices.ContainsFunc(c.model.Namespaces, func(n model.Namespace) bool { return n.Posture != nil }) {
		return
	}
	if mesh.Namespace == "" {
		c.problem("MeshNamespaceUnknown", model.Error, model.Ref{}, "",
			"the namespace of Linkerd's control plane is not known, and identities contain it: nothing is written into the mesh",
			"read the control plane's Deployments or the ConfigMap linkerd-config (-f), or give --mesh-namespace")
	}
	if mesh.TrustDomain == "" {
		c.problem("TrustDomainUnknown", model.Error, model.Ref{}, "",
			"the trust domain of Linkerd is not known, and identities contain it: nothing is written into the mesh",
			"read the ConfigMap linkerd-config (-f), or give --trust-domain")
	}
}

func (c *compiler) indexFlows() {
	for i := range c.model.Flows {
		server := &c.model.Flows[i].Server
		if server.Kind != model.PeerPods {
			continue
		}
		for _, id := range server.Workloads {
			c.byServer[id] = append(c.byServer[id], i)
		}
	}
}

func (c *compiler) indexServers() {
	c.servers = map[string][]*model.Object{}
	for i := range c.model.Existing {
		o := &c.model.Existing[i]
		if ref := o.Ref(); ref.Kind == "Server" && ref.Group() == policyGroup && !o.Owned() {
			c.servers[ref.Namespace] = append(c.servers[ref.Namespace], o)
		}
	}
}

// governs tells whether Servers are written in a namespace.
func (c *compiler) governs(n *model.Namespace) bool {
	p := n.Posture
	if p == nil || !p.Mesh.Authorization && p.Mesh.MTLS != model.MTLSStrict && !c.audits(n) {
		return false
	}
	if c.model.IsHeld(n.Name, model.LayerAuthorization) || c.model.IsHeld(n.Name, model.LayerMTLS) {
		return false
	}
	if n.Name == c.dialect.mesh.Namespace {
		c.problem("ControlPlaneNotGoverned", model.Warning, n.Ref(), "",
			"proxies fetch their first certificate from here without an identity, so Servers would cut the mesh off: none are written in the control plane's namespace",
			"leave the namespace out of the profile, or set mesh.mtls to Unmanaged for it")
		return false
	}
	return true
}

// namespace writes the objects of one namespace.
func (c *compiler) namespace(n *model.Namespace) {
	if n.Posture.Mesh.MTLS == model.MTLSPermissive && !n.Posture.Mesh.KeepStrict {
		c.problem("PermissiveIsOpen", model.Warning, n.Ref(), "",
			"mTLS is Permissive, and Linkerd cannot tell the clients of plaintext apart: authorization by identity does not hold in this namespace until mTLS is Strict",
			"set mesh.mtls to Strict in SecurityProfile "+n.Posture.Profile)
	}
	out := newWriter(c, n)
	groups := c.groups(n.Name)
	for _, g := range groups {
		selector := g.selector(groups)
		for _, number := range c.ports(g) {
			c.port(out, &portOf{group: g, selector: selector, number: number})
		}
	}
	c.objects = append(c.objects, out.finish()...)
}

// ports are those that get a Server: declared, probed, or the server's side of a
// flow. The proxy's own are left out.
func (c *compiler) ports(g group) []int32 {
	var numbers []int32
	for _, w := range g {
		declared := declaredTCP(w)
		numbers = append(numbers, declared...)
		for _, p := range probes(w) {
			numbers = append(numbers, p.port)
		}
		for _, index := range c.byServer[w.ID] {
			numbers = append(numbers, c.flowPorts(&c.model.Flows[index], w, declared)...)
		}
	}
	slices.Sort(numbers)
	return slices.DeleteFunc(slices.Compact(numbers), isProxyPort)
}

func declaredTCP(w *model.Workload) []int32 {
	var numbers []int32
	for _, p := range w.ContainerPorts() {
		if p.Protocol == corev1.ProtocolTCP {
			numbers = append(numbers, p.Number)
		}
	}
	return numbers
}

// flowPorts are the single ports that a flow opens on a workload. Of a range
// those that are declared count: a Server has one port.
func (c *compiler) flowPorts(f *model.Flow, w *model.Workload, declared []int32) []int32 {
	var numbers []int32
	for _, p := range f.Ports {
		switch {
		case p.Protocol != corev1.ProtocolTCP:
			c.flowProblem(f, "NotCoveredByMesh", model.Info,
				fmt.Sprintf("port %s is not TCP, which is all that Linkerd carries: neither mTLS nor authorization holds there, only NetworkPolicies", p), "")
		case p.Number != 0 && p.Last() == p.Number:
			numbers = append(numbers, p.Number)
		default:
			for _, number := range declared {
				if p.Contains(corev1.ProtocolTCP, number) {
					numbers = append(numbers, number)
				}
			}
			c.flowProblem(f, "PortRangeNotExpressible", model.Warning,
				fmt.Sprintf("Linkerd has no ranges of ports: of %s only those that %s declares are opened to these clients; the others are under the default inbound policy", p, w.ID),
				"declare the ports in the containers, or list them one by one")
		}
	}
	return numbers
}
