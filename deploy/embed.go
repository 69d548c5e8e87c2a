// Package deploy holds what is installed into a cluster. Go code reads the
// CustomResourceDefinitions from it, so that palisade checks its own kinds
// offline by the very schemas that an API server would use.
package deploy

import "embed"

// CRDs holds crds/*.yaml, as controller-gen wrote them from api/v1alpha1.
//
//go:embed crds/*.yaml
var CRDs embed.FS
