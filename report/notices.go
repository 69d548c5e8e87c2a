// Package report tells people and machines what was noticed: problems (what
// palisade could not express or does not know) and findings (faults of the
// cluster). It is pure.
package report

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"floe.dev/palisade/model"
)

// Paint colours a piece of text by what it is: "title", "error", "warning",
// "info" or "quiet". It may return the text as it is.
type Paint func(what, text string) string

// How much of a long list a person is shown: the rest is counted.
const (
	// shownSubjects is how many subjects are named under one message.
	shownSubjects = 5
	// shownMessages is how many different messages are shown under one code.
	shownMessages = 8
)

// Problems is what could not be expressed, for people, under a title. It is
// empty where there is none.
func Problems(problems []model.Problem, paint Paint) []byte {
	notices := make([]notice, 0, len(problems))
	for _, p := range problems {
		notices = append(notices, notice{p.Code, p.Severity, p.Subject, p.Field, p.Message, p.Fix, ""})
	}
	return write("Problems: what palisade could not express, or does not know", notices, paint)
}

// Findings is the faults of the cluster, for people, under a title. It is empty
// where there is none.
func Findings(findings []model.Finding, paint Paint) []byte {
	notices := make([]notice, 0, len(findings))
	for _, f := range findings {
		notices = append(notices, notice{f.Code, f.Severity, f.Subject, f.Field, f.Message, f.Fix, f.Link})
	}
	return write("Findings: faults of the cluster", notices, paint)
}

// notice is what problems and findings have in common.
type notice struct {
	code                      string
	severity                  model.Severity
	subject                   model.Ref
	field, message, fix, link string
}

// write groups notices by severity and code, within these by message, and names
// the first subjects of each message. A cluster with hundreds of workloads thus
// stays readable; the JSON form has every one.
func write(title string, notices []notice, paint Paint) []byte {
	if len(notices) == 0 {
		return nil
	}
	if paint == nil {
		paint = func(_, text string) string { return text }
	}
	slices.SortStableFunc(notices, func(a, b notice) int {
		return cmp.Or(cmp.Compare(b.severity.Rank(), a.severity.Rank()), cmp.Compare(a.code, b.code))
	})
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s\n\n", paint("title", title))
	for _, coded := range group(notices, func(n notice) [2]string { return [2]string{string(n.severity), n.code} }) {
		writeCode(&out, coded, paint)
		out.WriteByte('\n')
	}
	return out.Bytes()
}

func writeCode(out *bytes.Buffer, notices []notice, paint Paint) {
	first := notices[0]
	fmt.Fprintf(out, "%s (%d)\n", paint(string(first.severity), string(first.severity)+" "+first.code), len(notices))
	// Notices that say and advise the same of different subjects are one line.
	said := group(notices, func(n notice) [3]string { return [3]string{n.message, n.field, n.fix} })
	oneFix := !slices.ContainsFunc(notices, func(n notice) bool { return n.fix != first.fix })
	for i, same := range said {
		if i == shownMessages && len(said) > shownMessages+1 {
			rest := 0
			for _, hidden := range said[i:] {
				rest += len(hidden)
			}
			fmt.Fprintf(out, "  … and %d more; -o json has them all\n", rest)
			break
		}
		writeMessage(out, same, !oneFix)
	}
	if oneFix && first.fix != "" {
		fmt.Fprintf(out, "  fix: %s\n", indent(first.fix))
	}
	if first.link != "" {
		fmt.Fprintf(out, "  %s\n", paint("quiet", first.link))
	}
}

func writeMessage(out *bytes.Buffer, same []notice, withFix bool) {
	first := same[0]
	if named := subjects(same); len(named) == 1 {
		fmt.Fprintf(out, "  %s: %s\n", named[0], indent(first.message))
	} else {
		fmt.Fprintf(out, "  %s\n    %s\n", indent(first.message), list(named))
	}
	if first.field != "" {
		fmt.Fprintf(out, "    at %s\n", first.field)
	}
	if withFix && first.fix != "" {
		fmt.Fprintf(out, "    fix: %s\n", indent(first.fix))
	}
}

// subjects are the names of those that a message is about, each once.
func subjects(same []notice) []string {
	var names []string
	seen := map[string]bool{}
	for _, n := range same {
		name := cmp.Or(n.subject.String(), "the cluster")
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names
}

// list is "Deployment shop/a, Deployment shop/b and 37 more".
func list(names []string) string {
	if rest := len(names) - shownSubjects; rest > 1 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:shownSubjects], ", "), rest)
	}
	return strings.Join(names, ", ")
}

// indent keeps the further lines of a text under its first.
func indent(text string) string { return strings.ReplaceAll(text, "\n", "\n    ") }

// group gathers what has the same key, in the order in which keys first appear.
func group[K comparable](notices []notice, key func(notice) K) [][]notice {
	at := map[K]int{}
	var groups [][]notice
	for _, n := range notices {
		i, seen := at[key(n)]
		if !seen {
			i = len(groups)
			at[key(n)] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], n)
	}
	return groups
}
