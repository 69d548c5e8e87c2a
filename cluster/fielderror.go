package cluster

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// inBody is how the schema validator begins its messages; the path is told already.
var inBody = regexp.MustCompile(`^\S* ?in body `)

// admitted runs an object of palisade's own through its CRD, and words the faults for people.
func (k *ownKind) admitted(o *object) InputErrors {
	errs := k.admit(o.tree)
	located := slices.ContainsFunc(errs, func(err *field.Error) bool { return !isVague(err) })
	var faults InputErrors
	for _, err := range errs {
		if located && isVague(err) {
			continue
		}
		fault := o.invalid(err)
		if !slices.ContainsFunc(faults, func(f *InputError) bool { return f.Field == fault.Field && f.Message == fault.Message }) {
			faults = append(faults, fault)
		}
	}
	return faults
}

// isVague tells of what the schema validator adds to faults that it has told at their own place.
func isVague(err *field.Error) bool {
	return err.Field == "" || err.Field == "<nil>"
}

// invalid words a field error shortly: the path, what is wrong, and the value where it is a plain one.
func (o *object) invalid(err *field.Error) *InputError {
	name := err.Field
	if isVague(err) {
		name = ""
	}
	return o.fault(name, "%s", worded(err))
}

func worded(err *field.Error) string {
	detail := inBody.ReplaceAllString(err.Detail, "")
	value := shownValue(err.BadValue)
	switch err.Type {
	case field.ErrorTypeRequired:
		if detail == "" {
			return "must be set"
		}
		return detail
	case field.ErrorTypeNotSupported:
		return fmt.Sprintf("%s is not one of %s", value, strings.TrimPrefix(detail, "supported values: "))
	case field.ErrorTypeDuplicate:
		return strings.TrimPrefix(value+" is there twice", " ") // an item that is no scalar is known by its place
	case field.ErrorTypeTypeInvalid:
		return strings.ReplaceAll(detail, ": \"", ", is \"")
	case field.ErrorTypeTooMany, field.ErrorTypeTooLong, field.ErrorTypeForbidden:
		return detail
	}
	if value == "" || strings.Contains(detail, value) || strings.HasPrefix(detail, "should have at least") {
		return detail
	}
	return value + " " + detail
}

// shownValue is a scalar as a message shows it; empty for all others, and for the word that CEL has for an object.
func shownValue(value any) string {
	switch v := reflect.ValueOf(value); v.Kind() {
	case reflect.String:
		if v.String() == "object" || v.String() == "array" || v.Len() > 100 {
			return ""
		}
		return strconv.Quote(v.String())
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Float64, reflect.Bool:
		return fmt.Sprint(value)
	default:
		return ""
	}
}
