package apiserver

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

// object is an object as it goes over the wire.
type object = unstructured.Unstructured

// server is the API server as one test sees it. What the test writes is gone at its end.
type server struct {
	objects    dynamic.Interface
	namespaces *kubernetes.Clientset
	mapper     meta.RESTMapper
	warnings   *warnings
	written    []*object
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{warnings: &warnings{}}
	c := rest.CopyConfig(config)
	c.WarningHandler = s.warnings
	var err error
	s.objects, err = dynamic.NewForConfig(c)
	require.NoError(t, err)
	s.namespaces, err = kubernetes.NewForConfig(config)
	require.NoError(t, err)
	d, err := discovery.NewDiscoveryClientForConfig(config)
	require.NoError(t, err)
	s.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(d))
	t.Cleanup(func() { s.clear(t) })
	return s
}

// warnings gathers what the server warns of.
type warnings struct {
	mutex sync.Mutex
	texts []string
}

// HandleWarningHeader takes one warning (RFC 7234, section 5.5).
func (w *warnings) HandleWarningHeader(_ int, _ string, text string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.texts = append(w.texts, text)
}

// take returns the warnings since it was last called.
func (w *warnings) take() []string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	texts := w.texts
	w.texts = nil
	return texts
}

// resource is the client for the objects of o's kind and namespace.
func (s *server) resource(t *testing.T, o *object) dynamic.ResourceInterface {
	t.Helper()
	kind := o.GroupVersionKind()
	mapping, err := s.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	require.NoError(t, err, "the server does not know %s", describe(o))
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return s.objects.Resource(mapping.Resource)
	}
	namespace := o.GetNamespace()
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	return s.objects.Resource(mapping.Resource).Namespace(namespace)
}

// apply is kubectl apply --server-side --field-manager=manager: fields that
// the server does not know are errors, and so are conflicts.
func (s *server) apply(t *testing.T, manager string, o *object, dryRun bool, subresources ...string) (*object, error) {
	t.Helper()
	data, err := o.MarshalJSON()
	require.NoError(t, err)
	options := metav1.PatchOptions{FieldManager: manager, FieldValidation: metav1.FieldValidationStrict}
	if dryRun {
		options.DryRun = []string{metav1.DryRunAll}
	} else {
		s.written = append(s.written, o)
	}
	return s.resource(t, o).Patch(t.Context(), o.GetName(), types.ApplyPatchType, data, options, subresources...)
}

// given puts objects into the cluster that palisade did not write, those
// that a kubelet or a controller would write included.
func (s *server) given(t *testing.T, objects []*object) {
	t.Helper()
	for _, o := range withNamespaces(objects) {
		_, err := s.apply(t, "kubectl", o, false)
		if own := o.GetNamespace() == metav1.NamespaceDefault && o.GetName() == "kubernetes"; own && apierrors.IsConflict(err) {
			continue // the server writes this Service itself, with the address that the examples have
		}
		require.NoError(t, err, describe(o))
		if o.Object["status"] != nil {
			_, err = s.apply(t, "kubelet", o, false, "status")
			require.NoError(t, err, "status of %s", describe(o))
		}
	}
	require.Empty(t, s.warnings.take(), "warnings about what was there before palisade")
}

// withNamespaces puts the Namespaces first, with those that are only named.
func withNamespaces(objects []*object) []*object {
	var namespaces, others []*object
	seen := map[string]bool{}
	for _, o := range objects {
		if o.GetKind() == "Namespace" {
			seen[o.GetName()] = true
			namespaces = append(namespaces, o)
		} else {
			others = append(others, o)
		}
	}
	for _, o := range others {
		if name := o.GetNamespace(); name != "" && !seen[name] {
			seen[name] = true
			namespaces = append(namespaces, namespace(name))
		}
	}
	return append(namespaces, others...)
}

func namespace(name string) *object {
	o := &object{}
	o.SetAPIVersion("v1")
	o.SetKind("Namespace")
	o.SetName(name)
	return o
}

// dump is kubectl get -o json of some objects: a List in which the server has its say.
func (s *server) dump(t *testing.T, objects []*object) []byte {
	t.Helper()
	seen := map[string]bool{}
	items := []any{}
	for _, o := range objects {
		if key := describe(o); !seen[key] {
			seen[key] = true
			there, err := s.resource(t, o).Get(t.Context(), o.GetName(), metav1.GetOptions{})
			require.NoError(t, err, key)
			items = append(items, there.Object)
		}
	}
	data, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
	require.NoError(t, err)
	return data
}

// clear removes what the test wrote. No controller runs here, so Namespaces are finalized by hand.
func (s *server) clear(t *testing.T) {
	t.Helper()
	now := int64(0)
	background := metav1.DeletePropagationBackground
	options := metav1.DeleteOptions{GracePeriodSeconds: &now, PropagationPolicy: &background}
	ctx := context.WithoutCancel(t.Context())
	for _, o := range slices.Backward(s.written) {
		if o.GetKind() == "Service" && o.GetName() == "kubernetes" {
			continue // the server's own
		}
		if o.GetKind() == "Namespace" && slices.Contains([]string{"default", "kube-system"}, o.GetName()) {
			s.bare(ctx, t, o)
			continue
		}
		err := s.resource(t, o).Delete(ctx, o.GetName(), options)
		if apierrors.IsNotFound(err) {
			continue // written twice
		}
		require.NoError(t, err, describe(o))
		if o.GetKind() == "Namespace" {
			there, err := s.namespaces.CoreV1().Namespaces().Get(ctx, o.GetName(), metav1.GetOptions{})
			require.NoError(t, err)
			there.Spec.Finalizers = nil
			_, err = s.namespaces.CoreV1().Namespaces().Finalize(ctx, there, metav1.UpdateOptions{})
			require.NoError(t, err)
		}
	}
}

// bare takes labels and annotations off a Namespace that cannot be deleted.
func (s *server) bare(ctx context.Context, t *testing.T, o *object) {
	t.Helper()
	there, err := s.resource(t, o).Get(ctx, o.GetName(), metav1.GetOptions{})
	require.NoError(t, err)
	there.SetLabels(map[string]string{corev1.LabelMetadataName: o.GetName()})
	there.SetAnnotations(nil)
	there.SetManagedFields([]metav1.ManagedFieldsEntry{{}}) // an empty entry resets them all
	_, err = s.resource(t, o).Update(ctx, there, metav1.UpdateOptions{})
	require.NoError(t, err)
}

func describe(o *object) string {
	return o.GetAPIVersion() + " " + o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName()
}
