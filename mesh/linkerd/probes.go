package linkerd

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// probe is one call that the kubelet makes to a pod.
type probe struct {
	port int32
	kind probeKind
	// path is that of a call by HTTP or HTTPS, with its query.
	path string
	// rootless tells that the path is declared without its leading slash, which Linkerd does not take for a path (linkerd2#14034).
	rootless bool
	// hook tells that it is a lifecycle hook, which Linkerd never permits of itself.
	hook bool
	// field is where it is declared.
	field string
}

type probeKind int

// The kinds of probes, by what the proxy makes of them.
const (
	// probeTCP needs no more than an accepted connection, which the proxy gives even where it denies.
	probeTCP probeKind = iota
	// probeHTTP is a GET of a path.
	probeHTTP
	// probeStream is TLS or gRPC: bytes or calls that the proxy takes for any unauthenticated client's.
	probeStream
)

// probes lists the kubelet's calls to the application's containers.
func probes(w *model.Workload) []probe {
	var all []probe
	each := func(list string, containers []corev1.Container) {
		for i := range containers {
			if containers[i].Name != proxyContainer {
				all = append(all, containerProbes(&containers[i], list+"["+containers[i].Name+"]")...)
			}
		}
	}
	each("spec.initContainers", w.Spec.InitContainers) // only sidecars among them can have probes
	each("spec.containers", w.Spec.Containers)
	slices.SortStableFunc(all, func(a, b probe) int {
		return cmp.Or(cmp.Compare(a.port, b.port), cmp.Compare(a.kind, b.kind), cmp.Compare(a.path, b.path))
	})
	return all
}

func containerProbes(c *corev1.Container, at string) []probe {
	var all []probe
	add := func(p probe, name string) {
		if p.port != 0 {
			p.field = at + "." + name
			all = append(all, p)
		}
	}
	for _, declared := range []struct {
		name  string
		probe *corev1.Probe
	}{{"startupProbe", c.StartupProbe}, {"readinessProbe", c.ReadinessProbe}, {"livenessProbe", c.LivenessProbe}} {
		if declared.probe == nil {
			continue
		}
		h := &declared.probe.ProbeHandler
		if h.GRPC != nil {
			add(probe{port: h.GRPC.Port, kind: probeStream}, declared.name)
			continue
		}
		add(call(c, h.HTTPGet, h.TCPSocket), declared.name)
	}
	if c.Lifecycle != nil {
		add(hookCall(c, c.Lifecycle.PostStart), "lifecycle.postStart")
		add(hookCall(c, c.Lifecycle.PreStop), "lifecycle.preStop")
	}
	return all
}

func hookCall(c *corev1.Container, hook *corev1.LifecycleHandler) probe {
	if hook == nil {
		return probe{}
	}
	p := call(c, hook.HTTPGet, hook.TCPSocket)
	p.hook = true
	return p
}

func call(c *corev1.Container, get *corev1.HTTPGetAction, socket *corev1.TCPSocketAction) probe {
	switch {
	case get != nil:
		p := probe{port: model.ContainerPortOf(c, get.Port), kind: probeHTTP, path: get.Path}
		if get.Scheme == corev1.URISchemeHTTPS {
			p.kind = probeStream
		}
		if !strings.HasPrefix(p.path, "/") {
			p.path, p.rootless = "/"+p.path, p.path != ""
		}
		return p
	case socket != nil:
		return probe{port: model.ContainerPortOf(c, socket.Port), kind: probeTCP}
	default:
		return probe{}
	}
}

// pathOnly is a probe's path without its query, as routes compare it.
func (p probe) pathOnly() string {
	path, _, _ := strings.Cut(p.path, "?")
	return path
}

// automatic tells whether Linkerd itself permits the probe on a Server without
// routes. It does not where the path lacks its slash, and before 2.14 not where there
// is a query: it then compared the declared path, query and all, with the request's (linkerd2#10934).
func (p probe) automatic(version string) bool {
	if p.kind != probeHTTP || p.hook || p.rootless {
		return p.kind == probeTCP
	}
	release, known := parseRelease(version)
	return known && release.atLeast(probeQueries) || !strings.Contains(p.path, "?")
}
