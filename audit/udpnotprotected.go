package audit

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// udpNotProtected are UDP and SCTP ports of pods in the mesh: neither Istio nor Linkerd carries anything but TCP.
func udpNotProtected() Kind {
	return Kind{
		Code: "UDPNotProtected", Severities: []model.Severity{model.Info},
		Says: "UDP or SCTP ports of pods in the mesh, which no mesh carries",
		Why:  "What comes there is neither encrypted nor authenticated, whatever mode and authorization say; only NetworkPolicies hold it.",
		Fix:  "let a NetworkPolicy say who may call these ports, and encrypt in the application (DTLS, QUIC) where it matters",
		Find: findUDPNotProtected,
	}
}

func findUDPNotProtected(e *Evidence) []model.Finding {
	var found []model.Finding
	e.eachWorkload(func(w *model.Workload) {
		if !w.Facts.Meshed() || e.ofMesh(w.ID.Namespace) {
			return
		}
		ports := containerPorts(w, corev1.ProtocolUDP, corev1.ProtocolSCTP)
		for _, s := range w.Services {
			for i := range s.Ports {
				if p, ok := model.TargetPort(w, &s.Ports[i]); ok && p.Protocol != corev1.ProtocolTCP {
					ports = append(ports, p)
				}
			}
		}
		if ports = model.SortPorts(ports); len(ports) > 0 {
			found = append(found, udpNotProtected().At(model.Info, w.Ref(), w.TemplatePath()+"spec.containers",
				fmt.Sprintf("the mesh carries TCP only: neither mTLS nor authorization covers %s", joinPorts(ports)), ""))
		}
	})
	return found
}

func joinPorts(ports []model.Port) string {
	const most = 5
	var parts []string
	for _, p := range ports[:min(len(ports), most)] {
		parts = append(parts, p.String())
	}
	if rest := len(ports) - most; rest > 0 {
		parts = append(parts, fmt.Sprintf("%d more", rest))
	}
	return strings.Join(slices.Compact(parts), ", ")
}
