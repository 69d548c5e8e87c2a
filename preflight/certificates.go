package preflight

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

const (
	// expiresSoon is when a certificate of the mesh is named: as early as linkerd check does.
	expiresSoon = 60 * 24 * time.Hour
	// webhookSoon is when that of a webhook is named: cert-manager and the meshes renew theirs with a month left.
	webhookSoon = 14 * 24 * time.Hour
	// smallestRSA is the least number of bits that is not broken with effort (NIST SP 800-131A).
	smallestRSA = 2048
	day         = 24 * time.Hour
)

// held is a certificate with where it was found.
type held struct {
	*x509.Certificate
	at string
}

// parseCertificates reads the certificates of a PEM text; wrong says what is there that is none.
func parseCertificates(text []byte, at string) (list []held, wrong string) {
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if len(bytes.TrimSpace(rest)) > 0 {
				wrong = at + ": holds what is no PEM"
			}
			return list, wrong
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return list, fmt.Sprintf("%s: holds a certificate that cannot be read: %v", at, err)
		}
		list = append(list, held{c, at})
	}
}

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

// rootBundle names the ConfigMap, and its key, by which the mesh hands out its roots.
func rootBundle(kind model.MeshKind) (name, key string) {
	if kind == model.MeshLinkerd {
		return "linkerd-identity-trust-roots", "ca-bundle.crt"
	}
	return "istio-ca-root-cert", "root-cert.pem"
}

// authority puts together what shows of the mesh's certificate authority.
func (in *Input) authority() authority {
	mesh := &in.Model.Cluster.Mesh
	var a authority
	name, key := rootBundle(mesh.Kind)
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

// named is a certificate as a person tells it apart.
func (h held) named() string {
	subject := h.Subject.CommonName
	if subject == "" {
		subject = h.Subject.String()
	}
	if subject == "" {
		subject = fmt.Sprintf("serial %x", h.SerialNumber)
	}
	return h.at + " (" + subject + ")"
}

// age judges how long a certificate still holds.
func (h held) age(now time.Time, soon time.Duration) (Status, string) {
	left := h.NotAfter.Sub(now)
	switch {
	case now.Before(h.NotBefore):
		return Failed, fmt.Sprintf("%s: is not valid before %s", h.named(), h.NotBefore.UTC().Format(time.RFC3339))
	case left <= 0:
		return Failed, fmt.Sprintf("%s: expired %s ago, on %s", h.named(), daysText(-left), h.NotAfter.UTC().Format(time.DateOnly))
	case left < soon:
		return Warning, fmt.Sprintf("%s: expires in %s, on %s", h.named(), daysText(left), h.NotAfter.UTC().Format(time.DateOnly))
	default:
		return Passed, ""
	}
}

func daysText(d time.Duration) string {
	if d < 2*day {
		return d.Truncate(time.Minute).String()
	}
	return fmt.Sprintf("%d days", d/day)
}

// weakness says what is wrong with the keys and the signature of a certificate, or is empty.
func (h held) weakness() string {
	selfSigned := bytes.Equal(h.RawIssuer, h.RawSubject)
	switch {
	case !selfSigned && slices.Contains([]x509.SignatureAlgorithm{x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1}, h.SignatureAlgorithm):
		return "is signed by " + h.SignatureAlgorithm.String()
	case !h.BasicConstraintsValid || !h.IsCA:
		return "is not a CA's"
	case h.KeyUsage != 0 && h.KeyUsage&x509.KeyUsageCertSign == 0:
		return "may not sign certificates"
	}
	switch key := h.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < smallestRSA {
			return fmt.Sprintf("has an RSA key of %d bits", bits)
		}
	case *ecdsa.PublicKey:
		if bits := key.Curve.Params().BitSize; bits < 256 {
			return fmt.Sprintf("has an elliptic key of %d bits", bits)
		}
	case ed25519.PublicKey:
	default:
		return "has a key of a kind that meshes do not take"
	}
	return ""
}

// isP256 tells Linkerd's only kind of key for issuers (linkerd2 pkg/issuercerts).
func (h held) isP256() bool {
	key, ok := h.PublicKey.(*ecdsa.PublicKey)
	return ok && key.Curve.Params().Name == "P-256"
}

// withAuthority runs a check on the mesh's authority where something of it shows.
func withAuthority(part func(*authority) []held, judge func(*Input, *authority, *tally) (well, ill string)) func(*Input) Outcome {
	return inMesh(func(in *Input) Outcome {
		a := in.authority()
		if in.Model.Cluster.Mesh.Namespace == "" {
			return outcome(Unknown, "where the control plane runs is not known").fix("give --mesh-namespace")
		}
		if len(part(&a)) == 0 && len(a.wrong) == 0 {
			switch {
			case len(a.unread) > 0:
				o := outcome(Unknown, "what holds the mesh's certificates could not be read").fix("let whoever runs palisade check get these Secrets by name; only their certificates are looked at")
				o.Details = a.unread
				return o
			case !in.live():
				return outcome(Skipped, "no certificate of the mesh among what was read")
			default:
				return outcome(Skipped, "no Secret or ConfigMap of the mesh holds it: the mesh takes certificates from an authority elsewhere")
			}
		}
		var t tally
		for _, wrong := range a.wrong {
			t.look(Failed, "%s", wrong)
		}
		well, ill := judge(in, &a, &t)
		t.look(Passed, "")
		return t.outcome(well, ill)
	})
}

func partRoots(a *authority) []held  { return a.roots }
func partIssuer(a *authority) []held { return a.issuer }

func rootsValid() Check {
	return Check{
		ID: "RootsValid", Category: Certificates, Reads: []string{readConfigMaps},
		What: "the mesh's root certificates are valid for at least 60 days",
		Why:  "When a root expires, every connection of the mesh fails at once; to bring in a new one takes restarts of every workload.",
		Fix:  "begin the rotation of the root now: add the new one to the bundle, let every proxy take it, then change the issuer",
		Run: withAuthority(partRoots, func(in *Input, a *authority, t *tally) (string, string) {
			return judgeAges(in, a.roots, t, "root")
		}),
	}
}

func issuerValid() Check {
	return Check{
		ID: "IssuerValid", Category: Certificates,
		What: "the certificate that signs the workloads' is valid for at least 60 days",
		Why:  "No leaf outlives its issuer: as it ends, leaves get shorter, then none is issued, and pods no longer start.",
		Fix:  "rotate the issuer under the same root, and see that the mesh took it up",
		Run: withAuthority(partIssuer, func(in *Input, a *authority, t *tally) (string, string) {
			return judgeAges(in, slices.Concat(a.issuer, a.chain), t, "issuer")
		}),
	}
}

func judgeAges(in *Input, list []held, t *tally, noun string) (well, ill string) {
	soonest := time.Time{}
	for _, c := range list {
		status, text := c.age(in.Now, expiresSoon)
		t.look(status, "%s", text)
		if soonest.IsZero() || c.NotAfter.Before(soonest) {
			soonest = c.NotAfter
		}
	}
	return fmt.Sprintf("%s, valid until %s (%s left)", plural(len(list), noun+" certificate"), soonest.UTC().Format(time.DateOnly), daysText(soonest.Sub(in.Now))),
		plural(len(t.details), noun+" certificate") + " at fault"
}

func authorityStrong() Check {
	return Check{
		ID: "AuthorityStrong", Category: Certificates, Reads: []string{readConfigMaps},
		What: "the mesh's authority has keys and signatures that hold",
		Why:  "Whoever can forge the authority's signature is every workload at once.",
		Fix:  "make a new authority with ECDSA P-256 keys, and rotate to it",
		Run: withAuthority(func(a *authority) []held { return a.all() }, func(in *Input, a *authority, t *tally) (string, string) {
			for _, c := range a.all() {
				if weak := c.weakness(); weak != "" {
					t.look(Failed, "%s: %s", c.named(), weak)
				}
			}
			if in.Model.Cluster.Mesh.Kind == model.MeshLinkerd {
				for _, c := range a.issuer[:min(1, len(a.issuer))] {
					if !c.isP256() {
						t.look(Failed, "%s: Linkerd takes ECDSA P-256 keys only for its issuer", c.named())
					}
				}
			}
			return plural(len(a.all()), "certificate") + ": " + algorithms(a.all()), plural(len(t.details), "certificate") + " at fault"
		}),
	}
}

func algorithms(list []held) string {
	var names []string
	for _, c := range list {
		name := c.PublicKeyAlgorithm.String()
		switch key := c.PublicKey.(type) {
		case *rsa.PublicKey:
			name += fmt.Sprintf(" %d", key.N.BitLen())
		case *ecdsa.PublicKey:
			name += " " + key.Curve.Params().Name
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func issuerTrusted() Check {
	return Check{
		ID: "IssuerTrusted", Category: Certificates, Reads: []string{readConfigMaps},
		What: "the issuer's chain leads to a root that proxies are given",
		Why:  "Leaves of an issuer whose root the proxies do not hold are refused by everybody.",
		Fix:  "put the issuer's root into the bundle, let every proxy take it, and then change the issuer: in this order",
		Run: withAuthority(partIssuer, func(in *Input, a *authority, t *tally) (string, string) {
			name, _ := rootBundle(in.Model.Cluster.Mesh.Kind)
			roots, others := x509.NewCertPool(), x509.NewCertPool()
			given := 0
			for _, c := range a.roots {
				if c.fromConfigMap() {
					given++
					roots.AddCert(c.Certificate)
				}
			}
			if given == 0 {
				t.look(Unknown, "ConfigMap %s was not found in the control plane's namespace", name)
				return "", "what proxies trust does not show"
			}
			for _, c := range slices.Concat(a.chain, a.issuer[min(1, len(a.issuer)):]) {
				others.AddCert(c.Certificate)
			}
			for _, c := range a.issuer[:min(1, len(a.issuer))] {
				// Ages are another check's: here only signatures and constraints count.
				at := c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 2)
				_, err := c.Verify(x509.VerifyOptions{Roots: roots, Intermediates: others, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
				if err != nil {
					t.look(Failed, "%s: %v", c.named(), err)
				}
			}
			return "it leads to " + plural(given, "root") + " of ConfigMap " + name, "proxies do not trust the issuer"
		}),
	}
}

// fromConfigMap tells what proxies are given from what a Secret holds beside.
func (h held) fromConfigMap() bool { return strings.HasPrefix(h.at, "ConfigMap ") }

func rootsAlike() Check {
	return Check{
		ID: "RootsAlike", Category: Certificates, Reads: []string{readConfigMaps},
		What: "every namespace is given the same roots, and there is one",
		Why:  "Two roots are a rotation under way, which is to be finished; namespaces that were given others do not trust the rest.",
		Fix:  "finish the rotation: when no leaf of the old root is left, take it out of the bundle; see why the mesh does not update these ConfigMaps",
		Run: withAuthority(partRoots, func(in *Input, a *authority, t *tally) (string, string) {
			mesh := &in.Model.Cluster.Mesh
			if n := len(a.roots); n > 1 {
				t.look(Warning, "%s: %s", plural(n, "root"), strings.Join(namesOf(a.roots), ", "))
			}
			name, key := rootBundle(mesh.Kind)
			own := in.object("ConfigMap", mesh.Namespace, name)
			copies := in.configMaps(name)
			for _, o := range copies {
				if own != nil && o.Map("data")[key] != own.Map("data")[key] {
					t.look(Failed, "%s: differs from that of %s", o.Ref(), mesh.Namespace)
				}
			}
			return fmt.Sprintf("one root, in %s", plural(len(copies), "namespace")), "several roots are about"
		}),
	}
}

func namesOf(list []held) []string {
	names := make([]string, len(list))
	for i, c := range list {
		names[i] = c.named()
	}
	return names
}
