package cluster

import (
	"math"
	"regexp"
	"slices"
	"unicode/utf8"

	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
)

// The API server's schema validator takes about 0.1 ms an object, nearly all
// of it to find nothing wrong. evident is a quick look that comes first. It
// says yes only of what the validator would surely take; whatever it does not
// understand, or finds at fault, is left to the validator, which also words the faults.
type evident struct {
	patterns map[string]*regexp.Regexp
}

// newEvident prepares the patterns of a schema.
func newEvident(s *structuralschema.Structural) evident {
	e := evident{patterns: map[string]*regexp.Regexp{}}
	visit(s, func(s *structuralschema.Structural) {
		if s.ValueValidation == nil || s.ValueValidation.Pattern == "" {
			return
		}
		if pattern, err := regexp.Compile(s.ValueValidation.Pattern); err == nil {
			e.patterns[s.ValueValidation.Pattern] = pattern
		}
	})
	return e
}

func visit(s *structuralschema.Structural, each func(*structuralschema.Structural)) {
	each(s)
	if s.Items != nil {
		visit(s.Items, each)
	}
	for _, property := range s.Properties {
		visit(&property, each)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Structural != nil {
		visit(s.AdditionalProperties.Structural, each)
	}
}

// needsJudgement tells whether a schema says more than this shortcut reads.
func needsJudgement(s *structuralschema.Structural, v *structuralschema.ValueValidation) bool {
	logic := len(v.AllOf)+len(v.OneOf) > 0 || v.Not != nil || len(v.AnyOf) > 0 && !s.XIntOrString
	return logic || s.XPreserveUnknownFields || s.XEmbeddedResource
}

// valid tells whether a value surely fits a schema.
//
//nolint:cyclop // a table from types to checks, a row each
func (e evident) valid(value any, s *structuralschema.Structural) bool {
	v := s.ValueValidation
	if v == nil {
		v = &structuralschema.ValueValidation{}
	}
	if needsJudgement(s, v) {
		return false
	}
	switch value := value.(type) {
	case string:
		return (s.Type == "string" || s.XIntOrString) && e.validText(value, v)
	case int64:
		return (s.Type == "integer" || s.XIntOrString) && validInteger(value, v)
	case bool:
		return s.Type == "boolean" && len(v.Enum) == 0
	case []any:
		return s.Type == "array" && e.validList(value, s, v)
	case map[string]any:
		return s.Type == "object" && e.validObject(value, s, v)
	default:
		return false
	}
}

func (e evident) validText(text string, v *structuralschema.ValueValidation) bool {
	length := int64(utf8.RuneCountInString(text))
	switch {
	case v.Format != "":
		return false
	case v.MaxLength != nil && length > *v.MaxLength, v.MinLength != nil && length < *v.MinLength:
		return false
	case v.Pattern != "" && (e.patterns[v.Pattern] == nil || !e.patterns[v.Pattern].MatchString(text)):
		return false
	}
	return len(v.Enum) == 0 || slices.ContainsFunc(v.Enum, func(one structuralschema.JSON) bool { return one.Object == text })
}

func validInteger(n int64, v *structuralschema.ValueValidation) bool {
	switch {
	case v.ExclusiveMaximum, v.ExclusiveMinimum, v.MultipleOf != nil, len(v.Enum) > 0:
		return false
	case v.Format == "int32" && (n < math.MinInt32 || n > math.MaxInt32), v.Format != "" && v.Format != "int32" && v.Format != "int64":
		return false
	case v.Maximum != nil && float64(n) > *v.Maximum, v.Minimum != nil && float64(n) < *v.Minimum:
		return false
	}
	return true
}

func (e evident) validList(list []any, s *structuralschema.Structural, v *structuralschema.ValueValidation) bool {
	switch {
	case s.Items == nil, v.UniqueItems, len(v.Enum) > 0:
		return false
	case v.MaxItems != nil && int64(len(list)) > *v.MaxItems, v.MinItems != nil && int64(len(list)) < *v.MinItems:
		return false
	}
	return !slices.ContainsFunc(list, func(item any) bool { return !e.valid(item, s.Items) })
}

func (e evident) validObject(tree map[string]any, s *structuralschema.Structural, v *structuralschema.ValueValidation) bool {
	if v.MaxProperties != nil || v.MinProperties != nil || len(v.Enum) > 0 {
		return false
	}
	for _, name := range v.Required {
		if _, ok := tree[name]; !ok {
			return false
		}
	}
	if len(s.Properties) == 0 && s.AdditionalProperties == nil {
		return true // metadata: checked by itself
	}
	for name, value := range tree {
		property, ok := s.Properties[name]
		switch {
		case ok:
			if !e.valid(value, &property) {
				return false
			}
		case s.AdditionalProperties == nil || s.AdditionalProperties.Structural == nil || !e.valid(value, s.AdditionalProperties.Structural):
			return false
		}
	}
	return true
}
