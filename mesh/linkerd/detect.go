package linkerd

import (
	"fmt"
	"slices"
	"strings"

	"floe.dev/palisade/model"
)

// Detect looks for Linkerd's control plane. Found tells that something of it
// was seen; the facts hold whatever could be read even so, and Facts.Why says
// from what. What contradicts itself is left unknown, and a problem says so.
func Detect(objects []model.Object, workloads []model.Workload) (found bool, facts model.Mesh, problems []model.Problem) {
	d := &detection{mesh: model.Mesh{Kind: model.MeshLinkerd}}
	d.deployments(workloads)
	d.objects(objects)
	d.config(objects)
	d.proxies(workloads)
	d.cniPlugin(workloads)
	d.namespace()
	d.versions()
	d.mesh.Why = strings.Join(d.evidence, "; ")
	return len(d.evidence) > 0, d.mesh, d.problems
}

// detection carries the facts while they grow.
type detection struct {
	mesh     model.Mesh
	evidence []string
	// namespaces are those that something names as the control plane's, in order of trust.
	namespaces []string
	// versionText is the release as it is written somewhere.
	versionText string
	// served are the versions of Server that the CRD serves.
	served   []string
	problems []model.Problem
}

func (d *detection) problem(code string, severity model.Severity, subject model.Ref, field, message, fix string) {
	d.problems = append(d.problems, model.Problem{Code: code, Severity: severity, Subject: subject, Field: field, Message: message, Fix: fix})
}

// deployments finds the control plane's workloads by the labels of their pods.
func (d *detection) deployments(workloads []model.Workload) {
	var seen []string
	for i := range workloads {
		w := &workloads[i]
		component := w.Labels[componentLabel]
		if component != "identity" && component != "destination" && component != "proxy-injector" {
			continue
		}
		seen = append(seen, w.ID.String())
		namespace := w.Labels[controlPlaneLabel]
		if namespace == "" {
			namespace = w.ID.Namespace
		}
		d.namespaces = append(d.namespaces, namespace)
		if d.versionText == "" {
			d.versionText = createdVersion(w)
		}
	}
	if len(seen) > 0 {
		d.evidence = append(d.evidence, "control plane "+strings.Join(seen, ", "))
	}
}

// createdVersion reads the release from "linkerd/helm edge-25.4.4", else from an image's tag.
func createdVersion(w *model.Workload) string {
	if fields := strings.Fields(w.Annotations[createdBy]); len(fields) > 0 {
		if last := fields[len(fields)-1]; isRelease(last) {
			return last
		}
	}
	for i := range w.Spec.Containers {
		image := w.Spec.Containers[i].Image
		image, _, _ = strings.Cut(image, "@")
		tag := image[strings.LastIndex(image, ":")+1:]
		if strings.Contains(image, "linkerd") && isRelease(tag) {
			return tag
		}
	}
	return ""
}

func isRelease(text string) bool {
	_, ok := parseRelease(text)
	return ok
}

// objects finds CRDs, the configuration and the marked namespace.
func (d *detection) objects(objects []model.Object) {
	crds := 0
	for i := range objects {
		o := &objects[i]
		ref := o.Ref()
		switch {
		case ref.Kind == "CustomResourceDefinition" && o.Map("spec")["group"] == policyGroup:
			crds++
			if ref.Name == "servers."+policyGroup {
				d.served = servedVersions(o)
			}
		case ref.Kind == "ConfigMap" && ref.Name == configName:
			d.evidence = append(d.evidence, ref.String())
			d.namespaces = append(d.namespaces, ref.Namespace)
		case ref.Kind == "Namespace" && o.Labels()[isControlPlane] == "true":
			d.evidence = append(d.evidence, ref.String()+" is marked as a control plane's")
			d.namespaces = append(d.namespaces, ref.Name)
		}
	}
	if crds > 0 {
		d.evidence = append(d.evidence, fmt.Sprintf("%d CRDs of %s", crds, policyGroup))
	}
}

func servedVersions(crd *model.Object) []string {
	var served []string
	list, _ := crd.Map("spec")["versions"].([]any)
	for _, item := range list {
		version, _ := item.(map[string]any)
		if name, _ := version["name"].(string); name != "" && version["served"] == true {
			served = append(served, name)
		}
	}
	return served
}

// config reads the ConfigMap linkerd-config.
func (d *detection) config(objects []model.Object) {
	for i := range objects {
		ref := objects[i].Ref()
		if ref.Kind != "ConfigMap" || ref.Name != configName {
			continue
		}
		text, _ := objects[i].Map("data")["values"].(string)
		v, err := parseValues(text)
		if err != nil {
			d.problem("LinkerdConfigUnreadable", model.Error, ref, "data.values",
				fmt.Sprintf("the configuration of Linkerd cannot be read, so its trust domain and transport stay unknown: %v", err),
				"read the ConfigMap as the installation wrote it, or give --trust-domain and --linkerd-transport")
			continue
		}
		for _, path := range v.unreadable {
			d.problem("LinkerdConfigUnreadable", model.Warning, ref, "data.values: "+path,
				"the value of "+path+" is of no form that Linkerd takes: it counts as unknown", "")
		}
		d.apply(&v)
	}
}

func (d *detection) apply(v *values) {
	d.mesh.TrustDomain = v.trustDomain
	d.mesh.CNI = d.mesh.CNI || v.cni
	if v.version != "" {
		d.versionText = v.version
	}
	l := &d.mesh.Linkerd
	l.Transport = v.transport
	l.DefaultInboundPolicy = v.inboundPolicy
	l.ClusterNetworks = v.clusterNetworks
	l.SkipInboundPorts = v.ignoredInbound
	l.NoTokenProjection = v.noTokenProjection
	if v.hasOpaque {
		l.OpaquePorts = append([]model.Port{}, v.opaquePorts...)
	}
}

// proxies learns the control plane's namespace from running pods, which bear it
// on a label. Pods with a proxy prove a mesh somewhere, and thus count as evidence.
func (d *detection) proxies(workloads []model.Workload) {
	for i := range workloads {
		w := &workloads[i]
		if _, component := w.Labels[componentLabel]; !component && w.Running && hasProxy(w) && w.Labels[controlPlaneLabel] != "" {
			if len(d.evidence) == 0 {
				d.evidence = append(d.evidence, "running pods with "+proxyContainer+", such as "+w.ID.String())
			}
			d.namespaces = append(d.namespaces, w.Labels[controlPlaneLabel])
		}
	}
}

// cniPlugin finds Linkerd's CNI plugin.
func (d *detection) cniPlugin(workloads []model.Workload) {
	for i := range workloads {
		if workloads[i].ID.Kind == "DaemonSet" && workloads[i].Labels["k8s-app"] == "linkerd-cni" {
			d.mesh.CNI = true
		}
	}
}

// namespace settles where the control plane is; several are no answer.
func (d *detection) namespace() {
	slices.Sort(d.namespaces)
	names := slices.Compact(d.namespaces)
	switch len(names) {
	case 0:
	case 1:
		d.mesh.Namespace = names[0]
	default:
		d.problem("LinkerdNamespaceAmbiguous", model.Error, model.Ref{}, "",
			"Linkerd's control plane shows in several namespaces ("+strings.Join(names, ", ")+"): which one identities belong to is unknown",
			"give --mesh-namespace, or read the objects of one cluster only")
	}
}

// versions settles what depends on the release.
func (d *detection) versions() {
	r, known := parseRelease(d.versionText)
	if known {
		d.mesh.Version = plainVersion(d.versionText)
	}
	l := &d.mesh.Linkerd
	for _, version := range []string{"v1beta3", "v1beta2", "v1beta1"} {
		if l.ServerVersion == "" && slices.Contains(d.served, version) {
			l.ServerVersion = version
		}
	}
	switch {
	case l.ServerVersion != "":
	case known:
		l.ServerVersion = serverVersionOf(r)
	default:
		l.ServerVersion = "v1beta1"
	}
	// The chart writes the mode out since it has it. A newer release without it is
	// a configuration cut short: then nothing is known, and both ports are provided for.
	if l.Transport == "" && known && !r.atLeast(headerTransport) {
		l.Transport = transportTransparent
	}
}
