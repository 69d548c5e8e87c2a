package cluster

import (
	"encoding/base64"
	"path"
	"slices"

	"floe.dev/palisade/preflight"
)

// keepTree keeps an object as it is.
func keepTree(o *object, it *item) InputErrors {
	it.tree = o.tree
	return nil
}

// keptConfigMaps are the names, as patterns, of ConfigMaps that tell facts of
// a cluster: of the meshes, the resolver, kubeadm and the CNIs. All others may hold anything, and are not kept.
var keptConfigMaps = []string{
	"istio", "istio-*", "linkerd-config", "linkerd-identity-trust-roots", "coredns", "node-local-dns",
	"kubeadm-config", "kube-proxy", "cilium-config", "calico-config", "kubelet-config*",
}

func keepConfigMap(o *object, it *item) InputErrors {
	it.unknown = true
	for _, pattern := range keptConfigMaps {
		if ok, _ := path.Match(pattern, o.ref.Name); ok {
			it.tree, it.unknown = o.tree, false
			return nil
		}
	}
	return nil
}

// keepSecret keeps the certificates of Secrets in which a mesh has its authority,
// and nothing of any other. A running cluster is not asked for Secrets as it is for other kinds: see Survey.
func keepSecret(o *object, it *item) InputErrors {
	it.unknown = true
	if !slices.Contains(preflight.SecretNames(), o.ref.Name) {
		return nil
	}
	texts := map[string]string{}
	for key, value := range stringMap(o.tree["data"]) {
		texts[key] = value
	}
	for key, value := range stringMap(o.tree["stringData"]) {
		texts[key] = base64.StdEncoding.EncodeToString([]byte(value))
	}
	data := map[string]any{}
	for key, certificates := range certificatesOf(texts) {
		data[key] = base64.StdEncoding.EncodeToString(certificates)
	}
	it.tree, it.unknown = only(o.tree, "apiVersion", "kind", "metadata"), false
	it.tree["data"] = data
	return nil
}

// keepDefinition keeps of a CustomResourceDefinition what tells which versions
// of which kinds are served, and what converts between them; schemas are large.
func keepDefinition(o *object, it *item) InputErrors {
	spec, _ := o.tree["spec"].(map[string]any)
	versions, _ := spec["versions"].([]any)
	var kept []any
	for _, version := range versions {
		if version, ok := version.(map[string]any); ok {
			kept = append(kept, only(version, "name", "served", "storage"))
		}
	}
	tree := only(o.tree, "apiVersion", "kind", "metadata")
	tree["spec"] = only(spec, "group", "names", "scope", "conversion")
	if kept != nil {
		tree["spec"].(map[string]any)["versions"] = kept
	}
	it.tree = tree
	return nil
}

func only(tree map[string]any, keys ...string) map[string]any {
	kept := make(map[string]any, len(keys))
	for _, key := range keys {
		if value, ok := tree[key]; ok {
			kept[key] = value
		}
	}
	return kept
}
