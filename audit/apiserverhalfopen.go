package audit

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// meantAddresses is how many bits a block may leave open to be taken for one that
// is written for the API server: its Service's address, or the small range of a managed control plane.
const meantAddresses = 8

// apiServerHalfOpen is a rule for egress that names the address of the Service
// default/kubernetes and not what is behind it, or the other way round. Whether a CNI judges
// before the Service's address is translated or after it is not laid down (k8s docs, NetworkPolicy; uds#219, cilium#20550).
func apiServerHalfOpen() Kind {
	return Kind{
		Code: "APIServerHalfOpen", Severities: []model.Severity{model.Warning, model.Info},
		Says: "a NetworkPolicy opens one of the API server's addresses and not the others",
		Why:  "CNIs judge before or after the Service's address is translated, so clients of the API may be cut off, or all but those of one endpoint.",
		Fix:  "allow the address of the Service default/kubernetes on its port and those of all its endpoints on theirs",
		Find: findAPIServerHalfOpen,
	}
}

func findAPIServerHalfOpen(e *Evidence) []model.Finding {
	api := &e.State.Cluster.APIServer
	if !api.Known() || len(api.ServiceIPs) == 0 || len(api.ServicePorts) == 0 {
		return nil
	}
	half := &blamed{}
	missing := map[model.Cause][]string{}
	for _, group := range e.isolatedFor(model.FilterEgress) {
		cause, means := e.meansAPIServer(group.filter)
		if !means {
			continue
		}
		if closed := e.closedOfAPIServer(group.workloads[0]); len(closed) > 0 {
			for _, w := range group.workloads {
				half.add(cause, w)
			}
			missing[cause] = closed
		}
	}
	var found []model.Finding
	for _, cause := range half.causes {
		found = append(found, e.closed(apiServerHalfOpen(), model.Warning, cause,
			fmt.Sprintf("it lets %s reach an address of the API server, but not %s: calls may go to any endpoint, and CNIs judge before or after the Service's address is translated, so that some of them, or all, are refused",
				named(half.of(cause)), strings.Join(missing[cause], ", ")), ""))
	}
	return found
}

// apiAddress is one address of the API server with a port.
type apiAddress struct {
	address netip.Addr
	port    model.Port
}

// apiAddresses are those of the Service, and those behind it, each with the ports that it serves.
func apiAddresses(api *model.APIServer) (service, endpoints []apiAddress) {
	for _, a := range api.ServiceIPs {
		for _, p := range api.ServicePorts {
			service = append(service, apiAddress{a, p})
		}
	}
	for _, group := range api.Groups() {
		for _, a := range group.Endpoints {
			for _, p := range group.Ports {
				endpoints = append(endpoints, apiAddress{a, p})
			}
		}
	}
	return service, endpoints
}

// meansAPIServer finds a rule that is written for the API server: with a small block that holds one of its addresses.
func (e *Evidence) meansAPIServer(f *model.Filter) (model.Cause, bool) {
	service, endpoints := apiAddresses(&e.State.Cluster.APIServer)
	for i := range f.Rules {
		r := &f.Rules[i]
		for _, t := range r.Peers {
			for _, block := range t.In {
				if block.CIDR.Addr().BitLen()-block.CIDR.Bits() > meantAddresses {
					continue
				}
				if slices.ContainsFunc(slices.Concat(service, endpoints), func(a apiAddress) bool {
					return block.CIDR.Contains(a.address) && holdsPort(r, a.port, nil)
				}) {
					return r.Cause, true
				}
			}
		}
	}
	return model.Cause{}, false
}

// closedOfAPIServer lists what of the API server stays closed to a workload, as far
// as the CNI is known to look at it, in the address families in which something is open.
func (e *Evidence) closedOfAPIServer(w *model.Workload) []string {
	service, endpoints := apiAddresses(&e.State.Cluster.APIServer)
	lets := func(a apiAddress) bool { return e.sends(w, at(a.address), a.port).Decision != verdict.Refused }
	families := map[int]bool{}
	for _, a := range slices.Concat(service, endpoints) {
		families[a.address.BitLen()] = families[a.address.BitLen()] || lets(a)
	}
	var looked []apiAddress
	switch e.datapath().seesServices {
	case yes:
		looked = service
	case no:
		looked = endpoints
	default:
		looked = slices.Concat(service, endpoints)
	}
	var closed []string
	for _, a := range looked {
		if families[a.address.BitLen()] && !lets(a) {
			closed = append(closed, netip.AddrPortFrom(a.address, uint16(a.port.Number)).String())
		}
	}
	return closed
}
