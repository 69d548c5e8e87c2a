package cluster

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/deploy"
)

// ownKinds validates palisade's own kinds as an API server that has their
// CRDs would on creation. A kind's validator is made when it is first needed.
type ownKinds map[string]func() (*ownKind, error)

// ownKind is what an API server keeps of one version of a CRD.
type ownKind struct {
	namespaced bool
	structural *structuralschema.Structural
	schema     validation.SchemaValidator
	evident    evident
	rules      *rules
}

// builtInKinds is the table of palisade's own kinds. To make their validators
// takes longer than to read a small folder, so each is made once.
var builtInKinds = sync.OnceValues(newOwnKinds)

// newOwnKinds prepares the kinds whose CRDs are in the folder deploy/crds.
func newOwnKinds() (ownKinds, error) {
	names, err := fs.Glob(deploy.CRDs, "crds/*.yaml")
	if err != nil {
		return nil, err
	}
	kinds := ownKinds{}
	for _, kind := range []string{"SecurityProfile", "TrafficRule", "ExternalAccess", "Exemption", "NamespacePosture", "MTLSReport"} {
		i := slices.IndexFunc(names, func(name string) bool {
			plural := strings.TrimSuffix(strings.TrimPrefix(path.Base(name), v1alpha1.GroupVersion.Group+"_"), ".yaml")
			return plural == strings.ToLower(kind)+"s" || plural == strings.ToLower(kind)+"es"
		})
		if i < 0 {
			return nil, fmt.Errorf("no CustomResourceDefinition of kind %s is built in", kind)
		}
		kinds[kind] = sync.OnceValues(func() (*ownKind, error) { return loadOwnKind(names[i]) })
	}
	return kinds, nil
}

func loadOwnKind(name string) (*ownKind, error) {
	data, err := fs.ReadFile(deploy.CRDs, name)
	if err != nil {
		return nil, err
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(data, &crd); err != nil {
		return nil, fmt.Errorf("reading built-in %s: %w", name, err)
	}
	kind, err := newOwnKind(&crd)
	if err != nil {
		return nil, fmt.Errorf("preparing the schema of %s: %w", crd.Spec.Names.Kind, err)
	}
	return kind, nil
}

func newOwnKind(crd *apiextensionsv1.CustomResourceDefinition) (*ownKind, error) {
	var schema apiextensions.JSONSchemaProps
	from := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(from, &schema, nil); err != nil {
		return nil, err
	}
	structural, err := structuralschema.NewStructural(&schema)
	if err != nil {
		return nil, err
	}
	validator, _, err := validation.NewSchemaValidator(&schema)
	if err != nil {
		return nil, err
	}
	return &ownKind{
		namespaced: crd.Spec.Scope == apiextensionsv1.NamespaceScoped,
		structural: structural,
		schema:     validator,
		evident:    newEvident(structural),
		rules:      newRules(structural),
	}, nil
}

// admit does to a tree what an API server does on creation: unknown fields
// are faults (kubectl's strict validation), nulls are dropped, defaults filled in, all rules checked.
func (k *ownKind) admit(tree map[string]any) field.ErrorList {
	if tree["metadata"] == nil {
		tree["metadata"] = map[string]any{}
	}
	_, _, unknown, err := objectmeta.GetObjectMetaWithOptions(tree, objectmeta.ObjectMetaOptions{ReturnUnknownFieldPaths: true})
	if err != nil {
		return field.ErrorList{field.Invalid(field.NewPath("metadata"), "", err.Error())}
	}
	unknown = append(unknown, pruning.PruneWithOptions(tree, k.structural, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})...)
	var faults field.ErrorList
	for _, name := range unknown {
		faults = append(faults, &field.Error{Type: field.ErrorTypeForbidden, Field: name, Detail: "unknown field"})
	}
	defaulting.PruneNonNullableNullsWithoutDefaults(tree, k.structural)
	defaulting.Default(tree, k.structural)
	return append(faults, k.validate(tree)...)
}

// validate is the validation of a custom resource, in the API server's order.
func (k *ownKind) validate(tree map[string]any) field.ErrorList {
	meta, _, err := objectmeta.GetObjectMeta(tree, false)
	if err != nil {
		return field.ErrorList{field.Invalid(field.NewPath("metadata"), "", err.Error())}
	}
	faults := apivalidation.ValidateObjectMeta(meta, k.namespaced, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	if !k.evident.valid(tree, k.structural) {
		faults = append(faults, validation.ValidateCustomResource(nil, tree, k.schema)...)
	}
	faults = append(faults, listtype.ValidateListSetsAndMaps(nil, k.structural, tree)...)
	if slices.ContainsFunc(faults, blocksRules) {
		return faults
	}
	return append(faults, k.rules.validate(tree)...)
}

// blocksRules tells whether CEL rules could stumble over a fault instead of judging.
func blocksRules(err *field.Error) bool {
	switch err.Type {
	case field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid:
		return true
	default:
		return false
	}
}
