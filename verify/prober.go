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
	case mesh.Kind == model.MeshLinkerd:
		return name + "." + namespace + ".serviceaccount.identity." + mesh.Namespace + "." + mesh.TrustDomain, nil
	default:
		return mesh.TrustDomain + "/ns/" + namespace + "/sa/" + name, nil
	}
}
