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
	slices.SortFunc(api.At, netip.AddrPort.Compare)
	api.At = slices.Compact(api.At)
	api.ServicePorts = model.SortPorts(api.ServicePorts)
}

func (f *facts) givenAPIServers(api *model.APIServer) {
	for _, text := range f.given.APIServers {
		if at, err := netip.ParseAddrPort(text); err == nil {
			serve(api, at.Addr().Unmap(), int32(at.Port()))
		}
	}
}

// endpoints reads the addresses from either form that they come in.
func (f *facts) endpoints(api *model.APIServer) {
	for i := range f.snapshot.Endpoints {
		if e := &f.snapshot.Endpoints[i]; e.Namespace == "default" && e.Name == "kubernetes" {
			fromEndpoints(api, e)
		}
	}
	for i := range f.snapshot.EndpointSlices {
		slice := &f.snapshot.EndpointSlices[i]
		if slice.Namespace == "default" && slice.Labels[discoveryv1.LabelServiceName] == "kubernetes" {
			fromSlice(api, slice)
		}
	}
}

func fromEndpoints(api *model.APIServer, e *corev1.Endpoints) {
	for _, subset := range e.Subsets {
		for _, a := range subset.Addresses {
			for _, address := range addresses([]string{a.IP}) {
				for _, p := range subset.Ports {
					serve(api, address, p.Port)
				}
			}
		}
	}
}

func fromSlice(api *model.APIServer, slice *discoveryv1.EndpointSlice) {
	for _, e := range slice.Endpoints {
		for _, address := range addresses(e.Addresses) {
			for _, p := range slice.Ports {
				if p.Port != nil && (p.Protocol == nil || *p.Protocol == corev1.ProtocolTCP) {
					serve(api, address, *p.Port)
				}
			}
		}
	}
}

// serve notes that an endpoint serves a port.
func serve(api *model.APIServer, endpoint netip.Addr, port int32) {
	if port < 1 || port > 65535 {
		return
	}
	api.Endpoints = append(api.Endpoints, endpoint)
	api.Ports = append(api.Ports, model.TCP(port))
	api.At = append(api.At, netip.AddrPortFrom(endpoint, uint16(port)))
}
