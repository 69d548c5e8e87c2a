package apiserver

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// chart is the chart itself, for Helm to install.
var chart = filepath.Join(root, "deploy/chart/palisade")

// helm runs Helm, which make test-apiserver builds, as an administrator.
func helm(t *testing.T, args ...string) {
	t.Helper()
	program := os.Getenv("PALISADE_HELM")
	if program == "" {
		t.Skip("PALISADE_HELM names no program; make test-apiserver builds it")
	}
	c := exec.CommandContext(t.Context(), program, append(args, "--namespace", home, "--kubeconfig", kubeconfig(t, ""))...)
	own := t.TempDir()
	c.Env = append(os.Environ(), "HELM_CONFIG_HOME="+own, "HELM_CACHE_HOME="+own, "HELM_DATA_HOME="+own)
	out, err := c.CombinedOutput()
	require.NoError(t, err, "helm %v\n%s", args, out)
}

// authority is some certificate authority, in PEM.
func caBundle(t *testing.T) []byte {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// TestHelmUpgradesWhatPalisadeFilledAndKeepsWhatPeopleWrote walks a release from installing to uninstalling.
func TestHelmUpgradesWhatPalisadeFilledAndKeepsWhatPeopleWrote(t *testing.T) {
	s := newServer(t)
	s.given(t, []*object{restricted(home), namespace("shop")})
	get := func(group, version, kind, namespace, name string) (*object, error) {
		o := &object{}
		o.SetGroupVersionKind(schema.GroupVersionKind{Group: group, Version: version, Kind: kind})
		o.SetNamespace(namespace)
		return s.resource(t, o).Get(t.Context(), name, metav1.GetOptions{})
	}
	there := func(group, version, kind, namespace, name string) *object {
		o, err := get(group, version, kind, namespace, name)
		require.NoError(t, err)
		return o
	}
	replicas := func() int64 {
		n, _, _ := unstructured.NestedInt64(there("apps", "v1", "Deployment", home, "palisade").Object, "spec", "replicas")
		return n
	}
	webhooks := func() *object {
		return there("admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration", "", "palisade")
	}
	bundles := func() (all []string) {
		hooks, _, _ := unstructured.NestedSlice(webhooks().Object, "webhooks")
		for _, hook := range hooks {
			bundle, _, _ := unstructured.NestedString(hook.(map[string]any), "clientConfig", "caBundle")
			all = append(all, bundle)
		}
		return all
	}

	// The CRDs are there already, put there by somebody else.
	helm(t, "install", "palisade", chart, "--take-ownership")
	assert.Equal(t, int64(2), replicas())

	// What the controller would do.
	const certificate = "Y2VydGlmaWNhdGU="
	bundle := base64.StdEncoding.EncodeToString(caBundle(t))
	secret := &object{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "palisade-webhook", "namespace": home}, "data": map[string]any{"tls.crt": certificate},
	}}
	_, err := s.as(t, account).resource(t, secret).Create(t.Context(), secret, metav1.CreateOptions{FieldManager: "palisade"})
	require.NoError(t, err, "the account may make its Secret")
	s.written = append(s.written, secret)
	filled := webhooks()
	hooks, _, _ := unstructured.NestedSlice(filled.Object, "webhooks")
	for _, hook := range hooks {
		require.NoError(t, unstructured.SetNestedField(hook.(map[string]any), bundle, "clientConfig", "caBundle"))
	}
	require.NoError(t, unstructured.SetNestedSlice(filled.Object, hooks, "webhooks"))
	_, err = s.resource(t, filled).Update(t.Context(), filled, metav1.UpdateOptions{FieldManager: "palisade"})
	require.NoError(t, err)

	helm(t, "upgrade", "palisade", chart, "--set", "replicas=3,admission.timeoutSeconds=3")
	assert.Equal(t, int64(3), replicas())
	kept, _, _ := unstructured.NestedString(there("", "v1", "Secret", home, "palisade-webhook").Object, "data", "tls.crt")
	assert.Equal(t, certificate, kept, "an upgrade keeps the webhook's certificate")
	assert.Equal(t, []string{bundle, bundle, bundle, bundle, bundle}, bundles(), "and its authority")

	profile := sample(t, filepath.Join(samples, "valid/securityprofile-defaults.yaml"))
	written := &object{Object: map[string]any{
		"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
		"metadata": map[string]any{"name": "palisade-default-deny", "namespace": "shop", "labels": map[string]any{"app.kubernetes.io/managed-by": "palisade"}},
		"spec":     map[string]any{"podSelector": map[string]any{}, "policyTypes": []any{"Ingress"}},
	}}
	for _, o := range []*object{profile, written} {
		_, err := s.apply(t, "kubectl", o, false)
		require.NoError(t, err)
	}

	helm(t, "uninstall", "palisade")
	_, err = get("apps", "v1", "Deployment", home, "palisade")
	assert.True(t, apierrors.IsNotFound(err), "the controller is gone")
	_, err = get("admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration", "", "palisade")
	assert.True(t, apierrors.IsNotFound(err), "nobody is asked any more")
	there("networking.k8s.io", "v1", "NetworkPolicy", "shop", "palisade-default-deny")
	there("palisade.floe.dev", "v1alpha1", "SecurityProfile", "", profile.GetName())
	there("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "", "securityprofiles.palisade.floe.dev")
}
