// Package istio is the Istio dialect: what a workload is in an Istio mesh
// (sidecar, ambient, proxyless gRPC, gateway), and the model's intent as
// PeerAuthentication, AuthorizationPolicy, Sidecar, ServiceEntry,
// DestinationRule and, where ambient needs one, a waypoint Gateway.
//
// It is pure. What Istio cannot hold comes back as a Problem and stays closed.
// Statements about Istio are read from its source (istio.io/istio, 1.28 to
// 1.31); the comments name the file.
package istio

import (
	"cmp"
	"fmt"
	"slices"

	"floe.dev/palisade/model"
)

// Dialect translates between the model and an Istio mesh.
type Dialect struct {
	mesh          model.Mesh
	clusterDomain string
}

// New makes the dialect of one mesh. clusterDomain is empty where unknown: then
// nothing that has to name a Service by its full DNS name is written.
func New(mesh model.Mesh, clusterDomain string) *Dialect {
	return &Dialect{mesh: mesh, clusterDomain: clusterDomain}
}

// Name is "istio".
func (d *Dialect) Name() string { return string(model.MeshIstio) }

// Compile turns intent into objects, sorted by model.CompareObjects; what Istio
// cannot express comes back as problems, sorted by model.CompareProblems.
func (d *Dialect) Compile(m *model.Model) ([]model.Object, []model.Problem) {
	c := newCompilation(d, m)
	c.controlPlaneUnknown()
	for _, namespace := range c.governed {
		if !c.writable(namespace) {
			continue
		}
		c.revisionUnknown(namespace)
		c.peerAuthentications(namespace)
		c.authorization(namespace)
		c.destinationRules(namespace)
		c.scope(namespace)
	}
	c.externalOutsideSidecars()
	return c.result()
}

// compilation is one run of Compile.
type compilation struct {
	mesh   model.Mesh
	domain string
	m      *model.Model
	// governed are the namespaces with a posture.
	governed []*model.Namespace
	// byServer and byClient hold the flows of a workload.
	byServer, byClient map[model.WorkloadID][]*model.Flow
	// toNamespace are the flows whose servers live in a namespace, toNobody included.
	toNamespace map[string][]*model.Flow
	existing    existing
	// resolvers are the Services that serve the cluster's DNS.
	resolvers []*model.Service

	objects  []model.Object
	problems []model.Problem
}

func newCompilation(d *Dialect, m *model.Model) *compilation {
	c := &compilation{
		mesh: d.mesh, domain: d.clusterDomain, m: m,
		byServer: map[model.WorkloadID][]*model.Flow{}, byClient: map[model.WorkloadID][]*model.Flow{},
		toNamespace: map[string][]*model.Flow{},
		existing:    readExisting(m.Existing, d.rootNamespace()),
		resolvers:   resolvers(m),
	}
	for i := range m.Namespaces {
		if m.Namespaces[i].Posture != nil {
			c.governed = append(c.governed, &m.Namespaces[i])
		}
	}
	for i := range m.Flows {
		c.index(&m.Flows[i])
	}
	return c
}

func (c *compilation) index(f *model.Flow) {
	for _, id := range f.Client.Workloads {
		c.byClient[id] = append(c.byClient[id], f)
	}
	if f.Server.Kind != model.PeerPods {
		return
	}
	var namespaces []string
	if f.Server.Namespace != "" {
		namespaces = []string{f.Server.Namespace}
	}
	for _, id := range f.Server.Workloads {
		c.byServer[id] = append(c.byServer[id], f)
		if !slices.Contains(namespaces, id.Namespace) {
			namespaces = append(namespaces, id.Namespace)
		}
	}
	for _, namespace := range namespaces {
		c.toNamespace[namespace] = append(c.toNamespace[namespace], f)
	}
}

// rootNamespace is where a policy counts for the whole mesh: as configured, or
// where the control plane runs as long as the configuration is unknown. Istio's
// default stands in where neither is known: nothing is to be written there.
func (d *Dialect) rootNamespace() string { return rootNamespace(&d.mesh) }

func rootNamespace(mesh *model.Mesh) string {
	return cmp.Or(mesh.RootNamespace, mesh.Namespace, defaultRootNamespace)
}

// writable tells whether anything may be written to a namespace at all. What
// lies in the root namespace counts for every namespace of the mesh: a
// deny-all there would cut the gateways, and all the others (istio#35626).
func (c *compilation) writable(n *model.Namespace) bool {
	mesh := n.Posture.Mesh
	if mesh.MTLS == "" && !mesh.Authorization && mesh.Stage == "" && !mesh.SidecarScope {
		return false
	}
	if n.Name == rootNamespace(&c.mesh) {
		c.problem("RootNamespaceIsMeshWide", model.Error, n.Ref(), "",
			"policies in Istio's root namespace count for the whole mesh, so none are written there",
			"leave the root namespace out of the SecurityProfile's namespaceSelector")
		return false
	}
	if workloads := c.m.WorkloadsIn(n.Name); len(workloads) > 0 && !slices.ContainsFunc(workloads, isMeshed) {
		c.problem("NamespaceOutsideMesh", model.Warning, n.Ref(), "",
			"no workload of the namespace takes part in the mesh, so Istio would enforce nothing there and no policy of it is written: "+workloads[0].Facts.Outside,
			"label the namespace istio-injection=enabled or istio.io/dataplane-mode=ambient and restart its pods, or say --mesh-mode")
		return false
	}
	return true
}

// controlPlaneUnknown says that proxies in governed namespaces cannot be led to
// a control plane of which nothing is known.
func (c *compilation) controlPlaneUnknown() {
	if c.mesh.Namespace != "" {
		return
	}
	for _, n := range c.governed {
		if slices.ContainsFunc(c.m.WorkloadsIn(n.Name), func(w model.Workload) bool { return w.Facts.Meshed() && w.Facts.Mode != model.ModeAmbient }) {
			c.problem("MeshNamespaceUnknown", model.Error, model.Ref{}, "",
				"the namespace of Istio's control plane is not known: what proxies need of it stays closed", "say --mesh-namespace, or read the manifests of istiod (-f)")
			return
		}
	}
}

// revisionUnknown says that a revision which pods ask for was not seen, and taken for a tag.
func (c *compilation) revisionUnknown(n *model.Namespace) {
	if c.mesh.Revision == "" || c.mesh.Revisions != nil {
		return
	}
	for _, w := range c.meshed(n.Name) {
		asked := cmp.Or(w.NamespaceLabels[revisionLabel], w.Labels[revisionLabel])
		if asked == "" || asked == c.mesh.Revision || w.Running || w.Facts.Mode == model.ModeAmbient || isGateway(w) {
			continue
		}
		c.problem("RevisionUnknown", model.Warning, n.Ref(), "metadata.labels["+revisionLabel+"]",
			fmt.Sprintf("pods are to be injected for revision %s, and the control plane that was read is %s: %s is taken for a tag of it", asked, c.mesh.Revision, asked),
			"read the MutatingWebhookConfigurations of Istio (-f): they tell revisions and tags")
		return
	}
}

func isMeshed(w model.Workload) bool { return w.Facts.Meshed() }

// meshed are the workloads of a namespace that take part in the mesh.
func (c *compilation) meshed(namespace string) []*model.Workload {
	workloads := c.m.WorkloadsIn(namespace)
	var in []*model.Workload
	for i := range workloads {
		if workloads[i].Facts.Meshed() {
			in = append(in, &workloads[i])
		}
	}
	return in
}

func (c *compilation) problem(code string, severity model.Severity, subject model.Ref, field, message, fix string) {
	c.problems = append(c.problems, model.Problem{
		Code: code, Severity: severity, Subject: subject, Field: field, Message: message, Fix: fix,
	})
}

func (c *compilation) result() ([]model.Object, []model.Problem) {
	slices.SortFunc(c.objects, model.CompareObjects)
	slices.SortFunc(c.problems, model.CompareProblems)
	return c.objects, slices.Compact(c.problems)
}
