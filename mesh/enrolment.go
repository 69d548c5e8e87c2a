package mesh

import (
	"floe.dev/palisade/model"
)

// enrolled finds the first namespace or workload that asks for a mesh. The
// labels and annotations are those of the pods where no namespace does.
func enrolled(namespaces []model.Namespace, workloads []model.Workload, in func(labels, annotations map[string]string) string) string {
	for i := range namespaces {
		if mark := in(namespaces[i].Labels, namespaces[i].Annotations); mark != "" {
			return namespaces[i].Ref().String() + " bears " + mark
		}
	}
	for i := range workloads {
		if mark := in(workloads[i].Labels, workloads[i].Annotations); mark != "" {
			return workloads[i].ID.String() + " bears " + mark
		}
	}
	return ""
}

// inIstio returns the mark that enrols in Istio.
func inIstio(labels, annotations map[string]string) string {
	switch {
	case labels["istio-injection"] == "enabled":
		return "istio-injection=enabled"
	case labels["istio.io/rev"] != "":
		return "istio.io/rev"
	case labels["istio.io/dataplane-mode"] == "ambient":
		return "istio.io/dataplane-mode=ambient"
	case labels["sidecar.istio.io/inject"] == "true" || annotations["sidecar.istio.io/inject"] == "true":
		return "sidecar.istio.io/inject=true"
	default:
		return ""
	}
}

// inLinkerd returns the mark that enrols in Linkerd.
func inLinkerd(_, annotations map[string]string) string {
	if value := annotations["linkerd.io/inject"]; value == "enabled" || value == "ingress" {
		return "linkerd.io/inject: " + value
	}
	return ""
}
