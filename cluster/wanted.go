package cluster

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/intent"
	"floe.dev/palisade/model"
)

// Governance writes into a snapshot the namespaces, profiles and exemptions as they are known now, and leaves all else.
// It costs little beside Snapshot, and is for whoever must not go by an old one. It reports whether all three kinds are
// known whole: otherwise what it wrote is not to be used.
func (w *World) Governance(s *intent.Snapshot) bool {
	w.lock.Lock()
	defer w.lock.Unlock()
	s.Namespaces, s.Profiles, s.Exemptions = nil, nil, nil
	whole := 0
	for _, k := range w.watched {
		own := k.Group == v1alpha1.GroupVersion.Group && (k.kind == "SecurityProfile" || k.kind == "Exemption")
		if !own && (k.kind != "Namespace" || k.Group != "") {
			continue
		}
		if k.refused == nil && k.informer.HasSynced() {
			whole++
		}
		for _, o := range k.informer.GetStore().List() {
			e, ok := o.(*entry)
			if !ok || e.item == nil {
				continue
			}
			switch v := e.item.value.(type) {
			case *model.Namespace:
				s.Namespaces = append(s.Namespaces, *v)
			case *v1alpha1.SecurityProfile:
				s.Profiles = append(s.Profiles, *v)
			case *v1alpha1.Exemption:
				s.Exemptions = append(s.Exemptions, *v)
			}
		}
	}
	slices.SortFunc(s.Namespaces, func(a, b model.Namespace) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Profiles, func(a, b v1alpha1.SecurityProfile) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Exemptions, func(a, b v1alpha1.Exemption) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return whole == 3
}

// Governs tells of changes to what Governance writes.
func (c *Change) Governs() bool {
	return !c.Same && (c.Own && (c.Ref.Kind == "SecurityProfile" || c.Ref.Kind == "Exemption") || c.Ref.Kind == "Namespace" && c.Ref.Group() == "")
}

// Exemptions are those of a namespace as they are stored at this moment, and not as the watch has them by now.
func (w *World) Exemptions(ctx context.Context, namespace string) ([]v1alpha1.Exemption, error) {
	list, err := w.client.Resource(v1alpha1.GroupVersion.WithResource("exemptions")).Namespace(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading the exemptions of %s: %w", namespace, err)
	}
	found := make([]v1alpha1.Exemption, len(list.Items))
	for i := range list.Items {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(list.Items[i].Object, &found[i]); err != nil {
			return nil, fmt.Errorf("reading the exemptions of %s: %w", namespace, err)
		}
	}
	return found, nil
}
