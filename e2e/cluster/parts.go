package main

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// A part is a program that is built from source.
type part struct {
	// module is the folder of the module that pins it, below the clone.
	module string
	// programs are packages; the last element is the name of the program.
	programs []string
	tags     string
	// stamped programs learn Kubernetes' version from the linker; unstamped, kubeadm refuses.
	stamped bool
	// own tells that the sources are in the clone, so that Go's own cache says what is new.
	own bool
}

const parts = "e2e/cluster/parts/"

// allParts are built in this order: small ones first, so that what is missing shows early.
var allParts = []part{
	{module: parts + "kind", programs: []string{"sigs.k8s.io/kind"}},
	{module: parts + "cni", programs: []string{
		"github.com/containernetworking/plugins/plugins/ipam/host-local", "github.com/containernetworking/plugins/plugins/main/loopback",
		"github.com/containernetworking/plugins/plugins/main/ptp", "github.com/containernetworking/plugins/plugins/meta/portmap",
	}},
	{module: parts + "containerd", tags: "no_aufs,no_btrfs,no_devmapper,no_zfs", programs: []string{
		"github.com/containerd/containerd/v2/cmd/containerd", "github.com/containerd/containerd/v2/cmd/ctr",
		"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
	}},
	{module: "hack/controlplane/etcd", programs: []string{"go.etcd.io/etcd/server/v3"}},
	{module: parts + "kubernetes", stamped: true, programs: []string{
		"k8s.io/kubernetes/cmd/kubeadm", "k8s.io/kubernetes/cmd/kubectl", "k8s.io/kubernetes/cmd/kubelet", "k8s.io/kubernetes/cmd/kube-proxy",
		"k8s.io/kubernetes/cmd/kube-scheduler", "k8s.io/kubernetes/cmd/kube-controller-manager",
	}},
	{module: "hack/controlplane/kubernetes", stamped: true, programs: []string{"k8s.io/kubernetes/cmd/kube-apiserver"}},
	{module: parts + "coredns", programs: []string{"github.com/coredns/coredns"}},
	{module: "tools/helm", programs: []string{"helm.sh/helm/v4/cmd/helm"}},
	{module: "e2e", own: true, programs: []string{
		"floe.dev/palisade/e2e/cluster/enforcer", "floe.dev/palisade/e2e/cluster/pause", "floe.dev/palisade/e2e/suite/peer",
	}},
	{module: ".", own: true, programs: []string{"floe.dev/palisade/cmd/palisade"}},
}

func (h *harness) buildParts(ctx context.Context) error {
	for _, p := range allParts {
		if err := h.buildPart(ctx, p); err != nil {
			return err
		}
	}
	return h.linkTools()
}

func (h *harness) buildPart(ctx context.Context, p part) error {
	if helm := os.Getenv("PALISADE_HELM"); helm != "" && p.module == "tools/helm" {
		h.parts["helm"] = helm // the Makefile has it built
		return nil
	}
	folder := filepath.Join(h.cache, "own")
	if !p.own {
		pins, err := keyOfFiles(filepath.Join(h.repository, p.module, "go.mod"), filepath.Join(h.repository, p.module, "go.sum"))
		if err != nil {
			return err
		}
		folder = filepath.Join(h.cache, "parts-"+path.Base(p.module)+"-"+key(pins, p.tags, strings.Join(p.programs, " ")))
	}
	for _, program := range p.programs {
		file := filepath.Join(folder, programName(program))
		h.parts[programName(program)] = file
		if p.own {
			if err := os.RemoveAll(file); err != nil {
				return err
			}
		}
		err := whole(file, func(beside string) error { return h.build(ctx, p, program, beside) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (h *harness) build(ctx context.Context, p part, program, file string) error {
	start := time.Now()
	flags := "-s -w"
	if p.stamped {
		version, err := h.kubernetesVersion(ctx)
		if err != nil {
			return err
		}
		const stamp = "k8s.io/component-base/version"
		numbers := strings.Split(strings.TrimPrefix(version, "v"), ".")
		flags += fmt.Sprintf(" -X %[1]s.gitVersion=%[2]s -X %[1]s.gitMajor=%[3]s -X %[1]s.gitMinor=%[4]s", stamp, version, numbers[0], numbers[1])
	}
	c := h.command(ctx, "nice", "-n", "15", "go", "build", "-trimpath", "-buildvcs=false", "-tags", p.tags, "-ldflags", flags, "-o", file, program)
	c.Dir = filepath.Join(h.repository, p.module)
	c.Env = append(c.Env, "CGO_ENABLED=0", "GOWORK=off")
	if _, err := output(c); err != nil {
		return err
	}
	if took := time.Since(start); took > time.Second {
		h.say("    built %s in %.0f s", programName(program), took.Seconds())
	}
	return nil
}

// kubernetesVersion is that which the control plane's module pins, such as "v1.37.2".
func (h *harness) kubernetesVersion(ctx context.Context) (string, error) {
	c := h.command(ctx, "go", "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes")
	c.Dir = filepath.Join(h.repository, "hack/controlplane/kubernetes")
	return output(c)
}

// programName is the name of the program that a package becomes.
func programName(pkg string) string {
	if pkg == "go.etcd.io/etcd/server/v3" {
		return "etcd"
	}
	return path.Base(pkg)
}

// linkTools puts what commands of exec call into one folder.
func (h *harness) linkTools() error {
	if err := os.MkdirAll(h.tools(), 0o755); err != nil {
		return err
	}
	for _, tool := range []string{"kind", "kubectl", "helm", "palisade"} {
		link := filepath.Join(h.tools(), tool)
		if err := os.RemoveAll(link); err != nil {
			return err
		}
		if err := os.Symlink(h.parts[tool], link); err != nil {
			return err
		}
	}
	return nil
}
