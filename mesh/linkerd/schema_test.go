package linkerd

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/model"
)

// crdSchemas judge objects as an API server would, by the definitions of testdata/crds.
type crdSchemas map[string]crdSchema

type crdSchema struct {
	structural *schema.Structural
	validator  validation.SchemaValidator
}

func loadSchemas(t *testing.T) crdSchemas {
	t.Helper()
	files, err := filepath.Glob("testdata/crds/*.yaml")
	require.NoError(t, err)
	schemas := crdSchemas{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		var crd apiextensionsv1.CustomResourceDefinition
		require.NoError(t, yaml.UnmarshalStrict(data, &crd), file)
		for _, version := range crd.Spec.Versions {
			var internal apiextensions.JSONSchemaProps
			require.NoError(t, apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(version.Schema.OpenAPIV3Schema, &internal, nil))
			structural, err := schema.NewStructural(&internal)
			require.NoError(t, err, file)
			validator, _, err := validation.NewSchemaValidator(&internal)
			require.NoError(t, err, file)
			schemas[crd.Spec.Group+"/"+version.Name+" "+crd.Spec.Names.Kind] = crdSchema{structural, validator}
		}
	}
	return schemas
}

// faults returns what an API server would refuse or drop.
func (s crdSchemas) faults(o model.Object) []string {
	ref := o.Ref()
	crd, found := s[ref.APIVersion+" "+ref.Kind]
	if !found {
		return []string{"no such kind: " + ref.APIVersion + " " + ref.Kind}
	}
	var faults []string
	for _, err := range validation.ValidateCustomResource(nil, o.Tree, crd.validator) {
		faults = append(faults, err.Error())
	}
	return append(faults, pruning.PruneWithOptions(runtime.DeepCopyJSON(o.Tree), crd.structural, true,
		schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})...)
}

func TestSchemasRefuseAccessPolicyBeforeV1beta3(t *testing.T) {
	schemas := loadSchemas(t)
	tree := func(version string) model.Object {
		return model.Object{Tree: map[string]any{
			"apiVersion": "policy.linkerd.io/" + version, "kind": "Server",
			"metadata": map[string]any{"name": "x"},
			"spec":     map[string]any{"podSelector": map[string]any{}, "port": int64(80), "accessPolicy": "deny"},
		}}
	}
	require.Empty(t, schemas.faults(tree("v1beta3")))
	require.NotEmpty(t, schemas.faults(tree("v1beta2")))
	require.NotEmpty(t, schemas.faults(tree("v1beta1")))
}
