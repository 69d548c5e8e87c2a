package istio

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/model"
)

// crdSchemas judge objects as an API server with the CRDs of Istio and Gateway API would.
type crdSchemas map[string]*crdSchema

type crdSchema struct {
	structural *schema.Structural
	validator  validation.SchemaValidator
	cel        *cel.Validator
}

func loadSchemas(t *testing.T) crdSchemas {
	t.Helper()
	schemas := crdSchemas{}
	schemas.load(t, filepath.Join(moduleDir(t, "istio.io/api"), "kubernetes", "customresourcedefinitions.gen.yaml"))
	schemas.load(t, filepath.Join(moduleDir(t, "sigs.k8s.io/gateway-api"), "config", "crd", "standard", "gateway.networking.k8s.io_gateways.yaml"))
	return schemas
}

func moduleDir(t *testing.T, module string) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	require.NoError(t, err, "the module %s must be there for its CRDs", module)
	return strings.TrimSpace(string(out))
}

func (s crdSchemas) load(t *testing.T, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	for document := range strings.SplitSeq(string(data), "\n---\n") {
		if !strings.Contains(document, "kind: CustomResourceDefinition") {
			continue
		}
		var crd apiextensionsv1.CustomResourceDefinition
		require.NoError(t, yaml.Unmarshal([]byte(document), &crd))
		for _, version := range crd.Spec.Versions {
			s[crd.Spec.Group+"/"+version.Name+" "+crd.Spec.Names.Kind] = newSchema(t, version.Schema.OpenAPIV3Schema)
		}
	}
}

func newSchema(t *testing.T, props *apiextensionsv1.JSONSchemaProps) *crdSchema {
	t.Helper()
	var internal apiextensions.JSONSchemaProps
	require.NoError(t, apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(props, &internal, nil))
	structural, err := schema.NewStructural(&internal)
	require.NoError(t, err)
	validator, _, err := validation.NewSchemaValidator(&internal)
	require.NoError(t, err)
	return &crdSchema{structural: structural, validator: validator, cel: cel.NewValidator(structural, true, celconfig.PerCallLimit)}
}

// check fails where an object breaks its schema or CEL rules, or holds a field that the CRD does not know.
func (s crdSchemas) check(t *testing.T, o model.Object) {
	t.Helper()
	ref := o.Ref()
	crd := s[ref.APIVersion+" "+ref.Kind]
	require.NotNil(t, crd, "no CRD for %s %s", ref.APIVersion, ref.Kind)
	require.Empty(t, validation.ValidateCustomResource(nil, o.Tree, crd.validator), ref.String())
	errs, _ := crd.cel.Validate(context.Background(), nil, crd.structural, o.Tree, nil, celconfig.RuntimeCELCostBudget)
	require.Empty(t, errs, ref.String())
	unknown := pruning.PruneWithOptions(runtime.DeepCopyJSON(o.Tree), crd.structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	require.Empty(t, unknown, "fields that the CRD does not know in %s", ref)
}

func TestSchemaHelperRefusesWhatAnAPIServerWould(t *testing.T) {
	schemas := loadSchemas(t)
	pa := schemas["security.istio.io/v1 PeerAuthentication"]
	require.NotNil(t, pa)
	tree := map[string]any{"spec": map[string]any{"portLevelMtls": map[string]any{"8080": map[string]any{"mode": "PERMISSIVE"}}}}
	errs, _ := pa.cel.Validate(context.Background(), nil, pa.structural, tree, nil, celconfig.RuntimeCELCostBudget)
	require.NotEmpty(t, errs, "portLevelMtls without a selector must be refused by CEL")
	tree = map[string]any{"spec": map[string]any{"mtls": map[string]any{"mode": "STRICTER"}}}
	require.NotEmpty(t, validation.ValidateCustomResource(nil, tree, pa.validator))
}
