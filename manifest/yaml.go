// Package manifest writes API objects as YAML for people and for kubectl: the
// same bytes for the same object, keys in the order that people expect, and
// nothing in it that a server keeps for itself.
//
// It is pure, and shared by whoever prints objects (plan as diffs, the command
// line as manifests).
package manifest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"

	yaml "go.yaml.in/yaml/v3"

	"floe.dev/palisade/model"
)

// Key orders: what is not named follows, sorted.
var (
	objectKeys   = []string{"apiVersion", "kind", "metadata", "spec"}
	metadataKeys = []string{"name", "namespace", "labels", "annotations"}
)

// Marshal writes one object as a YAML document without a separator. The status,
// and what only the server sets in the metadata, are left out. It panics where
// the tree holds what is not JSON, which no reader and no compiler makes.
func Marshal(o model.Object) []byte {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	encoder.CompactSeqIndent()
	if err := encoder.Encode(objectNode(Tidy(o.Tree))); err != nil {
		panic(fmt.Sprintf("manifest: %s has no YAML form: %v", o.Ref(), err))
	}
	return out.Bytes()
}

// MarshalAll writes objects in the given order, each led by a "---" line.
func MarshalAll(objects []model.Object) []byte {
	var out bytes.Buffer
	for _, o := range objects {
		out.WriteString("---\n")
		out.Write(Marshal(o))
	}
	return out.Bytes()
}

// List is a v1 List of the objects, each as Marshal would write it.
func List(objects []model.Object) map[string]any {
	items := make([]any, 0, len(objects))
	for _, o := range objects {
		items = append(items, Tidy(o.Tree))
	}
	return map[string]any{"apiVersion": "v1", "kind": "List", "items": items}
}

func objectNode(tree map[string]any) *yaml.Node {
	return mapping(tree, objectKeys, func(key string, value any) *yaml.Node {
		if meta, ok := value.(map[string]any); ok && key == "metadata" {
			return mapping(meta, metadataKeys, func(_ string, v any) *yaml.Node { return node(v) })
		}
		return node(value)
	})
}

// mapping writes the first keys first, the rest sorted.
func mapping(tree map[string]any, first []string, value func(string, any) *yaml.Node) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	add := func(key string) { n.Content = append(n.Content, text(key), value(key, tree[key])) }
	for _, key := range first {
		if _, ok := tree[key]; ok {
			add(key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(tree)) {
		if !slices.Contains(first, key) {
			add(key)
		}
	}
	if len(n.Content) == 0 {
		n.Style = yaml.FlowStyle
	}
	return n
}

func sequence(items []any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	for _, item := range items {
		n.Content = append(n.Content, node(item))
	}
	if len(items) == 0 {
		n.Style = yaml.FlowStyle
	}
	return n
}

func node(value any) *yaml.Node {
	switch v := value.(type) {
	case map[string]any:
		return mapping(v, nil, func(_ string, v any) *yaml.Node { return node(v) })
	case []any:
		return sequence(v)
	case string:
		return text(v)
	case bool:
		return scalar("!!bool", strconv.FormatBool(v))
	case int64:
		return scalar("!!int", strconv.FormatInt(v, 10))
	case float64:
		return number(v)
	case nil:
		return scalar("!!null", "null")
	default:
		n := &yaml.Node{}
		if err := n.Encode(v); err != nil {
			panic(fmt.Sprintf("manifest: %T has no YAML form: %v", v, err))
		}
		return n
	}
}

func scalar(tag, value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value}
}

// number writes a float so that it is read back as one and the same value: JSON
// knows no difference between 3 and 3.0, so whole numbers lose their point.
func number(v float64) *yaml.Node {
	if v == float64(int64(v)) && v < 1<<53 && v > -1<<53 {
		return scalar("!!int", strconv.FormatInt(int64(v), 10))
	}
	return scalar("!!float", strconv.FormatFloat(v, 'g', -1, 64))
}
