package pss

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
)

// The library says what is wrong in words, not in paths. The paths are found by
// asking it again: a part of the pod (a container, a volume, …) is at fault
// where the pod with only that part fares worse than the pod without it. Which
// field of the part a check looks at is in the table below; no value is judged here.

// leaf is the field that a check looks at, in a container and in the pod. Empty means that it looks at none there.
type leaf struct{ container, pod string }

// leaves has a row for each check of the library, by its id.
var leaves = map[string]leaf{
	"allowPrivilegeEscalation":   {container: "securityContext.allowPrivilegeEscalation"},
	"appArmorProfile":            {container: "securityContext.appArmorProfile.type", pod: "securityContext.appArmorProfile.type"},
	"capabilities_baseline":      {container: "securityContext.capabilities.add"},
	"capabilities_restricted":    {container: "securityContext.capabilities"},
	"hostNamespaces":             {},
	"hostPathVolumes":            {},
	"hostPorts":                  {container: "ports[*].hostPort"},
	"hostProbesAndHostLifecycle": {},
	"privileged":                 {container: "securityContext.privileged"},
	"procMount":                  {container: "securityContext.procMount"},
	"procMount_restricted":       {container: "securityContext.procMount"},
	"restrictedVolumes":          {},
	"runAsNonRoot":               {container: "securityContext.runAsNonRoot", pod: "securityContext.runAsNonRoot"},
	"runAsUser":                  {container: "securityContext.runAsUser", pod: "securityContext.runAsUser"},
	"seLinuxOptions":             {container: "securityContext.seLinuxOptions", pod: "securityContext.seLinuxOptions"},
	"seccompProfile_baseline":    {container: "securityContext.seccompProfile.type", pod: "securityContext.seccompProfile.type"},
	"seccompProfile_restricted":  {container: "securityContext.seccompProfile.type", pod: "securityContext.seccompProfile.type"},
	"sysctls":                    {},
	"windowsHostProcess":         {container: "securityContext.windowsOptions.hostProcess", pod: "securityContext.windowsOptions.hostProcess"},
}

// attribute fills in where violations come from.
func (e Evaluator) attribute(violations []Violation, version api.Version, p pod) {
	bare := p.bare()
	without := e.said(bare, version)
	for i := range violations {
		v := &violations[i]
		if without[v.Check] != "" {
			v.Fields = append(v.Fields, specPath(p.kind)+dotted(leaves[v.Check].pod))
		}
	}
	for _, part := range p.parts(bare) {
		with := e.said(part.alone, version)
		for i := range violations {
			v := &violations[i]
			switch said := with[v.Check]; {
			case said == without[v.Check]:
			case part.injected != "":
				v.addInjected(part.injected, said)
			case part.container:
				v.Fields = append(v.Fields, specPath(p.kind)+part.path+dotted(containerLeaf(v.Check, said)))
			default:
				v.Fields = append(v.Fields, specPath(p.kind)+part.path)
			}
		}
	}
	for i := range violations {
		v := &violations[i]
		v.Fields = append(v.Fields, p.annotationFields(v)...)
	}
}

// said is what each failing check says of a pod, by the check's id.
func (e Evaluator) said(p pod, version api.Version) map[string]string {
	said := map[string]string{}
	for _, v := range e.failed(p, version) {
		said[v.Check] = v.String()
	}
	return said
}

// part is one removable thing of a pod, and the pod that has nothing else.
type part struct {
	path      string
	container bool
	// injected is the name of a container that the mesh adds, else empty.
	injected string
	alone    pod
}

// bare is the pod without its parts.
func (p pod) bare() pod {
	bare := pod{kind: p.kind, spec: p.spec, meta: metav1.ObjectMeta{Labels: p.meta.Labels}}
	bare.spec.InitContainers, bare.spec.Containers, bare.spec.EphemeralContainers, bare.spec.Volumes = nil, nil, nil, nil
	bare.spec.HostNetwork, bare.spec.HostPID, bare.spec.HostIPC = false, false, false
	if p.spec.SecurityContext != nil {
		bare.setSysctls(nil)
	}
	return bare
}

// setSysctls changes a copy: pods share their security contexts.
func (p *pod) setSysctls(sysctls []corev1.Sysctl) {
	context := *p.spec.SecurityContext
	context.Sysctls = sysctls
	p.spec.SecurityContext = &context
}

func (p pod) parts(bare pod) []part { return append(p.podParts(bare), p.containerParts(bare)...) }

func (p pod) podParts(bare pod) []part {
	var parts []part
	add := func(path string, change func(*pod)) {
		alone := bare
		change(&alone)
		parts = append(parts, part{path: path, alone: alone})
	}
	if p.spec.HostNetwork {
		add(".hostNetwork", func(b *pod) { b.spec.HostNetwork = true })
	}
	if p.spec.HostPID {
		add(".hostPID", func(b *pod) { b.spec.HostPID = true })
	}
	if p.spec.HostIPC {
		add(".hostIPC", func(b *pod) { b.spec.HostIPC = true })
	}
	for i := range p.spec.Volumes {
		add(fmt.Sprintf(".volumes[%d]", i), func(b *pod) { b.spec.Volumes = p.spec.Volumes[i : i+1] })
	}
	if p.spec.SecurityContext != nil {
		for i := range p.spec.SecurityContext.Sysctls {
			add(fmt.Sprintf(".securityContext.sysctls[%d]", i), func(b *pod) { b.setSysctls(p.spec.SecurityContext.Sysctls[i : i+1]) })
		}
	}
	return parts
}

func (p pod) containerParts(bare pod) []part {
	var parts []part
	add := func(path, injected string, change func(*corev1.PodSpec)) {
		alone := bare
		change(&alone.spec)
		parts = append(parts, part{path: path, container: true, injected: injected, alone: alone})
	}
	for i := range p.spec.InitContainers {
		add(fmt.Sprintf(".initContainers[%d]", i), injectedName(p.spec.InitContainers, i, p.init),
			func(s *corev1.PodSpec) { s.InitContainers = p.spec.InitContainers[i : i+1] })
	}
	for i := range p.spec.Containers {
		add(fmt.Sprintf(".containers[%d]", i), injectedName(p.spec.Containers, i, p.app),
			func(s *corev1.PodSpec) { s.Containers = p.spec.Containers[i : i+1] })
	}
	for i := range p.spec.EphemeralContainers {
		add(fmt.Sprintf(".ephemeralContainers[%d]", i), "",
			func(s *corev1.PodSpec) { s.EphemeralContainers = p.spec.EphemeralContainers[i : i+1] })
	}
	return parts
}

func injectedName(containers []corev1.Container, i, own int) string {
	if i < own {
		return ""
	}
	return containers[i].Name
}

// containerLeaf is the field of a container that a check refuses. The check of
// capabilities looks at two lists, and its words say which.
func containerLeaf(check, detail string) string {
	field := leaves[check].container
	if check == "capabilities_restricted" {
		drop, add := strings.Contains(detail, field+".drop"), strings.Contains(detail, field+".add")
		switch {
		case drop && !add:
			field += ".drop"
		case add && !drop:
			field += ".add"
		}
	}
	return field
}

func dotted(field string) string {
	if field == "" {
		return ""
	}
	return "." + field
}

// annotationFields are the annotations that a check's words name: AppArmor and
// seccomp were annotations before they were fields.
func (p pod) annotationFields(v *Violation) []string {
	var fields []string
	for key, value := range p.meta.Annotations {
		if strings.Contains(v.Detail, fmt.Sprintf("%s=%q", key, value)) {
			fields = append(fields, fmt.Sprintf("%s.annotations[%s]", strings.TrimSuffix(specPath(p.kind), "spec")+"metadata", key))
		}
	}
	slices.Sort(fields)
	return fields
}

// specPath is where the pod's spec stands in an object of a kind.
func specPath(kind string) string {
	switch kind {
	case "Pod":
		return "spec"
	case "CronJob":
		return "spec.jobTemplate.spec.template.spec"
	default:
		return "spec.template.spec"
	}
}
