package istio

import (
	"net/netip"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// probeSources are where ambient's kubelet probes come from: the CNI plugin
// rewrites the source of host processes to 169.254.7.127 and
// fd16:9254:7127:1337:ffff:ffff:ffff:ffff (istio cni/pkg/iptables/iptables.go).
// For IPv6 that address alone was reported not to be enough, and fd16:9254:7127:1337:ffff::/81
// to work, which is the half without it (istio#56484): the /80 holds both.
var probeSources = []netip.Prefix{
	netip.MustParsePrefix("169.254.7.127/32"),
	netip.PrefixFrom(netip.MustParseAddr("fd16:9254:7127:1337:ffff:ffff:ffff:ffff"), 80).Masked(),
}

// mergeMetricsAnnotation takes a pod out of Istio's merging of metrics, which is on by default.
const mergeMetricsAnnotation = "prometheus.istio.io/merge-metrics"

// Facts tells what Istio makes of a workload.
func (d *Dialect) Facts(w *model.Workload) model.Facts {
	e := d.enrolment(w)
	facts := model.Facts{Mode: e.mode, Outside: e.outside}
	if e.mode == model.ModeNone {
		facts.Bypasses = optOuts(w)
		return facts
	}
	facts.Identity = d.identity(w.ID.Namespace, w.ServiceAccount)
	facts.Tunnel = d.tunnel(w, e)
	facts.DialsTunnel = e.mode == model.ModeAmbient || e.mode == model.ModeSidecar && d.mesh.Ambient
	facts.ControlPlane = d.controlPlane(e)
	facts.MetricsPorts = metricsPorts(w, e)
	facts.MergesMetrics = e.mode == model.ModeSidecar && d.mergesMetrics(w)
	facts.ProbePorts = d.probePorts(w, e)
	facts.Bypasses = bypasses(w, e)
	facts.Injected = d.injectedContainers(w, e)
	facts.NoAudit = noAudit(e)
	facts.HoldsHTTP = e.mode != model.ModeAmbient
	facts.Gateway = e.gateway
	if e.mode == model.ModeAmbient {
		facts.ProbeSources = probeSources
		facts.Waypoint = waypointOf(w)
		facts.HoldsHTTP = facts.Waypoint.Bound
	}
	facts.Outside = notCaptured(w, e)
	return facts
}

// mergesMetrics follows the pod's annotation, else the mesh (istio pkg/kube/inject/webhook.go).
func (d *Dialect) mergesMetrics(w *model.Workload) bool {
	if said, err := strconv.ParseBool(w.Annotations[mergeMetricsAnnotation]); err == nil {
		return said
	}
	return !d.mesh.KeepsMetrics
}

// identity is the SPIFFE ID as principals write it, without "spiffe://"; empty where the trust domain is unknown.
func (d *Dialect) identity(namespace, account string) string {
	if d.mesh.TrustDomain == "" || account == "" {
		return ""
	}
	return d.mesh.TrustDomain + "/ns/" + namespace + "/sa/" + account
}

// tunnel: ambient pods and waypoints are reached by HBONE; a sidecar only where it is marked so.
func (d *Dialect) tunnel(w *model.Workload, e enrolment) model.Tunnel {
	if e.mode == model.ModeAmbient || e.gateway && isWaypoint(w) || e.mode == model.ModeSidecar && d.markedHBONE(w, e) {
		return model.Tunnel{Port: portHBONE}
	}
	return model.Tunnel{}
}

// markedHBONE tells whether a sidecar's pod bears the label by which ztunnel
// finds out that it takes HBONE, or will bear it: a template gets it from the
// injector where the mesh's proxy configuration, or its own, asks for it.
func (d *Dialect) markedHBONE(w *model.Workload, e enrolment) bool {
	if label, said := w.Labels[tunnelLabel]; said || w.Running || e.gateway {
		return label == "http"
	}
	own := podProxyConfig(w)
	if takes, said := own.takesHBONE(); said {
		return takes
	}
	return d.mesh.SidecarHBONE
}

// controlPlane: every proxy in a pod fetches its configuration and certificates itself; for ambient pods the node's ztunnel does.
func (d *Dialect) controlPlane(e enrolment) []model.ControlPlaneFlow {
	if e.mode == model.ModeAmbient || d.mesh.Namespace == "" {
		return nil
	}
	return []model.ControlPlaneFlow{{
		To: model.Peer{
			Kind: model.PeerPods, Namespace: d.mesh.Namespace,
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "istiod"}},
		},
		Ports: []model.Port{model.TCP(portISTIOD)},
		Why:   "xDS and certificates from istiod",
	}}
}

func metricsPorts(w *model.Workload, e enrolment) []model.Port {
	switch e.mode {
	case model.ModeSidecar:
		return model.SortPorts([]model.Port{model.TCP(statusPort(w)), model.TCP(portEnvoy)})
	case model.ModeProxyless:
		return []model.Port{model.TCP(statusPort(w))}
	default:
		return nil
	}
}
