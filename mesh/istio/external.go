package istio

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	networkingapi "istio.io/api/networking/v1alpha3"
	networking "istio.io/client-go/pkg/apis/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// outsideHost is one DNS name outside the cluster that a namespace may reach.
type outsideHost struct {
	// ref is the first of the rules that ask for it.
	ref   model.Ref
	ports map[uint32]bool
	from  origins
}

// external writes the ServiceEntries of a namespace, and tells whether its
// Sidecar may refuse all that is not in the registry: only where every other
// flow of the namespace would still work. scoped tells that a Sidecar is written.
func (s *scopeWork) external(clients []*model.Workload, scoped bool) (registryOnly bool) {
	hosts := s.hostsOf(clients)
	if len(hosts) == 0 {
		return false
	}
	if !scoped {
		for _, host := range slices.Sorted(maps.Keys(hosts)) {
			s.hostNotHeld(host, hosts[host], "the namespace's proxies are not scoped, so they let every host through or none",
				"set spec.mesh.sidecarScope in the SecurityProfile, or name addresses (cidr)")
		}
		return false
	}
	s.droppedPorts(hosts)
	for _, host := range slices.Sorted(maps.Keys(hosts)) {
		if len(hosts[host].ports) == 0 {
			continue
		}
		s.hosts["./"+host] = true
		for line := range hosts[host].from {
			s.from[line] = true
		}
		s.write(s.serviceEntry(host, hosts[host]), model.PhaseAllow)
	}
	if blocking := s.needsPassthrough(clients); blocking != "" {
		for _, host := range slices.Sorted(maps.Keys(hosts)) {
			s.hostNotHeld(host, hosts[host], "other flows of the namespace need what no registry entry stands for ("+blocking+"), so its proxies keep letting unknown addresses through",
				"name hosts instead of addresses throughout the namespace, or move these clients to a namespace of their own")
		}
		return false
	}
	return true
}

func (s *scopeWork) hostsOf(clients []*model.Workload) map[string]*outsideHost {
	hosts := map[string]*outsideHost{}
	for _, w := range clients {
		for _, f := range s.byClient[w.ID] {
			if f.Server.Kind != model.PeerHost {
				continue
			}
			h := hosts[f.Server.Host]
			if h == nil {
				h = &outsideHost{ref: f.Origin.Ref, ports: map[uint32]bool{}, from: origins{}}
				hosts[f.Server.Host] = h
			}
			h.from.add(f.Origin)
			if model.CompareRefs(f.Origin.Ref, h.ref) < 0 {
				h.ref = f.Origin.Ref
			}
			for _, p := range s.numbers(f.Ports, f.Origin.Ref) {
				h.ports[p] = true
			}
		}
	}
	return hosts
}

func (c *compilation) hostNotHeld(host string, h *outsideHost, why, fix string) {
	c.problem("HostNotHeldByMesh", model.Warning, h.ref, "",
		fmt.Sprintf("%s: access to %s alone is not enforced by the mesh: %s", strings.Join(slices.Sorted(maps.Keys(h.from)), ", "), host, why), fix)
}

// droppedPorts takes out ports by which Istio could not tell the host from any
// other: it reads names from TLS and HTTP only. A plain TCP port of an exact name
// is led to that name's addresses and nowhere else, so one name may have it.
func (s *scopeWork) droppedPorts(hosts map[string]*outsideHost) {
	taken := map[uint32]string{}
	for _, host := range slices.Sorted(maps.Keys(hosts)) {
		h := hosts[host]
		for _, p := range slices.Sorted(maps.Keys(h.ports)) {
			var why string
			switch {
			case p == everyPort:
				why = "a ServiceEntry names its ports, and every port is asked for"
			case protocolOf(p) != "TCP":
				continue
			case strings.HasPrefix(host, "*."):
				why = fmt.Sprintf("port %d carries no name that a wildcard could be held to", p)
			case taken[p] != "":
				why = fmt.Sprintf("port %d carries no name, and %s has it already", p, taken[p])
			default:
				taken[p] = host
				continue
			}
			s.problem("HostNotHeldByMesh", model.Error, h.ref, "", host+": "+why+"; it stays closed", "use port 443 (TLS) or 80 (HTTP), or name addresses (cidr)")
			delete(h.ports, p)
		}
	}
}

func protocolOf(port uint32) string {
	switch port {
	case 443:
		return "TLS"
	case 80:
		return "HTTP"
	default:
		return "TCP"
	}
}

func (s *scopeWork) serviceEntry(host string, h *outsideHost) *networking.ServiceEntry {
	entry := &networking.ServiceEntry{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.istio.io/v1", Kind: "ServiceEntry"},
		ObjectMeta: meta(s.namespace, model.NameFor(strings.TrimPrefix(host, "*."), "external "+host), h.from),
	}
	entry.Spec.Hosts = []string{host}
	entry.Spec.ExportTo = []string{"."}
	entry.Spec.Location = networkingapi.ServiceEntry_MESH_EXTERNAL
	entry.Spec.Resolution = networkingapi.ServiceEntry_DNS
	if strings.HasPrefix(host, "*.") {
		entry.Spec.Resolution = networkingapi.ServiceEntry_NONE
	}
	for _, p := range slices.Sorted(maps.Keys(h.ports)) {
		protocol := protocolOf(p)
		entry.Spec.Ports = append(entry.Spec.Ports, &networkingapi.ServicePort{
			Number: p, Protocol: protocol, Name: fmt.Sprintf("%s-%d", strings.ToLower(protocol), p),
		})
	}
	return entry
}

// needsPassthrough names a flow of these clients that only works while proxies let unknown addresses through.
func (s *scopeWork) needsPassthrough(clients []*model.Workload) string {
	for _, w := range clients {
		for _, f := range s.byClient[w.ID] {
			switch f.Server.Kind {
			case model.PeerAddresses, model.PeerInternet, model.PeerNodes:
				return f.Origin.String()
			case model.PeerPods:
				if !f.Base && s.withoutService(f) {
					return f.Origin.String()
				}
			}
		}
	}
	return ""
}

func (s *scopeWork) withoutService(f *model.Flow) bool {
	return len(f.Server.Workloads) == 0 || slices.ContainsFunc(f.Server.Workloads, func(id model.WorkloadID) bool {
		w := s.m.Workload(id)
		return w != nil && len(w.Services) == 0
	})
}

// externalOutsideSidecars says that hosts are not held for ambient clients: it
// would take an egress waypoint, which is not written.
func (c *compilation) externalOutsideSidecars() {
	for i := range c.m.Workloads {
		w := &c.m.Workloads[i]
		if w.Facts.Mode != model.ModeAmbient {
			continue
		}
		for _, f := range c.byClient[w.ID] {
			if f.Server.Kind == model.PeerHost {
				c.problem("HostNotHeldByMesh", model.Error, w.Ref(), "",
					fmt.Sprintf("%s: the client is ambient, where holding it to the host %s would take an egress waypoint; palisade writes none", f.Origin, f.Server.Host),
					"move the client to a sidecar, or name addresses (cidr)")
			}
		}
	}
}
