package verify

import (
	"slices"
	"time"
)

// Authority is what is known of the mesh's CA beside what its leaves show. All of
// it may be unknown.
type Authority struct {
	// Issuer is the certificate that the CA is meant to sign with: that of its Secret.
	Issuer *Certificate `json:"issuer,omitempty"`
	// IssuerSince is when it was put there; zero is unknown, and then it counts from its own beginning.
	IssuerSince time.Time `json:"issuerSince,omitzero"`
	// Roots are those that proxies are meant to trust.
	Roots []Certificate `json:"roots,omitempty"`
	// RootsSHA256 is the SHA-256 of the bundle's PEM text, as Linkerd's annotation linkerd.io/trust-root-sha256 has it.
	RootsSHA256 string `json:"rootsSha256,omitempty"`
	// Bundles are what is really held, and where.
	Bundles []Bundle `json:"bundles,omitempty"`
}

// Bundle is the trust bundle that is held somewhere.
type Bundle struct {
	// Where is a namespace (Istio's ConfigMap istio-ca-root-cert) or "namespace/pod" (Linkerd's annotation).
	Where string `json:"where"`
	// SHA256 is that of its PEM text; Roots are the fingerprints in it. One of them is known.
	SHA256 string   `json:"sha256,omitempty"`
	Roots  []string `json:"roots,omitempty"`
}

// behind tells whether a bundle is not the one that is meant.
func (a *Authority) behind(b *Bundle) bool {
	if len(b.Roots) > 0 && len(a.Roots) > 0 {
		return !sameSet(b.Roots, fingerprints(a.Roots))
	}
	return b.SHA256 != "" && a.RootsSHA256 != "" && b.SHA256 != a.RootsSHA256
}

// lacks tells whether a bundle is known not to hold a root.
func (b *Bundle) lacks(root string) bool { return len(b.Roots) > 0 && !slices.Contains(b.Roots, root) }

func fingerprints(certificates []Certificate) []string {
	list := make([]string, len(certificates))
	for i := range certificates {
		list[i] = certificates[i].Fingerprint
	}
	return list
}

func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}

// root finds a root by its fingerprint.
func (a *Authority) root(fingerprint string) *Certificate {
	i := slices.IndexFunc(a.Roots, func(c Certificate) bool { return c.Fingerprint == fingerprint })
	if i < 0 {
		return nil
	}
	return &a.Roots[i]
}

// rootOfIssuer is the root by which the issuer is signed, or that it is itself; nil where that is not in the bundle.
func (a *Authority) rootOfIssuer() *Certificate {
	for i := range a.Roots {
		r := &a.Roots[i]
		switch {
		case a.Issuer.Fingerprint == r.Fingerprint, a.Issuer.KeyID == r.KeyID:
			return r
		case a.Issuer.IssuerKeyID != "" && a.Issuer.IssuerKeyID == r.KeyID:
			return r
		case a.Issuer.IssuerKeyID == "" && a.Issuer.Issuer == r.Subject:
			return r
		}
	}
	return nil
}

// stale tells whether a leaf was signed by another issuer than the one that was
// there when it was made: the CA goes on with what it had (linkerd2#15109).
func (a *Authority) stale(l *Leaf, issued time.Time) bool {
	if a.Issuer == nil || l.IssuerKeyID == "" || l.IssuerKeyID == a.Issuer.KeyID {
		return false
	}
	since := a.IssuerSince
	if since.IsZero() {
		since = a.Issuer.NotBefore
	}
	return issued.After(since.Add(reloadTime))
}

// reloadTime is how long a CA may take to notice its new issuer: kubelets renew
// mounted Secrets about once a minute, and istiod and linkerd-identity watch the files.
const reloadTime = 3 * time.Minute
