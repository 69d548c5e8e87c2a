package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// document writes a JSON document whose lists may be long: an item a line, and
// none kept. What goes wrong with writing shows at the end.
type document struct {
	out   *bufio.Writer
	lists int
	items int
}

func beginDocument(w io.Writer, kind string) *document {
	d := &document{out: bufio.NewWriter(w)}
	d.write(fmt.Sprintf("{\n  \"apiVersion\": %q,\n  \"kind\": %q", apiVersion, kind))
	return d
}

// write leaves errors to the end: a bufio.Writer keeps the first one.
func (d *document) write(text string) { _, _ = d.out.WriteString(text) }

// field writes a short value.
func (d *document) field(name string, v any) {
	d.write(fmt.Sprintf(",\n  %q: %s", name, encoded(v)))
}

// list begins a list; what is added from here on belongs to it.
func (d *document) list(name string) {
	d.closeList()
	d.write(fmt.Sprintf(",\n  %q: [", name))
	d.lists++
	d.items = 0
}

func (d *document) closeList() {
	switch {
	case d.lists == 0:
	case d.items == 0:
		d.write("]")
	default:
		d.write("\n  ]")
	}
}

// add writes one item.
func (d *document) add(v any) {
	if d.items > 0 {
		d.write(",")
	}
	d.items++
	d.write("\n    " + encoded(v))
}

// encoded is a value on one line. The values are of our own types, which all have a JSON form.
func encoded(v any) string {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic(fmt.Sprintf("report: %T has no JSON form: %v", v, err))
	}
	return string(bytes.TrimRight(text.Bytes(), "\n"))
}

func (d *document) end() error {
	d.closeList()
	d.write("\n}\n")
	return d.out.Flush()
}
