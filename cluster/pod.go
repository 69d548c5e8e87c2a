package cluster

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// defaultPod fills in what the API server would, as far as palisade looks at
// it (k8s.io/kubernetes pkg/apis/core/v1/defaults.go and the ServiceAccount
// admission plugin). Security contexts stay as they are: a default there is a finding, not a fact.
func defaultPod(spec *corev1.PodSpec) {
	spec.ServiceAccountName = cmp.Or(spec.ServiceAccountName, spec.DeprecatedServiceAccount, "default")
	spec.DeprecatedServiceAccount = spec.ServiceAccountName
	spec.RestartPolicy = cmp.Or(spec.RestartPolicy, corev1.RestartPolicyAlways)
	spec.DNSPolicy = cmp.Or(spec.DNSPolicy, corev1.DNSClusterFirst)
	for i := range spec.Volumes {
		if spec.Volumes[i].VolumeSource == (corev1.VolumeSource{}) {
			spec.Volumes[i].EmptyDir = &corev1.EmptyDirVolumeSource{}
		}
	}
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			defaultContainer(&containers[i], spec.HostNetwork)
		}
	}
}

func defaultContainer(c *corev1.Container, hostNetwork bool) {
	for i := range c.Ports {
		port := &c.Ports[i]
		port.Protocol = cmp.Or(port.Protocol, corev1.ProtocolTCP)
		if hostNetwork {
			port.HostPort = cmp.Or(port.HostPort, port.ContainerPort)
		}
	}
	for _, probe := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		if probe != nil {
			defaultHTTPGet(probe.HTTPGet)
			defaultGRPC(probe.GRPC)
		}
	}
	if c.Lifecycle != nil {
		for _, handler := range []*corev1.LifecycleHandler{c.Lifecycle.PostStart, c.Lifecycle.PreStop} {
			if handler != nil {
				defaultHTTPGet(handler.HTTPGet)
			}
		}
	}
}

func defaultHTTPGet(get *corev1.HTTPGetAction) {
	if get != nil {
		get.Path = cmp.Or(get.Path, "/")
		get.Scheme = cmp.Or(get.Scheme, corev1.URISchemeHTTP)
	}
}

func defaultGRPC(action *corev1.GRPCAction) {
	if action != nil && action.Service == nil {
		action.Service = new(string)
	}
}

var protocols = []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}

// checkPod refuses what an API server would refuse and what would mislead a compiler: at is the path of the pod's spec.
func (o *object) checkPod(spec *corev1.PodSpec, at string) InputErrors {
	if len(spec.Containers) == 0 {
		return InputErrors{o.fault(at+".containers", "must be set")}
	}
	faults := o.checkContainers(spec.InitContainers, at+".initContainers")
	return append(faults, o.checkContainers(spec.Containers, at+".containers")...)
}

func (o *object) checkContainers(containers []corev1.Container, at string) InputErrors {
	var faults InputErrors
	for i := range containers {
		path := fmt.Sprintf("%s[%d]", at, i)
		if containers[i].Name == "" {
			faults = append(faults, o.fault(path+".name", "must be set"))
		}
		for j, port := range containers[i].Ports {
			faults = append(faults, o.checkPort(fmt.Sprintf("%s.ports[%d]", path, j), "containerPort", port.ContainerPort, port.Protocol)...)
		}
	}
	return faults
}

func (o *object) checkPort(at, name string, number int32, protocol corev1.Protocol) InputErrors {
	var faults InputErrors
	if number < 1 || number > 65535 {
		faults = append(faults, o.fault(at+"."+name, "%d must be from 1 to 65535", number))
	}
	if !slices.Contains(protocols, protocol) {
		faults = append(faults, o.fault(at+".protocol", "%q is not one of %q", protocol, protocols))
	}
	return faults
}
