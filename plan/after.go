package plan

import (
	"maps"

	"floe.dev/palisade/model"
)

// After is what objects will be there once the plan is carried out. With observed
// it is carried out in namespaces whose profile only observes as well. Of Namespaces
// nothing changes that anybody judges connections by.
func (p Plan) After(existing []model.Object, observed bool) []model.Object {
	changed := map[key]*model.Object{}
	for i := range p.Changes {
		c := &p.Changes[i]
		if (c.Action != Observe || observed) && c.Ref.Kind != "Namespace" {
			changed[keyOf(c.Ref)] = c.Desired
		}
	}
	after := make([]model.Object, 0, len(existing)+len(changed))
	for _, o := range existing {
		id := keyOf(o.Ref())
		desired, changes := changed[id]
		switch {
		case !changes:
			after = append(after, o)
		case desired != nil:
			after = append(after, aged(*desired, o))
		}
		delete(changed, id)
	}
	for i := range p.Changes { // in the order of the plan, for the same bytes every time
		if desired := changed[keyOf(p.Changes[i].Ref)]; desired != nil {
			after = append(after, *desired)
		}
	}
	return after
}

// aged is an object as it will be once written over another: as old as that one,
// for meshes ask which of two is older.
func aged(desired, there model.Object) model.Object {
	born, known := there.Map("metadata")["creationTimestamp"]
	meta := desired.Map("metadata")
	if !known || meta == nil {
		return desired
	}
	tree, metadata := maps.Clone(desired.Tree), maps.Clone(meta)
	metadata["creationTimestamp"] = born
	tree["metadata"] = metadata
	desired.Tree = tree
	return desired
}
