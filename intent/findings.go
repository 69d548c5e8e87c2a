package intent

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// findFaults reports what in the cluster stands in the way of the intent.
func (r *resolver) findFaults() {
	for i := range r.model.Workloads {
		w := &r.model.Workloads[i]
		if posture := r.posture(w.ID.Namespace); posture != nil {
			r.meshFaults(w, posture)
			r.hostNetworkFault(w)
		}
	}
	r.meshAbsent()
	r.clientsOutsideMesh()
	r.sharedIdentities()
	r.closedServices()
	r.networkFaults()
	r.foreignPolicies()
	r.resolverFault()
}

// meshFaults reports a workload that is outside the mesh of a namespace that wants it, or that leads traffic around it.
func (r *resolver) meshFaults(w *model.Workload, posture *model.Posture) {
	if r.dialect == nil || posture.Mesh.MTLS == "" {
		return
	}
	if !w.Facts.Meshed() {
		r.outsideMesh(w, posture)
		return
	}
	around := slices.IndexFunc(w.Facts.Bypasses, wholly)
	notCaptured := w.Facts.Outside != "" && (around < 0 || !bypassExempted(w, w.Facts.Bypasses[around]))
	if notCaptured {
		field := ""
		if around >= 0 {
			field = w.TemplatePath() + w.Facts.Bypasses[around].Field
		}
		r.finding("InboundNotCaptured", model.Error, w.Ref(), field, "the pods have a proxy, but what comes in does not pass it: "+w.Facts.Outside,
			"let the mesh capture what comes in, or record why not with an Exemption of the layer MTLS")
	}
	for _, bypass := range w.Facts.Bypasses {
		if notCaptured && wholly(bypass) {
			continue // said already
		}
		severity := model.Warning
		if bypass.Inbound && posture.Mesh.MTLS == model.MTLSStrict && !bypassExempted(w, bypass) {
			severity = model.Error
		}
		r.finding("MeshBypass", severity, w.Ref(), w.TemplatePath()+bypass.Field, bypass.Message,
			"remove it, or record why it stays with an Exemption of the layer MTLS for these ports")
	}
}

func wholly(b model.Bypass) bool { return b.Inbound && b.Ports == nil }

func (r *resolver) outsideMesh(w *model.Workload, posture *model.Posture) {
	severity, field := model.Error, ""
	if posture.Mesh.MTLS != model.MTLSStrict || relaxed(w, model.LayerMTLS) {
		severity = model.Warning
	}
	if len(w.Facts.Bypasses) > 0 {
		field = w.TemplatePath() + w.Facts.Bypasses[0].Field
	}
	r.finding("PodOutsideMesh", severity, w.Ref(), field, "the pods take no part in the mesh, so they accept and send plaintext: "+w.Facts.Outside,
		"enrol the workload, or record why not with an Exemption of the layer MTLS")
}

// bypassExempted tells whether all that a bypass leaves open is exempted from mTLS.
func bypassExempted(w *model.Workload, bypass model.Bypass) bool {
	if bypass.Ports == nil {
		return slices.ContainsFunc(w.Relaxed, func(x model.Relaxation) bool { return x.Layer == model.LayerMTLS && x.Ports == nil })
	}
	return w.ExemptsAll(model.LayerMTLS, bypass.Ports)
}

// relaxed tells whether an Exemption relaxes a layer for a workload, wholly or for some ports.
func relaxed(w *model.Workload, layer model.Layer) bool {
	return slices.ContainsFunc(w.Relaxed, func(x model.Relaxation) bool { return x.Layer == layer })
}

func (r *resolver) hostNetworkFault(w *model.Workload) {
	if w.Spec.HostNetwork {
		r.finding("HostNetworkUnprotected", model.Warning, w.Ref(), w.TemplatePath()+"spec.hostNetwork",
			"pods on the host's network are matched by no NetworkPolicy and enter no mesh: their ports are as open as the node's",
			"take the workload off the host's network, or protect the node")
	}
}

// meshAbsent says once a profile that there is no mesh to hold its mTLS.
func (r *resolver) meshAbsent() {
	if r.dialect != nil {
		return
	}
	said := map[string]bool{}
	for i := range r.model.Namespaces {
		posture := r.model.Namespaces[i].Posture
		if posture == nil || posture.Mesh.MTLS == "" || said[posture.Profile] {
			continue
		}
		said[posture.Profile] = true
		r.finding("MeshAbsent", model.Warning, ruleRef("SecurityProfile", "", posture.Profile), "spec.mesh.mtls",
			fmt.Sprintf("the profile wants mTLS %s, but no mesh is in use (%s): traffic stays in plaintext, only NetworkPolicies and Pod Security hold",
				posture.Mesh.MTLS, r.model.Cluster.Mesh.Why),
			"install a mesh, choose it with --mesh, or set spec.mesh.mtls to Unmanaged")
	}
}

// clientsOutsideMesh reports declared calls that a strict server will refuse.
func (r *resolver) clientsOutsideMesh() {
	if r.dialect == nil {
		return
	}
	for i := range r.model.Flows {
		flow := &r.model.Flows[i]
		if flow.Client.Kind != model.PeerPods || flow.Server.Kind != model.PeerPods || flow.Plaintext || flow.Base {
			continue
		}
		strict := r.strictServers(flow)
		if len(strict) == 0 {
			continue
		}
		for _, client := range r.workloads(&flow.Client) {
			if client.Facts.Meshed() || slices.Contains(strict, client.ID) {
				continue
			}
			r.finding("ClientOutsideMesh", model.Error, client.Ref(), "",
				fmt.Sprintf("%s will refuse it under strict mTLS: it calls without a mesh identity (%s; the call is declared by %s)",
					joinIDs(strict), client.Facts.Outside, flow.Origin.Ref),
				"enrol the client in the mesh, or exempt the server's port from MTLS and Authorization for the time being")
		}
	}
}

// strictServers are the meshed servers of a flow that take no plaintext on some of its ports.
func (r *resolver) strictServers(flow *model.Flow) []model.WorkloadID {
	var strict []model.WorkloadID
	for _, w := range r.workloads(&flow.Server) {
		posture := r.posture(w.ID.Namespace)
		if posture == nil || posture.Mesh.MTLS != model.MTLSStrict || !w.Facts.Meshed() || w.Facts.Outside != "" || proxyPorts(w, flow.Ports) {
			continue
		}
		if slices.ContainsFunc(flow.Ports, func(p model.Port) bool { return p.Protocol == corev1.ProtocolTCP && !w.Exempts(model.LayerMTLS, p) }) {
			strict = append(strict, w.ID)
		}
	}
	return strict
}

func proxyPorts(w *model.Workload, ports []model.Port) bool {
	return !slices.ContainsFunc(ports, func(p model.Port) bool { return !slices.Contains(w.Facts.MetricsPorts, p) })
}

func joinIDs(ids []model.WorkloadID) string {
	const most = 3
	var parts []string
	for i, id := range ids {
		if i == most {
			parts = append(parts, fmt.Sprintf("%d more", len(ids)-most))
			break
		}
		parts = append(parts, id.String())
	}
	return strings.Join(parts, ", ")
}

// account is one service account.
type account struct{ namespace, name string }

// sharedIdentities reports service accounts by which the mesh cannot tell a
// declared client from a workload that is none.
func (r *resolver) sharedIdentities() {
	if r.dialect == nil {
		return
	}
	users := map[account][]model.WorkloadID{}
	for i := range r.model.Workloads {
		if w := &r.model.Workloads[i]; w.Facts.Meshed() {
			a := account{w.ID.Namespace, w.ServiceAccount}
			users[a] = append(users[a], w.ID)
		}
	}
	said := map[account]bool{}
	for i := range r.model.Flows {
		flow := &r.model.Flows[i]
		if flow.Client.Kind != model.PeerPods || flow.Server.Kind != model.PeerPods || flow.Base {
			continue
		}
		for _, w := range r.workloads(&flow.Client) {
			a := account{w.ID.Namespace, w.ServiceAccount}
			if said[a] || len(users[a]) < 2 {
				continue
			}
			if others := without(users[a], flow.Client.Workloads); len(others) > 0 {
				said[a] = true
				r.reportShared(a, w.ID, others, flow)
			}
		}
	}
}

// without returns what of all is not in the sorted list listed.
func without(all, listed []model.WorkloadID) []model.WorkloadID {
	return slices.DeleteFunc(slices.Clone(all), func(id model.WorkloadID) bool {
		_, found := slices.BinarySearchFunc(listed, id, model.CompareWorkloadIDs)
		return found
	})
}

func (r *resolver) reportShared(a account, client model.WorkloadID, others []model.WorkloadID, flow *model.Flow) {
	r.finding("SharedServiceAccount", model.Warning, model.Ref{APIVersion: "v1", Kind: "ServiceAccount", Namespace: a.namespace, Name: a.name}, "",
		fmt.Sprintf("%s and %s run as the same service account, so the mesh cannot tell them apart: what %s opens to the first, its authorization opens to the others as well; only NetworkPolicy parts them",
			client, joinIDs(others), flow.Origin.Ref),
		"give each workload a service account of its own")
}

// closedServices reports Services meant for the world that no rule opens to it.
func (r *resolver) closedServices() {
	open, served := map[*model.Service]bool{}, map[*model.Service]bool{}
	for i := range r.model.Workloads {
		w := &r.model.Workloads[i]
		for _, service := range w.Services {
			served[service] = true
			open[service] = open[service] || r.exposed[w.ID] || relaxed(w, model.LayerNetwork)
		}
	}
	for i := range r.model.Services {
		s := &r.model.Services[i]
		if r.posture(s.Namespace) == nil || open[s] || !served[s] {
			continue
		}
		if s.Type == corev1.ServiceTypeLoadBalancer || s.Type == corev1.ServiceTypeNodePort {
			r.finding("ExposedServiceClosed", model.Warning, model.Ref{APIVersion: "v1", Kind: "Service", Namespace: s.Namespace, Name: s.Name}, "spec.type",
				fmt.Sprintf("the Service is of type %s, but no TrafficRule lets clients from outside the cluster in: its traffic will be refused", s.Type),
				"add a TrafficRule from a cidr or from the preset IngressGateway, or make the Service a ClusterIP")
		}
	}
}
