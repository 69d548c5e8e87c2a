package audit

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// wantsMTLS tells whether a profile asks for mTLS in a namespace, so that the checks of intent see to it.
func (e *Evidence) wantsMTLS(namespace string) bool {
	n := e.Model.Namespace(namespace)
	return n != nil && n.Posture != nil && n.Posture.Mesh.MTLS != ""
}

// wantsAuthorization tells whether a profile has authorization written in a namespace.
func (e *Evidence) wantsAuthorization(namespace string) bool {
	n := e.Model.Namespace(namespace)
	return n != nil && n.Posture != nil && n.Posture.Mesh.Authorization
}

// ofMesh tells whether a namespace is that of the mesh itself.
func (e *Evidence) ofMesh(namespace string) bool {
	return namespace != "" && (namespace == e.Model.Cluster.Mesh.Namespace || namespace == e.Model.Cluster.Mesh.RootNamespace)
}

// proxyOnly is a mesh of which only what a server's proxy enforces is looked at.
type proxyOnly struct {
	filters   []*model.Filter
	protected bool
}

func (p *proxyOnly) Ways(_, _ *model.Workload) []model.Way {
	return []model.Way{{Protected: p.protected}}
}
func (p *proxyOnly) Filters(*model.Workload) []*model.Filter { return p.filters }
func (p *proxyOnly) Between(*model.Workload) []*model.Filter { return nil }
func (p *proxyOnly) Sender(*model.Workload) string           { return "" }
func (p *proxyOnly) Receiver(*model.Workload) string         { return "" }
func stranger() *model.Workload                              { return &model.Workload{} }

// judged is what filters do with a client that comes to a port: under its
// identity where it is meshed, else in plaintext. Networks and ways are left out of it.
func judged(filters []*model.Filter, client, server *model.Workload, port model.Port) verdict.Explanation {
	in := verdict.Input{Cluster: &model.Cluster{}, Mesh: &proxyOnly{filters, client.Facts.Meshed()}}
	return verdict.Explain(in, verdict.Question{From: verdict.End{Workload: client}, To: verdict.End{Workload: server}, Port: port})
}

// answerOf is the answer of one layer of an explanation, or nil.
func answerOf(told *verdict.Explanation, layer model.FilterLayer) *verdict.Answer {
	i := slices.IndexFunc(told.Answers, func(a verdict.Answer) bool { return a.Layer == layer })
	if i < 0 {
		return nil
	}
	return &told.Answers[i]
}

// tcpPorts are the TCP ports on which a workload is known to listen: those of its
// containers, but for those of the mesh, and those that Services lead to.
func tcpPorts(w *model.Workload) []model.Port {
	ports := containerPorts(w, corev1.ProtocolTCP)
	for _, s := range w.Services {
		for i := range s.Ports {
			if p, ok := model.TargetPort(w, &s.Ports[i]); ok && p.Protocol == corev1.ProtocolTCP {
				ports = append(ports, p)
			}
		}
	}
	return slices.DeleteFunc(model.SortPorts(ports), func(p model.Port) bool { return slices.Contains(w.Facts.MetricsPorts, p) })
}

// meshContainers are the names that proxies have.
var meshContainers = []string{"istio-proxy", "linkerd-proxy"}

func containerPorts(w *model.Workload, protocols ...corev1.Protocol) []model.Port {
	var ports []model.Port
	for _, containers := range [][]corev1.Container{w.Spec.InitContainers, w.Spec.Containers} {
		for i := range containers {
			for _, p := range containers[i].Ports {
				if protocol := model.ProtocolOr(p.Protocol); slices.Contains(protocols, protocol) && !slices.Contains(meshContainers, containers[i].Name) {
					ports = append(ports, model.Port{Protocol: protocol, Number: p.ContainerPort})
				}
			}
		}
	}
	return model.SortPorts(ports)
}

// isGateway tells a mesh's own gateways and waypoints, whose listeners are not for the mesh to judge.
func isGateway(w *model.Workload) bool {
	return w.Labels["gateway.networking.k8s.io/gateway-name"] != "" || w.Labels["istio"] == "ingressgateway" || w.Labels["istio"] == "egressgateway" ||
		w.Annotations["inject.istio.io/templates"] == "gateway"
}

// object finds what was read under a reference, or nil.
func (e *Evidence) object(ref model.Ref) *model.Object {
	if e.objects == nil {
		e.objects = make(map[model.Ref]*model.Object, len(e.Model.Existing))
		for i := range e.Model.Existing {
			e.objects[e.Model.Existing[i].Ref()] = &e.Model.Existing[i]
		}
	}
	return e.objects[ref]
}
