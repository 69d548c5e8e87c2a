package linkerd

import (
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// defaultOpaque are the chart's default opaque ports: protocols in which the server speaks first, or that TLS
// detection disturbs (charts/linkerd-control-plane values.yaml, proxy.opaquePorts).
var defaultOpaque = []model.Port{
	model.TCP(25), model.TCP(587), model.TCP(3306), model.TCP(4444), model.TCP(5432), model.TCP(6379),
	model.TCP(9300), model.TCP(11211),
}

// parsePorts reads a list such as "25,3306-3310,mysql". Names are looked up
// among the given ports. What cannot be read comes back in bad.
func parsePorts(text string, named []model.NamedPort) (ports []model.Port, bad []string) {
	for item := range strings.SplitSeq(text, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		if port, ok := parsePort(item); ok {
			ports = append(ports, port)
			continue
		}
		found := false
		for _, n := range named {
			if n.Name == item && n.Protocol == corev1.ProtocolTCP {
				ports, found = append(ports, n.Port), true
			}
		}
		if !found {
			bad = append(bad, item)
		}
	}
	return model.SortPorts(ports), bad
}

func parsePort(item string) (model.Port, bool) {
	low, high, isRange := strings.Cut(item, "-")
	from, err := strconv.ParseUint(strings.TrimSpace(low), 10, 16)
	if err != nil || from == 0 {
		return model.Port{}, false
	}
	port := model.TCP(int32(from))
	if !isRange {
		return port, true
	}
	to, err := strconv.ParseUint(strings.TrimSpace(high), 10, 16)
	if err != nil || to < from {
		return model.Port{}, false
	}
	if to > from {
		port.End = int32(to)
	}
	return port, true
}

// annotation is the value that holds for a pod: its own, or the one that
// injection copies from the namespace. Running pods carry what was copied.
func annotation(w *model.Workload, key string) (value, field string, found bool) {
	if value, found = w.Annotations[key]; found {
		return value, "metadata.annotations[" + key + "]", true
	}
	if w.Running {
		return "", "", false
	}
	value, found = w.NamespaceAnnotations[key]
	return value, "namespace.metadata.annotations[" + key + "]", found
}

// opaquePorts are the ports on which Linkerd does not look into the stream: the
// pod's list or the cluster's, and what its Services add.
func (d *Dialect) opaquePorts(w *model.Workload) []model.Port {
	var ports []model.Port
	if list, _, found := annotation(w, opaqueAnnotation); found {
		ports, _ = parsePorts(list, w.ContainerPorts())
	} else if d.mesh.Linkerd.OpaquePorts != nil {
		ports = slices.Clone(d.mesh.Linkerd.OpaquePorts)
	} else {
		ports = slices.Clone(defaultOpaque)
	}
	for _, service := range w.Services {
		ports = append(ports, opaqueByService(w, service)...)
	}
	return model.SortPorts(ports)
}

// opaqueByService maps a Service's annotation, which names the Service's ports, to the pod's.
func opaqueByService(w *model.Workload, service *model.Service) []model.Port {
	list, found := service.Annotations[opaqueAnnotation]
	if !found {
		return nil
	}
	var named []model.NamedPort
	for _, p := range service.Ports {
		named = append(named, model.NamedPort{Name: p.Name, Port: model.TCP(p.Port)})
	}
	wanted, _ := parsePorts(list, named)
	var ports []model.Port
	for i := range service.Ports {
		if !contains(wanted, service.Ports[i].Port) {
			continue
		}
		if target := targetPort(w, &service.Ports[i]); target != 0 {
			ports = append(ports, model.TCP(target))
		}
	}
	return ports
}

// targetPort is the pod's port behind a port of a Service, or 0.
func targetPort(w *model.Workload, p *corev1.ServicePort) int32 {
	port, ok := model.TargetPort(w, p)
	if !ok {
		return 0
	}
	return port.Number
}

// contains tells whether a TCP port is in a list.
func contains(ports []model.Port, number int32) bool {
	return slices.ContainsFunc(ports, func(p model.Port) bool { return p.Contains(corev1.ProtocolTCP, number) })
}
