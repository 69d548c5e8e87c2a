package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// createCluster creates the Kind cluster, unless one runs that is made of the same image.
func (h *harness) createCluster(ctx context.Context) error {
	if used, err := output(h.command(ctx, "docker", "inspect", "--format", "{{.Config.Image}}", name+"-control-plane")); err == nil && used == h.node {
		if h.kubectl(ctx, nil, "get", "--raw", "/readyz") == nil {
			return nil
		}
	}
	if err := h.deleteCluster(ctx); err != nil {
		return err
	}
	config := filepath.Join(h.run, "kind.yaml")
	text, err := nodeFiles.ReadFile("node/kind.yaml")
	if err != nil {
		return err
	}
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return err
	}
	create, err := h.entered(ctx, h.parts["kind"], "create", "cluster", "--name", name, "--image", h.node, "--config", config,
		"--kubeconfig", h.kubeconfig(), "--wait", "120s", "--retain")
	if err != nil {
		return err
	}
	if _, err := output(create); err != nil {
		return fmt.Errorf("%w\nthe node is kept: docker logs, and /var/log in it", err)
	}
	return h.kubectl(ctx, nil, "wait", "--for=condition=Ready", "node", "--all", "--timeout=60s")
}

// deleteCluster deletes the cluster if there is one.
func (h *harness) deleteCluster(ctx context.Context) error {
	kind := filepath.Join(h.tools(), "kind")
	clusters, err := output(h.command(ctx, kind, "get", "clusters"))
	if err != nil || !slices.Contains(strings.Fields(clusters), name) {
		return err
	}
	_, err = output(h.command(ctx, kind, "delete", "cluster", "--name", name, "--kubeconfig", h.kubeconfig()))
	return err
}

// kubectl runs kubectl in the network of the cluster, with text as its standard input.
func (h *harness) kubectl(ctx context.Context, text []byte, args ...string) error {
	_, err := h.ask(ctx, text, args...)
	return err
}

func (h *harness) ask(ctx context.Context, text []byte, args ...string) (string, error) {
	c, err := h.entered(ctx, h.parts["kubectl"], args...)
	if err != nil {
		return "", err
	}
	c.Stdin = strings.NewReader(string(text))
	return output(c)
}

// load puts an image into the node's containerd.
func (h *harness) load(ctx context.Context, i image) error {
	file := filepath.Join(h.run, "image.tar")
	if err := archive(file, []image{i}); err != nil {
		return err
	}
	_, err := output(h.command(ctx, h.parts["kind"], "load", "image-archive", file, "--name", name))
	return errors.Join(err, os.Remove(file))
}

// enforcePolicies installs the enforcer, and believes in it only when packets say so.
func (h *harness) enforcePolicies(ctx context.Context) error {
	if err := h.load(ctx, image{
		reference: peerImage, files: map[string]string{"/peer": h.parts["peer"]}, entrypoint: []string{"/peer"}, user: "65532:65532",
	}); err != nil {
		return err
	}
	for _, manifest := range []string{"enforcer.yaml", "probe.yaml"} {
		text, err := nodeFiles.ReadFile("node/" + manifest)
		if err != nil {
			return err
		}
		// Again and again, as a pod needs its namespace's ServiceAccount, which comes a moment later.
		if err := await(ctx, 30*time.Second, func() error { return h.kubectl(ctx, text, "apply", "--server-side", "-f", "-") }); err != nil {
			return err
		}
	}
	if err := h.kubectl(ctx, nil, "rollout", "status", "--timeout=90s", "-n", "kube-system", "daemonset/palisade-e2e-enforcer"); err != nil {
		return err
	}
	return h.proveEnforcement(ctx)
}

// peerImage is the reference of the program that serves and dials in the tests' pods.
const peerImage = "localhost/palisade-e2e-peer:e2e"

// proveEnforcement waits until one and the same client reaches the server that no policy isolates, and not the one that a policy does.
func (h *harness) proveEnforcement(ctx context.Context) error {
	const namespace = "palisade-e2e-probe"
	if err := h.kubectl(ctx, nil, "wait", "--for=condition=Ready", "pod", "--all", "-n", namespace, "--timeout=90s"); err != nil {
		return err
	}
	address := func(pod string) (string, error) {
		return h.ask(ctx, nil, "get", "pod", "-n", namespace, pod, "-o", "jsonpath={.status.podIP}")
	}
	open, err := address("open")
	if err != nil {
		return err
	}
	closed, err := address("closed")
	if err != nil {
		return err
	}
	must := func(ip, expected string) error {
		seen, err := h.ask(ctx, nil, "exec", "-n", namespace, "client", "--", "/peer", "dial", "--timeout=1s", "tcp", ip+":8080")
		if err == nil && seen != expected {
			return fmt.Errorf("a flow is %q and must be %q: policies are not enforced as they should be", seen, expected)
		}
		return err
	}
	err = await(ctx, time.Minute, func() error {
		if err := must(open, "open"); err != nil {
			return err
		}
		return must(closed, "no answer")
	})
	if err != nil {
		return err
	}
	return h.kubectl(ctx, nil, "delete", "namespace", namespace, "--wait=false")
}
