package verdict

import (
	"cmp"
	"slices"

	"floe.dev/palisade/model"
)

// Doubts are the rules of which it is not known whether they match some pods,
// because the addresses of these are not known, each once.
func (m *Map) Doubts() []model.Cause { return m.space.doubts() }

// Doubts are those of both states; see Map.Doubts.
func (d *Difference) Doubts() []model.Cause { return d.space.doubts() }

func (sp *space) doubts() []model.Cause {
	var all []model.Cause
	for _, s := range sp.sides {
		for _, f := range s.filters[1:] {
			for i := range f.rules {
				if slices.ContainsFunc(f.rules[i].nameless, s.doubtful) {
					all = append(all, f.source.Rules[i].Cause)
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b model.Cause) int {
		return cmp.Or(model.CompareRefs(a.Object, b.Object), cmp.Compare(a.Field, b.Field))
	})
	return slices.Compact(all)
}

// doubtful tells whether a term looks at addresses that pods may have.
func (s *side) doubtful(id termID) bool {
	t := s.terms[id]
	for k := range kinds {
		if t.judged[k] && t.unplaced[k] == perhaps {
			return true
		}
	}
	return false
}
