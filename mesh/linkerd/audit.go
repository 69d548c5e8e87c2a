package linkerd

import (
	"slices"

	"floe.dev/palisade/model"
)

// Audit reports faults of Linkerd's objects, whoever wrote them and whatever
// anybody intends: Servers and authorizations that hold nothing, that name
// nobody, or that refuse the kubelet. The reader is that of the state which is audited.
func Audit(m *model.Model, r *Reader) []model.Finding {
	a := &auditor{Reader: r, m: m, objects: map[objectKey]*model.Object{}, pods: m.PodsByOwner()}
	for i := range m.Existing {
		a.objects[keyOf(m.Existing[i].Ref())] = &m.Existing[i]
	}
	a.serversOf(a.server)
	for i := range m.Existing {
		if o := &m.Existing[i]; o.Ref().Group() == policyGroup && !o.Owned() {
			a.object(o)
		}
	}
	for i := range m.Workloads {
		if w := &m.Workloads[i]; w.Facts.Meshed() {
			a.probes(w)
			a.serverFirst(w)
		}
	}
	a.trustBundle()
	slices.SortFunc(a.findings, model.CompareFindings)
	return slices.Compact(a.findings)
}

// auditor gathers findings about one state.
type auditor struct {
	*Reader
	m *model.Model
	// objects are those that were read, whatever the version.
	objects  map[objectKey]*model.Object
	pods     map[model.WorkloadID][]*model.Workload
	findings []model.Finding
}

// objectKey names an object, whatever its version.
type objectKey struct{ group, kind, namespace, name string }

func keyOf(ref model.Ref) objectKey {
	return objectKey{ref.Group(), ref.Kind, ref.Namespace, ref.Name}
}

func (a *auditor) find(code string, severity model.Severity, subject model.Ref, field, message, fix string) {
	a.findings = append(a.findings, model.NewFinding(code, severity, subject, field, message, fix))
}

func (a *auditor) object(o *model.Object) {
	switch o.Ref().Kind {
	case "AuthorizationPolicy":
		a.policy(o)
	case "ServerAuthorization":
		a.serverAuthorization(o)
	case "MeshTLSAuthentication":
		a.identitiesOf(o)
	case "HTTPRoute":
		a.parentsOf(o)
	}
	a.opening(o)
}

// isThere tells whether an object was read.
func (a *auditor) isThere(group, kind, namespace, name string) bool {
	return a.objects[objectKey{group, kind, namespace, name}] != nil
}

// ofMesh tells whether a namespace is Linkerd's own or that of an extension, whose charts bring objects of their own.
func (a *auditor) ofMesh(namespace string) bool {
	n := a.m.Namespace(namespace)
	return namespace == a.m.Cluster.Mesh.Namespace || n != nil && (n.Labels[isControlPlane] == "true" || n.Labels["linkerd.io/extension"] != "")
}

// governed tells whether a profile asks anything of the mesh in a namespace, so that its own checks look at it.
func (a *auditor) governed(namespace string) bool {
	n := a.m.Namespace(namespace)
	return n != nil && wantsMesh(n)
}

// wholeCluster tells whether what was read is likely all of a cluster, so that what is not there is nowhere.
func (a *auditor) wholeCluster() bool {
	n := a.m.Namespace("kube-system")
	return n != nil && (n.Declared || len(a.m.WorkloadsIn(n.Name)) > 0)
}
