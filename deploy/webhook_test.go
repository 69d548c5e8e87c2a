package deploy_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"floe.dev/palisade/api/v1alpha1"
)

// admission is palisade's configuration; false where there is none.
func admission(t *testing.T, file string) (*admissionv1.ValidatingWebhookConfiguration, bool) {
	t.Helper()
	configurations := all[admissionv1.ValidatingWebhookConfiguration](t, read(t, file), "ValidatingWebhookConfiguration")
	require.LessOrEqual(t, len(configurations), 1)
	if len(configurations) == 0 {
		return nil, false
	}
	return &configurations[0], true
}

// asked counts the webhooks that would be asked when an operation is done to an object of a resource of ours.
func asked(t *testing.T, c *admissionv1.ValidatingWebhookConfiguration, operation admissionv1.OperationType, resource string, namespace, object labels.Set) map[admissionv1.FailurePolicyType]int {
	t.Helper()
	matches := func(s *metav1.LabelSelector, l labels.Set) bool {
		if s == nil {
			return true
		}
		selector, err := metav1.LabelSelectorAsSelector(s)
		require.NoError(t, err)
		return selector.Matches(l)
	}
	found := map[admissionv1.FailurePolicyType]int{}
	for _, w := range c.Webhooks {
		for _, r := range w.Rules {
			inNamespace := resource == "securityprofiles" || matches(w.NamespaceSelector, namespace)
			if slices.Contains(r.Operations, operation) && slices.Contains(r.Resources, resource) && inNamespace && matches(w.ObjectSelector, object) {
				found[*w.FailurePolicy]++
			}
		}
	}
	return found
}

// TestAdmissionAsksAboutPalisadesKindsAlone is what keeps an outage of palisade from being one of anything else.
func TestAdmissionAsksAboutPalisadesKindsAlone(t *testing.T) {
	for name, file := range renderings(t) {
		c, there := admission(t, file)
		if !there {
			continue
		}
		for _, w := range c.Webhooks {
			for _, r := range w.Rules {
				assert.Equal(t, []string{v1alpha1.GroupVersion.Group}, r.APIGroups, name)
				assert.Equal(t, []string{v1alpha1.GroupVersion.Version}, r.APIVersions)
				if slices.Contains(r.Operations, admissionv1.Delete) {
					assert.Equal(t, admissionv1.Ignore, *w.FailurePolicy, "nobody is kept from deleting")
				} else {
					assert.ElementsMatch(t, []admissionv1.OperationType{admissionv1.Create, admissionv1.Update}, r.Operations)
					assert.NotEmpty(t, w.MatchConditions)
				}
				for _, resource := range r.Resources {
					assert.Contains(t, []string{"exemptions", "externalaccesses", "trafficrules", "securityprofiles"}, resource, "not what palisade writes itself, and no status")
				}
			}
			assert.Equal(t, admissionv1.SideEffectClassNone, *w.SideEffects)
			assert.LessOrEqual(t, *w.TimeoutSeconds, int32(10))
			assert.Empty(t, w.ClientConfig.CABundle, "palisade adds it")
			assert.Equal(t, "/validate", *w.ClientConfig.Service.Path)
		}
	}
}

func TestFailurePolicyIsTheNamespacesChoice(t *testing.T) {
	const choice = "palisade.floe.dev/admission"
	ignore, fail := map[admissionv1.FailurePolicyType]int{admissionv1.Ignore: 1}, map[admissionv1.FailurePolicyType]int{admissionv1.Fail: 1}
	nobody := map[admissionv1.FailurePolicyType]int{}
	for name, file := range renderings(t) {
		c, there := admission(t, file)
		if !there {
			continue
		}
		namespace := func(name string, more ...string) labels.Set {
			l := labels.Set{corev1.LabelMetadataName: name}
			if len(more) > 0 {
				l[choice] = more[0]
			}
			return l
		}
		for _, resource := range []string{"trafficrules", "externalaccesses", "exemptions"} {
			assert.Equal(t, ignore, asked(t, c, admissionv1.Update, resource, namespace("shop"), nil), name)
			assert.Equal(t, fail, asked(t, c, admissionv1.Update, resource, namespace("shop", "strict"), nil), name)
			assert.Equal(t, ignore, asked(t, c, admissionv1.Update, resource, namespace("shop", "Strict"), nil), name)
			for _, excluded := range []string{"kube-system", "kube-public", "kube-node-lease", "palisade-system"} {
				assert.Equal(t, nobody, asked(t, c, admissionv1.Update, resource, namespace(excluded, "strict"), nil), "%s: %s", name, excluded)
				assert.Equal(t, nobody, asked(t, c, admissionv1.Update, resource, namespace(excluded), nil), "%s: %s", name, excluded)
			}
		}
		for _, resource := range []string{"trafficrules", "securityprofiles"} {
			assert.Equal(t, ignore, asked(t, c, admissionv1.Delete, resource, namespace("shop", "strict"), labels.Set{choice: "strict"}), name)
		}
		// A namespaceSelector says nothing of what lies in no namespace.
		assert.Equal(t, ignore, asked(t, c, admissionv1.Update, "securityprofiles", nil, nil), name)
		assert.Equal(t, fail, asked(t, c, admissionv1.Update, "securityprofiles", nil, labels.Set{choice: "strict"}), name)
	}
}

func TestAdmissionLeavesTheMeshesNamespacesAlone(t *testing.T) {
	tests := map[string][]string{
		"defaults":                     {"istio-system", "linkerd"},
		"one-replica-istio-only":       {"mesh", "mesh-gateways"},
		"linkerd-only-known-addresses": {"linkerd", "linkerd-multicluster", "backup"},
	}
	for name, namespaces := range tests {
		c, there := admission(t, golden(name))
		require.True(t, there)
		for _, namespace := range namespaces {
			for _, choice := range []string{"", "strict"} {
				l := labels.Set{corev1.LabelMetadataName: namespace, "palisade.floe.dev/admission": choice}
				assert.Empty(t, asked(t, c, admissionv1.Update, "trafficrules", l, nil), "%s: %s", name, namespace)
			}
		}
	}
}

// The webhook for pods is there only where it is asked for, is asked about nothing but new pods, and never about the system's.
func TestPodsAreChangedOnlyWhereThatIsAskedFor(t *testing.T) {
	for name, file := range renderings(t) {
		configurations := all[admissionv1.MutatingWebhookConfiguration](t, read(t, file), "MutatingWebhookConfiguration")
		if name != "pods-hardened" {
			assert.Empty(t, configurations, name)
			continue
		}
		require.Len(t, configurations, 1)
		for _, w := range configurations[0].Webhooks {
			require.Len(t, w.Rules, 1)
			assert.Equal(t, []admissionv1.OperationType{admissionv1.Create}, w.Rules[0].Operations)
			assert.Equal(t, []string{"pods"}, w.Rules[0].Resources)
			assert.Equal(t, admissionv1.SideEffectClassNone, *w.SideEffects)
			assert.Equal(t, admissionv1.IfNeededReinvocationPolicy, *w.ReinvocationPolicy)
			assert.LessOrEqual(t, *w.TimeoutSeconds, int32(5))
			assert.Equal(t, "/mutate-pods", *w.ClientConfig.Service.Path)
			selector, err := metav1.LabelSelectorAsSelector(w.NamespaceSelector)
			require.NoError(t, err)
			for _, system := range []string{"kube-system", "kube-public", "kube-node-lease", "palisade-system", "istio-system"} {
				for _, choice := range []string{"", "strict"} {
					assert.False(t, selector.Matches(labels.Set{corev1.LabelMetadataName: system, "palisade.floe.dev/admission": choice}), system)
				}
			}
			strict := *w.FailurePolicy == admissionv1.Fail
			assert.Equal(t, strict, selector.Matches(labels.Set{corev1.LabelMetadataName: "shop", "palisade.floe.dev/admission": "strict"}))
			assert.Equal(t, !strict, selector.Matches(labels.Set{corev1.LabelMetadataName: "shop"}))
		}
		assert.Len(t, configurations[0].Webhooks, 2)
	}
}
