// Package embedded runs a real Kubernetes control plane (etcd and kube-apiserver,
// no kubelet and no other controller) on loopback addresses, with the CRDs of
// palisade and of all that it writes.
package embedded

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	// Only their CRDs are wanted; the imports keep the modules in go.mod.
	_ "istio.io/api/security/v1"
	_ "sigs.k8s.io/gateway-api/apis/v1"
)

// ErrNoAssets tells that the programs have not been built.
var ErrNoAssets = errors.New("KUBEBUILDER_ASSETS names no folder with kube-apiserver and etcd; hack/controlplane.sh builds one and prints it")

// ControlPlane is a control plane that runs.
type ControlPlane struct {
	// Config is for clients with all rights, without a limit of their own.
	Config *rest.Config
	// Kubeconfig is a file that says the same.
	Kubeconfig string
	folder     string
	env        *envtest.Environment
}

// Options are what a control plane may differ in.
type Options struct {
	// Root is the repository.
	Root string
	// Flags of kube-apiserver, such as "service-cluster-ip-range".
	Flags map[string]string
	// Meshless leaves out the CRDs of the meshes and of Gateway API.
	Meshless bool
	// Linkerdless leaves out the CRDs of Linkerd, so that a cluster with Istio is told for one.
	Linkerdless bool
}

// Start starts a control plane; whoever does must Stop it.
func Start(o Options) (*ControlPlane, error) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return nil, ErrNoAssets
	}
	crds, err := definitions(o)
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "palisade-controlplane-")
	if err != nil {
		return nil, err
	}
	ctrl.SetLogger(logr.Discard())
	c := &ControlPlane{folder: folder, Kubeconfig: filepath.Join(folder, "kubeconfig")}
	c.env = &envtest.Environment{CRDDirectoryPaths: crds, ErrorIfCRDPathMissing: true}
	api := c.env.ControlPlane.GetAPIServer()
	api.CertDir = filepath.Join(folder, "certificates") // so that they outlast a restart
	for flag, value := range o.Flags {
		api.Configure().Set(flag, value)
	}
	if err := os.Mkdir(api.CertDir, 0o700); err != nil {
		return nil, err
	}
	if c.Config, err = c.env.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the control plane: %w", err), c.Stop())
	}
	c.Config.QPS = -1
	if err := os.WriteFile(c.Kubeconfig, c.env.KubeConfig, 0o600); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// Stop ends the control plane, and removes what it kept.
func (c *ControlPlane) Stop() error { return errors.Join(c.env.Stop(), os.RemoveAll(c.folder)) }

// KillServer kills kube-apiserver on the spot; etcd runs on.
func (c *ControlPlane) KillServer() error {
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return err
	}
	for _, file := range commands {
		command, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(command), c.folder) || !strings.Contains(string(command), "kube-apiserver") {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return err
		}
		return syscall.Kill(pid, syscall.SIGKILL)
	}
	return errors.New("no kube-apiserver is running")
}

// StartServer starts kube-apiserver again, on the same address.
func (c *ControlPlane) StartServer() error {
	api := c.env.ControlPlane.GetAPIServer()
	if err := api.Stop(); err != nil {
		return err
	}
	return api.Start()
}

// definitions are the folders and files with the CRDs of palisade and of all that it writes.
// Those of Linkerd are palisade's own minimal ones: the originals are in no module.
func definitions(o Options) ([]string, error) {
	paths := []string{filepath.Join(o.Root, "deploy/crds")}
	if o.Meshless {
		return paths, nil
	}
	if !o.Linkerdless {
		paths = append(paths, filepath.Join(o.Root, "mesh/linkerd/testdata/crds"))
	}
	for module, path := range map[string]string{
		"istio.io/api":            "kubernetes/customresourcedefinitions.gen.yaml",
		"sigs.k8s.io/gateway-api": "config/crd/standard",
	} {
		list := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module)
		list.Dir = filepath.Join(o.Root, "e2e")
		out, err := list.Output()
		if err != nil {
			return nil, fmt.Errorf("looking for module %s: %w", module, err)
		}
		paths = append(paths, filepath.Join(strings.TrimSpace(string(out)), path))
	}
	return paths, nil
}
