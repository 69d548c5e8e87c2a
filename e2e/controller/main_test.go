// Package controller drives `palisade controller` against a real API server.
package controller

import (
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
	embedded.Main(m, embedded.Suite{Name: "e2e/controller", Program: "./cmd/palisade", Options: embedded.Options{Root: root, Flags: map[string]string{
		"service-cluster-ip-range":  "10.96.0.0/16",
		"disable-admission-plugins": "ServiceAccount", // nobody makes the default accounts
	}}}, func(p *embedded.ControlPlane, built string, run func() int) (int, error) {
		plane, binary = p, built
		return run(), nil
	})
}
