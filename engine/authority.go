package engine

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"

	"floe.dev/palisade/mesh/linkerd"
	"floe.dev/palisade/model"
	"floe.dev/palisade/preflight"
	"floe.dev/palisade/verify"
)

// Authority is what a verification has to know of the mesh's CA.
type Authority struct {
	// Roots are those that proxies trust; without any nothing passes.
	Roots []*x509.Certificate
	// Known is what is known beside: the issuer, and who holds which bundle.
	Known verify.Authority
	// Notes say what could not be read, or is none.
	Notes []string
}

// AuthoritySecrets are the Secrets from which AuthorityOf learns the issuer; without them it is unknown.
func AuthoritySecrets(m *model.Model) []model.Ref { return preflight.AuthoritySecrets(m) }

// AuthorityOf puts together what a Model, and some Secrets of AuthoritySecrets, show of the mesh's CA.
func AuthorityOf(m *model.Model, secrets []preflight.Bundle) Authority {
	found := preflight.AuthorityOf(m, secrets)
	a := Authority{Roots: found.Roots, Notes: found.Notes}
	for _, c := range found.Roots {
		a.Known.Roots = append(a.Known.Roots, verify.CertificateOf(c))
	}
	if found.RootsText != "" {
		sum := sha256.Sum256([]byte(found.RootsText))
		a.Known.RootsSHA256 = hex.EncodeToString(sum[:])
	}
	if found.Issuer != nil {
		issuer := verify.CertificateOf(found.Issuer)
		a.Known.Issuer, a.Known.IssuerSince = &issuer, found.Since
	}
	if m.Cluster.Mesh.Kind == model.MeshLinkerd {
		a.Known.Bundles = heldByPods(m, found.RootsText, a.Known.RootsSHA256)
	} else {
		a.Known.Bundles = heldByNamespaces(m)
	}
	return a
}

// heldByNamespaces are the bundles that Istio hands to the workloads of governed namespaces.
func heldByNamespaces(m *model.Model) []verify.Bundle {
	name, key := preflight.RootBundle(model.MeshIstio)
	var bundles []verify.Bundle
	for i := range m.Existing {
		ref := m.Existing[i].Ref()
		if ref.Kind != "ConfigMap" || ref.Name != name {
			continue
		}
		if n := m.Namespace(ref.Namespace); n == nil || n.Posture == nil {
			continue
		}
		text, _ := m.Existing[i].Map("data")[key].(string)
		list, _ := preflight.CertificatesOf([]byte(text), ref.String())
		b := verify.Bundle{Where: ref.Namespace}
		for _, c := range list {
			b.Roots = append(b.Roots, verify.Fingerprint(c))
		}
		if len(b.Roots) > 0 {
			bundles = append(bundles, b)
		}
	}
	return bundles
}

// heldByPods are the bundles that Linkerd's proxies were started with.
func heldByPods(m *model.Model, text, sum string) []verify.Bundle {
	var bundles []verify.Bundle
	for i := range m.Pods {
		pod := &m.Pods[i]
		held := pod.Annotations[linkerd.TrustRootAnnotation]
		if n := m.Namespace(pod.ID.Namespace); held == "" || n == nil || n.Posture == nil {
			continue
		}
		if linkerd.HashesBundle(held, text) {
			held = sum // it may have been taken with other white space at the end
		}
		bundles = append(bundles, verify.Bundle{Where: pod.ID.Namespace + "/" + pod.ID.Name, SHA256: held})
	}
	return bundles
}
