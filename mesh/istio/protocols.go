package istio

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// carries is what proxies take a port to carry.
type carries int8

const (
	// sniffed is found out for each connection.
	sniffed carries = iota
	carriesHTTP
	carriesTCP
	// disputed is a port that Services declare differently: the oldest decides, and the model has no ages of Services.
	disputed
)

// tcpProtocols are the names by which a Service declares that a port is no HTTP, httpProtocols
// those that declare HTTP (pkg/config/protocol/instance.go).
var (
	tcpProtocols  = []string{"tcp", "https", "tls", "mongo", "redis", "mysql", "udp"}
	httpProtocols = []string{"http", "http2", "http_proxy", "grpc", "grpc-web"}
)

// tcpByNumber are ports that Istio takes for TCP where their Service declares nothing (pkg/config/kube/conversion.go).
var tcpByNumber = []int32{25, 53, 3306, 27017}

// declared is what a port of a Service is declared to carry (pkg/config/kube/conversion.go, ConvertProtocol).
func declared(p corev1.ServicePort) carries {
	name := p.Name
	if p.AppProtocol != nil {
		switch name = *p.AppProtocol; name {
		case "kubernetes.io/h2c", "kubernetes.io/ws":
			return carriesHTTP
		case "kubernetes.io/wss":
			return carriesTCP
		}
	}
	prefix, _, _ := strings.Cut(name, "-")
	if carried := protocolNamed(prefix); carried != sniffed || !slices.Contains(tcpByNumber, p.Port) {
		return carried
	}
	return carriesTCP
}

func protocolNamed(name string) carries {
	switch name = strings.ToLower(name); {
	case slices.Contains(httpProtocols, name):
		return carriesHTTP
	case slices.Contains(tcpProtocols, name):
		return carriesTCP
	default:
		return sniffed
	}
}

func declaredTCP(p corev1.ServicePort) bool { return declared(p) == carriesTCP }

// carriedTo is what a workload's proxy takes its ports to carry: as a Sidecar with
// ingress says, else as the Services before it do. Within a Service the first port
// that leads there decides (pilot/pkg/networking/core/listener_inbound.go, buildInboundChainConfigs).
func (r *Reader) carriedTo(w *model.Workload) map[int32]carries {
	if scope := r.scopeOf(w); scope != nil && len(scope.ingress) > 0 {
		return scope.ingress
	}
	known := map[int32]carries{}
	for _, s := range w.Services {
		own := map[int32]carries{}
		for _, p := range s.Ports {
			target := int32(targetPort(p, w))
			if _, said := own[target]; !said && target > 0 && isTCP(p) {
				own[target] = declared(p)
			}
		}
		for target, carried := range own {
			if before, said := known[target]; said && before != carried {
				carried = disputed
			}
			known[target] = carried
		}
	}
	return known
}

// carriedBy is what a waypoint takes a Service's own ports to carry.
func carriedBy(s *model.Service) map[int32]carries {
	known := map[int32]carries{}
	for _, p := range s.Ports {
		if isTCP(p) {
			known[p.Port] = declared(p)
		}
	}
	return known
}

func isTCP(p corev1.ServicePort) bool { return model.ProtocolOr(p.Protocol) == corev1.ProtocolTCP }

// portsThat are the ports of which something is known, sorted.
func portsThat(known map[int32]carries, carried carries) []int32 {
	var ports []int32
	for port, c := range known {
		if c == carried {
			ports = append(ports, port)
		}
	}
	slices.Sort(ports)
	return ports
}
