package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"
)

// Insertion is a value to be put into a document, where nothing is.
type Insertion struct {
	// Steps lead to the field: names, and the indices of lists as text. Objects on the way that are not there are made.
	Steps []string
	// Append puts the value at the end of the list to which Steps lead.
	Append bool
	// Value is JSON.
	Value string
}

// ErrAliased tells that a document says by an anchor or a merge key what is to be changed, so that more would change with it.
var ErrAliased = errors.New("it is said by a YAML anchor, alias or merge key")

// ErrMisread tells that a document says something in words that would not be read as they are meant once it is changed.
var ErrMisread = errors.New("the document cannot be changed without changing what else it says")

// Insert puts values into a YAML or JSON document and leaves every other character of it
// as it is: comments, order, blank lines, quotes. The result is read again and
// compared with what was to come out; where it is not that, the document is written anew, with its comments and
// in its order. Nothing is ever replaced but null.
func Insert(document []byte, list []Insertion) ([]byte, error) {
	want, err := treeOf(document)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if want, err = grown(want, list[i].Steps, &list[i]); err != nil {
			return nil, err
		}
	}
	out, err := spliced(document, list)
	if errors.Is(err, ErrAliased) {
		return nil, err
	}
	if err == nil && same(out, want) {
		return out, nil
	}
	if out, err = rewritten(document, list); err != nil {
		return nil, err
	}
	if !same(out, want) {
		return nil, ErrMisread
	}
	return out, nil
}

// treeOf reads a document as Kubernetes does.
func treeOf(document []byte) (any, error) {
	data, err := sigsyaml.YAMLToJSON(document)
	if err != nil {
		return nil, err
	}
	return valueOf(string(data))
}

func valueOf(text string) (any, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil, err
	}
	return whole(v), nil
}

// whole turns numbers into those that node writes.
func whole(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			v[key] = whole(v[key])
		}
	case []any:
		for i := range v {
			v[i] = whole(v[i])
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64() // the decoder took it for a number
		return f
	}
	return v
}

func same(document []byte, want any) bool {
	got, err := treeOf(document)
	return err == nil && reflect.DeepEqual(got, want)
}

// grown puts a value into a tree.
func grown(tree any, steps []string, in *Insertion) (any, error) {
	if len(steps) == 0 {
		value, err := valueOf(in.Value)
		if err != nil {
			return nil, err
		}
		if in.Append {
			items, _ := tree.([]any)
			return append(slices.Clone(items), value), nil
		}
		if tree != nil {
			return nil, fmt.Errorf("something is there already: %s", strings.Join(in.Steps, "."))
		}
		return value, nil
	}
	switch t := tree.(type) {
	case nil:
		child, err := grown(nil, steps[1:], in)
		return map[string]any{steps[0]: child}, err
	case map[string]any:
		child, err := grown(t[steps[0]], steps[1:], in)
		t = maps.Clone(t)
		t[steps[0]] = child
		return t, err
	case []any:
		i, err := strconv.Atoi(steps[0])
		if err != nil || i < 0 || i >= len(t) {
			return nil, fmt.Errorf("there is no element %s in %s", steps[0], strings.Join(in.Steps, "."))
		}
		t = slices.Clone(t)
		t[i], err = grown(t[i], steps[1:], in)
		return t, err
	default:
		return nil, fmt.Errorf("%s leads through a value", strings.Join(in.Steps, "."))
	}
}

// place is the deepest node that is there on the way of an insertion, and what is left of the way.
type place struct {
	node  *yaml.Node
	steps []string
	// key is the last name before node, and null tells that node is a null, which gives way.
	parent *yaml.Node
	null   bool
}

func find(root *yaml.Node, steps []string) (place, error) {
	p := place{node: root, steps: steps}
	for {
		n := p.node
		if n.Kind == yaml.AliasNode || n.Anchor != "" {
			return p, ErrAliased
		}
		if n.Kind == yaml.ScalarNode {
			p.null = n.Tag == "!!null"
			return p, nil
		}
		if len(p.steps) == 0 {
			return p, nil
		}
		next, err := child(n, p.steps[0])
		if err != nil || next == nil {
			return p, err
		}
		p.parent, p.node, p.steps = n, next, p.steps[1:]
	}
}

// child is the value of a name, or the element of an index; nil where there is none.
func child(n *yaml.Node, step string) (*yaml.Node, error) {
	if n.Kind == yaml.SequenceNode {
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i], nil
		}
		return nil, fmt.Errorf("there is no element %s", step)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag == "!!merge" {
			return nil, ErrAliased
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == step {
			return n.Content[i+1], nil
		}
	}
	return nil, nil
}

func rootOf(document []byte) (*yaml.Node, *yaml.Node, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(document, &doc); err != nil {
		return nil, nil, err
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil, nil, errors.New("there is no document")
	}
	return &doc, doc.Content[0], nil
}

// nested is the value of an insertion, below the steps that are not there yet.
func (in *Insertion) nested(steps []string) (any, error) {
	value, err := valueOf(in.Value)
	if in.Append {
		value = []any{value}
	}
	for _, step := range slices.Backward(steps) {
		value = map[string]any{step: value}
	}
	return value, err
}

// rewritten inserts into the nodes of a document, and writes it anew.
func rewritten(document []byte, list []Insertion) ([]byte, error) {
	doc, root, err := rootOf(document)
	if err != nil {
		return nil, err
	}
	for i := range list {
		in := &list[i]
		p, err := find(root, in.Steps)
		if err != nil {
			return nil, err
		}
		if err := in.into(p); err != nil {
			return nil, err
		}
	}
	var out bytes.Buffer
	if bytes.HasPrefix(document, []byte("---")) {
		out.WriteString("---\n")
	}
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(doc); err != nil {
		return nil, err
	}
	return out.Bytes(), e.Close()
}

func (in *Insertion) into(p place) error {
	steps := p.steps
	switch {
	case p.null:
		value, err := in.nested(steps)
		if err != nil {
			return err
		}
		comments := *p.node
		*p.node = *node(value)
		p.node.HeadComment, p.node.LineComment, p.node.FootComment = comments.HeadComment, comments.LineComment, comments.FootComment
	case p.node.Kind == yaml.MappingNode && len(steps) > 0:
		value, err := in.nested(steps[1:])
		if err != nil {
			return err
		}
		p.node.Content = append(p.node.Content, text(steps[0]), node(value))
	case p.node.Kind == yaml.SequenceNode && in.Append && len(steps) == 0:
		value, err := valueOf(in.Value)
		if err != nil {
			return err
		}
		p.node.Content = append(p.node.Content, node(value))
	default:
		return fmt.Errorf("%s leads to a value", strings.Join(in.Steps, "."))
	}
	return nil
}
