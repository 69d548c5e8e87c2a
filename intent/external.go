package intent

import (
	"fmt"
	"slices"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/model"
)

// externalFlows turns every ExternalAccess into flows that leave the cluster.
func (r *resolver) externalFlows() {
	for i := range r.snapshot.ExternalAccess {
		access := &r.snapshot.ExternalAccess[i]
		ref := ruleRef("ExternalAccess", access.Namespace, access.Name)
		if !r.namespaceExists(ref, "metadata.namespace", access.Namespace) {
			continue
		}
		if r.posture(access.Namespace) == nil {
			r.problem("RuleNotGoverned", model.Warning, ref, "metadata.namespace",
				fmt.Sprintf("no SecurityProfile governs namespace %s: its egress is not limited, and this opens nothing", access.Namespace),
				"select the namespace with a SecurityProfile")
		}
		client := r.podsIn(access.Namespace, access.Spec.From)
		if len(client.Workloads) == 0 {
			r.finding("RuleMatchesNoClient", model.Warning, ref, "spec.from",
				"no workload that was read has the labels of spec.from: it opens nothing today", "check the labels of the pods")
		}
		for j := range access.Spec.To {
			r.externalFlow(access, ref, client, j)
		}
	}
}

func (r *resolver) externalFlow(access *v1alpha1.ExternalAccess, ref model.Ref, client model.Peer, index int) {
	to := &access.Spec.To[index]
	var ports []model.Port
	for k := range access.Spec.Ports {
		ports = append(ports, numberedPort(&access.Spec.Ports[k]))
	}
	flow := model.Flow{
		Origin: model.Origin{Ref: ref, Part: fmt.Sprintf("to[%d]", index)}, Client: client, Ports: model.SortPorts(ports),
	}
	switch {
	case to.CIDR != "":
		flow.Server = addressPeer(to.CIDR, to.Except)
	case to.Host != "":
		flow.Server = model.Peer{Kind: model.PeerHost, Host: to.Host}
	case to.Preset == v1alpha1.TargetInternet:
		flow.Server = model.Peer{Kind: model.PeerInternet}
	case to.Preset == v1alpha1.TargetAPIServer:
		flow.Server = model.Peer{Kind: model.PeerAPIServer}
		flow.Ports = r.apiServerPorts(flow.Ports)
	default:
		r.problem("PresetUnknown", model.Error, ref, "spec."+flow.Origin.Part, fmt.Sprintf("preset %q is not known: it stays closed", to.Preset), "use one of the presets of the kind's reference")
		return
	}
	r.model.Flows = append(r.model.Flows, flow)
}

// apiServerPorts are all ports by which the API server is reached, when none were named.
func (r *resolver) apiServerPorts(named []model.Port) []model.Port {
	if len(named) > 0 {
		return named
	}
	api := &r.model.Cluster.APIServer
	return model.SortPorts(append(slices.Clone(api.ServicePorts), api.Ports...))
}
