package istio

import (
	"maps"
	"net/netip"
	"slices"

	networkingapi "istio.io/api/networking/v1alpha3"
	networking "istio.io/client-go/pkg/apis/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

const scopeName = model.NamePrefix + "scope"

// scope writes what of one namespace's outbound traffic its proxies know: the
// Services that its flows lead to, the control plane, and the hosts outside that
// it may reach. A server without a Service is dialled by its address, which no
// Sidecar has a name for: it is let through by the outbound traffic policy.
func (c *compilation) scope(n *model.Namespace) {
	clients := c.scopedClients(n.Name)
	if len(clients) == 0 {
		return
	}
	s := &scopeWork{compilation: c, namespace: n, hosts: map[string]bool{}, from: fromProfile(n)}
	if !n.Posture.Mesh.SidecarScope {
		s.external(clients, false)
		return
	}
	if !c.scopable(n) {
		s.external(clients, false)
		return
	}
	s.hosts[c.mesh.Namespace+"/*"] = true
	for _, w := range clients {
		for _, f := range c.byClient[w.ID] {
			s.flow(f)
		}
	}
	registryOnly := s.external(clients, true)
	sidecar := &networking.Sidecar{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.istio.io/v1", Kind: "Sidecar"},
		ObjectMeta: meta(n, scopeName, s.from),
	}
	sidecar.Spec.Egress = []*networkingapi.IstioEgressListener{{Hosts: slices.Sorted(maps.Keys(s.hosts))}}
	object := model.ObjectFrom(sidecar, model.PhaseDeny)
	if registryOnly {
		// Spelled out in the tree: it is the enum's zero value, which the typed form leaves out.
		object.Map("spec")["outboundTrafficPolicy"] = map[string]any{"mode": "REGISTRY_ONLY"}
	}
	c.objects = append(c.objects, object)
}

// scopedClients are workloads whose proxies heed a Sidecar; a namespace with
// proxyless gRPC only has none that it could be written for.
func (c *compilation) scopedClients(namespace string) []*model.Workload {
	sidecars := false
	clients := slices.DeleteFunc(c.meshed(namespace), func(w *model.Workload) bool {
		sidecars = sidecars || w.Facts.Mode == model.ModeSidecar && !isGateway(w)
		return w.Facts.Mode == model.ModeAmbient || isGateway(w)
	})
	if !sidecars {
		return nil
	}
	return clients
}

func (c *compilation) scopable(n *model.Namespace) bool {
	for i := range c.existing.sidecars {
		o := &c.existing.sidecars[i]
		if ref := o.Ref(); ref.Namespace == n.Name && !o.Owned() && o.Map("spec", "workloadSelector") == nil {
			c.problem("SidecarExists", model.Error, ref, "",
				"this Sidecar counts for the whole namespace already, and with two of them Istio's choice is undefined: ours is not written",
				"delete it, or leave sidecarScope off")
			return false
		}
	}
	if c.mesh.Namespace == "" {
		// MeshNamespaceUnknown was said: a Sidecar must keep the control plane in reach.
		return false
	}
	if c.domain == "" {
		c.domainUnknown(n.Ref(), "the Sidecar that scopes its proxies")
		return false
	}
	return true
}

// scopeWork gathers the Sidecar of one namespace.
type scopeWork struct {
	*compilation
	namespace *model.Namespace
	hosts     map[string]bool
	from      origins
}

// flow adds the Services by which a flow's servers are called.
func (s *scopeWork) flow(f *model.Flow) {
	switch f.Server.Kind {
	case model.PeerPods:
		for _, id := range f.Server.Workloads {
			w := s.m.Workload(id)
			if w == nil {
				continue
			}
			for _, service := range w.Services {
				s.service(f, service)
			}
		}
	case model.PeerDNS:
		for _, service := range s.resolvers {
			s.service(f, service)
		}
	case model.PeerAPIServer:
		s.hosts["default/kubernetes.default.svc."+s.domain] = true
		s.from.add(f.Origin)
	}
}

func (s *scopeWork) service(f *model.Flow, service *model.Service) {
	namespace := service.Namespace
	if namespace == s.namespace.Name {
		namespace = "."
	}
	s.hosts[namespace+"/"+s.fqdn(service)] = true
	s.from.add(f.Origin)
}

// resolvers finds the Services of the cluster's DNS by their addresses.
func resolvers(m *model.Model) []*model.Service {
	var found []*model.Service
	for i := range m.Services {
		service := &m.Services[i]
		if slices.ContainsFunc(m.Cluster.DNS.ServiceIPs, func(ip netip.Addr) bool { return slices.Contains(service.ClusterIPs, ip.String()) }) {
			found = append(found, service)
		}
	}
	return found
}
