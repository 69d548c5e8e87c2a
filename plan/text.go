package plan

import (
	"bytes"
	"fmt"
	"strings"

	"floe.dev/palisade/model"
)

// Paint colours a piece of text by what it is: "title", "add", "change",
// "remove", "hunk" or "quiet". It may return the text as it is.
type Paint func(what, text string) string

// TextOptions say how changes are written.
type TextOptions struct {
	// Paint may be nil.
	Paint Paint
	// NoDiff leaves only a line a change.
	NoDiff bool
}

// symbols of the actions, at the beginning of a change's line.
var symbols = map[Action]struct{ sign, paint string }{
	Create: {"+", "add"},
	Update: {"~", "change"},
	Delete: {"-", "remove"},
}

// Text is the changes for people, grouped by namespace.
func (p Plan) Text(o TextOptions) []byte {
	if o.Paint == nil {
		o.Paint = func(_, text string) string { return text }
	}
	var out bytes.Buffer
	for i, c := range p.Changes {
		if i == 0 || c.Namespace != p.Changes[i-1].Namespace {
			fmt.Fprintf(&out, "%s\n\n", o.Paint("title", title(c.Namespace, p.Postures[c.Namespace])))
		}
		c.write(&out, o)
		last := i == len(p.Changes)-1 || c.Namespace != p.Changes[i+1].Namespace
		if !o.NoDiff || last {
			out.WriteByte('\n')
		}
	}
	return out.Bytes()
}

func title(namespace string, posture *model.Posture) string {
	switch {
	case namespace == "":
		return "Cluster-wide"
	case posture == nil:
		return "Namespace " + namespace + ", governed by no profile"
	case posture.Enforcement == model.Observe:
		return "Namespace " + namespace + ", profile " + posture.Profile + ", which only observes: nothing of this is written"
	default:
		return "Namespace " + namespace + ", profile " + posture.Profile
	}
}

func (c Change) write(out *bytes.Buffer, o TextOptions) {
	diff := strings.TrimSuffix(c.Diff(), "\n")
	lines := strings.Split(diff, "\n")
	symbol := symbols[c.Effect()]
	fmt.Fprintf(out, "%s (%s)\n", o.Paint(symbol.paint, symbol.sign+" "+c.Ref.String()), c.size(lines))
	if o.NoDiff {
		return
	}
	if c.Effect() != Update {
		// The whole object is one hunk, whose line numbers tell nothing.
		lines = lines[1:]
	}
	for _, line := range lines {
		fmt.Fprintf(out, "  %s\n", paintLine(line, o.Paint))
	}
}

// size is "12 lines", or "2 lines added, 1 removed".
func (c Change) size(diff []string) string {
	var added, removed int
	for _, line := range diff {
		switch {
		case strings.HasPrefix(line, "+"):
			added++
		case strings.HasPrefix(line, "-"):
			removed++
		}
	}
	switch c.Effect() {
	case Create:
		return count(added, "line")
	case Delete:
		return count(removed, "line")
	default:
		return fmt.Sprintf("%s added, %d removed", count(added, "line"), removed)
	}
}

func paintLine(line string, paint Paint) string {
	switch {
	case strings.HasPrefix(line, "+"):
		return paint("add", line)
	case strings.HasPrefix(line, "-"):
		return paint("remove", line)
	case strings.HasPrefix(line, "@@"):
		return paint("hunk", line)
	default:
		return line
	}
}
