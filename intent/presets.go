package intent

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/model"
)

// gatewayLabels are the pod labels by which well-known ingress gateways are found, each set a row.
var gatewayLabels = []map[string]string{
	{"istio": "ingressgateway"}, // Istio's own gateway chart and istioctl profiles
	{"app": "istio-ingressgateway"},
	{"app.kubernetes.io/name": "ingress-nginx", "app.kubernetes.io/component": "controller"},
	{"app.kubernetes.io/name": "traefik"},
	{"app.kubernetes.io/name": "contour", "app.kubernetes.io/component": "envoy"},
	{"app.kubernetes.io/name": "kubernetes-ingress"}, // HAProxy Technologies
	{"app.kubernetes.io/name": "haproxy-ingress"},
	{"app.kubernetes.io/name": "nginx-ingress"}, // F5
	{"app.kubernetes.io/managed-by": "envoy-gateway", "app.kubernetes.io/component": "proxy"},
	{"app.kubernetes.io/component": "app", "app.kubernetes.io/name": "kong"},
}

// prometheusLabels are the pod labels by which Prometheus is found.
var prometheusLabels = []map[string]string{
	{"app.kubernetes.io/name": "prometheus"},
	{"app": "prometheus", "component": "server"},
	{"app": "prometheus"},
}

const (
	gatewayNameLabel  = "gateway.networking.k8s.io/gateway-name"
	gatewayClassLabel = "gateway.networking.k8s.io/gateway-class-name"
	waypointClass     = "istio-waypoint"

	scrapeAnnotation     = "prometheus.io/scrape"
	scrapePortAnnotation = "prometheus.io/port"
)

// presetFlows adds the flows of a preset client of a rule.
func (r *resolver) presetFlows(rule *v1alpha1.TrafficRule, preset v1alpha1.ClientPreset, field string, base model.Flow, server model.Peer) {
	ref := base.Origin.Ref
	base.Origin.Part += " " + string(preset)
	targets := r.targets(ref, server, rule.Spec.Ports)
	switch preset {
	case v1alpha1.PresetIngressGateway:
		r.noteExposed(&server)
		r.addFromPods(base, r.gateways(ref, field, rule.Namespace), targets)
	case v1alpha1.PresetPrometheus:
		announced := len(rule.Spec.Ports) == 0
		if announced {
			targets = r.scrapeTargets(ref, server)
		}
		r.addScrapes(base, r.prometheus(ref, field, rule.Namespace), targets, announced)
	case v1alpha1.PresetAPIServer:
		base.Client, base.Plaintext = model.Peer{Kind: model.PeerAPIServer}, true
		if len(rule.Spec.Ports) == 0 {
			targets = r.webhookTargets(ref, server)
		}
		r.addAll(base, targets)
	case v1alpha1.PresetKubelet:
		base.Client = model.Peer{Kind: model.PeerNodes}
		if len(rule.Spec.Ports) == 0 {
			targets = r.probeTargets(server)
		} else {
			base.Plaintext = true // ports that the user names are real traffic, not probes that the mesh lets by
		}
		r.addAll(base, targets)
	default:
		r.problem("PresetUnknown", model.Error, ref, field, fmt.Sprintf("preset %q is not known: it stays closed", preset), "use one of the presets of the kind's reference")
	}
}

func (r *resolver) addAll(base model.Flow, targets []target) {
	for _, t := range targets {
		r.add(base, t)
	}
}

func (r *resolver) addFromPods(base model.Flow, clients []model.Peer, targets []target) {
	for _, client := range clients {
		base.Client = client
		r.addAll(base, targets)
	}
}

// gateways answers what IngressGateway means for a namespace.
func (r *resolver) gateways(ref model.Ref, field, namespace string) []model.Peer {
	if p := r.profiles[namespace]; p != nil && len(p.Spec.Network.IngressGateways) > 0 {
		return r.declaredPeers(p, p.Spec.Network.IngressGateways)
	}
	peers := r.findPods(func(w *model.Workload) bool {
		if w.Labels[gatewayNameLabel] != "" && w.Labels[gatewayClassLabel] != waypointClass {
			return true
		}
		return hasAny(w.Labels, gatewayLabels)
	})
	if len(peers) == 0 {
		r.problem("IngressGatewayUnknown", model.Error, ref, field,
			"no ingress gateway was found by the well-known labels: the rule stays closed for it",
			"name the gateway's pods in spec.network.ingressGateways of the SecurityProfile, or read their manifests (-f)")
	}
	return peers
}

// prometheus answers what Prometheus means for a namespace.
func (r *resolver) prometheus(ref model.Ref, field, namespace string) []model.Peer {
	if p := r.profiles[namespace]; p != nil && len(p.Spec.Network.Prometheus) > 0 {
		return r.declaredPeers(p, p.Spec.Network.Prometheus)
	}
	peers := r.findPods(func(w *model.Workload) bool { return hasAny(w.Labels, prometheusLabels) })
	if len(peers) == 0 {
		r.problem("PrometheusUnknown", model.Error, ref, field,
			"no Prometheus was found by the well-known labels: its scrapes stay closed",
			"name its pods in spec.network.prometheus of the SecurityProfile, or read their manifests (-f)")
	}
	return peers
}

func (r *resolver) declaredPeers(p *v1alpha1.SecurityProfile, declared []v1alpha1.PodPeer) []model.Peer {
	var peers []model.Peer
	for i := range declared {
		if declared[i].Namespace == "" && declared[i].NamespaceSelector == nil {
			r.problem("PeerWithoutNamespace", model.Error, ruleRef("SecurityProfile", "", p.Name), "spec.network",
				"a gateway, Prometheus or verifier of a cluster-wide profile needs a namespace or a namespaceSelector: it stays closed", "add one")
			continue
		}
		peers = append(peers, r.podPeer(&declared[i], ""))
	}
	return peers
}

func (r *resolver) findPods(is func(*model.Workload) bool) []model.Peer {
	var peers []model.Peer
	for i := range r.model.Workloads {
		if w := &r.model.Workloads[i]; is(w) {
			peers = append(peers, r.workloadPeer(w))
		}
	}
	return peers
}

func hasAny(labels map[string]string, sets []map[string]string) bool {
	return slices.ContainsFunc(sets, func(set map[string]string) bool { return containsAll(labels, set) })
}

// scrapeTargets are the ports that servers announce by annotation, workload by workload.
func (r *resolver) scrapeTargets(ref model.Ref, server model.Peer) []target {
	var targets []target
	for _, w := range r.workloads(&server) {
		if w.Annotations[scrapeAnnotation] != "true" {
			continue
		}
		number, err := strconv.ParseInt(strings.TrimSpace(w.Annotations[scrapePortAnnotation]), 10, 32)
		if err != nil || number < 1 || number > 65535 {
			r.problem("ScrapePortUnknown", model.Warning, ref, "",
				fmt.Sprintf("%s asks to be scraped but its annotation %s is %q: the port stays closed", w.ID, scrapePortAnnotation, w.Annotations[scrapePortAnnotation]),
				"set the annotation to a port number, or name the port in a TrafficRule")
			continue
		}
		targets = append(targets, target{server: r.workloadPeer(w), ports: []model.Port{model.TCP(int32(number))}})
	}
	return targets
}

// addScrapes opens metrics ports. The proxies' own are plaintext by design. An
// application's announced port is left closed where the proxy serves its metrics
// as well; elsewhere a Prometheus outside the mesh, which cannot speak mTLS, is
// let in without an identity, on that port alone.
func (r *resolver) addScrapes(base model.Flow, clients []model.Peer, targets []target, announced bool) {
	for _, client := range clients {
		base.Client = client
		outside := r.anyOutside(&client)
		for _, t := range targets {
			base.Plaintext = false
			r.addAll(base, r.proxyScrapes(t))
			if announced && r.allMergeMetrics(&t.server) {
				continue
			}
			base.Plaintext = outside && r.anyMeshed(&t.server)
			if base.Plaintext {
				r.plaintextMetrics(t)
			}
			r.add(base, t)
		}
	}
}

func (r *resolver) plaintextMetrics(t target) {
	for _, w := range r.workloads(&t.server) {
		if w.Facts.Meshed() {
			r.finding("MetricsPortPlaintext", model.Warning, w.Ref(), "",
				fmt.Sprintf("Prometheus is outside the mesh, so port %s takes plaintext for its sake; NetworkPolicy lets only Prometheus come that way", t.ports[0]),
				"enrol Prometheus in the mesh, or scrape the proxy's own port")
		}
	}
}

func (r *resolver) allMergeMetrics(peer *model.Peer) bool {
	return !slices.ContainsFunc(r.workloads(peer), func(w *model.Workload) bool { return !w.Facts.MergesMetrics })
}

// proxyScrapes are the metrics ports of the proxies of some servers.
func (r *resolver) proxyScrapes(t target) []target {
	byPorts := map[string][]*model.Workload{}
	for _, w := range r.workloads(&t.server) {
		if len(w.Facts.MetricsPorts) > 0 {
			key := fmt.Sprint(w.Facts.MetricsPorts)
			byPorts[key] = append(byPorts[key], w)
		}
	}
	var proxies []target
	for _, key := range slices.Sorted(maps.Keys(byPorts)) {
		group := byPorts[key]
		if len(group) == len(t.server.Workloads) {
			proxies = append(proxies, target{server: t.server, ports: group[0].Facts.MetricsPorts})
			continue
		}
		for _, w := range group {
			proxies = append(proxies, target{server: r.workloadPeer(w), ports: w.Facts.MetricsPorts})
		}
	}
	return proxies
}

func (r *resolver) anyOutside(peer *model.Peer) bool {
	return slices.ContainsFunc(r.workloads(peer), func(w *model.Workload) bool { return !w.Facts.Meshed() }) || len(peer.Workloads) == 0
}

func (r *resolver) anyMeshed(peer *model.Peer) bool {
	return slices.ContainsFunc(r.workloads(peer), func(w *model.Workload) bool { return w.Facts.Meshed() })
}
