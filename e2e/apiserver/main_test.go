package apiserver

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"

	"floe.dev/palisade/e2e/embedded"
)

// root is the repository.
const root = "../.."

// now is the time at which palisade judges, so that no exemption expires under the tests.
const now = "2026-11-23T12:00:00Z"

// One control plane and one binary serve all tests.
var (
	config *rest.Config
	binary string
)

func TestMain(m *testing.M) {
	embedded.Main(m, embedded.Suite{Name: "e2e/apiserver", Program: "./cmd/palisade", Options: embedded.Options{Root: root, Flags: map[string]string{
		// As in the examples: the Service range holds their kube-dns, and the endpoints of the
		// API server are theirs to tell.
		"service-cluster-ip-range": "10.96.0.0/16",
		"endpoint-reconciler-type": "none",
	}}}, func(plane *embedded.ControlPlane, built string, run func() int) (int, error) {
		config, binary = plane.Config, built
		return run(), nil
	})
}

// run is palisade run once.
type run struct {
	out, notes string
	code       int
}

// palisade runs the binary as of now, with the exit code that findings and
// problems earn; usage and input errors fail the test.
func palisade(t *testing.T, args ...string) run {
	t.Helper()
	r := palisadeAtAll(t, append(args, "--at", now)...)
	require.NotEqual(t, 2, r.code, "palisade %s\n%s", strings.Join(args, " "), r.notes)
	return r
}

func palisadeAtAll(t *testing.T, args ...string) run {
	t.Helper()
	var out, notes bytes.Buffer
	c := exec.CommandContext(t.Context(), binary, args...)
	c.Stdout, c.Stderr = &out, &notes
	var failed *exec.ExitError
	if err := c.Run(); err != nil && !errors.As(err, &failed) {
		require.NoError(t, err)
	}
	return run{out.String(), notes.String(), c.ProcessState.ExitCode()}
}
