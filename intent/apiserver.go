package intent

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"floe.dev/palisade/model"
)

// apiServer reads the Service "kubernetes" and the addresses behind it.
func (f *facts) apiServer() {
	api := &f.cluster.APIServer
	for i := range f.snapshot.Services {
		s := &f.snapshot.Services[i]
		if s.Namespace == "default" && s.Name == "kubernetes" {
			api.ServiceIPs = addresses(s.ClusterIPs)
			for _, p := range s.Ports {
				api.ServicePorts = append(api.ServicePorts, model.TCP(p.Port))
			}
		}
	}
	switch {
	case len(f.given.APIServers) > 0:
		f.givenAPIServers(api)
	default:
		f.endpoints(api)
	}
	slices.SortFunc(api.Endpoints, netip.Addr.Compare)
	api.Endpoints = slices.Compact(api.Endpoints)
	api.Ports = model.SortPorts(api.Ports)
	api.ServicePorts = model.SortPorts(api.ServicePorts)
}

func (f *facts) givenAPIServers(api *model.APIServer) {
	for _, text := range f.given.APIServers {
		if at, err := netip.ParseAddrPort(text); err == nil {
			api.Endpoints = append(api.Endpoints, at.Addr().Unmap())
			api.Ports = append(api.Ports, model.TCP(int32(at.Port())))
		}
	}
}

func (f *facts) endpoints(api *model.APIServer) {
	for i := range f.snapshot.Endpoints {
		e := &f.snapshot.Endpoints[i]
		if e.Namespace != "default" || e.Name != "kubernetes" {
			continue
		}
		for _, subset := range e.Subsets {
			for _, a := range subset.Addresses {
				api.Endpoints = append(api.Endpoints, addresses([]string{a.IP})...)
			}
			for _, p := range subset.Ports {
				api.Ports = append(api.Ports, model.TCP(p.Port))
			}
		}
	}
	for i := range f.snapshot.EndpointSlices {
		slice := &f.snapshot.EndpointSlices[i]
		if slice.Namespace != "default" || slice.Labels[discoveryv1.LabelServiceName] != "kubernetes" {
			continue
		}
		for _, e := range slice.Endpoints {
			api.Endpoints = append(api.Endpoints, addresses(e.Addresses)...)
		}
		for _, p := range slice.Ports {
			if p.Port != nil && (p.Protocol == nil || *p.Protocol == corev1.ProtocolTCP) {
				api.Ports = append(api.Ports, model.TCP(*p.Port))
			}
		}
	}
}
