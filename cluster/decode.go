package cluster

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
)

// decode makes a typed value of an object. Fields that the type does not have are
// left out, as an API server of its version would. A field of the wrong type is a fault.
func decode[T any](o *object) (*T, *InputError) {
	into := new(T)
	err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.tree, into)
	if err == nil && !hasWideNumber(o.tree) {
		return into, nil
	}
	if wrong := fit(o.tree, reflect.TypeFor[T](), ""); wrong != nil {
		return nil, o.fault(strings.TrimPrefix(wrong.path, "."), "%s", wrong.message)
	}
	if err != nil {
		return nil, o.fault("", "%v", err)
	}
	return into, nil
}

// hasWideNumber tells whether some number may not fit 32 bits: the converter
// would wrap it around in silence (4294967376 would become port 80).
func hasWideNumber(value any) bool {
	switch value := value.(type) {
	case int64:
		return value != int64(int32(value))
	case float64:
		return true
	case map[string]any:
		for _, v := range value {
			if hasWideNumber(v) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(value, hasWideNumber)
	}
	return false
}

// misfit is the first place where a tree does not fit a type.
type misfit struct{ path, message string }

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// fit compares a tree with the Go type that it shall be decoded to.
func fit(value any, t reflect.Type, path string) *misfit {
	if value == nil {
		return nil
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if reflect.PointerTo(t).Implements(unmarshaler) {
		return fitUnmarshaler(value, t, path)
	}
	switch t.Kind() {
	case reflect.Struct:
		tree, ok := value.(map[string]any)
		if !ok {
			return &misfit{path, "must be an object, is " + jsonTypeName(value)}
		}
		return fitFields(tree, t, path)
	case reflect.Map:
		return fitMap(value, t, path)
	case reflect.Slice:
		return fitSlice(value, t, path)
	default:
		return fitScalar(value, t, path)
	}
}

func fitUnmarshaler(value any, t reflect.Type, path string) *misfit {
	data, err := json.Marshal(value)
	if err == nil {
		err = reflect.New(t).Interface().(json.Unmarshaler).UnmarshalJSON(data)
	}
	if err != nil {
		return &misfit{path, fmt.Sprintf("%s: %v", data, err)}
	}
	return nil
}

func fitFields(tree map[string]any, t reflect.Type, path string) *misfit {
	for i := range t.NumField() {
		field := t.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Anonymous && (name == "" || strings.Contains(options, "inline")) {
			if wrong := fitFields(tree, field.Type, path); wrong != nil {
				return wrong
			}
			continue
		}
		if value, ok := tree[name]; ok {
			if wrong := fit(value, field.Type, path+"."+name); wrong != nil {
				return wrong
			}
		}
	}
	return nil
}

func fitMap(value any, t reflect.Type, path string) *misfit {
	tree, ok := value.(map[string]any)
	if !ok {
		return &misfit{path, "must be an object, is " + jsonTypeName(value)}
	}
	for _, key := range sortedKeys(tree) {
		if wrong := fit(tree[key], t.Elem(), path+"["+key+"]"); wrong != nil {
			return wrong
		}
	}
	return nil
}

func fitSlice(value any, t reflect.Type, path string) *misfit {
	if _, ok := value.(string); ok && t.Elem().Kind() == reflect.Uint8 {
		return fitUnmarshaledBytes(value, path)
	}
	list, ok := value.([]any)
	if !ok {
		return &misfit{path, "must be a list, is " + jsonTypeName(value)}
	}
	for i, item := range list {
		if wrong := fit(item, t.Elem(), fmt.Sprintf("%s[%d]", path, i)); wrong != nil {
			return wrong
		}
	}
	return nil
}

func fitUnmarshaledBytes(value any, path string) *misfit {
	data, _ := json.Marshal(value)
	var bytes []byte
	if json.Unmarshal(data, &bytes) != nil {
		return &misfit{path, "must be base64"}
	}
	return nil
}

func fitScalar(value any, t reflect.Type, path string) *misfit {
	want, ok := "", false
	switch t.Kind() {
	case reflect.String:
		want = "a text"
		_, ok = value.(string)
		if _, isBool := value.(bool); isBool {
			want = "a text (in quotes: YAML reads on, off, yes, no, y and n as true and false)"
		}
	case reflect.Bool:
		want = "true or false"
		_, ok = value.(bool)
	case reflect.Float32, reflect.Float64:
		want = "a number"
		ok = jsonTypeName(value) == want
	case reflect.Int32:
		want = "a whole number of 32 bits"
		n, isInt := value.(int64)
		ok = isInt && n >= math.MinInt32 && n <= math.MaxInt32
	case reflect.Int, reflect.Int64:
		want = "a whole number"
		_, ok = value.(int64)
	default:
		ok = true
	}
	if !ok {
		return &misfit{path, fmt.Sprintf("must be %s, is %s", want, shown(value))}
	}
	return nil
}

// shown is a scalar as it may stand in a message, or the name of its type.
func shown(value any) string {
	switch value := value.(type) {
	case string:
		return fmt.Sprintf("the text %q", value)
	case bool, int64, float64:
		return fmt.Sprint(value)
	default:
		return jsonTypeName(value)
	}
}
