// Package controller drives `palisade controller` against a real API server.
package controller

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"floe.dev/palisade/e2e/embedded"
)

// root is the repository.
const root = "../.."

// One control plane and one binary serve all tests; each test has namespaces and profiles of its own.
var (
	plane  *embedded.ControlPlane
	binary string
)

func TestMain(m *testing.M) {
	code, err := withControlPlane(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e/controller:", err)
		code = 2
	}
	os.Exit(code)
}

func withControlPlane(run func() int) (code int, err error) {
	folder, err := os.MkdirTemp("", "palisade-e2e-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(folder)
	binary = filepath.Join(folder, "palisade")
	if out, err := exec.Command("go", "-C", root, "build", "-o", binary, "./cmd/palisade").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("building palisade: %w\n%s", err, out)
	}
	plane, err = embedded.Start(embedded.Options{Root: root, Flags: map[string]string{
		"service-cluster-ip-range":  "10.96.0.0/16",
		"disable-admission-plugins": "ServiceAccount", // nobody makes the default accounts
	}})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, plane.Stop()) }()
	return run(), nil
}
