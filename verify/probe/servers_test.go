package probe_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verify"
	"floe.dev/palisade/verify/lab"
	"floe.dev/palisade/verify/probe"
)

// server is a TLS server that nobody here wrote, with the certificate of a workload.
type server struct {
	folder, certificate, key, roots string
	port                            int
	// application is behind it, where it forwards.
	application string
}

// newServer writes the files of a server: a leaf of the lab's CA, its key, and the roots.
func newServer(t *testing.T, l *lab.Lab) *server {
	t.Helper()
	s := &server{folder: t.TempDir()}
	leaf, err := l.CA.Leaf(identity(model.MeshIstio, "server"), time.Now())
	require.NoError(t, err)
	s.certificate, s.key, s.roots = filepath.Join(s.folder, "server.pem"), filepath.Join(s.folder, "server.key"), filepath.Join(s.folder, "roots.pem")
	s.write(t, s.certificate, lab.PEM(leaf.Certificate...))
	s.write(t, s.key, keyOf(t, leaf))
	s.write(t, s.roots, lab.PEM(l.CA.Root().Raw))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.port = listener.Addr().(*net.TCPAddr).Port
	require.NoError(t, listener.Close())
	target := l.Target(0)
	s.application = netip.AddrPortFrom(target.Address, uint16(target.Port)).String()
	return s
}

func keyOf(t *testing.T, c *tls.Certificate) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func (s *server) write(t *testing.T, file string, data []byte) string {
	t.Helper()
	require.NoError(t, os.WriteFile(file, data, 0o600))
	return file
}

// run starts the server and waits until it listens.
func (s *server) run(t *testing.T, path string, args ...string) {
	t.Helper()
	command := exec.Command(path, args...)
	var said strings.Builder
	command.Stdout, command.Stderr = &said, &said
	input, err := command.StdinPipe() // openssl ends with its input
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = input.Close()
		_ = command.Process.Kill()
		_ = command.Wait()
		if t.Failed() {
			t.Logf("%s said: %s", path, said.String())
		}
	})
	require.Eventually(t, func() bool {
		c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", s.port), time.Second)
		return err == nil && c.Close() == nil
	}, 10*time.Second, 50*time.Millisecond, "%s does not listen", path)
}

// installed finds a program of a Debian package, or skips with words.
func installed(t *testing.T, program, debian string) string {
	t.Helper()
	for _, folder := range []string{"", "/usr/sbin/", "/usr/bin/"} {
		if path, err := exec.LookPath(folder + program); err == nil {
			return path
		}
	}
	t.Skipf("%s is not installed (Debian: apt-get install %s): probes were not tried against it", program, debian)
	return ""
}

// strictServers are servers that verify their clients; TLS is "1.2" or "1.3", and
// with lax they ask for a certificate and take clients without one.
var strictServers = []struct {
	name  string
	start func(t *testing.T, s *server, version string, lax bool)
}{
	{"openssl", func(t *testing.T, s *server, version string, lax bool) {
		verifying := []string{"-Verify", "3", "-verify_return_error"}
		if lax {
			verifying = []string{"-verify", "3"}
		}
		s.run(t, installed(t, "openssl", "openssl"), append([]string{
			"s_server", "-accept", fmt.Sprintf("127.0.0.1:%d", s.port), "-cert", s.certificate, "-cert_chain", s.certificate, "-key", s.key, "-CAfile", s.roots,
			"-tls" + strings.Replace(version, ".", "_", 1), "-quiet",
		}, verifying...)...)
	}},
	{"haproxy", func(t *testing.T, s *server, version string, lax bool) {
		both, err := os.ReadFile(s.certificate)
		require.NoError(t, err)
		key, err := os.ReadFile(s.key)
		require.NoError(t, err)
		pair := s.write(t, filepath.Join(s.folder, "pair.pem"), append(both, key...))
		verifying := "required"
		if lax {
			verifying = "optional ca-ignore-err all crt-ignore-err all"
		}
		config := fmt.Sprintf(`global
  log stderr format raw local0
defaults
  mode tcp
  timeout connect 2s
  timeout client 10s
  timeout server 10s
listen mesh
  bind 127.0.0.1:%d ssl crt %s ca-file %s verify %s ssl-min-ver TLSv%s ssl-max-ver TLSv%s
  server application %s
`, s.port, pair, s.roots, verifying, version, version, s.application)
		s.run(t, installed(t, "haproxy", "haproxy"), "-f", s.write(t, filepath.Join(s.folder, "haproxy.cfg"), []byte(config)), "-db")
	}},
	{"nginx", func(t *testing.T, s *server, version string, lax bool) {
		module := "/usr/lib/nginx/modules/ngx_stream_module.so"
		if _, err := os.Stat(module); err != nil {
			t.Skip("the stream module of nginx is not installed (Debian: apt-get install libnginx-mod-stream)")
		}
		verifying := "on"
		if lax {
			verifying = "optional_no_ca"
		}
		config := fmt.Sprintf(`load_module %s;
daemon off; master_process off; error_log stderr; pid %s/pid;
events {}
stream {
  server {
    listen 127.0.0.1:%d ssl;
    ssl_certificate %s; ssl_certificate_key %s; ssl_client_certificate %s;
    ssl_verify_client %s; ssl_verify_depth 3; ssl_protocols TLSv%s;
    proxy_pass %s;
  }
}
`, module, s.folder, s.port, s.certificate, s.key, s.roots, verifying, version, s.application)
		s.run(t, installed(t, "nginx", "nginx libnginx-mod-stream"), "-c", s.write(t, filepath.Join(s.folder, "nginx.conf"), []byte(config)), "-p", s.folder, "-e", "stderr")
	}},
}

// try probes a server as a strict one without a proxy's own protocol.
func (s *server) try(t *testing.T, l *lab.Lab) verify.Result {
	t.Helper()
	targets := withIdentities(l)
	targets.Targets = []verify.TargetOfAFile{{
		Workload: "Deployment lab/server", Address: netip.MustParseAddr("127.0.0.1"), Port: int32(s.port), Way: verify.Proxyless, Standing: verify.Strict,
		Identity: identity(model.MeshIstio, "server"), Callers: []string{caller(model.MeshIstio)},
	}}
	expected := targets.Expectations()
	o := hurried(l)
	o.Timeout = 2 * time.Second
	sweep := probe.Run(t.Context(), expected, o)
	r := verify.Judge(&expected[0], &sweep.Seen[0])
	for i := range sweep.Seen[0].Seen {
		assertShown(t, &r, &sweep.Seen[0].Seen[i])
	}
	return r
}

// Servers of other hands come to the verdicts of the stand-ins: they hold where
// they verify their clients, and are found where they do not.
//
// Features: D1, D2, D3.
func TestServersOfOtherHandsComeToTheSameVerdicts(t *testing.T) {
	t.Parallel()
	l := start(t, model.MeshIstio, lab.Spec{Way: verify.Direct, Mode: lab.Disabled, App: lab.Silent})
	for _, kind := range strictServers {
		for _, version := range []string{"1.2", "1.3"} {
			t.Run(kind.name+" TLS "+version, func(t *testing.T) {
				s := newServer(t, l)
				kind.start(t, s, version, false)
				r := s.try(t, l)
				assert.Equal(t, verify.Pass, r.Verdict, "%s: %+v", r.Reason, r.Checks)
				if assert.NotNil(t, r.Session) {
					assert.Equal(t, version, r.Session.Version)
					assert.True(t, r.Session.Asked)
				}
			})
			t.Run(kind.name+" TLS "+version+" without verification", func(t *testing.T) {
				s := newServer(t, l)
				kind.start(t, s, version, true)
				r := s.try(t, l)
				assert.Equal(t, verify.Fail, r.Verdict, "%s: %+v", r.Reason, r.Checks)
				assert.Contains(t, failing(&r), "noCertificate", "%+v", r.Checks)
				assert.NotContains(t, failing(&r), "member", "%+v", r.Checks)
			})
		}
	}
}
