package issuers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"

	"floe.dev/palisade/e2e/embedded"
)

// root is the repository.
const root = "../.."

const day = 24 * time.Hour

// What all tests share.
var (
	plane  *embedded.ControlPlane
	client *kubernetes.Clientset
	// binary is palisade, built.
	binary string
	// programs is the folder of the CAs.
	programs = os.Getenv("PALISADE_ISSUERS")
)

func TestMain(m *testing.M) {
	code, err := withControlPlane(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, "difftest/issuers:", err)
		code = 2
	}
	os.Exit(code)
}

func withControlPlane(run func() int) (code int, err error) {
	if programs == "" {
		return 0, errors.New("PALISADE_ISSUERS names no folder with pilot-discovery and linkerd-identity; hack/issuers.sh builds one and prints it")
	}
	folder, err := os.MkdirTemp("", "palisade-issuers-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	binary = filepath.Join(folder, "palisade")
	if out, err := exec.Command("go", "-C", root, "build", "-o", binary, "./cmd/palisade").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("building palisade: %w\n%s", err, out)
	}
	plane, err = embedded.Start(embedded.Options{Root: root, Flags: map[string]string{
		// The identity service of 2021, the newest that can be had as a module, asks TokenReview for no audience
		// of its own, as later ones do: so its audience is made one of the API server's.
		"api-audiences": "https://kubernetes.default.svc.cluster.local," + linkerdAudience,
	}})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, plane.Stop()) }()
	if client, err = kubernetes.NewForConfig(plane.Config); err != nil {
		return 0, err
	}
	return run(), nil
}
