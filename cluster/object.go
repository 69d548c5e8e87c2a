package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"floe.dev/palisade/model"
)

// parsed is one document: a YAML document, or one value of a JSON stream.
type parsed struct {
	tree  any
	fault error
	// line of the file on which the document's value begins.
	line int
	// node is the root of a YAML document, or of a JSON value once the line of a field was asked for; its lines count from the line before base+1.
	node *yaml.Node
	base int
	// text of a JSON value, which begins on line.
	text []byte
	// lineless tells that the text could not be read as YAML, so that no lines of fields are known.
	lineless bool
}

// object is one API object of a document.
type object struct {
	tree   map[string]any
	ref    model.Ref
	source model.Source
	doc    *parsed
	// path leads from the document's root to the object: empty, or "items", "3".
	path []string
	// live tells that the object comes from a running cluster, whose status counts.
	live bool
}

// parse turns a chunk into its documents, each with its lines counted in the file.
func (c *chunk) parse() ([]parsed, error) {
	text, line, isJSON := c.jsonText()
	if isJSON {
		documents, err := parseJSON(text)
		if err == nil || strings.HasSuffix(c.file, ".json") {
			return shifted(documents, line-1), shiftedError(err, line-1)
		}
	}
	nodes, err := parseYAML(c.text)
	documents := make([]parsed, len(nodes))
	for i, node := range nodes {
		tree, fault := treeOf(node)
		documents[i] = parsed{tree: tree, fault: shiftedError(fault, c.line-1), line: c.line - 1 + node.Line, node: node, base: c.line - 1}
	}
	return documents, shiftedError(err, c.line-1)
}

func shifted(documents []parsed, lines int) []parsed {
	for i := range documents {
		documents[i].line += lines
		documents[i].fault = shiftedError(documents[i].fault, lines)
	}
	return documents
}

// shiftedError moves the lines of a lineError to the file's own count.
func shiftedError(err error, lines int) error {
	var fault *lineError
	if !errors.As(err, &fault) {
		return err
	}
	parts := strings.Split(fault.message, linePlaceholder)
	if len(parts) == 3 {
		n, _ := strconv.Atoi(parts[1])
		parts[1] = strconv.Itoa(n + lines)
	}
	return &lineError{line: fault.line + lines, message: strings.Join(parts, "")}
}

// objects finds the API objects of a chunk, Lists taken apart. Documents are
// counted from 1 within the chunk; the count of them all is returned.
func (c *chunk) objects() ([]*object, InputErrors, int) {
	documents, err := c.parse()
	if err != nil {
		return nil, InputErrors{c.fault(err, 1)}, 1
	}
	var objects []*object
	var faults InputErrors
	for i := range documents {
		doc := &documents[i]
		if doc.fault != nil {
			faults = append(faults, c.fault(doc.fault, i+1))
			continue
		}
		root := &object{doc: doc, source: model.Source{File: c.file, Document: i + 1, Line: doc.line}}
		found, wrong := root.expand(doc.tree, "", "")
		objects = append(objects, found...)
		faults = append(faults, wrong...)
	}
	return objects, faults, len(documents)
}

func (c *chunk) fault(err error, document int) *InputError {
	f := &InputError{Source: model.Source{File: c.file, Document: document, Line: c.line}, Message: err.Error(), Err: err}
	var at *lineError
	if errors.As(err, &at) {
		f.Source.Line, f.Err = at.line, nil
	}
	return f
}

// expand turns a value into the object that it is, or into the items of the
// List that it is. Items of a typed List may lack apiVersion and kind: the List's are passed on.
func (o *object) expand(value any, apiVersion, kind string) ([]*object, InputErrors) {
	tree, ok := value.(map[string]any)
	if !ok {
		if value == nil && len(o.path) == 0 {
			return nil, nil
		}
		return nil, InputErrors{o.fault("", "is %s where an object with apiVersion and kind is expected", jsonTypeName(value))}
	}
	o.tree = tree
	for field, passed := range map[string]string{"apiVersion": apiVersion, "kind": kind} {
		if _, own := tree[field]; !own && passed != "" {
			tree[field] = passed
		}
	}
	if faults := o.checkTypeMeta(); len(faults) > 0 {
		return nil, faults
	}
	if tree["items"] != nil && o.ref.Kind == "List" && jsonTypeName(tree["items"]) != "a list" {
		return nil, InputErrors{o.fault("items", "must be a list, is %s", jsonTypeName(tree["items"]))}
	}
	if items, ok := listItems(tree); ok {
		return o.items(items)
	}
	return []*object{o}, nil
}

// checkTypeMeta demands apiVersion and kind, and fills in the reference.
func (o *object) checkTypeMeta() InputErrors {
	var missing []string
	for _, field := range []string{"apiVersion", "kind"} {
		value, ok := o.tree[field].(string)
		switch {
		case o.tree[field] != nil && !ok:
			return InputErrors{o.fault(field, "must be a text, is %s", jsonTypeName(o.tree[field]))}
		case value == "":
			missing = append(missing, field)
		}
	}
	if len(missing) > 0 {
		return InputErrors{o.fault("", "is not a Kubernetes object: %s missing", strings.Join(missing, " and "))}
	}
	meta, _ := o.tree["metadata"].(map[string]any)
	o.ref = model.Ref{APIVersion: text(o.tree["apiVersion"]), Kind: text(o.tree["kind"]), Namespace: text(meta["namespace"]), Name: text(meta["name"])}
	return nil
}

// listItems tells whether a tree is a List, by its kind and its items.
func listItems(tree map[string]any) ([]any, bool) {
	kind := text(tree["kind"])
	if !strings.HasSuffix(kind, "List") {
		return nil, false
	}
	items, isList := tree["items"].([]any)
	if !isList {
		return nil, tree["items"] == nil && (kind == "List" || tree["items"] != nil || hasKey(tree, "items"))
	}
	return items, true
}

func hasKey(tree map[string]any, key string) bool {
	_, ok := tree[key]
	return ok
}

func (o *object) items(items []any) ([]*object, InputErrors) {
	apiVersion, kind := text(o.tree["apiVersion"]), strings.TrimSuffix(text(o.tree["kind"]), "List")
	if kind == "" {
		apiVersion = ""
	}
	lines := o.itemLines()
	var objects []*object
	var faults InputErrors
	for i, value := range items {
		item := &object{doc: o.doc, source: o.source, path: append(slices.Clone(o.path), "items", strconv.Itoa(i))}
		if i < len(lines) {
			item.source.Line = lines[i]
		}
		found, wrong := item.expand(value, apiVersion, kind)
		objects = append(objects, found...)
		faults = append(faults, wrong...)
	}
	return objects, faults
}

// itemLines are the lines on which the items of a List begin; empty where that is not cheap to know.
func (o *object) itemLines() []int {
	if o.doc.node == nil {
		if len(o.path) > 0 {
			return nil
		}
		return jsonItemLines(o.doc.text, o.doc.line)
	}
	_, list := find(o.doc.node, append(slices.Clone(o.path), "items"))
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil
	}
	lines := make([]int, len(list.Content))
	for i, item := range list.Content {
		lines[i] = o.doc.base + item.Line
	}
	return lines
}

// fault makes an error about a field of the object, with the line of that field.
func (o *object) fault(field, format string, args ...any) *InputError {
	f := &InputError{Source: o.source, Ref: o.ref, Field: field, Message: fmt.Sprintf(format, args...)}
	f.Source.Line = cmp.Or(o.doc.lineOf(append(slices.Clone(o.path), splitPath(field)...)), f.Source.Line)
	return f
}

func text(value any) string {
	s, _ := value.(string)
	return s
}

// jsonTypeName names the JSON type of a value as a person would.
func jsonTypeName(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case string:
		return "a text"
	case bool:
		return "a boolean"
	case int64, float64:
		return "a number"
	case []any:
		return "a list"
	default:
		return "an object"
	}
}
