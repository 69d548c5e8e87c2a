package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"

	kjson "sigs.k8s.io/json"
)

// jsonText returns the text of a chunk without its "---" line, where it looks like JSON.
func (c *chunk) jsonText() (text []byte, line int, ok bool) {
	text, line = c.text, c.line
	if isMarker(text, "---") {
		text = text[3:]
	}
	trimmed := bytes.TrimLeft(text, " \t\r\n")
	line += bytes.Count(text[:len(text)-len(trimmed)], []byte("\n"))
	return trimmed, line, len(trimmed) > 0 && trimmed[0] == '{'
}

// parseJSON parses a stream of JSON values. Lines are counted from the beginning of text.
func parseJSON(text []byte) ([]parsed, error) {
	var documents []parsed
	decoder := json.NewDecoder(bytes.NewReader(text))
	for {
		var raw json.RawMessage
		err := decoder.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return nil, jsonSyntaxError(text, decoder, err)
		}
		from := int(decoder.InputOffset()) - len(raw)
		doc := parsed{text: raw, line: 1 + bytes.Count(text[:from], []byte("\n"))}
		strict, err := kjson.UnmarshalStrict(raw, &doc.tree)
		if err == nil && len(strict) > 0 {
			err = strict[0]
		}
		if err != nil {
			doc.fault = &lineError{line: doc.line, message: strings.TrimPrefix(err.Error(), "json: ")}
		}
		documents = append(documents, doc)
	}
}

func jsonSyntaxError(text []byte, decoder *json.Decoder, err error) error {
	at := int(decoder.InputOffset())
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		at = int(syntax.Offset)
	}
	at = min(max(at, 0), len(text))
	if errors.Is(err, io.ErrUnexpectedEOF) {
		at = len(bytes.TrimRight(text, " \t\r\n"))
	}
	return &lineError{line: 1 + bytes.Count(text[:at], []byte("\n")), message: err.Error()}
}

// jsonItemLines finds the lines on which the items of a JSON List begin, counted as text[0] being on the first line.
func jsonItemLines(text []byte, first int) []int {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if _, err := decoder.Token(); err != nil {
		return nil
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil
		}
		if key == "items" {
			return elementLines(text, decoder, first)
		}
		var skipped json.RawMessage
		if decoder.Decode(&skipped) != nil {
			return nil
		}
	}
	return nil
}

func elementLines(text []byte, decoder *json.Decoder, first int) []int {
	if open, err := decoder.Token(); err != nil || open != json.Delim('[') {
		return nil
	}
	var lines []int
	counted, line := 0, first
	for decoder.More() {
		var raw json.RawMessage
		if decoder.Decode(&raw) != nil {
			return nil
		}
		from := int(decoder.InputOffset()) - len(raw)
		line += bytes.Count(text[counted:from], []byte("\n"))
		counted = from
		lines = append(lines, line)
	}
	return lines
}
