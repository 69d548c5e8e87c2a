package deploy_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// TestPodsAreRestricted asks Kubernetes' own evaluator.
func TestPodsAreRestricted(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	require.NoError(t, err)
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	judge := func(template *corev1.PodTemplateSpec) policy.AggregateCheckResult {
		return policy.AggregateCheckResults(evaluator.EvaluatePod(level, &template.ObjectMeta, &template.Spec))
	}
	for name, file := range renderings(t) {
		t.Run(name, func(t *testing.T) {
			d := one[appsv1.Deployment](t, read(t, file), "Deployment", "palisade")
			result := judge(&d.Spec.Template)
			assert.True(t, result.Allowed, result.ForbiddenDetail())
			d.Spec.Template.Spec.SecurityContext.RunAsNonRoot = nil
			assert.False(t, judge(&d.Spec.Template).Allowed, "the evaluator can refuse")
		})
	}
}

// What palisade asks of others it holds itself.
func TestPodsAreHardenedBeyondTheLevel(t *testing.T) {
	for name, file := range renderings(t) {
		t.Run(name, func(t *testing.T) {
			d := one[appsv1.Deployment](t, read(t, file), "Deployment", "palisade")
			require.Len(t, d.Spec.Template.Spec.Containers, 1)
			pod, c := d.Spec.Template.Spec, d.Spec.Template.Spec.Containers[0]
			assert.True(t, *c.SecurityContext.ReadOnlyRootFilesystem)
			assert.Equal(t, int64(65532), *pod.SecurityContext.RunAsUser)
			for _, r := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
				request, limit := c.Resources.Requests[r], c.Resources.Limits[r]
				assert.False(t, request.IsZero(), r)
				assert.LessOrEqual(t, request.Cmp(limit), 0, r)
			}
			assert.NotNil(t, c.LivenessProbe)
			assert.NotNil(t, c.ReadinessProbe)
			for _, v := range pod.Volumes {
				if v.Name == "events" && name == "falco-events" {
					assert.Equal(t, "palisade-events", v.Secret.SecretName)
					continue
				}
				assert.NotNil(t, v.EmptyDir, "nothing of the node or of Secrets is mounted: %s", v.Name)
			}
			assert.Equal(t, "controller", c.Args[0])
		})
	}
}

// TestNoMeshWrapsThePods holds that nobody's values put a proxy before the webhook, or before the client that verifies.
func TestNoMeshWrapsThePods(t *testing.T) {
	for name, file := range renderings(t) {
		t.Run(name, func(t *testing.T) {
			d := one[appsv1.Deployment](t, read(t, file), "Deployment", "palisade")
			assert.Equal(t, "false", d.Spec.Template.Labels["sidecar.istio.io/inject"])
			assert.Equal(t, "none", d.Spec.Template.Labels["istio.io/dataplane-mode"])
			assert.Equal(t, "disabled", d.Spec.Template.Annotations["linkerd.io/inject"])
		})
	}
}

// TestSelectorsFindThePods holds what chooses pods by label to the labels that they have.
func TestSelectorsFindThePods(t *testing.T) {
	for name, file := range renderings(t) {
		t.Run(name, func(t *testing.T) {
			objects := read(t, file)
			d := one[appsv1.Deployment](t, objects, "Deployment", "palisade")
			pod := labels.Set(d.Spec.Template.Labels)
			selectors := []*metav1.LabelSelector{d.Spec.Selector}
			for _, b := range all[policyv1.PodDisruptionBudget](t, objects, "PodDisruptionBudget") {
				selectors = append(selectors, b.Spec.Selector)
			}
			for _, s := range all[corev1.Service](t, objects, "Service") {
				selectors = append(selectors, &metav1.LabelSelector{MatchLabels: s.Spec.Selector})
				for _, p := range s.Spec.Ports {
					assert.NotZero(t, port(d, p.TargetPort.String()), "Service %s: the pods have no port %s", s.Name, p.TargetPort.String())
				}
			}
			for _, c := range d.Spec.Template.Spec.TopologySpreadConstraints {
				selectors = append(selectors, c.LabelSelector)
			}
			for _, s := range selectors {
				selector, err := metav1.LabelSelectorAsSelector(s)
				require.NoError(t, err)
				assert.True(t, !selector.Empty() && selector.Matches(pod), "%s does not find %s", selector, pod)
			}
		})
	}
}

// port is the number of a named port, or 0.
func port(d appsv1.Deployment, name string) int32 {
	for _, p := range d.Spec.Template.Spec.Containers[0].Ports {
		if p.Name == name {
			return p.ContainerPort
		}
	}
	return 0
}

func TestBudgetLetsOnePodGoAndIsThereForSeveral(t *testing.T) {
	for name, file := range renderings(t) {
		t.Run(name, func(t *testing.T) {
			objects := read(t, file)
			replicas := *one[appsv1.Deployment](t, objects, "Deployment", "palisade").Spec.Replicas
			budgets := all[policyv1.PodDisruptionBudget](t, objects, "PodDisruptionBudget")
			if replicas < 2 {
				assert.Empty(t, budgets, "a budget for a single replica protects nothing, or blocks drains")
				return
			}
			require.Len(t, budgets, 1)
			assert.Equal(t, 1, budgets[0].Spec.MaxUnavailable.IntValue())
			assert.Nil(t, budgets[0].Spec.MinAvailable)
		})
	}
}

// TestMemoryLimitOfGoLiesBelowTheContainers reads GOMEMLIMIT as Go does (package runtime, environment variables).
func TestMemoryLimitOfGoLiesBelowTheContainers(t *testing.T) {
	for name, file := range renderings(t) {
		d := one[appsv1.Deployment](t, read(t, file), "Deployment", "palisade")
		c := d.Spec.Template.Spec.Containers[0]
		for _, e := range c.Env {
			if e.Name != "GOMEMLIMIT" {
				continue
			}
			limit := c.Resources.Limits.Memory().Value()
			number, unit := strings.TrimRight(e.Value, "MiB"), "MiB"
			require.True(t, strings.HasSuffix(e.Value, unit), e.Value)
			mebibytes, err := strconv.ParseInt(number, 10, 64)
			require.NoError(t, err)
			share := float64(mebibytes<<20) / float64(limit)
			assert.True(t, share > 0.8 && share < 0.95, "%s: GOMEMLIMIT is %.2f of the limit", name, share)
		}
	}
}
