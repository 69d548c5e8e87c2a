package istio

import (
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// The ports of Istio's proxies (architecture/networking and the injection template).
const (
	portHBONE    = 15008
	portStatus   = 15020
	portReady    = 15021
	portEnvoy    = 15090
	portISTIOD   = 15012
	widestRange  = 64
	everyPort    = 0
	statusPortAt = "status.sidecar.istio.io/port"
)

// uncaptured tells whether a port of a workload never passes its proxy, so that no policy of Istio applies to it.
func uncaptured(w *model.Workload, port uint32) bool {
	switch w.Facts.Mode {
	case model.ModeSidecar:
		return port == portReady || port == portEnvoy || port == uint32(statusPort(w))
	case model.ModeProxyless:
		return port == uint32(statusPort(w))
	default:
		return false
	}
}

func statusPort(w *model.Workload) int32 {
	if n, err := strconv.ParseInt(w.Annotations[statusPortAt], 10, 32); err == nil && n > 0 && n <= 65535 {
		return int32(n)
	}
	return portStatus
}

// numbers lists the TCP ports one by one, everyPort for all of them: neither
// operation.ports nor portLevelMtls has ranges. Ports that a mesh cannot
// protect, and ranges that are too wide to list, become problems and stay closed.
func (c *compilation) numbers(ports []model.Port, subject model.Ref) []uint32 {
	var list []uint32
	for _, p := range ports {
		switch {
		case p.Protocol != corev1.ProtocolTCP:
			c.problem("NotCoveredByMesh", model.Info, subject, "",
				fmt.Sprintf("%s: a mesh carries TCP only, so neither mTLS nor authorization covers this port; only NetworkPolicies do", p), "")
		case p.Number == 0:
			list = append(list, everyPort)
		case p.Last()-p.Number >= widestRange:
			c.problem("PortRangeNotExpressible", model.Error, subject, "",
				fmt.Sprintf("%s: Istio's rules have no port ranges, and this one is wider than the %d ports that are listed one by one; it stays closed in the mesh", p, widestRange),
				"name the ports that are really used")
		default:
			for n := p.Number; n <= p.Last(); n++ {
				list = append(list, uint32(n))
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
