package pods

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// injector adds what Istio's injector adds with its CNI plugin, and a container of nobody's that says nothing.
func injector(w http.ResponseWriter, r *http.Request) {
	var review admissionv1.AdmissionReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	patch := []byte(`[{"op":"add","path":"/spec/initContainers","value":[{"name":"istio-proxy","image":"proxy:1","restartPolicy":"Always","securityContext":` + proxyContext + `}]},
		{"op":"add","path":"/spec/containers/-","value":{"name":"agent","image":"agent:1.0.0"}},
		{"op":"add","path":"/metadata/labels/security.istio.io~1tlsMode","value":"istio"}]`)
	kind := admissionv1.PatchTypeJSONPatch
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true, Patch: patch, PatchType: &kind}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(review)
}

const proxyContext = `{"runAsUser":1337,"runAsGroup":1337,"runAsNonRoot":true,"readOnlyRootFilesystem":true,"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}`

// API servers ask webhooks in the order of the names of their configurations: one injector comes before palisade, one after.
func TestInjectorsBeforeAndAfterComeToTheSame(t *testing.T) {
	hook.start(t)
	s := httptest.NewTLSServer(http.HandlerFunc(injector))
	t.Cleanup(s.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	specs := map[string]corev1.PodSpec{}
	for _, name := range []string{"aaa-injector", "zzz-injector"} {
		governed(t, name, nil)
		none, fail, never := admissionregistrationv1.SideEffectClassNone, admissionregistrationv1.Fail, admissionregistrationv1.NeverReinvocationPolicy
		_, err := client.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(t.Context(), &admissionregistrationv1.MutatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Webhooks: []admissionregistrationv1.MutatingWebhook{{
				Name: name + ".example.com", AdmissionReviewVersions: []string{"v1"}, SideEffects: &none, FailurePolicy: &fail, ReinvocationPolicy: &never,
				ClientConfig:      admissionregistrationv1.WebhookClientConfig{URL: &s.URL, CABundle: ca},
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: name}},
				ObjectSelector:    &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
				Rules: []admissionregistrationv1.RuleWithOperations{{
					Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
					Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
				}},
			}},
		}, metav1.CreateOptions{})
		require.NoError(t, err)
		t.Cleanup(func() {
			_ = client.AdmissionregistrationV1().MutatingWebhookConfigurations().Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{})
		})
		var is *corev1.Pod
		require.Eventually(t, func() bool { // the configuration is known once it acts
			is, err = client.CoreV1().Pods(name).Create(t.Context(), pod(t, name, "web", "{containers: [{name: app, image: 'app:1.0.0'}]}"), dryRun())
			return err == nil && len(is.Spec.InitContainers) == 1
		}, 10*time.Second, 20*time.Millisecond)
		is.Spec.PriorityClassName = ""
		specs[name] = is.Spec

		proxy, err := json.Marshal(is.Spec.InitContainers[0].SecurityContext)
		require.NoError(t, err)
		assert.JSONEq(t, proxyContext, string(proxy), "%s: the proxy is left alone", name)
		require.Len(t, is.Spec.Containers, 2)
		for _, c := range is.Spec.Containers {
			assert.True(t, *c.SecurityContext.ReadOnlyRootFilesystem, "%s: %s", name, c.Name)
			assert.Contains(t, is.Annotations[record], fmt.Sprintf("spec.containers[%s].securityContext.readOnlyRootFilesystem=true", c.Name))
		}
	}
	before, after := specs["aaa-injector"], specs["zzz-injector"]
	assert.ElementsMatch(t, before.Volumes, after.Volumes)
	before.Volumes, after.Volumes = nil, nil
	assert.Equal(t, before, after)
}
