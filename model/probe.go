package model

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// KubeletPorts are the ports that the kubelet dials of itself in the pods of a
// workload: those of probes, and those of lifecycle hooks. exec has none. The
// containers named in except, such as a mesh's proxy, are left out.
func (w *Workload) KubeletPorts(except ...string) []Port {
	var ports []Port
	left := map[string]bool{}
	for _, name := range except {
		left[name] = true
	}
	for _, containers := range [][]corev1.Container{w.Spec.InitContainers, w.Spec.Containers} { // sidecars among the first have probes
		for i := range containers {
			if c := &containers[i]; !left[c.Name] {
				ports = append(append(ports, probePorts(c)...), hookPorts(c)...)
			}
		}
	}
	return SortPorts(ports)
}

func probePorts(c *corev1.Container) []Port {
	var ports []Port
	for _, probe := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
		switch {
		case probe == nil:
		case probe.GRPC != nil:
			ports = append(ports, TCP(probe.GRPC.Port))
		default:
			ports = append(ports, callPort(c, probe.HTTPGet, probe.TCPSocket)...)
		}
	}
	return ports
}

func hookPorts(c *corev1.Container) []Port {
	if c.Lifecycle == nil {
		return nil
	}
	var ports []Port
	for _, hook := range []*corev1.LifecycleHandler{c.Lifecycle.PostStart, c.Lifecycle.PreStop} {
		if hook != nil {
			ports = append(ports, callPort(c, hook.HTTPGet, hook.TCPSocket)...)
		}
	}
	return ports
}

func callPort(c *corev1.Container, get *corev1.HTTPGetAction, socket *corev1.TCPSocketAction) []Port {
	number := int32(0)
	switch {
	case get != nil:
		number = ContainerPortOf(c, get.Port)
	case socket != nil:
		number = ContainerPortOf(c, socket.Port)
	}
	if number == 0 {
		return nil
	}
	return []Port{TCP(number)}
}

// ContainerPortOf resolves a port of one container, by number or by name; 0 where the container has no such name.
func ContainerPortOf(c *corev1.Container, port intstr.IntOrString) int32 {
	if port.Type == intstr.Int {
		return port.IntVal
	}
	for i := range c.Ports {
		if c.Ports[i].Name == port.StrVal {
			return c.Ports[i].ContainerPort
		}
	}
	return 0
}
