package preflight

import (
	"crypto/x509"
	"slices"
	"time"

	"floe.dev/palisade/model"
)

// Authority is what shows of the CA of the mesh in use. All of it may be unknown.
type Authority struct {
	// Roots are what proxies trust; RootsText is the PEM text by which the mesh hands them out.
	Roots     []*x509.Certificate
	RootsText string
	// Issuer is what the CA is meant to sign leaves with, Since when it was written to where it stands.
	Issuer *x509.Certificate
	Since  time.Time
	// Notes say what could not be read, or is none.
	Notes []string
}

// AuthorityOf puts together what a Model, and the Secrets of AuthoritySecrets, show of the CA.
func AuthorityOf(m *model.Model, secrets []Bundle) Authority {
	in := &Input{Model: m, Survey: &Survey{Bundles: secrets}}
	found := in.authority()
	a := Authority{Notes: slices.Concat(found.wrong, found.unread)}
	for _, c := range found.roots {
		a.Roots = append(a.Roots, c.Certificate)
	}
	name, key := RootBundle(m.Cluster.Mesh.Kind)
	if o := in.object("ConfigMap", m.Cluster.Mesh.Namespace, name); o != nil {
		a.RootsText, _ = o.Map("data")[key].(string)
	}
	if len(found.issuer) > 0 {
		a.Issuer = found.issuer[0].Certificate
		for i := range secrets {
			if secrets[i].Found && secrets[i].Written.After(a.Since) && holds(&secrets[i], a.Issuer) {
				a.Since = secrets[i].Written
			}
		}
	}
	return a
}

// holds tells whether a Secret has a certificate.
func holds(b *Bundle, c *x509.Certificate) bool {
	for _, text := range b.Certificates {
		list, _ := parseCertificates(text, "")
		if slices.ContainsFunc(list, func(h held) bool { return h.Equal(c) }) {
			return true
		}
	}
	return false
}

// AuthoritySecrets are the Secrets in which the mesh in use may keep its issuer.
func AuthoritySecrets(m *model.Model) []model.Ref {
	in := &Input{Model: m}
	return slices.DeleteFunc(in.secrets(), func(r model.Ref) bool { return r.Name == linkerdInjectorSecret })
}

// CertificatesOf reads the certificates of a PEM text; wrong says what is there that is none.
func CertificatesOf(text []byte, at string) (list []*x509.Certificate, wrong string) {
	held, wrong := parseCertificates(text, at)
	for _, h := range held {
		list = append(list, h.Certificate)
	}
	return list, wrong
}
