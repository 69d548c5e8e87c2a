package cluster

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxAliased bounds how many nodes aliases may unfold to in one document, so that a few lines cannot fill the memory.
const maxAliased = 100_000

// lineError is a fault at a line, counted from 1 within the text that was parsed.
type lineError struct {
	line    int
	message string
}

func (e *lineError) Error() string { return e.message }

// parseYAML parses the documents of a text to their nodes.
func parseYAML(text []byte) ([]*yaml.Node, error) {
	var nodes []*yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		node := &yaml.Node{}
		err := decoder.Decode(node)
		if errors.Is(err, io.EOF) {
			return nodes, nil
		}
		if err != nil {
			return nil, syntaxError(text, err)
		}
		if node.Kind == yaml.DocumentNode && len(node.Content) == 1 {
			nodes = append(nodes, node.Content[0])
		}
	}
}

var yamlErrorPrefix = regexp.MustCompile(`^yaml: (line \d+: )?`)

// syntaxError finds the line of a syntax error. The parser names the line on
// which the structure that broke begins, or the one before it. What helps is
// the first line without which the error does not come.
func syntaxError(text []byte, err error) error {
	lines := bytes.SplitAfter(text, []byte("\n"))
	low, high := 1, len(lines)
	for low < high {
		middle := (low + high) / 2
		var node yaml.Node
		cut := yaml.Unmarshal(bytes.Join(lines[:middle], nil), &node)
		if cut != nil && cut.Error() == err.Error() {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return &lineError{line: low, message: yamlErrorPrefix.ReplaceAllString(err.Error(), "")}
}

// treeMaker turns YAML nodes into a JSON tree, with the meaning that kubectl
// gives them: YAML 1.1 (on, off, yes and no are booleans), keys become
// strings, whole numbers int64. Duplicate keys are faults.
type treeMaker struct {
	// aliased counts the nodes reached by way of aliases.
	aliased int
	inAlias int
	open    map[*yaml.Node]bool
}

// treeOf converts a document; the error is a *lineError.
func treeOf(node *yaml.Node) (any, error) {
	return (&treeMaker{}).value(node)
}

func faultAt(node *yaml.Node, format string, args ...any) error {
	return &lineError{line: node.Line, message: fmt.Sprintf(format, args...)}
}

func (m *treeMaker) value(node *yaml.Node) (any, error) {
	if m.inAlias > 0 {
		if m.aliased++; m.aliased > maxAliased {
			return nil, faultAt(node, "aliases unfold to more than %d values", maxAliased)
		}
	}
	switch node.Kind {
	case yaml.MappingNode:
		return m.mapping(node)
	case yaml.SequenceNode:
		list := make([]any, len(node.Content))
		for i, item := range node.Content {
			var err error
			if list[i], err = m.value(item); err != nil {
				return nil, err
			}
		}
		return list, nil
	case yaml.AliasNode:
		return m.alias(node)
	default:
		return scalar(node)
	}
}

func (m *treeMaker) alias(node *yaml.Node) (any, error) {
	if m.open[node.Alias] {
		return nil, faultAt(node, "anchor %q contains itself", node.Value)
	}
	if m.open == nil {
		m.open = map[*yaml.Node]bool{}
	}
	m.open[node.Alias] = true
	m.inAlias++
	defer func() { delete(m.open, node.Alias); m.inAlias-- }()
	return m.value(node.Alias)
}

func (m *treeMaker) mapping(node *yaml.Node) (any, error) {
	tree := make(map[string]any, len(node.Content)/2)
	var merges []*yaml.Node
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if isMerge(key) {
			merges = append(merges, value)
			continue
		}
		name, err := m.key(key)
		if err != nil {
			return nil, err
		}
		if _, twice := tree[name]; twice {
			return nil, faultAt(key, "key %q is there twice, first on line %s", name, firstLine(node, name))
		}
		if tree[name], err = m.value(value); err != nil {
			return nil, err
		}
	}
	return tree, m.merge(tree, merges)
}

func isMerge(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && key.Value == "<<" && key.ShortTag() == "!!merge"
}

// linePlaceholder marks a line number within a message, to be moved to the file's own count.
const linePlaceholder = "\x00"

func firstLine(node *yaml.Node, name string) string {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if key, err := (&treeMaker{}).key(node.Content[i]); err == nil && key == name {
			return linePlaceholder + strconv.Itoa(node.Content[i].Line) + linePlaceholder
		}
	}
	return "?"
}

// merge adds what "<<" keys bring: own keys win, then those of earlier mappings.
func (m *treeMaker) merge(tree map[string]any, merges []*yaml.Node) error {
	for _, node := range merges {
		value, err := m.value(node)
		if err != nil {
			return err
		}
		list, isList := value.([]any)
		if !isList {
			list = []any{value}
		}
		for _, from := range list {
			mapping, ok := from.(map[string]any)
			if !ok {
				return faultAt(node, "what << merges must be a mapping, or a list of mappings")
			}
			for key, value := range mapping {
				if _, own := tree[key]; !own {
					tree[key] = value
				}
			}
		}
	}
	return nil
}

// key is the text of a mapping's key. Numbers and booleans become text, as JSON has no other keys.
func (m *treeMaker) key(node *yaml.Node) (string, error) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind != yaml.ScalarNode {
		return "", faultAt(node, "a key must be a text")
	}
	value, err := scalar(node)
	if err != nil {
		return "", err
	}
	switch value := value.(type) {
	case string:
		return value, nil
	case int64:
		return strconv.FormatInt(value, 10), nil
	case bool:
		return strconv.FormatBool(value), nil
	case float64:
		return strconv.FormatFloat(value, 'g', -1, 32), nil
	default:
		return "", faultAt(node, "a key must be a text")
	}
}

var (
	yaml11Bools = map[string]bool{
		"y": true, "Y": true, "yes": true, "Yes": true, "YES": true, "on": true, "On": true, "ON": true,
		"n": false, "N": false, "no": false, "No": false, "NO": false, "off": false, "Off": false, "OFF": false,
		"true": true, "True": true, "TRUE": true, "false": false, "False": false, "FALSE": false,
	}
	yamlFloat = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
)

// scalar resolves one scalar.
func scalar(node *yaml.Node) (any, error) {
	if node.Style == 0 && node.Tag == "!!str" {
		if len(node.Value) <= len("false") {
			if b, ok := yaml11Bools[node.Value]; ok {
				return b, nil
			}
		}
		return node.Value, nil
	}
	switch node.ShortTag() {
	case "!!null":
		return nil, nil
	case "!!bool":
		if b, ok := yaml11Bools[node.Value]; ok {
			return b, nil
		}
		return nil, faultAt(node, "%q is not a boolean", node.Value)
	case "!!int", "!!float":
		return number(node)
	case "!!binary":
		data, err := base64.StdEncoding.DecodeString(node.Value)
		if err != nil {
			return nil, faultAt(node, "!!binary value is not base64: %v", err)
		}
		return string(data), nil
	default:
		return node.Value, nil
	}
}

// number reads an integer or a float. As in JSON, a whole float is an integer.
func number(node *yaml.Node) (any, error) {
	plain := strings.ReplaceAll(node.Value, "_", "")
	if n, err := strconv.ParseInt(plain, 0, 64); err == nil {
		return n, nil
	}
	if n, err := strconv.ParseUint(plain, 0, 64); err == nil {
		return float64(n), nil
	}
	f, err := strconv.ParseFloat(plain, 64)
	if err != nil || !yamlFloat.MatchString(plain) || math.IsInf(f, 0) || math.IsNaN(f) {
		return nil, faultAt(node, "%q is not a number that JSON can hold", node.Value)
	}
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int64(f), nil
	}
	return f, nil
}
