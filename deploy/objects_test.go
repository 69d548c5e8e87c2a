package deploy_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

// read reads the objects of a file.
func read(t *testing.T, file string) []*unstructured.Unstructured {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err, "make generate renders it")
	var objects []*unstructured.Unstructured
	for decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096); ; {
		o := &unstructured.Unstructured{}
		err := decoder.Decode(&o.Object)
		if errors.Is(err, io.EOF) {
			return objects
		}
		require.NoError(t, err, file)
		if len(o.Object) > 0 {
			objects = append(objects, o)
		}
	}
}

// all are the objects of a kind, as their type.
func all[T any](t *testing.T, objects []*unstructured.Unstructured, kind string) []T {
	t.Helper()
	var list []T
	for _, o := range objects {
		if o.GetKind() == kind {
			var typed T
			require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, &typed, true), o.GetName())
			list = append(list, typed)
		}
	}
	return list
}

// one is the object of a kind and a name, as its type.
func one[T any](t *testing.T, objects []*unstructured.Unstructured, kind, name string) T {
	t.Helper()
	for _, o := range objects {
		if o.GetKind() == kind && o.GetName() == name {
			var typed T
			require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, &typed, true))
			return typed
		}
	}
	require.Fail(t, "not rendered", "%s %s", kind, name)
	panic("unreachable")
}
