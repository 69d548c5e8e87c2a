package admission

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"floe.dev/palisade/model"
)

// What an API server passes on: it cuts a warning at 256 characters once all
// together are over 4,096 (k8s.io/apiserver, endpoints/filters/warning.go). Bytes are the safer count.
const (
	maxWarning  = 256
	maxWarnings = 4096
)

// seePlan is where all is told that a response has no room for.
const seePlan = "see palisade plan"

// warning is one thing to say. Those of lower rank are said first.
type warning struct {
	rank int
	// code puts what is of one kind together; empty stands alone.
	code string
	text string
}

// The ranks.
const (
	rankUnprotected = iota
	rankConflict
	rankSystem
	rankBreak
	rankError
	rankWarning
	rankCloses
)

// noticed words a problem or finding: the object, the field, what is wrong, the fix, and the code to look it up by.
func noticed(n *model.Problem) warning {
	rank := rankWarning
	switch {
	case n.Code == "ProfileConflict":
		rank = rankConflict
	case n.Severity == model.Error:
		rank = rankError
	}
	subject := strings.TrimSpace(n.Subject.String() + " " + n.Field)
	if subject != "" {
		subject += ": "
	}
	text := n.Code + ": " + subject + n.Message
	if n.Fix != "" && len(text)+len("; ")+len(n.Fix) <= maxWarning {
		text += "; " + n.Fix
	}
	return warning{rank: rank, code: n.Code, text: text}
}

// worded puts warnings into what a response may hold: the gravest first, those of one
// code as one with a count, the rest counted. last are said in any case.
func worded(warnings []warning, last []string) []string {
	slices.SortStableFunc(warnings, func(a, b warning) int {
		if a.rank != b.rank {
			return a.rank - b.rank
		}
		return strings.Compare(a.code, b.code)
	})
	room := maxWarnings - len(andMore(len(warnings)))
	for i := range last {
		last[i] = cut(last[i], "")
		room -= len(last[i])
	}
	var texts []string
	said := 0
	for at := 0; at < len(warnings); {
		end := at + 1
		for warnings[at].code != "" && end < len(warnings) && warnings[end].code == warnings[at].code && warnings[end].rank == warnings[at].rank {
			end++
		}
		more := ""
		if n := end - at - 1; n > 0 {
			more = fmt.Sprintf(" (and %d more of %s)", n, warnings[at].code)
		}
		text := cut(warnings[at].text, more)
		if len(text) > room {
			break
		}
		room -= len(text)
		texts = append(texts, text)
		said, at = said+end-at, end
	}
	if left := len(warnings) - said; left > 0 {
		texts = append(texts, andMore(left))
	}
	return append(texts, last...)
}

func andMore(n int) string { return fmt.Sprintf("and %d more, %s", n, seePlan) }

// cut shortens a text to what a warning may hold, with a tail that stays whole, and leaves
// out what a header cannot hold (RFC 7230, section 3.2.6; control characters make an API server drop it).
func cut(text, tail string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError:
			return '?'
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0:
			return ' '
		default:
			return r
		}
	}, strings.ToValidUTF8(text, "?"))
	if len(text)+len(tail) <= maxWarning {
		return text + tail
	}
	const mark = "…"
	end := maxWarning - len(tail) - len(mark)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + mark + tail
}

// some names the first of a list, and counts the rest.
func some(names []string) string {
	const shown = 5
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
}
