package harden_test

import (
	"fmt"
	"math/rand/v2"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// chance makes random pods that an API server takes, of the same seed the same.
type chance struct{ *rand.Rand }

func seeded(seed uint64) chance { return chance{rand.New(rand.NewPCG(seed, 1))} }

func (r chance) one(in int) bool { return r.IntN(in) == 0 }

func pick[T any](r chance, of ...T) T { return of[r.IntN(len(of))] }

// maybe is nothing half of the time.
func maybe[T any](r chance, of ...T) *T {
	if r.one(2) {
		return nil
	}
	v := pick(r, of...)
	return &v
}

func (r chance) pod() *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "shop"}}
	if !r.one(4) {
		p.Labels = map[string]string{"app": "cart", "pod-template-hash": "5d", "version": pick(r, "1", "2")}
	}
	if r.one(4) {
		p.Annotations = map[string]string{"note": `a "quoted" ☃ \ text`, "x/y~z": "1"}
	}
	if r.one(3) {
		yes := true
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: pick(r, "ReplicaSet", "DaemonSet", "StatefulSet"), Name: "o", UID: "1", Controller: &yes}}
	}
	if r.one(2) {
		p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsNonRoot: maybe(r, true, false), RunAsUser: maybe[int64](r, 0, 5000), RunAsGroup: maybe[int64](r, 0, 5000), FSGroup: maybe[int64](r, 7)}
		if r.one(3) {
			p.Spec.SecurityContext.SeccompProfile = &corev1.SeccompProfile{Type: pick(r, corev1.SeccompProfileTypeRuntimeDefault, corev1.SeccompProfileTypeUnconfined)}
		}
		if r.one(4) {
			p.Spec.SecurityContext.SELinuxOptions = &corev1.SELinuxOptions{Level: "s0:c1"}
		}
	}
	p.Spec.AutomountServiceAccountToken = maybe(r, true, false)
	if r.one(4) {
		p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}}
	}
	p.Spec.HostNetwork = r.one(10)
	p.Spec.DNSPolicy = pick(r, "", corev1.DNSClusterFirst, corev1.DNSDefault)
	for i := range r.IntN(3) {
		v := corev1.Volume{Name: fmt.Sprintf("v%d", i)}
		if r.one(2) {
			v.Secret = &corev1.SecretVolumeSource{SecretName: "s", DefaultMode: maybe[int32](r, 0o644, 0o440)}
		} else {
			v.EmptyDir = &corev1.EmptyDirVolumeSource{}
		}
		p.Spec.Volumes = append(p.Spec.Volumes, v)
	}
	for i := range 1 + r.IntN(3) {
		p.Spec.Containers = append(p.Spec.Containers, r.container(p, fmt.Sprintf("c%d", i)))
	}
	for i := range r.IntN(2) {
		p.Spec.InitContainers = append(p.Spec.InitContainers, r.container(p, fmt.Sprintf("i%d", i)))
	}
	if r.one(2) {
		inject(pick(r, "istio", "istio-native", "istio-init", "linkerd"), p)
	}
	return p
}

func (r chance) container(p *corev1.Pod, name string) corev1.Container {
	c := corev1.Container{Name: name, Image: pick(r, "app", "reg:5000/app:1.2.3", "app:main", "app@sha256:0", "app:latest"), ImagePullPolicy: pick(r, "", corev1.PullIfNotPresent, corev1.PullAlways, corev1.PullNever)}
	if r.one(2) {
		c.SecurityContext = r.context()
	}
	if r.one(2) {
		c.Resources.Requests = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(pick(r, "1Mi", "64Mi", "4Gi"))}
	}
	if r.one(3) {
		c.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("8Gi"), corev1.ResourceCPU: resource.MustParse("20m")}
	}
	for _, v := range p.Spec.Volumes {
		if r.one(2) {
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: v.Name, MountPath: pick(r, "/tmp/"+v.Name, "/data/"+v.Name, "/"+v.Name), ReadOnly: r.one(2)})
		}
	}
	if r.one(8) {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "tmp-" + name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "tmp-" + name, MountPath: pick(r, "/tmp", "/var")})
	}
	return c
}

func (r chance) context() *corev1.SecurityContext {
	s := &corev1.SecurityContext{
		RunAsNonRoot: maybe(r, true, false), RunAsUser: maybe[int64](r, 0, 5000), RunAsGroup: maybe[int64](r, 0, 5000),
		ReadOnlyRootFilesystem: maybe(r, true, false), AllowPrivilegeEscalation: maybe(r, true, false),
	}
	if r.one(5) {
		yes := true
		s.Privileged, s.AllowPrivilegeEscalation = &yes, nil
	}
	if r.one(2) {
		s.Capabilities = &corev1.Capabilities{Add: pick(r, nil, []corev1.Capability{"NET_BIND_SERVICE"}, []corev1.Capability{"SYS_TIME"}), Drop: pick(r, nil, []corev1.Capability{"ALL"}, []corev1.Capability{"NET_RAW"})}
	}
	if r.one(5) {
		s.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}
	}
	if r.one(5) {
		s.SELinuxOptions = &corev1.SELinuxOptions{Level: "s0:c2"}
	}
	return s
}

// inject adds what an injector adds, before or after a pod is hardened (upstream: see mesh.go).
func inject(mesh string, p *corev1.Pod) {
	yes, no, always := true, false, corev1.ContainerRestartPolicyAlways
	id := func(n int64) *int64 { return &n }
	drop := &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}
	proxy := corev1.Container{Name: "istio-proxy", Image: "proxy:1", SecurityContext: &corev1.SecurityContext{
		RunAsUser: id(1337), RunAsGroup: id(1337), RunAsNonRoot: &yes, ReadOnlyRootFilesystem: &yes, AllowPrivilegeEscalation: &no, Privileged: &no, Capabilities: drop,
	}}
	switch mesh {
	case "istio-native":
		proxy.RestartPolicy = &always
		p.Spec.InitContainers = append([]corev1.Container{proxy}, p.Spec.InitContainers...)
		return
	case "istio-init":
		p.Spec.InitContainers = append([]corev1.Container{{Name: "istio-init", Image: "proxy:1", SecurityContext: &corev1.SecurityContext{
			RunAsUser: id(0), RunAsGroup: id(0), RunAsNonRoot: &no, Privileged: &no, AllowPrivilegeEscalation: &no,
			Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"NET_ADMIN", "NET_RAW"}, Drop: []corev1.Capability{"ALL"}},
		}}}, p.Spec.InitContainers...)
	case "linkerd":
		proxy.Name, proxy.SecurityContext.RunAsUser, proxy.SecurityContext.RunAsGroup = "linkerd-proxy", id(2102), nil
		proxy.SecurityContext.Capabilities = nil
		if first := p.Spec.Containers[0].SecurityContext; first != nil {
			proxy.SecurityContext.Capabilities = first.Capabilities
		}
		proxy.SecurityContext.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
		p.Labels = set(p.Labels, "linkerd.io/control-plane-ns", "linkerd")
	}
	if mesh != "linkerd" {
		p.Labels = set(p.Labels, "security.istio.io/tlsMode", "istio")
	}
	p.Spec.Containers = append(p.Spec.Containers, proxy)
}

func set(m map[string]string, key, value string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	m[key] = value
	return m
}
