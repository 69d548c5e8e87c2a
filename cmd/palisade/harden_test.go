package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

// Every pod of the examples, and of manifests that nobody here wrote, is restricted once it is hardened, by Kubernetes' own evaluator.
func TestExamplesAreRestrictedOnceHardened(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	require.NoError(t, err)
	latest := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	system := []string{"kube-system", "istio-system", "linkerd"}
	seen := 0
	for _, path := range []string{"../../examples/floe", "../../examples/bookinfo", "../../examples/online-boutique", "../../../shared/inputs"} {
		if _, err := os.Stat(path); err != nil {
			continue // not part of the repository
		}
		out, notes, code := palisade(t, "harden", "-f", path, "--defaults", "-o", "yaml")
		require.Equal(t, exitClean, code, notes)
		for document := range strings.SplitSeq(out, "\n---\n") {
			kind, namespace, pod := templateIn(t, document)
			if pod == nil {
				continue
			}
			for _, name := range system {
				if namespace == name {
					pod = nil
				}
			}
			if pod == nil {
				continue
			}
			seen++
			refused := policy.AggregateCheckResults(evaluator.EvaluatePod(latest, &pod.ObjectMeta, &pod.Spec))
			assert.True(t, refused.Allowed, "%s of %s: %s", kind, path, refused.ForbiddenDetail())
		}
	}
	assert.GreaterOrEqual(t, seen, 15)
}

func templateIn(t *testing.T, document string) (kind, namespace string, pod *corev1.PodTemplateSpec) {
	t.Helper()
	var o struct {
		Kind     string
		Metadata struct{ Name, Namespace string }
		Spec     struct {
			Template    *corev1.PodTemplateSpec
			JobTemplate struct {
				Spec struct{ Template *corev1.PodTemplateSpec }
			}
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(document), &o))
	switch {
	case o.Kind == "Pod":
		pod = &corev1.PodTemplateSpec{}
		require.NoError(t, yaml.Unmarshal([]byte(document), pod))
	case o.Spec.JobTemplate.Spec.Template != nil:
		pod = o.Spec.JobTemplate.Spec.Template
	case o.Spec.Template != nil && len(o.Spec.Template.Spec.Containers) > 0:
		pod = o.Spec.Template
	}
	return o.Kind + " " + o.Metadata.Namespace + "/" + o.Metadata.Name, o.Metadata.Namespace, pod
}
