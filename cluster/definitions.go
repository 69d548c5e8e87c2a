package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/deploy"
	"floe.dev/palisade/preflight"
)

// ownDefinitions are the CustomResourceDefinitions that are built in, by name.
func ownDefinitions() map[string]*apiextensionsv1.CustomResourceDefinition {
	all := map[string]*apiextensionsv1.CustomResourceDefinition{}
	names, _ := fs.Glob(deploy.CRDs, "crds/*.yaml") // the pattern is well formed, and the files are built in
	for _, name := range names {
		data, err := fs.ReadFile(deploy.CRDs, name)
		var crd apiextensionsv1.CustomResourceDefinition
		if err == nil && yaml.Unmarshal(data, &crd) == nil {
			all[crd.Name] = &crd
		}
	}
	return all
}

// definition compares one of palisade's CustomResourceDefinitions with the one that is built in.
func (s *surveyor) definition(ctx context.Context, name string) preflight.Definition {
	d := preflight.Definition{Name: name}
	gvr := apiextensionsv1.SchemeGroupVersion.WithResource("customresourcedefinitions")
	u, err := s.client.Resource(gvr).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return d
	case err != nil:
		d.Unread = reason(err)
		return d
	}
	there, err := typed[apiextensionsv1.CustomResourceDefinition](u)
	if err != nil {
		d.Unread = err.Error()
		return d
	}
	d.Found = true
	d.Established = slices.ContainsFunc(there.Status.Conditions, func(c apiextensionsv1.CustomResourceDefinitionCondition) bool {
		return c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue
	})
	d.Difference = difference(ownDefinitions()[name], there)
	return d
}

// difference says in which way a definition is not the one wanted. Descriptions do not count: they decide nothing.
func difference(want, there *apiextensionsv1.CustomResourceDefinition) string {
	if want.Spec.Scope != there.Spec.Scope {
		return "has the scope " + string(there.Spec.Scope) + " instead of " + string(want.Spec.Scope)
	}
	for i := range want.Spec.Versions {
		v := &want.Spec.Versions[i]
		j := slices.IndexFunc(there.Spec.Versions, func(o apiextensionsv1.CustomResourceDefinitionVersion) bool { return o.Name == v.Name })
		switch {
		case j < 0:
			return "has no version " + v.Name
		case !there.Spec.Versions[j].Served:
			return "does not serve version " + v.Name
		case !bytes.Equal(schemaText(v.Schema), schemaText(there.Spec.Versions[j].Schema)):
			return "has another schema of version " + v.Name
		case (v.Subresources != nil && v.Subresources.Status != nil) != (there.Spec.Versions[j].Subresources != nil && there.Spec.Versions[j].Subresources.Status != nil):
			return "differs in whether version " + v.Name + " has a status of its own"
		}
	}
	return ""
}

// schemaText is a schema without its descriptions, in one order.
func schemaText(v *apiextensionsv1.CustomResourceValidation) []byte {
	var tree any
	data, err := json.Marshal(v)
	if err != nil || json.Unmarshal(data, &tree) != nil {
		return nil
	}
	undescribed(tree, false)
	text, _ := json.Marshal(tree) // what was JSON is JSON again
	return text
}

// undescribed drops descriptions; within properties such a key is a field of that name.
func undescribed(tree any, properties bool) {
	switch tree := tree.(type) {
	case map[string]any:
		if _, is := tree["description"].(string); is && !properties {
			delete(tree, "description")
		}
		for key, value := range tree {
			undescribed(value, key == "properties" && !properties)
		}
	case []any:
		for _, value := range tree {
			undescribed(value, false)
		}
	}
}
