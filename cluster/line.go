package cluster

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// lineOf finds the line of the file on which a field stands, or, where it is
// missing, that of what it would stand in; 0 where it cannot be told. JSON is
// read once more as YAML, which it nearly is: this is the way of errors, and is
// gone once a document, which may be a List with thousands of them.
func (p *parsed) lineOf(path []string) int {
	if p.node == nil && !p.lineless {
		nodes, err := parseYAML(p.text)
		if p.lineless = err != nil || len(nodes) == 0; !p.lineless {
			p.node, p.base = nodes[0], p.line-1
		}
	}
	if p.node == nil {
		return 0
	}
	at, _ := find(p.node, path)
	return p.base + at.Line
}

// find follows a path as far as it goes. It returns the node that stands for
// the line (the key of a mapping, the item of a list) and the value, which is nil where the path ends early.
func find(root *yaml.Node, path []string) (at, value *yaml.Node) {
	at, value = root, root
	for _, part := range path {
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		key, next := step(value, part)
		if next == nil {
			return at, nil
		}
		at, value = key, next
	}
	return at, value
}

func step(node *yaml.Node, part string) (key, value *yaml.Node) {
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == part {
				return node.Content[i], node.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(part); err == nil && i >= 0 && i < len(node.Content) {
			return node.Content[i], node.Content[i]
		}
	}
	return nil, nil
}

// splitPath takes a field path apart: "spec.ports[0].port" and "metadata.labels[app.kubernetes.io/name]".
func splitPath(path string) []string {
	var parts []string
	for path != "" {
		switch i := strings.IndexAny(path, ".["); {
		case path[0] == '[':
			end := strings.IndexByte(path, ']')
			if end < 0 {
				return parts
			}
			parts, path = append(parts, strings.Trim(path[1:end], `"`)), path[end+1:]
		case path[0] == '.':
			path = path[1:]
		case i < 0:
			return append(parts, path)
		default:
			parts, path = append(parts, path[:i]), path[i:]
		}
	}
	return parts
}
