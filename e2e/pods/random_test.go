package pods

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// TestValidPodsStayValid has the API server judge random pods with and without the webhook: it takes each that it took without.
func TestValidPodsStayValid(t *testing.T) {
	hook.start(t)
	governed(t, "random", map[string]string{"pod-security.kubernetes.io/enforce": "privileged"})
	makeNamespace(t, "as-they-are", nil)
	r := rand.New(rand.NewPCG(3, 3))
	valid := 0
	for i := range 400 {
		p := randomPod(r, fmt.Sprintf("p%d", i))
		if _, err := client.CoreV1().Pods("as-they-are").Create(t.Context(), p, dryRun()); err != nil {
			continue
		}
		valid++
		is, err := client.CoreV1().Pods("random").Create(t.Context(), p, dryRun())
		require.NoError(t, err, "%+v", p.Spec)
		if is.Annotations[record] == "" {
			assert.Fail(t, "nothing was given", "%+v", p.Spec)
		}
	}
	told.take()
	assert.Greater(t, valid, 200)
}

func one[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func perhaps[T any](r *rand.Rand, of ...T) *T {
	if r.IntN(2) == 0 {
		return nil
	}
	return new(one(r, of...))
}

func randomPod(r *rand.Rand, name string) *corev1.Pod {
	p := &corev1.Pod{}
	p.Name, p.Labels = name, map[string]string{"app": one(r, "a", "b")}
	p.Spec.OS = perhaps(r, corev1.PodOS{Name: corev1.Linux}, corev1.PodOS{Name: corev1.Linux}, corev1.PodOS{Name: corev1.Windows})
	p.Spec.HostNetwork = r.IntN(6) == 0
	p.Spec.AutomountServiceAccountToken = perhaps(r, true, false)
	p.Spec.DNSPolicy = one(r, corev1.DNSClusterFirst, corev1.DNSClusterFirst, corev1.DNSDefault)
	if r.IntN(2) == 0 {
		p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: perhaps[int64](r, 0, 7), RunAsNonRoot: perhaps(r, true, false), FSGroup: perhaps[int64](r, 7)}
	}
	for _, v := range []string{"s", "t"} {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: v, VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: v, DefaultMode: perhaps[int32](r, 0o440)}}})
	}
	for i := range 1 + r.IntN(3) {
		c := corev1.Container{Name: fmt.Sprintf("c%d", i), Image: one(r, "a", "a:main", "a:1.0.0", "a:latest"), ImagePullPolicy: one(r, "", corev1.PullNever, corev1.PullIfNotPresent)}
		c.SecurityContext = perhaps(r, corev1.SecurityContext{
			RunAsUser: perhaps[int64](r, 0, 7, 1337, 2102), RunAsNonRoot: perhaps(r, true, false), Privileged: perhaps(r, false, true), AllowPrivilegeEscalation: perhaps(r, true, false),
			ReadOnlyRootFilesystem: perhaps(r, true, false),
			Capabilities:           perhaps(r, corev1.Capabilities{Add: []corev1.Capability{one[corev1.Capability](r, "CAP_SYS_ADMIN", "SYS_ADMIN", "NET_BIND_SERVICE")}}, corev1.Capabilities{Drop: []corev1.Capability{"NET_RAW"}}),
		})
		if r.IntN(2) == 0 {
			c.Resources.Requests = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(one(r, "1Mi", "4Gi"))}
		}
		c.Resources.Limits = one(r, nil, corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m")})
		for _, v := range []string{"s", "t"} {
			if at := one(r, "", "/tmp/"+v, "/"+v, "/var/cache/"+v); at != "" {
				c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: v, MountPath: at})
			}
		}
		p.Spec.Containers = append(p.Spec.Containers, c)
	}
	if windows := p.Spec.OS != nil && p.Spec.OS.Name == corev1.Windows; windows { // of which the server takes few fields
		p.Spec.SecurityContext, p.Spec.HostNetwork = nil, false
		for i := range p.Spec.Containers {
			p.Spec.Containers[i].SecurityContext = nil
		}
	}
	if slices.ContainsFunc(p.Spec.Containers, func(c corev1.Container) bool { return strings.HasSuffix(c.Name, "2") }) {
		p.Spec.InitContainers, p.Spec.Containers = p.Spec.Containers[2:], p.Spec.Containers[:2]
	}
	return p
}
