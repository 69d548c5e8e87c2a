package pss

import (
	"maps"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// alike tells whether the checks say the same of two pods, but for the names of
// volumes: whether all that some check looks at is equal. It costs a tenth of a
// judgement. What the checks look at is in k8s.io/pod-security-admission/policy;
// alike_test.go holds that every other field was looked at and left out.
func alike(a, b *model.Workload) bool {
	return a.Spec.HostNetwork == b.Spec.HostNetwork && a.Spec.HostPID == b.Spec.HostPID && a.Spec.HostIPC == b.Spec.HostIPC &&
		samePointer(a.Spec.HostUsers, b.Spec.HostUsers) && samePointer(a.Spec.OS, b.Spec.OS) &&
		reflect.DeepEqual(a.Spec.SecurityContext, b.Spec.SecurityContext) &&
		alikeAnnotations(a.Annotations, b.Annotations) &&
		alikeVolumes(a.Spec.Volumes, b.Spec.Volumes) &&
		alikeContainers(a.Spec.InitContainers, b.Spec.InitContainers) &&
		alikeContainers(a.Spec.Containers, b.Spec.Containers) &&
		alikeEphemeral(a.Spec.EphemeralContainers, b.Spec.EphemeralContainers)
}

func samePointer[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// alikeAnnotations: AppArmor and seccomp were annotations before they were fields.
func alikeAnnotations(a, b map[string]string) bool {
	confining := func(m map[string]string) map[string]string {
		var found map[string]string
		for key, value := range m {
			if strings.Contains(key, "apparmor") || strings.Contains(key, "seccomp") {
				if found == nil {
					found = map[string]string{}
				}
				found[key] = value
			}
		}
		return found
	}
	return maps.Equal(confining(a), confining(b))
}

// alikeVolumes: the checks ask which kind of volume it is. The names of the
// projected ones are random in every pod.
func alikeVolumes(a, b []corev1.Volume) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		one, other := reflect.ValueOf(&a[i].VolumeSource).Elem(), reflect.ValueOf(&b[i].VolumeSource).Elem()
		for f := range one.NumField() {
			if one.Field(f).IsNil() != other.Field(f).IsNil() {
				return false
			}
		}
	}
	return true
}

func alikeContainers(a, b []corev1.Container) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !alikeContainer(&a[i], &b[i]) {
			return false
		}
	}
	return true
}

func alikeEphemeral(a, b []corev1.EphemeralContainer) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		// The library visits them by the same conversion (policy/visitor.go).
		one, other := corev1.Container(a[i].EphemeralContainerCommon), corev1.Container(b[i].EphemeralContainerCommon)
		if !alikeContainer(&one, &other) {
			return false
		}
	}
	return true
}

func alikeContainer(a, b *corev1.Container) bool {
	if a.Name != b.Name || len(a.Ports) != len(b.Ports) || !samePointer(a.RestartPolicy, b.RestartPolicy) ||
		!reflect.DeepEqual(a.SecurityContext, b.SecurityContext) {
		return false
	}
	for i := range a.Ports {
		if a.Ports[i].HostPort != b.Ports[i].HostPort {
			return false
		}
	}
	return hosts(a) == hosts(b)
}

// hosts are those that the probes and hooks of a container dial; empty for the pod itself.
func hosts(c *corev1.Container) [10]string {
	var named [10]string
	for i, p := range [...]*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		if p != nil {
			named[2*i], named[2*i+1] = hostsOf(p.HTTPGet, p.TCPSocket)
		}
	}
	if c.Lifecycle != nil {
		for i, h := range [...]*corev1.LifecycleHandler{c.Lifecycle.PostStart, c.Lifecycle.PreStop} {
			if h != nil {
				named[6+2*i], named[7+2*i] = hostsOf(h.HTTPGet, h.TCPSocket)
			}
		}
	}
	return named
}

func hostsOf(get *corev1.HTTPGetAction, socket *corev1.TCPSocketAction) (http, tcp string) {
	if get != nil {
		http = get.Host
	}
	if socket != nil {
		tcp = socket.Host
	}
	return http, tcp
}
