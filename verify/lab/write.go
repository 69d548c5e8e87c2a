package lab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"sigs.k8s.io/yaml"

	"floe.dev/palisade/verify"
)

// TargetsFile is the name of the file of targets in a folder that Write fills.
const TargetsFile = "targets.yaml"

// Write writes what palisade verify --direct --targets needs into a folder: the
// file of targets, the roots, the issuer, and the certificates of the probe's identity
// and of every caller, one that is valid and one that has expired.
func (l *Lab) Write(ctx context.Context, folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("writing the lab's files: %w", err)
	}
	t := l.Targets()
	t.Roots, t.Issuer = []string{"roots.pem"}, "issuer.pem"
	t.IssuerSince = l.CA.Issuer().NotBefore.UTC()
	t.Stranger = l.Identity("palisade", "prober")
	files := map[string][]byte{"roots.pem": PEM(l.CA.Root().Raw), "issuer.pem": PEM(l.CA.Issuer().Raw)}
	for i, identity := range l.identities(t) {
		for _, expired := range []bool{false, true} {
			held, err := l.hold(ctx, files, i, identity, expired)
			if err != nil {
				return err
			}
			t.Identities = append(t.Identities, held)
		}
	}
	text, err := yaml.Marshal(t)
	if err != nil {
		return fmt.Errorf("writing the lab's targets: %w", err)
	}
	files[TargetsFile] = text
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
			return fmt.Errorf("writing the lab's files: %w", err)
		}
	}
	return nil
}

// identities are those that probes need: their own, and every caller's.
func (l *Lab) identities(t *verify.Targets) []string {
	names := []string{t.Stranger}
	for i := range t.Targets {
		names = append(names, t.Targets[i].Callers...)
	}
	slices.Sort(names[1:])
	return slices.Compact(names)
}

// hold makes the files of an identity's certificate.
func (l *Lab) hold(ctx context.Context, files map[string][]byte, i int, identity string, expired bool) (verify.HeldIdentity, error) {
	yield, name := l.CA.Certificate, fmt.Sprintf("client-%d", i)
	if expired {
		yield, name = l.CA.Expired, name+"-expired"
	}
	c, err := yield(ctx, identity)
	if err != nil {
		return verify.HeldIdentity{}, err
	}
	key, err := keyPEM(c)
	if err != nil {
		return verify.HeldIdentity{}, fmt.Errorf("writing the key of %s: %w", identity, err)
	}
	files[name+".pem"], files[name+".key"] = PEM(c.Certificate...), key
	return verify.HeldIdentity{Identity: identity, Certificate: name + ".pem", Key: name + ".key", Expired: expired}, nil
}

func keyPEM(c *tls.Certificate) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// Demo is a small cluster in which some things are as they should be, and some
// are not: two of everything that palisade verify tells apart.
func Demo() []Spec {
	id := func(namespace, name string) string { return TrustDomain + "/ns/" + namespace + "/sa/" + name }
	gateway, frontend, checkout, cart := id("ingress", "gateway"), id("shop", "frontend"), id("shop", "checkout"), id("shop", "cart")
	list := []Spec{
		{Namespace: "shop", Name: "frontend", Port: 8080, Way: verify.Sidecar, Mode: Strict, App: HTTP, Callers: []string{gateway}},
		{Namespace: "shop", Name: "cart", Port: 7070, Way: verify.Sidecar, Mode: Strict, App: HTTP, Callers: []string{checkout, frontend}},
		{Namespace: "shop", Name: "checkout", Port: 5050, Way: verify.Sidecar, Mode: Strict, App: HTTP, Callers: []string{frontend}},
		{Namespace: "shop", Name: "payments", Port: 50051, Way: verify.Sidecar, Mode: Permissive, App: HTTP, Callers: []string{checkout}},
		{Namespace: "shop", Name: "pricing", Port: 9000, Way: verify.Proxyless, Mode: Strict, App: HTTP, Callers: []string{checkout}},
		{Namespace: "data", Name: "orders", Port: 8080, Way: verify.HBONE, Mode: Strict, App: HTTP, Callers: []string{checkout}},
		{Namespace: "data", Name: "redis", Port: 6379, Way: verify.HBONE, Mode: Strict, App: Silent, Fault: NeverRotating, Callers: []string{cart}},
		{Namespace: "data", Name: "reports", Port: 8081, Way: verify.Sidecar, Mode: Strict, App: HTTP, Fault: ExpiredCertificate, Callers: []string{frontend}},
		{Namespace: "data", Name: "stock", Port: 3550, Way: verify.HBONE, Mode: Strict, App: HTTP, Fault: AnyMember, Callers: []string{cart}},
		{Namespace: "ops", Name: "agent", Port: 9100, Way: verify.Direct, Mode: Disabled, App: HTTP},
		{Namespace: "ops", Name: "queue", Port: 5672, Way: verify.Sidecar, Mode: Strict, App: Silent, Fault: Hanging, Callers: []string{checkout}},
	}
	return twoPods(list)
}

// Sound is a part of the platform of examples/floe, all of it as it should be.
func Sound() []Spec {
	id := func(namespace, name string) string { return TrustDomain + "/ns/" + namespace + "/sa/floe-" + name }
	jobs, dagster, polaris := id("floe-jobs", "job-runner"), id("floe-platform", "dagster"), id("floe-platform", "polaris")
	return twoPods([]Spec{
		{Namespace: "floe-platform", Name: "polaris", Port: 8181, Way: verify.Sidecar, Mode: Strict, App: HTTP, Callers: []string{dagster, jobs}},
		{Namespace: "floe-platform", Name: "marquez", Port: 5000, Way: verify.Sidecar, Mode: Strict, App: HTTP, Callers: []string{jobs}},
		{Namespace: "floe-platform", Name: "minio", Port: 9000, Way: verify.Sidecar, Mode: Strict, App: HTTP, Callers: []string{jobs, polaris}},
		{Namespace: "floe-platform", Name: "otel-collector", Port: 4318, Way: verify.Sidecar, Mode: Strict, App: HTTP, Callers: []string{dagster, jobs, polaris}},
		{Namespace: "floe-sales-domain", Name: "sales-api", Port: 8080, Way: verify.Sidecar, Mode: Strict, App: HTTP,
			Callers: []string{TrustDomain + "/ns/ingress-nginx/sa/ingress-nginx"}},
	})
}

// twoPods makes two stand-ins of each; of AnyMember, one is at fault.
func twoPods(list []Spec) []Spec {
	var all []Spec
	for i := range list {
		for n := range 2 {
			s := list[i]
			s.Pod = fmt.Sprintf("%s-%d", s.Name, n)
			if n > 0 && s.Fault == AnyMember {
				s.Fault = NoFault
			}
			all = append(all, s)
		}
	}
	return all
}

// Serve starts a lab, writes its files into a folder, tells on ready, and goes on
// until the context ends. With rotate above zero, certificates are renewed that often.
func Serve(ctx context.Context, l *Lab, folder string, rotate time.Duration, ready func(targets string)) error {
	if err := l.Write(ctx, folder); err != nil {
		return err
	}
	ready(filepath.Join(folder, TargetsFile))
	for {
		var due <-chan time.Time
		if rotate > 0 {
			due = time.After(rotate)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-due:
			if err := l.Rotate(); err != nil {
				return err
			}
		}
	}
}
