package probe

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"floe.dev/palisade/verify"
)

// Equipment is what the files beside a file of targets hold.
type Equipment struct {
	Trust     *verify.Trust
	Roots     []*x509.Certificate
	Held      *Held
	Authority verify.Authority
}

// maxFile bounds what is read of a file, in bytes.
const maxFile = 4 << 20

// Equip reads the files that targets name, relative to a folder.
func Equip(t *verify.Targets, folder string) (*Equipment, error) {
	e := &Equipment{Held: &Held{Valid: map[string]*tls.Certificate{}, Lapsed: map[string]*tls.Certificate{}}}
	roots, err := e.roots(t, folder)
	if err != nil {
		return nil, err
	}
	e.Trust, e.Roots = verify.NewTrust(roots), roots
	if t.Issuer != "" {
		list, _, err := readCertificates(folder, t.Issuer)
		if err != nil {
			return nil, err
		}
		issuer := verify.CertificateOf(list[0])
		e.Authority.Issuer, e.Authority.IssuerSince = &issuer, t.IssuerSince
	}
	e.Authority.Bundles = t.Bundles
	for i := range t.Identities {
		if err := e.hold(&t.Identities[i], folder); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// roots reads the trust bundle. Its sum is that of the text, as Linkerd's is, where it is one file.
func (e *Equipment) roots(t *verify.Targets, folder string) ([]*x509.Certificate, error) {
	var roots []*x509.Certificate
	for _, name := range t.Roots {
		list, text, err := readCertificates(folder, name)
		if err != nil {
			return nil, err
		}
		roots = append(roots, list...)
		if len(t.Roots) == 1 {
			sum := sha256.Sum256(text)
			e.Authority.RootsSHA256 = hex.EncodeToString(sum[:])
		}
	}
	for _, c := range roots {
		e.Authority.Roots = append(e.Authority.Roots, verify.CertificateOf(c))
	}
	return roots, nil
}

func (e *Equipment) hold(h *verify.HeldIdentity, folder string) error {
	chain, _, err := readCertificates(folder, h.Certificate)
	if err != nil {
		return err
	}
	key, err := readFile(folder, h.Key)
	if err != nil {
		return err
	}
	var text []byte
	for _, c := range chain {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	pair, err := tls.X509KeyPair(text, key)
	if err != nil {
		return fmt.Errorf("reading the certificate of %s: %w", h.Identity, err)
	}
	if leaf := verify.CertificateOf(chain[0]); !leaf.Proves(h.Identity) {
		return fmt.Errorf("reading the certificate of %s: %s names %q", h.Identity, h.Certificate, leaf.Identity())
	}
	into := e.Held.Valid
	if h.Expired {
		into = e.Held.Lapsed
	}
	into[h.Identity] = &pair
	return nil
}

func readFile(folder, name string) ([]byte, error) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(folder, name)
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s has over %d MiB: it holds no certificates", name, maxFile>>20)
	}
	return os.ReadFile(name)
}

var errNoCertificate = errors.New("there is no certificate in it")

// readCertificates reads a PEM file, and gives its text as well.
func readCertificates(folder, name string) ([]*x509.Certificate, []byte, error) {
	text, err := readFile(folder, name)
	if err != nil {
		return nil, nil, err
	}
	var list []*x509.Certificate
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, nil, fmt.Errorf("reading %s: %w", name, err)
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, nil, fmt.Errorf("reading %s: %w", name, errNoCertificate)
	}
	return list, text, nil
}
