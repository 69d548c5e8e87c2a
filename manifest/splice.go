package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	yaml "go.yaml.in/yaml/v3"
)

// errUnclear tells that a place in the text was not found, so that the document must be written anew.
var errUnclear = errors.New("the place in the text is not clear")

// spliced inserts one value after the other into the text itself.
func spliced(document []byte, list []Insertion) ([]byte, error) {
	for i := range list {
		_, root, err := rootOf(document)
		if err != nil {
			return nil, err
		}
		p, err := find(root, list[i].Steps)
		if err != nil {
			return nil, err
		}
		if document, err = splice(document, p, &list[i]); err != nil {
			return nil, err
		}
	}
	return document, nil
}

func splice(document []byte, p place, in *Insertion) ([]byte, error) {
	n := p.node
	switch {
	case p.null || n.Kind == yaml.ScalarNode:
		return nil, errUnclear
	case n.Kind == yaml.SequenceNode && in.Append && len(p.steps) == 0:
		value, err := valueOf(in.Value)
		if err != nil {
			return nil, err
		}
		if isFlow(n) {
			return intoBrackets(document, n, flow(document, value))
		}
		return afterNode(document, n, n.Column-1, []any{value})
	case n.Kind == yaml.MappingNode && len(p.steps) > 0:
		value, err := in.nested(p.steps[1:])
		if err != nil {
			return nil, err
		}
		if isFlow(n) {
			return intoBrackets(document, n, flow(document, p.steps[0])+": "+flow(document, value))
		}
		return afterNode(document, n, n.Content[0].Column-1, map[string]any{p.steps[0]: value})
	}
	return nil, errUnclear
}

func isFlow(n *yaml.Node) bool { return n.Style&yaml.FlowStyle != 0 || len(n.Content) == 0 }

// flow writes a value on one line, as JSON where the document is JSON.
func flow(document []byte, value any) string {
	var out bytes.Buffer
	if bytes.TrimSpace(document)[0] == '{' {
		e := json.NewEncoder(&out)
		e.SetEscapeHTML(false)
		if err := e.Encode(value); err != nil {
			panic("manifest: a tree has no JSON: " + err.Error())
		}
		return strings.TrimSuffix(out.String(), "\n")
	}
	n := node(value)
	inBrackets(n)
	if err := yaml.NewEncoder(&out).Encode(n); err != nil {
		panic("manifest: a tree has no YAML: " + err.Error())
	}
	return strings.TrimSuffix(out.String(), "\n")
}

func inBrackets(n *yaml.Node) {
	if n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode {
		n.Style = yaml.FlowStyle
	} else if n.Style&yaml.LiteralStyle != 0 || strings.ContainsAny(n.Value, ",[]{}#:") {
		n.Style = yaml.DoubleQuotedStyle
	}
	for _, c := range n.Content {
		inBrackets(c)
	}
}

// offset is where a line and column, both from 1, are in a text; columns count characters.
func offset(document []byte, line, column int) int {
	at := 0
	for ; line > 1; line-- {
		end := bytes.IndexByte(document[at:], '\n')
		if end < 0 {
			return len(document)
		}
		at += end + 1
	}
	rest := string(document[at:])
	for i := range rest {
		if column--; column == 0 {
			return at + i
		}
	}
	return len(document)
}

// intoBrackets puts text at the end of a mapping or list in brackets.
func intoBrackets(document []byte, n *yaml.Node, text string) ([]byte, error) {
	open := offset(document, n.Line, n.Column)
	end := closing(document, open)
	if end < 0 {
		return nil, errUnclear
	}
	last := len(bytes.TrimRight(document[:end], " \t\r\n"))
	switch document[last-1] {
	case ',':
		text = " " + text
	case '{', '[':
		if last-1 != open {
			return nil, errUnclear
		}
	default:
		text = ", " + text
	}
	return insertAt(document, last, text), nil
}

// closing is where the bracket at open is closed; -1 where that is not clear.
func closing(document []byte, open int) int {
	if open >= len(document) || document[open] != '{' && document[open] != '[' {
		return -1
	}
	depth := 0
	for i := open; i < len(document); i++ {
		switch c := document[i]; c {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i
			}
		case '#':
			if document[i-1] == ' ' || document[i-1] == '\n' || document[i-1] == '\t' {
				return -1
			}
		case '"', '\'':
			if !strings.ContainsRune(" \t\n,[{:", rune(document[i-1])) {
				continue // within a plain scalar
			}
			if i = endOfQuote(document, i); i < 0 {
				return -1
			}
		}
	}
	return -1
}

func endOfQuote(document []byte, at int) int {
	quote := document[at]
	for i := at + 1; i < len(document); i++ {
		switch {
		case document[i] == '\\' && quote == '"':
			i++
		case document[i] == quote:
			return i
		}
	}
	return -1
}

// afterNode puts a block behind a mapping or list in block style, indented as its elements are.
func afterNode(document []byte, n *yaml.Node, indent int, value any) ([]byte, error) {
	var block bytes.Buffer
	e := yaml.NewEncoder(&block)
	e.SetIndent(2)
	e.CompactSeqIndent()
	if err := e.Encode(node(value)); err != nil {
		return nil, err
	}
	if err := e.Close(); err != nil {
		return nil, err
	}
	var out strings.Builder
	ending := "\n"
	if bytes.Contains(document, []byte("\r\n")) {
		ending = "\r\n"
	}
	for line := range strings.Lines(block.String()) {
		out.WriteString(strings.Repeat(" ", indent) + strings.TrimSuffix(line, "\n") + ending)
	}
	at := endOf(document, n, indent)
	if at > 0 && document[at-1] != '\n' {
		return insertAt(document, at, ending+strings.TrimSuffix(out.String(), ending)), nil
	}
	return insertAt(document, at, out.String()), nil
}

// endOf is behind the last line of a node: that of its last part, and all deeper ones below, but for blank lines and
// comments at the end that stand further out.
func endOf(document []byte, n *yaml.Node, indent int) int {
	at := offset(document, lastLine(n), 1)
	at = nextLine(document, at)
	end := at
	for at < len(document) {
		next := nextLine(document, at)
		line := bytes.TrimRight(document[at:next], " \t\r\n")
		depth := len(line) - len(bytes.TrimLeft(line, " "))
		if len(line) > 0 && depth <= indent {
			break
		}
		if at = next; len(line) > 0 {
			end = next
		}
	}
	return end
}

func nextLine(document []byte, at int) int {
	if end := bytes.IndexByte(document[at:], '\n'); end >= 0 {
		return at + end + 1
	}
	return len(document)
}

// lastLine is the line on which the last part of a node begins.
func lastLine(n *yaml.Node) int {
	last := n.Line
	for _, c := range n.Content {
		last = max(last, lastLine(c))
	}
	return last
}

func insertAt(document []byte, at int, text string) []byte {
	out := make([]byte, 0, len(document)+len(text))
	out = append(out, document[:at]...)
	out = append(out, text...)
	return append(out, document[at:]...)
}
