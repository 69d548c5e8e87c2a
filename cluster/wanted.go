package cluster

import (
	"cmp"
	"slices"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/intent"
	"floe.dev/palisade/model"
)

// Governance writes into a snapshot the namespaces, profiles and exemptions as they are known now, and leaves all else.
// It costs little beside Snapshot, and is for whoever must not go by an old one.
func (w *World) Governance(s *intent.Snapshot) {
	w.lock.Lock()
	defer w.lock.Unlock()
	s.Namespaces, s.Profiles, s.Exemptions = nil, nil, nil
	for _, k := range w.watched {
		own := k.Group == v1alpha1.GroupVersion.Group && (k.kind == "SecurityProfile" || k.kind == "Exemption")
		if !own && (k.kind != "Namespace" || k.Group != "") {
			continue
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
}

// Governs tells of changes to what Governance writes.
func (c *Change) Governs() bool {
	return !c.Same && (c.Own && (c.Ref.Kind == "SecurityProfile" || c.Ref.Kind == "Exemption") || c.Ref.Kind == "Namespace" && c.Ref.Group() == "")
}
