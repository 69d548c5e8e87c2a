package harden

import (
	"strconv"
	"strings"
)

func itoa(n int) string { return strconv.Itoa(n) }

// Patch appends the changes to out as a JSON Patch (RFC 6902), in their order. Fields of an object that is
// not there come as one object.
func Patch(out []byte, changes []Change) []byte {
	out = append(out, '[')
	for i := 0; i < len(changes); {
		if i > 0 {
			out = append(out, ',')
		}
		c := &changes[i]
		next := i + 1
		for c.Missing && next < len(changes) && changes[next].sameParent(c) {
			next++
		}
		out = appendOperation(out, changes[i:next])
		i = next
	}
	return append(out, ']')
}

func (c *Change) sameParent(o *Change) bool {
	return c.Missing && c.List == o.List && c.Index == o.Index && c.Parent == o.Parent
}

func appendOperation(out []byte, group []Change) []byte {
	c := &group[0]
	if c.Op == Remove {
		out = append(out, `{"op":"remove","path":"`...)
		return append(c.appendPointer(out, c.Field), `"}`...)
	}
	out = append(out, `{"op":"add","path":"`...)
	switch {
	case c.Missing && c.Op == Append:
		out = append(c.appendPointer(out, ""), `","value":[`...)
		for i := range group {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(out, group[i].Value...)
		}
		return append(out, `]}`...)
	case c.Missing:
		out = append(c.appendPointer(out, ""), `","value":{`...)
		for i := range group {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(out, '"')
			out = append(out, group[i].Field...)
			out = append(out, '"', ':')
			out = append(out, group[i].Value...)
		}
		return append(out, `}}`...)
	case c.Op == Append:
		out = append(c.appendPointer(out, "-"), `","value":`...)
	default:
		out = append(c.appendPointer(out, c.Field), `","value":`...)
	}
	out = append(out, c.Value...)
	return append(out, '}')
}

// appendPointer appends a JSON Pointer (RFC 6901) to a field.
func (c *Change) appendPointer(out []byte, field string) []byte {
	switch c.List {
	case "":
		out = append(out, "/spec"...)
	case "metadata":
		out = append(out, "/metadata"...)
	default:
		out = append(out, "/spec/"...)
		out = append(out, c.List...)
		out = append(out, '/')
		out = strconv.AppendInt(out, int64(c.Index), 10)
	}
	if c.Parent != "" {
		out = append(append(out, '/'), c.Parent...)
	}
	if field == "" {
		return out
	}
	out = append(out, '/')
	if strings.ContainsAny(field, "~/") {
		field = strings.ReplaceAll(strings.ReplaceAll(field, "~", "~0"), "/", "~1")
	}
	return append(out, field...)
}

// record notes the changes on the pod, behind those of an earlier turn: what was changed, "; " between them.
func (w *work) record(profile, exempt string) {
	b := make([]byte, 0, 64*len(w.changes))
	switch {
	case w.pod.record != "":
		b = append(b, w.pod.record...)
	default:
		b = append(b, "profile "...)
		b = append(b, profile...)
		if exempt != "" {
			b = append(b, ", without the security context: "...)
			b = append(b, exempt...)
		}
	}
	for i := range w.changes {
		c := &w.changes[i]
		b = append(b, "; "...)
		if c.Op == Remove {
			b = append(b, "less "...)
		}
		b = c.appendPath(b)
		if c.Op != Remove {
			b = append(b, '=')
			b = append(b, c.Value...)
		}
	}
	w.add(Change{List: "metadata", Parent: "annotations", Missing: !w.pod.annotations, Field: RecordAnnotation, Value: quoted(string(b))})
}
