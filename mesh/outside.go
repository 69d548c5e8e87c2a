package mesh

import (
	"fmt"
	"slices"
	"strings"

	"floe.dev/palisade/model"
)

// neverMeshed are namespaces that no mesh takes in (istio pkg/kube/inject/inject.go), or whose pods bring it about.
var neverMeshed = []string{"kube-system", "kube-public", "kube-node-lease", "local-path-storage"}

// outside reports pods outside of the mesh in use, and ways around the proxies of
// those in it. That nobody enrolled a namespace is for the record; a pod that is
// outside though its namespace is enrolled is a hole.
func (a *auditor) outside() {
	strangers := map[string][]*model.Workload{}
	for i := range a.m.Workloads {
		w := &a.m.Workloads[i]
		home := w.ID.Namespace
		switch {
		case a.wantsMTLS(home), a.belongsToMesh(w):
		case w.Facts.Meshed():
			a.bypasses(w)
		case a.enrolled(w):
			a.outsideEnrolled(w)
		default:
			strangers[home] = append(strangers[home], w)
		}
	}
	for i := range a.m.Namespaces {
		if n := &a.m.Namespaces[i]; len(strangers[n.Name]) > 0 {
			a.notEnrolled(n, strangers[n.Name])
		}
	}
}

// belongsToMesh tells whether a workload is of the mesh itself, or of a namespace that is never enrolled.
func (a *auditor) belongsToMesh(w *model.Workload) bool {
	mesh, home := &a.m.Cluster.Mesh, w.ID.Namespace
	n := a.m.Namespace(home)
	switch {
	case slices.Contains(neverMeshed, home), mesh.Namespace != "" && home == mesh.Namespace:
		return true
	case n != nil && (n.Labels["linkerd.io/is-control-plane"] == "true" || n.Labels["linkerd.io/cni-resource"] == "true"):
		return true
	case w.Labels["app"] == "istiod", w.Labels["app"] == "ztunnel", w.Labels["k8s-app"] == "istio-cni-node", w.Labels["k8s-app"] == "linkerd-cni", w.Labels["linkerd.io/control-plane-component"] != "":
		return true
	}
	return false
}

// enrolled tells whether the namespace of a workload, or the workload itself, asks for the mesh in use.
func (a *auditor) enrolled(w *model.Workload) bool {
	if w.NamespaceLabels["istio-injection"] == "disabled" && w.NamespaceLabels["istio.io/dataplane-mode"] != "ambient" {
		return false
	}
	in := inIstio
	if a.m.Cluster.Mesh.Kind == model.MeshLinkerd {
		in = inLinkerd
	}
	return in(w.NamespaceLabels, w.NamespaceAnnotations) != "" || in(w.Labels, w.Annotations) != ""
}

func (a *auditor) outsideEnrolled(w *model.Workload) {
	severity, field := model.Warning, ""
	if a.strict(w) {
		severity = model.Error
	}
	if len(w.Facts.Bypasses) > 0 {
		field = w.TemplatePath() + w.Facts.Bypasses[0].Field
	} else if w.Spec.HostNetwork {
		field = w.TemplatePath() + "spec.hostNetwork"
	}
	a.find("PodOutsideMesh", severity, w.Ref(), field, a.howMany(w)+" take no part in the mesh, so they accept and send plaintext: "+w.Facts.Outside,
		"enrol the workload and restart its pods, or move it to a namespace that is not enrolled")
}

// howMany are the pods of a workload that run outside of the mesh, where pods were read and some are in it.
func (a *auditor) howMany(w *model.Workload) string {
	pods, out := a.pods[w.ID], 0
	for _, p := range pods {
		if !p.Facts.Meshed() {
			out++
		}
	}
	if out == 0 || out == len(pods) {
		return "the pods"
	}
	return fmt.Sprintf("%d of %d pods", out, len(pods))
}

// notEnrolled says once a namespace which of its pods nobody enrolled.
func (a *auditor) notEnrolled(n *model.Namespace, out []*model.Workload) {
	total := 0
	for _, w := range a.m.WorkloadsIn(n.Name) {
		if !a.belongsToMesh(&w) {
			total++
		}
	}
	if !n.Declared && !slices.ContainsFunc(out, func(w *model.Workload) bool { return w.Running || strings.HasPrefix(w.Facts.Outside, "pod ") }) {
		a.find("PodOutsideMesh", model.Info, n.Ref(), "",
			fmt.Sprintf("the Namespace itself was not read, so it is not known whether it is enrolled; its workloads are taken to be outside the mesh: %s", model.Named(out)),
			"read the Namespace as well (-f)")
		return
	}
	which := fmt.Sprintf("%d of its %d workloads take", len(out), total)
	if len(out) == total {
		which = "its workloads take"
	}
	a.find("PodOutsideMesh", model.Info, n.Ref(), "",
		fmt.Sprintf("nobody enrolled them, so %s no part in the mesh, and accept and send plaintext: %s", which, model.Named(out)),
		"enrol the namespace and restart its pods")
}

// bypasses reports what leads traffic around the proxy of a meshed workload.
func (a *auditor) bypasses(w *model.Workload) {
	if w.Facts.Outside != "" {
		field := ""
		if around := slices.IndexFunc(w.Facts.Bypasses, func(b model.Bypass) bool { return b.Inbound && b.Ports == nil }); around >= 0 {
			field = w.TemplatePath() + w.Facts.Bypasses[around].Field
		}
		a.find("InboundNotCaptured", model.Error, w.Ref(), field, "the pods have a proxy, but what comes in does not pass it: "+w.Facts.Outside, "let the mesh capture what comes in")
	}
	strict := a.strict(w)
	for _, bypass := range w.Facts.Bypasses {
		if w.Facts.Outside != "" && bypass.Inbound && bypass.Ports == nil {
			continue // said already
		}
		severity := model.Warning
		if bypass.Inbound && strict {
			severity = model.Error
		}
		a.find("MeshBypass", severity, w.Ref(), w.TemplatePath()+bypass.Field, bypass.Message, "remove it, or keep the port out of reach by a NetworkPolicy")
	}
}
