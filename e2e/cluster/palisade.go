package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

// Where palisade is installed, and its image.
const (
	home              = "palisade-system"
	palisadeImage     = "localhost/palisade"
	palisadeNamespace = `apiVersion: v1
kind: Namespace
metadata:
  name: palisade-system
  labels: {pod-security.kubernetes.io/enforce: restricted, pod-security.kubernetes.io/warn: restricted}
`
)

// loadPalisade puts palisade's image, static and from scratch, into the node, under a tag made of its contents.
func (h *harness) loadPalisade(ctx context.Context) error {
	tag, err := h.palisadeTag()
	if err != nil {
		return err
	}
	return h.load(ctx, image{
		reference: palisadeImage + ":" + tag, files: map[string]string{"/palisade": h.parts["palisade"]},
		entrypoint: []string{"/palisade"}, user: "65532:65532",
	})
}

func (h *harness) palisadeTag() (string, error) { return keyOfFiles(h.parts["palisade"]) }

// installPalisade installs the chart, or upgrades it, and waits until every replica is ready.
func (h *harness) installPalisade(ctx context.Context) error {
	tag, err := h.palisadeTag()
	if err != nil {
		return err
	}
	if err := h.kubectl(ctx, []byte(palisadeNamespace), "apply", "--server-side", "-f", "-"); err != nil {
		return err
	}
	node, err := h.ask(ctx, nil, "get", "node", "-o", `jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}`)
	if err != nil {
		return err
	}
	service, err := h.ask(ctx, nil, "get", "service", "-n", "default", "kubernetes", "-o", "jsonpath={.spec.clusterIP}")
	if err != nil {
		return err
	}
	install, err := h.entered(ctx, h.parts["helm"], "upgrade", "palisade", filepath.Join(h.repository, "deploy/chart/palisade"),
		"--install", "--namespace", home, "--kubeconfig", h.kubeconfig(), "--wait", "--timeout", "3m",
		"--set", "image.repository="+palisadeImage, "--set-string", "image.tag="+tag, "--set", "image.pullPolicy=Never",
		"--set", "mesh.name=none", "--set", fmt.Sprintf("networkPolicy.apiServer.cidrs={%s/32,%s/32}", node, service),
		"--set", "resources.requests.cpu=10m")
	if err != nil {
		return err
	}
	own := filepath.Join(h.run, "helm")
	install.Env = append(install.Env, "HELM_CONFIG_HOME="+own, "HELM_CACHE_HOME="+own, "HELM_DATA_HOME="+own)
	if _, err := output(install); err != nil {
		pods, _ := h.ask(ctx, nil, "describe", "pods", "-n", home)
		return fmt.Errorf("%w\n%s", err, tail(strings.TrimSpace(pods), 25))
	}
	return nil
}
