package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"floe.dev/palisade/model"
)

// shownErrors is how many errors of a read are printed; the others are counted.
const shownErrors = 20

// InputError is one fault in what was given to Read.
type InputError struct {
	// Source is where it is; Line is the line of the field where that is known,
	// else of the document. Document and Line are 0 where the file itself could not be read.
	Source model.Source
	// Ref is the object, zero where the text does not even hold one.
	Ref model.Ref
	// Field is the path of the field, "spec.ports[0].endPort"; may be empty.
	Field   string
	Message string
	// Err is the cause, where there is one.
	Err error
}

// Error reads "shop/rules.yaml:14 (document 2, TrafficRule shop/cart): spec.ports[0].endPort: must not be below port".
func (e *InputError) Error() string {
	var b strings.Builder
	b.WriteString(e.Source.File)
	if e.Source.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Source.Line)
	}
	var in []string
	if e.Source.Document > 0 {
		in = append(in, fmt.Sprintf("document %d", e.Source.Document))
	}
	if ref := e.Ref.String(); ref != "" {
		in = append(in, strings.TrimSpace(ref))
	}
	if len(in) > 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(in, ", "))
	}
	b.WriteString(": ")
	if e.Field != "" {
		b.WriteString(e.Field + ": ")
	}
	b.WriteString(e.Message)
	return b.String()
}

// Unwrap gives the cause.
func (e *InputError) Unwrap() error { return e.Err }

// InputErrors are all faults of one Read, in the order of the input. Its text shows the first 20.
type InputErrors []*InputError

// Error has a line for each of the first faults, and a count of the others.
func (e InputErrors) Error() string {
	var lines []string
	for i, one := range e {
		if i == shownErrors {
			lines = append(lines, fmt.Sprintf("and %d more", len(e)-i))
			break
		}
		lines = append(lines, one.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find the single faults.
func (e InputErrors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}

// sorted orders the faults by file, in the order in which the files were read, and by place. Those of no file come first.
func (e InputErrors) sorted(files []file) InputErrors {
	order := map[string]int{}
	for i, f := range files {
		order[f.path] = i + 1
	}
	slices.SortStableFunc(e, func(a, b *InputError) int {
		return cmp.Or(
			cmp.Compare(order[a.Source.File], order[b.Source.File]),
			cmp.Compare(a.Source.Document, b.Source.Document),
			cmp.Compare(a.Source.Line, b.Source.Line),
			cmp.Compare(a.Field, b.Field),
		)
	})
	return e
}
