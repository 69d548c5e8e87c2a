package verify

import (
	"errors"
	"fmt"
	"strings"

	"floe.dev/palisade/model"
)

// ProberIdentity is the identity that a text names: it itself, or that of a service account, "namespace/name".
// The mesh must be known for the second, with its trust domain.
func ProberIdentity(mesh *model.Mesh, text string) (string, error) {
	text = strings.TrimPrefix(text, spiffe)
	namespace, name, two := strings.Cut(text, "/")
	switch {
	case text == "" || !two || strings.Contains(name, "/"):
		return text, nil
	case namespace == "" || name == "":
		return "", fmt.Errorf("%q is not namespace/serviceaccount", text)
	case mesh.TrustDomain == "":
		return "", errors.New("the trust domain of the mesh is not known, and so nor is the prober's identity: give it as --trust-domain")
	case mesh.Kind == model.MeshLinkerd && mesh.Namespace == "":
		return "", errors.New("the namespace of Linkerd's control plane is not known, and so nor is the prober's identity: give the whole identity")
	default:
		return IdentityOf(mesh, namespace, name), nil
	}
}

// IdentityOf is the identity of a service account in a mesh, as model.Facts has it. Of Linkerd the namespace of the control plane is part of it.
func IdentityOf(mesh *model.Mesh, namespace, account string) string {
	if mesh.Kind == model.MeshLinkerd {
		return account + "." + namespace + ".serviceaccount.identity." + mesh.Namespace + "." + mesh.TrustDomain
	}
	return mesh.TrustDomain + "/ns/" + namespace + "/sa/" + account
}
