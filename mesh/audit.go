package mesh

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/mesh/istio"
	"floe.dev/palisade/mesh/linkerd"
	"floe.dev/palisade/model"
)

// Audit reports faults of the mesh in use in one state, whatever anybody intends.
// The workloads of the model are those that the reader judges; kubelets are the
// versions of the cluster's nodes. Where a profile governs, its own checks report
// some of these faults, and they are left to them.
func Audit(m *model.Model, r Reader, kubelets []string) []model.Finding {
	a := &auditor{m: m, calls: model.NewCallIndex(m.Services), pods: m.PodsByOwner()}
	var all []model.Finding
	switch r := r.(type) {
	case *istio.Reader:
		a.strict, a.endsProxy, a.noNetwork = r.Strict, istio.EndsProxy, r.InitNetwork
		a.native = r.NativeSidecars(kubelets)
		all = istio.Audit(r)
	case *linkerd.Reader:
		a.strict, a.endsProxy = r.Strict, linkerd.EndsProxy
		a.noNetwork = func(*model.Workload, *corev1.Container) bool { return m.Cluster.Mesh.CNI }
		a.native = linkerd.NativeSidecars(m)
		all = linkerd.Audit(m, r)
	default:
		return nil
	}
	a.outside()
	a.sidecars()
	all = append(all, a.findings...)
	slices.SortFunc(all, model.CompareFindings)
	return slices.Compact(all)
}

// auditor looks for what is a fault in either mesh.
type auditor struct {
	m     *model.Model
	calls model.CallIndex
	pods  map[model.WorkloadID][]*model.Workload
	// strict tells whether a workload's namespace means to take mTLS only; native
	// whether its sidecar is a native one, and whether that is known; endsProxy whether a container ends the proxy
	// itself; noNetwork whether one that starts before the proxy has no network.
	strict    func(*model.Workload) bool
	native    func(*model.Workload) (native, known bool)
	endsProxy func(*corev1.Container) bool
	noNetwork func(*model.Workload, *corev1.Container) bool
	findings  []model.Finding
}

func (a *auditor) find(code string, severity model.Severity, subject model.Ref, field, message, fix string) {
	a.findings = append(a.findings, model.NewFinding(code, severity, subject, field, message, fix))
}

// wantsMTLS tells whether a profile asks for mTLS in a namespace, so that its checks see to who is in the mesh.
func (a *auditor) wantsMTLS(namespace string) bool {
	n := a.m.Namespace(namespace)
	return n != nil && n.Posture != nil && n.Posture.Mesh.MTLS != ""
}
