package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed node
var nodeFiles embed.FS

// enforcerImage is the reference of the enforcer of NetworkPolicies.
const enforcerImage = "localhost/palisade-e2e-enforcer:e2e"

// makeNode imports an image that Kind takes for one of its nodes, if Docker has none that is made of the same.
func (h *harness) makeNode(ctx context.Context) error {
	k, err := h.nodeKey()
	if err != nil {
		return err
	}
	h.node = "localhost/palisade-e2e-node:" + k
	if _, err := output(h.command(ctx, "docker", "image", "inspect", "--format", "{{.Id}}", h.node)); err == nil {
		return nil
	}
	if err := h.importNode(ctx); err != nil {
		return err
	}
	return h.removeOldNodes(ctx)
}

// importNode gives Docker the node: Debian's root, and over it what is ours.
func (h *harness) importNode(ctx context.Context) (err error) {
	overlay, joined := filepath.Join(h.cache, "node"), filepath.Join(h.cache, "node.tar")
	if err := os.RemoveAll(overlay); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(joined), os.RemoveAll(overlay)) }()
	if err := h.overlay(ctx, overlay); err != nil {
		return err
	}
	if _, err := output(h.command(ctx, "cp", h.root, joined)); err != nil {
		return err
	}
	// Files only: Docker takes no archive that has a folder twice, and makes those that are missing.
	files, err := filesBelow(overlay)
	if err != nil {
		return err
	}
	add := h.command(ctx, "tar", "--append", "--file", joined, "--owner=0", "--group=0", "--directory", overlay, "--files-from=-")
	add.Stdin = strings.NewReader(strings.Join(files, "\n"))
	if _, err := output(add); err != nil {
		return err
	}
	_, err = output(h.command(ctx, "docker", "import", "--change", `ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]`, joined, h.node))
	return err
}

// removeOldNodes removes the images that this one replaces, and the cluster that was made of one: each takes a gigabyte.
func (h *harness) removeOldNodes(ctx context.Context) error {
	if err := h.deleteCluster(ctx); err != nil {
		return err
	}
	all, err := output(h.command(ctx, "docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "localhost/palisade-e2e-node"))
	if err != nil {
		return err
	}
	for _, reference := range strings.Fields(all) {
		if reference == h.node {
			continue
		}
		if _, err := output(h.command(ctx, "docker", "image", "rm", reference)); err != nil {
			return err
		}
	}
	return nil
}

// filesBelow are the files of a folder, as ./usr/bin/env.
func filesBelow(folder string) (files []string, err error) {
	err = fs.WalkDir(os.DirFS(folder), ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, "./"+path)
		}
		return err
	})
	return files, err
}

// nodeKey names the node by all that it is made of.
func (h *harness) nodeKey() (string, error) {
	of := []string{h.root}
	for _, name := range slices.Sorted(maps.Keys(h.parts)) {
		if !slices.Contains([]string{"enforcer", "helm", "kind", "palisade", "pause", "peer"}, name) {
			of = append(of, h.parts[name])
		}
	}
	own, err := keyOfFiles(h.parts["pause"], h.parts["enforcer"])
	if err != nil {
		return "", err
	}
	of = append(of, own)
	files, err := nodeFiles.ReadDir("node")
	if err != nil {
		return "", err
	}
	for _, f := range files {
		text, err := nodeFiles.ReadFile("node/" + f.Name())
		if err != nil {
			return "", err
		}
		of = append(of, string(text))
	}
	return key(of...), nil
}

// overlay fills a folder with what the node has beside Debian.
func (h *harness) overlay(ctx context.Context, folder string) error {
	version, err := h.kubernetesVersion(ctx)
	if err != nil {
		return err
	}
	images, sandbox, err := h.nodeImages(ctx, version)
	if err != nil {
		return err
	}
	for name, to := range map[string]string{
		"kubeadm": "/usr/local/bin/kubeadm", "kubectl": "/usr/local/bin/kubectl", "kubelet": "/usr/local/bin/kubelet",
		"containerd": "/usr/local/bin/containerd", "ctr": "/usr/local/bin/ctr", "containerd-shim-runc-v2": "/usr/local/bin/containerd-shim-runc-v2",
		"host-local": "/opt/cni/bin/host-local", "loopback": "/opt/cni/bin/loopback", "ptp": "/opt/cni/bin/ptp", "portmap": "/opt/cni/bin/portmap",
	} {
		if err := h.place(ctx, h.parts[name], filepath.Join(folder, to)); err != nil {
			return err
		}
	}
	if err := h.place(ctx, filepath.Join(h.debian, "usr/sbin/runc"), filepath.Join(folder, "usr/local/sbin/runc.real")); err != nil {
		return err
	}
	for name, to := range map[string]string{
		"entrypoint": "/usr/local/bin/entrypoint", "runc-bounded": "/usr/local/sbin/runc",
		"containerd.toml": "/etc/containerd/config.toml", "pod.conflist": "/etc/cni/net.d/10-pod.conflist",
	} {
		text, err := nodeFiles.ReadFile("node/" + name)
		if err != nil {
			return err
		}
		if err := put(filepath.Join(folder, to), strings.ReplaceAll(string(text), "@SANDBOX@", sandbox)); err != nil {
			return err
		}
	}
	if err := put(filepath.Join(folder, "kind/version"), version); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(folder, "kind/images"), 0o755); err != nil {
		return err
	}
	return archive(filepath.Join(folder, "kind/images/images.tar"), images)
}

func put(file, text string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o755)
}

// place copies a program to a place whose folders may not be there yet.
func (h *harness) place(ctx context.Context, program, to string) error {
	_, err := output(h.command(ctx, "install", "-D", "--mode=755", program, to))
	return err
}

// nodeImages are those that kubeadm asks for, made of our parts, and the enforcer's; sandbox is the reference of pause.
func (h *harness) nodeImages(ctx context.Context, version string) (images []image, sandbox string, err error) {
	list, err := output(h.command(ctx, h.parts["kubeadm"], "config", "images", "list", "--kubernetes-version", version))
	if err != nil {
		return nil, "", err
	}
	for _, reference := range strings.Fields(list) {
		program, _, _ := strings.Cut(path.Base(reference), ":")
		file, known := h.parts[program]
		if !known {
			return nil, "", fmt.Errorf("kubeadm asks for %s, and no part is called %s", reference, program)
		}
		i := image{reference: reference, files: map[string]string{"/usr/local/bin/" + program: file}, entrypoint: []string{"/usr/local/bin/" + program}}
		switch program {
		case "kube-proxy":
			i.base = h.root // it calls iptables and nft
		case "pause":
			sandbox = reference
		}
		if strings.HasPrefix(program, "kube-") || program == "etcd" {
			i.entrypoint = nil // manifests of kubeadm name the program themselves
		}
		images = append(images, i)
	}
	if sandbox == "" {
		return nil, "", fmt.Errorf("kubeadm asks for no image of pause: %s", list)
	}
	enforcer := image{
		reference: enforcerImage, base: h.root, entrypoint: []string{"/usr/local/bin/enforcer"},
		files: map[string]string{"/usr/local/bin/enforcer": h.parts["enforcer"]},
	}
	return append(images, enforcer), sandbox, nil
}
