package mesh

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// meshContainers are init containers that injection adds.
var meshContainers = []string{"istio-init", "istio-validation", "istio-proxy", "enable-core-dump", "linkerd-init", "linkerd-network-validator", "linkerd-proxy"}

// unlessNative ends messages where it is not known which sort of sidecar the pods get.
const unlessNative = "; unless the proxy is a native sidecar, which is not known here"

// sidecars reports what goes wrong with proxies that are ordinary containers: they start
// after all init containers, and do not end with a Job (istio#11045, linkerd2#1760).
func (a *auditor) sidecars() {
	for i := range a.m.Workloads {
		w := &a.m.Workloads[i]
		if w.Facts.Mode != model.ModeSidecar && w.Facts.Mode != model.ModeLinkerd && w.Facts.Mode != model.ModeProxyless {
			continue
		}
		native, known := a.native(a.asItRuns(w))
		if native {
			continue
		}
		if w.ID.Kind == "Job" || w.ID.Kind == "CronJob" {
			a.jobNeverEnds(w, known)
		}
		if w.Facts.Mode != model.ModeProxyless {
			a.initContainers(w, known)
		}
	}
}

// asItRuns is some pod of a workload that has a proxy, or the workload itself: a pod shows what injection made of the template.
func (a *auditor) asItRuns(w *model.Workload) *model.Workload {
	pods := a.pods[w.ID]
	i := slices.IndexFunc(pods, func(p *model.Workload) bool { return p.Running && p.Facts.Meshed() })
	if i < 0 {
		return w
	}
	return pods[i]
}

func (a *auditor) jobNeverEnds(w *model.Workload, known bool) {
	if slices.ContainsFunc(w.Spec.Containers, func(c corev1.Container) bool { return a.endsProxy(&c) }) {
		return
	}
	severity, message := model.Warning, "the proxy is an ordinary container, which goes on when the others have ended: the pods never complete"
	if !known {
		severity, message = model.Info, message+unlessNative
	}
	a.find("JobNeverEnds", severity, w.Ref(), w.TemplatePath()+"spec", message, "ask for a native sidecar, or end the proxy from the job's own container")
}

// initContainers reports those that show that they call a Service, and those that can call nobody.
func (a *auditor) initContainers(w *model.Workload, known bool) {
	for _, name := range []string{"traffic.sidecar.istio.io/excludeOutboundPorts", "traffic.sidecar.istio.io/excludeOutboundIPRanges", "config.linkerd.io/skip-outbound-ports", "config.linkerd.io/skip-subnets"} {
		if w.Annotations[name] != "" {
			return // somebody has seen to it
		}
	}
	for i := range w.Spec.InitContainers {
		c := &w.Spec.InitContainers[i]
		if model.IsSidecar(c) || slices.Contains(meshContainers, c.Name) {
			continue
		}
		a.initContainer(w, c, fmt.Sprintf("%sspec.initContainers[%d]", w.TemplatePath(), i), known)
	}
}

func (a *auditor) initContainer(w *model.Workload, c *corev1.Container, field string, known bool) {
	called, inMesh := a.calledBy(w, c)
	severity, message := model.Warning, ""
	switch none := a.noNetwork(w, c); {
	case none && len(called) > 0:
		message = fmt.Sprintf("init container %s calls %s, and has no network: traffic is redirected before it starts, to a proxy that starts after it", c.Name, strings.Join(called, ", "))
	case none:
		severity, message = model.Info, fmt.Sprintf("init container %s has no network, should it need any: traffic is redirected before it starts, to a proxy that starts after it", c.Name)
	case inMesh:
		message = fmt.Sprintf("init container %s calls %s before there is a proxy: in plaintext and without an identity, which strict servers refuse", c.Name, strings.Join(called, ", "))
	default:
		return
	}
	if !known {
		severity, message = model.Info, message+unlessNative
	}
	a.find("InitContainerBeforeProxy", severity, w.Ref(), field, message, "ask for a native sidecar, which starts before other init containers")
}

// calledBy are the Services that a container shows that it calls, and whether some of them leads into the mesh.
func (a *auditor) calledBy(w *model.Workload, c *corev1.Container) (names []string, inMesh bool) {
	for _, s := range a.calls.CalledBy(c, w.ID.Namespace) {
		names = append(names, "Service "+s.Namespace+"/"+s.Name)
		inMesh = inMesh || slices.ContainsFunc(a.m.WorkloadsIn(s.Namespace), func(server model.Workload) bool {
			return server.Facts.Meshed() && slices.Contains(server.Services, s)
		})
	}
	return names, inMesh
}
