package pods

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestPodsThatSayNothingAreRestrictedAndRecorded(t *testing.T) {
	hook.start(t)
	governed(t, "hardened", nil)
	p := pod(t, "hardened", "web", "{containers: [{name: app, image: 'app:main', volumeMounts: [{name: key, mountPath: /key}]}], volumes: [{name: key, secret: {secretName: key}}]}")
	p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web", UID: "1", Controller: new(true)}}
	is, err := client.CoreV1().Pods("hardened").Create(t.Context(), p, metav1.CreateOptions{})
	require.NoError(t, err)

	context, container := is.Spec.SecurityContext, is.Spec.Containers[0]
	assert.True(t, *context.RunAsNonRoot)
	assert.Equal(t, []int64{1000, 1000, 1000}, []int64{*context.RunAsUser, *context.RunAsGroup, *context.FSGroup})
	assert.Equal(t, corev1.SeccompProfileTypeRuntimeDefault, context.SeccompProfile.Type)
	assert.True(t, *container.SecurityContext.ReadOnlyRootFilesystem)
	assert.Equal(t, []corev1.Capability{"ALL"}, container.SecurityContext.Capabilities.Drop)
	assert.Equal(t, corev1.PullAlways, container.ImagePullPolicy)
	assert.Equal(t, "256Mi", container.Resources.Limits.Memory().String())
	assert.Equal(t, "hardened-tier", is.Spec.PriorityClassName)
	assert.Equal(t, int32(1000), *is.Spec.Priority, "worked out again by the server")
	assert.Equal(t, corev1.PreemptNever, *is.Spec.PreemptionPolicy)
	assert.Len(t, is.Spec.TopologySpreadConstraints, 2)
	assert.NotNil(t, is.Spec.Affinity.PodAntiAffinity)
	assert.Equal(t, corev1.DNSDefault, is.Spec.DNSPolicy)
	assert.False(t, *is.Spec.AutomountServiceAccountToken)
	var volumes, paths []string
	for _, v := range is.Spec.Volumes {
		volumes = append(volumes, v.Name)
		if v.Secret != nil {
			assert.Equal(t, int32(0o400), *v.Secret.DefaultMode)
		}
	}
	for _, m := range container.VolumeMounts {
		paths = append(paths, m.MountPath)
	}
	assert.Equal(t, []string{"/key", "/tmp", "/var/cache/app"}, paths, "the token that the server had mounted is gone")
	assert.False(t, slices.ContainsFunc(volumes, func(name string) bool { return strings.HasPrefix(name, "kube-api-access-") }), volumes)
	assert.True(t, strings.HasPrefix(is.Annotations[record], "profile hardened; "))
	assert.Contains(t, is.Annotations[record], "spec.containers[app].imagePullPolicy=\"Always\"")

	asks, err := client.CoreV1().Pods("hardened").Create(t.Context(), pod(t, "hardened", "asks", "{automountServiceAccountToken: true, containers: [{name: app, image: 'app:1.0.0'}]}"), metav1.CreateOptions{})
	require.NoError(t, err)
	assert.True(t, slices.ContainsFunc(asks.Spec.Volumes, func(v corev1.Volume) bool { return strings.HasPrefix(v.Name, "kube-api-access-") }))
}

func TestRefusedPodsAreToldWhichFieldAndWhatToDo(t *testing.T) {
	hook.start(t)
	governed(t, "refused", nil)
	_, err := client.CoreV1().Pods("refused").Create(t.Context(), pod(t, "refused", "old", "{containers: [{name: app, image: 'app:1.0.0', securityContext: {runAsUser: 0, capabilities: {add: [SYS_TIME]}}}]}"), metav1.CreateOptions{})
	require.True(t, apierrors.IsForbidden(err), err)
	assert.Contains(t, err.Error(), `violates PodSecurity "restricted:latest"`)
	assert.Contains(t, err.Error(), `must not include "SYS_TIME"`)
	assert.NotContains(t, err.Error(), "seccompProfile", "all else was given")
	warned := strings.Join(told.take(), "\n")
	assert.Contains(t, warned, "spec.containers[app].securityContext.runAsUser is 0, which is root; give the image a user")
	assert.Contains(t, warned, "spec.containers[app].securityContext.capabilities.add has SYS_TIME, which the profile does not allow; remove it, or have it added to allowedCapabilities")
}

// An exemption counts for the very next pod, whoever is asked first.
func TestExemptionsWinTheRace(t *testing.T) {
	hook.start(t)
	governed(t, "exempt", map[string]string{"pod-security.kubernetes.io/enforce": "privileged"})
	lost := 0
	const rounds = 100
	for i := range rounds {
		name := fmt.Sprintf("old-%d", i)
		apply(t, "exemptions", "exempt", fmt.Sprintf(`
apiVersion: palisade.floe.dev/v1alpha1
kind: Exemption
metadata: {name: %[1]s, namespace: exempt}
spec: {workloads: {matchLabels: {app: %[1]s}}, layers: [PodSecurity], podSecurityLevel: privileged, reason: until the new image is there, owner: team, expires: %[2]q}
`, name, time.Now().Add(time.Hour).UTC().Format(time.RFC3339)))
		is, err := client.CoreV1().Pods("exempt").Create(t.Context(), pod(t, "exempt", name, "{containers: [{name: app, image: 'app:1.0.0'}]}"), metav1.CreateOptions{})
		require.NoError(t, err)
		if is.Spec.Containers[0].SecurityContext != nil {
			lost++
		} else {
			assert.Contains(t, is.Annotations[record], "without the security context: Exemption exempt/"+name)
		}
	}
	assert.Zero(t, lost, "of %d pods that were created right after their exemption", rounds)
}

func TestADeadWebhookFailsNamespacesAsTheyAsk(t *testing.T) {
	hook.start(t)
	governed(t, "lenient", map[string]string{"pod-security.kubernetes.io/enforce": "baseline"})
	governed(t, "strict", map[string]string{"palisade.floe.dev/admission": "strict"})
	hook.stop(t)
	spec := "{containers: [{name: app, image: 'app:1.0.0'}]}"
	is, err := client.CoreV1().Pods("lenient").Create(t.Context(), pod(t, "lenient", "web", spec), metav1.CreateOptions{})
	require.NoError(t, err)
	assert.Empty(t, is.Annotations[record])
	_, err = client.CoreV1().Pods("strict").Create(t.Context(), pod(t, "strict", "web", spec), metav1.CreateOptions{})
	require.Error(t, err)
	assert.Contains(t, err.Error(), `failed calling webhook "strict.pods.palisade.floe.dev"`)
	for _, system := range []string{"kube-system", "palisade-system"} {
		if system == "kube-system" {
			_, err = client.CoreV1().ServiceAccounts(system).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: system}}, metav1.CreateOptions{})
			require.NoError(t, err)
		}
		_, err = client.CoreV1().Pods(system).Create(t.Context(), pod(t, system, "web", spec), dryRun())
		require.NoError(t, err, system)
	}
	hook.start(t)
	require.Eventually(t, func() bool {
		is, err := client.CoreV1().Pods("strict").Create(t.Context(), pod(t, "strict", "web", spec), dryRun())
		return err == nil && is.Annotations[record] != ""
	}, 20*time.Second, 50*time.Millisecond)
}

// TestLatencyOfAPod tells how much longer an API server takes for a pod; what it takes without the webhook differs from machine to machine.
func TestLatencyOfAPod(t *testing.T) {
	hook.start(t)
	governed(t, "timed", nil)
	makeNamespace(t, "untimed", map[string]string{"kubernetes.io/metadata.name": "untimed"})
	spec := `{automountServiceAccountToken: false, securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}},
 containers: [{name: app, image: 'app:1.0.0'}, {name: exporter, image: 'e:1.0.0'}]}`
	took := map[string][]time.Duration{}
	const rounds = 300
	for i := range rounds {
		for _, namespace := range []string{"timed", "untimed"} {
			begin := time.Now()
			_, err := client.CoreV1().Pods(namespace).Create(t.Context(), pod(t, namespace, fmt.Sprintf("p%d", i), spec), dryRun())
			require.NoError(t, err, "%s", &hook.output)
			took[namespace] = append(took[namespace], time.Since(begin))
		}
	}
	for namespace, all := range took {
		slices.Sort(all)
		t.Logf("%s: p50 %s, p99 %s", namespace, all[rounds/2], all[rounds*99/100])
	}
	assert.Less(t, took["timed"][rounds/2]-took["untimed"][rounds/2], 50*time.Millisecond)
}
