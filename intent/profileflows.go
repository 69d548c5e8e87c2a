package intent

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/model"
)

// profileFlows adds what the profile of each governed namespace opens by itself.
func (r *resolver) profileFlows() {
	hooks := r.webhooks()
	for i := range r.model.Namespaces {
		namespace := r.model.Namespaces[i].Name
		profile := r.profiles[namespace]
		if profile == nil {
			continue
		}
		network := &profile.Spec.Network
		if profile.Spec.Mesh.MTLS != v1alpha1.MTLSUnmanaged && r.model.Cluster.Mesh.Kind != model.MeshNone {
			r.model.Namespaces[i].Posture.Network.Verifiers = r.declaredPeers(profile, network.Verifiers)
		}
		origin := func(part string) model.Origin {
			return model.Origin{Ref: ruleRef("SecurityProfile", "", profile.Name), Part: part}
		}
		if network.KubeletProbes != v1alpha1.Disabled {
			r.probeFlows(namespace, origin("kubelet probes"))
		}
		if network.APIServerWebhooks != v1alpha1.Disabled {
			r.apiServerFlows(namespace, hooks)
		}
		if network.MetricsScrapes == v1alpha1.Enabled {
			r.metricsFlows(namespace, origin("metrics scrapes"))
		}
		if network.IntraNamespace == v1alpha1.Enabled {
			client := r.podsIn(namespace, everyPod())
			r.declaredPortFlows(model.Flow{Origin: origin("intraNamespace"), Client: client}, r.workloadsIn(namespace))
		}
		if network.Tiers != nil {
			r.tierFlows(namespace, network.Tiers, origin)
		}
	}
}

// metricsFlows opens announced metrics ports to Prometheus.
func (r *resolver) metricsFlows(namespace string, origin model.Origin) {
	server := r.podsIn(namespace, everyPod())
	targets := r.scrapeTargets(origin.Ref, server)
	if len(targets) == 0 {
		return
	}
	clients := r.prometheus(origin.Ref, "spec.network.metricsScrapes", namespace)
	r.addScrapes(model.Flow{Origin: origin}, clients, targets, true)
}

// declaredPortFlows opens the declared ports of each workload to the clients of base.
func (r *resolver) declaredPortFlows(base model.Flow, servers []*model.Workload) {
	for _, w := range servers {
		var ports []model.Port
		for _, p := range w.ContainerPorts() {
			ports = append(ports, p.Port)
		}
		r.add(base, target{server: r.workloadPeer(w), ports: model.SortPorts(ports)})
	}
}

// tierFlows opens each tier to the one before it.
func (r *resolver) tierFlows(namespace string, tiers *v1alpha1.Tiers, origin func(string) model.Origin) {
	for i := 1; i < len(tiers.Order); i++ {
		before, here := tiers.Order[i-1], tiers.Order[i]
		client := r.podsIn(namespace, tierSelector(tiers.LabelKey, before))
		server := r.podsIn(namespace, tierSelector(tiers.LabelKey, here))
		base := model.Flow{Origin: origin(fmt.Sprintf("tiers %s → %s", before, here)), Client: client}
		servers := r.workloads(&server)
		for _, w := range servers {
			if len(w.ContainerPorts()) == 0 {
				r.problem("TierPortsUnknown", model.Warning, w.Ref(), w.TemplatePath()+"spec.containers[*].ports",
					fmt.Sprintf("the workload is of tier %s but declares no port: tier %s cannot be let in", here, before),
					"declare the container's ports, or write a TrafficRule")
			}
		}
		r.declaredPortFlows(base, servers)
	}
}

func tierSelector(key, value string) metav1.LabelSelector {
	return metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
}
