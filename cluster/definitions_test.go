package cluster

import (
	"context"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/deploy"
)

// An API server refuses a CRD whose rules do not compile or could cost too
// much, whose defaults do not fit, or whose schema is not structural.
func TestServersTakeTheDefinitions(t *testing.T) {
	names, err := fs.Glob(deploy.CRDs, "crds/*.yaml")
	require.NoError(t, err)
	require.Len(t, names, 6)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			data, err := fs.ReadFile(deploy.CRDs, name)
			require.NoError(t, err)
			var crd apiextensionsv1.CustomResourceDefinition
			require.NoError(t, yaml.UnmarshalStrict(data, &crd))
			apiextensionsv1.SetDefaults_CustomResourceDefinition(&crd)
			apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&crd.Spec)
			var internal apiextensions.CustomResourceDefinition
			require.NoError(t, apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&crd, &internal, nil))
			internal.Status.StoredVersions = []string{"v1alpha1"}
			assert.NoError(t, validation.ValidateCustomResourceDefinition(context.Background(), &internal).ToAggregate())
		})
	}
}
