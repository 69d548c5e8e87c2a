package preflight

import (
	"encoding/base64"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// authority is the mesh's certificate authority, as far as it shows.
type authority struct {
	// roots are what proxies trust; issuer is what signs leaves, with the rest of its chain.
	roots, issuer, chain []held
	// wrong and unread say what could not be made out.
	wrong, unread []string
}

// caSource is a Secret in which a mesh may keep its issuer, with its keys.
type caSource struct {
	name                 string
	issuer, chain, roots []string
}

// caSources are in the order in which the meshes prefer them (istio security/pkg/pki/ca, linkerd2 pkg/tls, charts).
func caSources(kind model.MeshKind) []caSource {
	if kind == model.MeshLinkerd {
		return []caSource{{"linkerd-identity-issuer", []string{"tls.crt", "crt.pem"}, nil, []string{"ca.crt"}}}
	}
	return []caSource{
		{"cacerts", []string{"ca-cert.pem", "tls.crt"}, []string{"cert-chain.pem"}, []string{"root-cert.pem", "ca.crt"}},
		{"istio-ca-secret", []string{"ca-cert.pem"}, []string{"cert-chain.pem"}, []string{"root-cert.pem"}},
	}
}

// secrets are those that hold certificates of the mesh in use.
func (in *Input) secrets() []model.Ref {
	mesh := &in.Model.Cluster.Mesh
	if mesh.Kind == model.MeshNone || mesh.Namespace == "" {
		return nil
	}
	var refs []model.Ref
	add := func(name string) {
		refs = append(refs, model.Ref{APIVersion: "v1", Kind: "Secret", Namespace: mesh.Namespace, Name: name})
	}
	for _, s := range caSources(mesh.Kind) {
		add(s.name)
	}
	if mesh.Kind == model.MeshLinkerd {
		add(linkerdInjectorSecret)
	}
	return refs
}

// SecretNames are those of the Secrets whose certificates are looked at; of all others nothing is.
func SecretNames() []string {
	names := []string{linkerdInjectorSecret}
	for _, kind := range []model.MeshKind{model.MeshIstio, model.MeshLinkerd} {
		for _, s := range caSources(kind) {
			names = append(names, s.name)
		}
	}
	return names
}

// bundles are the Secrets that a running cluster was asked for, or that are among what was read.
func (in *Input) bundles() []Bundle {
	if in.live() {
		return in.Survey.Bundles
	}
	var all []Bundle
	for i := range in.Model.Existing {
		o := &in.Model.Existing[i]
		if o.Ref().Kind != "Secret" {
			continue
		}
		b := Bundle{Ref: o.Ref(), Found: true, Certificates: map[string][]byte{}}
		for key, value := range o.Map("data") {
			text, _ := value.(string)
			if certificates, err := base64.StdEncoding.DecodeString(text); err == nil {
				b.Certificates[key] = certificates
			}
		}
		all = append(all, b)
	}
	return all
}

// RootBundle names the ConfigMap, and its key, by which a mesh hands out its roots: Istio into every namespace.
func RootBundle(kind model.MeshKind) (name, key string) {
	if kind == model.MeshLinkerd {
		return "linkerd-identity-trust-roots", "ca-bundle.crt"
	}
	return "istio-ca-root-cert", "root-cert.pem"
}

// authority puts together what shows of the mesh's certificate authority.
func (in *Input) authority() authority {
	mesh := &in.Model.Cluster.Mesh
	var a authority
	name, key := RootBundle(mesh.Kind)
	if o := in.object("ConfigMap", mesh.Namespace, name); o != nil {
		text, _ := o.Map("data")[key].(string)
		a.add(&a.roots, []byte(text), o.Ref().String()+" "+key)
	}
	if in.signsElsewhere() {
		return a
	}
	bundles := in.bundles()
	for _, source := range caSources(mesh.Kind) {
		i := slices.IndexFunc(bundles, func(b Bundle) bool {
			return b.Ref.Name == source.name && b.Ref.Namespace == mesh.Namespace
		})
		if i < 0 {
			continue
		}
		b := &bundles[i]
		switch {
		case b.Unread != "":
			a.unread = append(a.unread, b.Ref.String()+": "+b.Unread)
		case b.Found && len(a.issuer) == 0:
			a.take(b, source)
		}
	}
	return a
}

// signsElsewhere tells that istiod signs nothing itself (its env ENABLE_CA_SERVER, EXTERNAL_CA), so that a Secret of old days means nothing.
func (in *Input) signsElsewhere() bool {
	return in.istiodEnv("ENABLE_CA_SERVER", func(v string) bool { return v == "false" }) || in.istiodEnv("EXTERNAL_CA", func(v string) bool { return v != "" })
}

// istiodEnv tells whether some istiod has a variable of such a value.
func (in *Input) istiodEnv(name string, such func(value string) bool) bool {
	return in.Model.Cluster.Mesh.Kind == model.MeshIstio && slices.ContainsFunc(in.controlPlane(), func(w *model.Workload) bool {
		return slices.ContainsFunc(w.Spec.Containers, func(c corev1.Container) bool {
			return slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == name && such(e.Value) })
		})
	})
}

func (a *authority) take(b *Bundle, source caSource) {
	for _, part := range []struct {
		to   *[]held
		keys []string
	}{{&a.issuer, source.issuer}, {&a.chain, source.chain}, {&a.roots, source.roots}} {
		for _, key := range part.keys {
			if text := b.Certificates[key]; len(text) > 0 {
				a.add(part.to, text, b.Ref.String()+" "+key)
				break
			}
		}
	}
	if len(a.issuer) == 0 {
		a.wrong = append(a.wrong, b.Ref.String()+": holds no certificate under "+source.issuer[0])
	}
}

// add parses; a root that is there already is one root.
func (a *authority) add(to *[]held, text []byte, at string) {
	list, wrong := parseCertificates(text, at)
	if wrong != "" {
		a.wrong = append(a.wrong, wrong)
	}
	for _, c := range list {
		if !slices.ContainsFunc(*to, func(h held) bool { return h.Equal(c.Certificate) }) {
			*to = append(*to, c)
		}
	}
}

// all are the certificates of the authority, each once.
func (a *authority) all() []held {
	var all []held
	for _, c := range slices.Concat(a.roots, a.issuer, a.chain) {
		if !slices.ContainsFunc(all, func(h held) bool { return h.Equal(c.Certificate) }) {
			all = append(all, c)
		}
	}
	return all
}
