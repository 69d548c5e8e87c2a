package linkerd

import (
	"fmt"
	"net/netip"
	"strings"

	"sigs.k8s.io/yaml"

	"floe.dev/palisade/model"
)

// values is what palisade reads of the Helm values that the ConfigMap
// linkerd-config holds. An empty field was absent.
type values struct {
	version           string
	trustDomain       string
	transport         string
	inboundPolicy     string
	clusterNetworks   []netip.Prefix
	opaquePorts       []model.Port
	ignoredInbound    []model.Port
	cni               bool
	noTokenProjection bool
	unreadable        []string // paths whose value is of no use
	hasOpaque         bool     // an empty list of opaque ports is a list
}

// parseValues reads the YAML of Helm values. The error says that it is no YAML
// mapping; a value of the wrong type is named in unreadable, and counts as absent.
func parseValues(text string) (values, error) {
	tree := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &tree); err != nil {
		return values{}, fmt.Errorf("reading the Helm values: %w", err)
	}
	var v values
	v.version = v.text(tree, "linkerdVersion")
	v.trustDomain = v.text(tree, "identityTrustDomain")
	v.transport = v.text(tree, "proxy", "outboundTransportMode")
	v.inboundPolicy = v.text(tree, "proxy", "defaultInboundPolicy")
	v.cni = v.text(tree, "cniEnabled") == "true"
	v.noTokenProjection = v.text(tree, "identity", "serviceAccountTokenProjection") == "false"
	v.opaquePorts, v.hasOpaque = v.ports(tree, "proxy", "opaquePorts")
	v.ignoredInbound, _ = v.ports(tree, "proxyInit", "ignoreInboundPorts")
	v.readNetworks(tree)
	if v.transport != "" && v.transport != transportHeader && v.transport != transportTransparent {
		v.unreadable = append(v.unreadable, "proxy.outboundTransportMode")
		v.transport = ""
	}
	return v, nil
}

// text is the scalar at a path as text, "" where there is none.
func (v *values) text(tree map[string]any, path ...string) string {
	for _, step := range path[:len(path)-1] {
		tree, _ = tree[step].(map[string]any)
	}
	switch value := tree[path[len(path)-1]].(type) {
	case nil:
		return ""
	case string:
		return strings.TrimSpace(value)
	case bool, int64, float64:
		return fmt.Sprint(value)
	default:
		v.unreadable = append(v.unreadable, strings.Join(path, "."))
		return ""
	}
}

func (v *values) ports(tree map[string]any, path ...string) ([]model.Port, bool) {
	parent, _ := tree[path[0]].(map[string]any)
	if _, found := parent[path[1]]; !found {
		return nil, false
	}
	ports, bad := parsePorts(v.text(tree, path...), nil)
	if len(bad) > 0 {
		v.unreadable = append(v.unreadable, strings.Join(path, "."))
	}
	return ports, true
}

func (v *values) readNetworks(tree map[string]any) {
	for item := range strings.SplitSeq(v.text(tree, "clusterNetworks"), ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(item)
		if err != nil {
			v.unreadable = append(v.unreadable, "clusterNetworks")
			continue
		}
		v.clusterNetworks = append(v.clusterNetworks, prefix.Masked())
	}
}
