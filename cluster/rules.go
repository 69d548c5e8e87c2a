package cluster

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"

	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// rules judges the CEL rules of a CRD. Most of the work is in the items of
// lists (clients, ports), which are much the same in thousands of objects, so
// an item that was found good is not judged again. That is sound because a rule
// sees its own item only. As soon as something is at fault, the whole object
// goes through the API server's validator, which words it.
type rules struct {
	structural *structuralschema.Structural
	// all is the API server's validator; outer is that less the rules of the lists' items.
	all, outer *cel.Validator
	lists      []*itemRules
}

// itemRules are the rules of the items of one list.
type itemRules struct {
	path       []string
	structural *structuralschema.Structural
	validator  *cel.Validator
	good       sync.Map // JSON of an item → struct{}
	known      atomic.Int64
}

// maxKnownItems bounds how many items are remembered for a list.
const maxKnownItems = 50_000

func newRules(s *structuralschema.Structural) *rules {
	r := &rules{structural: s, all: cel.NewValidator(s, true, celconfig.PerCallLimit)}
	outer := s.DeepCopy()
	r.takeLists(outer, nil)
	r.outer = cel.NewValidator(outer, true, celconfig.PerCallLimit)
	return r
}

// takeLists moves the rules of lists' items out of a schema.
func (r *rules) takeLists(s *structuralschema.Structural, path []string) {
	for _, name := range sortedKeys(s.Properties) {
		property := s.Properties[name]
		at := append(path[:len(path):len(path)], name)
		if property.Items != nil {
			if validator := cel.NewValidator(property.Items.DeepCopy(), false, celconfig.PerCallLimit); validator != nil {
				r.lists = append(r.lists, &itemRules{path: at, structural: property.Items.DeepCopy(), validator: validator})
				dropRules(property.Items)
			}
		} else {
			r.takeLists(&property, at)
		}
		s.Properties[name] = property
	}
}

// dropRules takes all rules out of a schema. Properties are values in a map, so they are put back.
func dropRules(s *structuralschema.Structural) {
	s.XValidations = nil
	for name, property := range s.Properties {
		dropRules(&property)
		s.Properties[name] = property
	}
	if s.Items != nil {
		dropRules(s.Items)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Structural != nil {
		dropRules(s.AdditionalProperties.Structural)
	}
}

// validate judges a tree that its schema fits.
func (r *rules) validate(tree map[string]any) field.ErrorList {
	if r.all == nil || r.good(tree) {
		return nil
	}
	faults, _ := r.all.Validate(context.Background(), nil, r.structural, tree, nil, celconfig.RuntimeCELCostBudget)
	return faults
}

func (r *rules) good(tree map[string]any) bool {
	for _, list := range r.lists {
		if !list.hold(tree) {
			return false
		}
	}
	return r.outer == nil || holds(r.outer, r.structural, tree)
}

func holds(validator *cel.Validator, structural *structuralschema.Structural, value any) bool {
	faults, _ := validator.Validate(context.Background(), nil, structural, value, nil, celconfig.RuntimeCELCostBudget)
	return len(faults) == 0
}

// hold tells whether the rules hold for each item of the list in a tree.
func (l *itemRules) hold(tree map[string]any) bool {
	var at any = tree
	for _, name := range l.path {
		parent, ok := at.(map[string]any)
		if !ok {
			return true
		}
		at = parent[name]
	}
	items, _ := at.([]any)
	for _, item := range items {
		if !l.holdsFor(item) {
			return false
		}
	}
	return true
}

func (l *itemRules) holdsFor(item any) bool {
	key, err := json.Marshal(item) // its keys are sorted
	if err != nil {
		return false
	}
	if _, known := l.good.Load(string(key)); known {
		return true
	}
	if !holds(l.validator, l.structural, item) {
		return false
	}
	if l.known.Add(1) <= maxKnownItems {
		l.good.Store(string(key), struct{}{})
	}
	return true
}
