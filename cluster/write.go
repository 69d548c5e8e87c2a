package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/model"
	"floe.dev/palisade/plan"
)

// Writer carries changes out by server-side apply (KEP-555), under the field
// manager of palisade. It is safe for use by many.
type Writer struct {
	client dynamic.Interface
	mapper meta.ResettableRESTMapper
	dryRun []string
}

// Errors of a Writer, to be told apart by errors.Is.
var (
	// ErrTaken: an object of the name is there, and is somebody else's.
	ErrTaken = errors.New("somebody else's object has the name")
	// ErrOutdated: the object is another by now, or gone; look again.
	ErrOutdated = errors.New("the object has changed in the meantime")
	// ErrNotServed: the cluster does not serve the kind.
	ErrNotServed = errors.New("the cluster does not serve the kind")
	// ErrEnding: the namespace is being deleted.
	ErrEnding = errors.New("the namespace is being deleted")
)

// NewWriter makes a Writer for a cluster. With dryRun, the server does all but keep what is written.
func NewWriter(config *rest.Config, dryRun bool) (*Writer, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1 // the server's own fairness rules
	config.WarningHandlerWithContext = rest.NoWarnings{}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	d, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	w := &Writer{client: client, mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(d))}
	if dryRun {
		w.dryRun = []string{metav1.DryRunAll}
	}
	return w, nil
}

// Carry carries one change out, and returns the resource version that the object has now; empty where it is gone.
func (w *Writer) Carry(ctx context.Context, c *plan.Change) (string, error) {
	switch c.Effect() {
	case plan.Create:
		return w.create(ctx, *c.Desired)
	case plan.Update:
		return w.update(ctx, *c.Desired, *c.Existing)
	default:
		return "", w.remove(ctx, *c.Existing)
	}
}

// create writes an object that was not there when it was looked for. Apply would
// change one that came since, so it is looked for again.
func (w *Writer) create(ctx context.Context, o model.Object) (string, error) {
	ref := o.Ref()
	resource, err := w.resource(ref)
	if err != nil {
		return "", err
	}
	there, err := resource.Get(ctx, ref.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && ref.Kind != "Namespace":
		return version(w.apply(ctx, resource, o.Tree, ref))
	case err != nil:
		return "", failed(err)
	}
	if ref.Kind == "Namespace" || (model.Object{Tree: there.Object}).Owned() {
		return w.update(ctx, o, model.Object{Tree: there.Object})
	}
	return "", ErrTaken
}

// update writes over an object that is there. Should it be another by now, or gone, nothing is written.
func (w *Writer) update(ctx context.Context, o, existing model.Object) (string, error) {
	ref := o.Ref()
	resource, err := w.resource(ref)
	if err != nil {
		return "", err
	}
	there := existing.Map("metadata")
	tree, metadata := maps.Clone(o.Tree), maps.Clone(o.Map("metadata"))
	metadata["uid"] = there["uid"]
	if ref.Kind != "Namespace" { // of which others write other parts
		metadata["resourceVersion"] = there["resourceVersion"]
	}
	tree["metadata"] = metadata
	written, err := w.apply(ctx, resource, tree, ref)
	if err == nil && ref.Kind != "Namespace" && !plan.Same(&model.Object{Tree: written.Object}, &o) {
		return w.replace(ctx, resource, o, written)
	}
	return version(written, err)
}

// replace puts an object's content in the place of what is there, as apply does not where others added fields.
// Their labels and annotations stay.
func (w *Writer) replace(ctx context.Context, resource dynamic.ResourceInterface, o model.Object, there *unstructured.Unstructured) (string, error) {
	tree := maps.Clone(o.Tree)
	tree["metadata"] = there.Object["metadata"]
	if status, has := there.Object["status"]; has {
		tree["status"] = status
	}
	return version(resource.Update(ctx, &unstructured.Unstructured{Object: tree}, metav1.UpdateOptions{
		FieldManager: model.FieldManager, FieldValidation: metav1.FieldValidationStrict, DryRun: w.dryRun,
	}))
}

func (w *Writer) apply(ctx context.Context, resource dynamic.ResourceInterface, tree map[string]any, ref model.Ref, subresources ...string) (*unstructured.Unstructured, error) {
	data, err := json.Marshal(tree)
	if err != nil {
		return nil, err
	}
	force := true
	there, err := resource.Patch(ctx, ref.Name, types.ApplyPatchType, data, metav1.PatchOptions{
		FieldManager: model.FieldManager, Force: &force, FieldValidation: metav1.FieldValidationStrict, DryRun: w.dryRun,
	}, subresources...)
	if err != nil {
		return nil, failed(err)
	}
	return there, nil
}

// version is the resource version of what was written.
func version(there *unstructured.Unstructured, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return there.GetResourceVersion(), nil
}

// remove deletes an object, as long as it is the one that was looked at.
func (w *Writer) remove(ctx context.Context, existing model.Object) error {
	ref := existing.Ref()
	resource, err := w.resource(ref)
	if err != nil {
		return err
	}
	there := unstructured.Unstructured{Object: existing.Tree}
	uid, version := there.GetUID(), there.GetResourceVersion()
	background := metav1.DeletePropagationBackground
	err = resource.Delete(ctx, ref.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version}, PropagationPolicy: &background, DryRun: w.dryRun,
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return failed(err)
}

// ApplyStatus writes the status of an object of palisade's own kinds, which must
// be there, and returns its resource version.
func (w *Writer) ApplyStatus(ctx context.Context, ref model.Ref, uid types.UID, status any) (string, error) {
	resource, err := w.resource(ref)
	if err != nil {
		return "", err
	}
	metadata := map[string]any{"name": ref.Name}
	if uid != "" {
		metadata["uid"] = string(uid)
	}
	if ref.Namespace != "" {
		metadata["namespace"] = ref.Namespace
	}
	return version(w.apply(ctx, resource, map[string]any{"apiVersion": ref.APIVersion, "kind": ref.Kind, "metadata": metadata, "status": status}, ref, "status"))
}

// PatchStatus writes the status of an object whose stored form is not valid, which
// cannot be applied to, and returns its resource version.
func (w *Writer) PatchStatus(ctx context.Context, ref model.Ref, status any) (string, error) {
	resource, err := w.resource(ref)
	if err != nil {
		return "", err
	}
	data, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		return "", err
	}
	there, err := resource.Patch(ctx, ref.Name, types.MergePatchType, data, metav1.PatchOptions{FieldManager: model.FieldManager, DryRun: w.dryRun}, "status")
	if err != nil {
		return "", failed(err)
	}
	return there.GetResourceVersion(), nil
}

// Ensure applies an object of palisade's own kinds, and returns its UID and resource version.
func (w *Writer) Ensure(ctx context.Context, o model.Object) (types.UID, string, error) {
	ref := o.Ref()
	resource, err := w.resource(ref)
	if err != nil {
		return "", "", err
	}
	there, err := w.apply(ctx, resource, o.Tree, ref)
	if err != nil {
		return "", "", err
	}
	return there.GetUID(), there.GetResourceVersion(), nil
}

// StoreReport keeps what was verified of a namespace as its MTLSReport, and makes that where there is none.
func (w *Writer) StoreReport(ctx context.Context, namespace string, status *v1alpha1.MTLSReportStatus) error {
	ref := model.Ref{APIVersion: v1alpha1.GroupVersion.String(), Kind: "MTLSReport", Namespace: namespace, Name: reportName}
	uid, _, err := w.Ensure(ctx, model.Object{Tree: map[string]any{
		"apiVersion": ref.APIVersion, "kind": ref.Kind, "metadata": map[string]any{
			"namespace": namespace, "name": ref.Name, "labels": map[string]any{model.ManagedByLabel: model.ManagedByValue},
		},
	}})
	if err != nil {
		return err
	}
	_, err = w.ApplyStatus(ctx, ref, uid, status)
	return err
}

// reportName is that of the one MTLSReport of a namespace.
const reportName = "wire"

// Remove deletes an object by its UID.
func (w *Writer) Remove(ctx context.Context, ref model.Ref, uid types.UID) error {
	resource, err := w.resource(ref)
	if err != nil {
		return err
	}
	err = resource.Delete(ctx, ref.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}, DryRun: w.dryRun})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return failed(err)
}

// Forget makes the Writer ask anew which kinds the cluster serves.
func (w *Writer) Forget() { w.mapper.Reset() }

func (w *Writer) resource(ref model.Ref) (dynamic.ResourceInterface, error) {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		return nil, err
	}
	mapping, err := w.mapper.RESTMapping(gv.WithKind(ref.Kind).GroupKind(), gv.Version)
	switch {
	case meta.IsNoMatchError(err):
		return nil, fmt.Errorf("%w %s %s", ErrNotServed, ref.APIVersion, ref.Kind)
	case err != nil:
		return nil, err
	case mapping.Scope.Name() == meta.RESTScopeNameRoot:
		return w.client.Resource(mapping.Resource), nil
	default:
		return w.client.Resource(mapping.Resource).Namespace(ref.Namespace), nil
	}
}

// failed tells apart what a server refused.
func failed(err error) error {
	switch {
	case err == nil:
		return nil
	case apierrors.HasStatusCause(err, "NamespaceTerminating"):
		return fmt.Errorf("%w: %w", ErrEnding, err)
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err), apierrors.IsNotFound(err):
		return fmt.Errorf("%w: %w", ErrOutdated, err)
	default:
		return err
	}
}
