package istio

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

const nativeAnnotation = "sidecar.istio.io/nativeSidecar"

// Strict tells whether the namespace of a workload means to take mTLS only: its mode, without regard to workloads, is STRICT.
func (r *Reader) Strict(w *model.Workload) bool { return r.modesOf(w).home == strict }

// NativeSidecars tells whether a workload's sidecar is a native one, which starts before
// other init containers and ends with the pod; known is false where that cannot be
// told. kubelets are the versions of the cluster's nodes.
func (r *Reader) NativeSidecars(kubelets []string) func(w *model.Workload) (native, known bool) {
	usual, usualKnown := r.nativeUsually(kubelets)
	return func(w *model.Workload) (native, known bool) {
		if c := proxy(w); c != nil && !runsGateway(w) {
			return model.IsSidecar(c), true
		}
		switch w.Annotations[nativeAnnotation] {
		case "true":
			return true, true
		case "false":
			return false, true
		}
		return usual, usualKnown
	}
}

// nativeUsually is what pods get that say nothing. Since 1.27 istiod finds out by
// itself: native where every kubelet is 1.33 or newer (pkg/kube/inject/webhook.go, DetectNativeSidecar).
func (r *Reader) nativeUsually(kubelets []string) (native, known bool) {
	if said := r.nativeByISTIOD(); said != "" {
		return said == "true", true
	}
	switch major, minor, ok := firstTwo(r.mesh.Version); {
	case !ok:
		return false, false
	case major == 1 && minor < 27:
		return false, true
	default:
		return nativeByKubelets(kubelets)
	}
}

// nativeByKubelets: one old kubelet is enough, and manifests of nodes may not tell.
func nativeByKubelets(versions []string) (native, known bool) {
	known = len(versions) > 0
	for _, version := range versions {
		_, minor, ok := firstTwo(version)
		if ok && minor < 33 {
			return false, true
		}
		known = known && ok
	}
	return known, known
}

// nativeByISTIOD is what the control plane's environment says, or empty where it leaves it to the version.
func (r *Reader) nativeByISTIOD() string {
	for i := range r.m.Workloads {
		w := &r.m.Workloads[i]
		if w.ID.Kind != "Deployment" || w.Labels["app"] != "istiod" {
			continue
		}
		switch said := env(w, "ENABLE_NATIVE_SIDECARS"); said {
		case "", "auto":
		default:
			return strconv.FormatBool(said == "true")
		}
	}
	return ""
}

var majorMinor = regexp.MustCompile(`^v?(\d+)\.(\d+)`)

// firstTwo reads the first two numbers of a version.
func firstTwo(version string) (major, minor int, ok bool) {
	found := majorMinor.FindStringSubmatch(version)
	if found == nil {
		return 0, 0, false
	}
	major, _ = strconv.Atoi(found[1])
	minor, _ = strconv.Atoi(found[2])
	return major, minor, true
}

// EndsProxy tells whether a container ends the proxy of its pod itself, through the agent (pilot-agent's /quitquitquit).
func EndsProxy(c *corev1.Container) bool {
	return slices.ContainsFunc(slices.Concat(c.Command, c.Args), func(text string) bool { return strings.Contains(text, "quitquitquit") })
}

// InitNetwork tells what network init containers of a workload without a native sidecar have. With a
// CNI plugin redirection is there before them and the proxy is not, so that they have none; otherwise
// istio-init comes last, and they go past the mesh in plaintext (pkg/kube/inject/webhook.go, reorderPod).
func (r *Reader) InitNetwork(w *model.Workload, c *corev1.Container) (none bool) {
	if !r.mesh.CNI || interceptsNothing(w) {
		return false
	}
	uid := cmp.Or(runAs(c.SecurityContext), runAsPod(w.Spec.SecurityContext))
	return uid != proxyUID
}

func runAs(s *corev1.SecurityContext) int64 {
	if s == nil || s.RunAsUser == nil {
		return 0
	}
	return *s.RunAsUser
}

func runAsPod(s *corev1.PodSecurityContext) int64 {
	if s == nil || s.RunAsUser == nil {
		return 0
	}
	return *s.RunAsUser
}
