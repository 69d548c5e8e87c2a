package issuers

import (
	"bytes"
	"context"
	"encoding/hex"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/verify/lab"
)

// openssl looks at the agent's leaf for itself: that it leads to the roots, and that the
// server shows just that one to a client with a certificate. files is the folder of an auditor.
func openssl(t *testing.T, a *agent, at netip.AddrPort, files string, more ...string) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Log("openssl is not installed: the certificate was looked at by palisade alone")
		return
	}
	c := a.Leaf()
	folder := t.TempDir()
	leaf, between := filepath.Join(folder, "leaf.pem"), filepath.Join(folder, "between.pem")
	require.NoError(t, os.WriteFile(leaf, lab.PEM(c.Certificate[0]), 0o600))
	require.NoError(t, os.WriteFile(between, lab.PEM(c.Certificate[1:]...), 0o600))
	roots := filepath.Join(files, "roots.pem")
	out := command(t, "verify", "-CAfile", roots, "-untrusted", between, "-purpose", "sslserver", leaf)
	assert.Contains(t, out, "leaf.pem: OK")

	args := append([]string{"s_client", "-connect", at.String(), "-CAfile", roots, "-verify_return_error",
		"-cert", filepath.Join(files, "client-0.pem"), "-cert_chain", filepath.Join(files, "client-0.pem"), "-key", filepath.Join(files, "client-0.key")}, more...)
	out = command(t, args...)
	assert.Contains(t, out, "Verify return code: 0 (ok)")
	shown := filepath.Join(folder, "shown.pem")
	begin := strings.Index(out, "-----BEGIN CERTIFICATE-----")
	require.GreaterOrEqual(t, begin, 0, out)
	require.NoError(t, os.WriteFile(shown, []byte(out[begin:]), 0o600))
	serial := strings.TrimPrefix(strings.TrimSpace(command(t, "x509", "-in", shown, "-noout", "-serial")), "serial=")
	assert.Equal(t, strings.ToUpper(hex.EncodeToString(c.Leaf.SerialNumber.Bytes())), serial)
}

// command runs openssl with nothing to read.
func command(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, "openssl", args...)
	c.Stdin = bytes.NewReader(nil)
	out, err := c.CombinedOutput()
	assert.NoError(t, err, "openssl %s\n%s", strings.Join(args, " "), out)
	return string(out)
}
