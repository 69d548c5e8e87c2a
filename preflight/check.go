package preflight

import (
	"fmt"
	"slices"
	"strings"
)

// Status is what became of a check.
type Status string

// The statuses.
const (
	Passed  Status = "passed"
	Warning Status = "warning"
	Failed  Status = "failed"
	// Unknown tells that it could not be found out: no pass, and no fault that is known of.
	Unknown Status = "unknown"
	// Skipped tells that the check does not apply, or needs a running cluster where files were read.
	Skipped Status = "skipped"
)

// rank orders statuses for a check that looks at many things: the gravest counts,
// and one thing that was skipped keeps the others from passing for all.
func (s Status) rank() int {
	return slices.Index([]Status{Passed, Skipped, Warning, Unknown, Failed}, s)
}

// Category groups checks.
type Category string

// The categories, in the order in which they are reported.
const (
	Server       Category = "server"
	Permissions  Category = "permissions"
	Mesh         Category = "mesh"
	Certificates Category = "certificates"
	Webhooks     Category = "webhooks"
	Network      Category = "network"
	PodSecurity  Category = "pod-security"
	Palisade     Category = "palisade"
)

// Categories lists them in their order.
func Categories() []Category {
	return []Category{Server, Permissions, Mesh, Certificates, Webhooks, Network, PodSecurity, Palisade}
}

// Check is one thing that is looked at. Its section is docs/checks.md#<id in lower case>.
type Check struct {
	// ID is one CamelCase word, stable across releases.
	ID       string
	Category Category
	// What holds where it passes, Why it matters, Fix what mends it; a sentence each.
	What, Why, Fix string
	// Live tells that only a running cluster can answer.
	Live bool
	// Reads lists the resources ("group/resource", "group/*", "*") without which it is Unknown.
	Reads []string
	// Run looks.
	Run func(*Input) Outcome
}

// LinkBase is where the sections of the checks live; the id in lower case follows.
const LinkBase = "https://palisade.floe.dev/docs/checks.md#"

// Link is the section that explains the check.
func (c Check) Link() string { return LinkBase + strings.ToLower(c.ID) }

// Outcome is what a check found.
type Outcome struct {
	Status Status
	// Says is what was found, in a line.
	Says string
	// Details name what it is about, a line each.
	Details []string
	// Incomplete tells that a part could not be looked at, whatever the rest came to.
	Incomplete bool
	// Fix stands in the place of the check's own, where it is not empty.
	Fix string
}

func outcome(s Status, format string, args ...any) Outcome {
	return Outcome{Status: s, Says: fmt.Sprintf(format, args...), Incomplete: s == Unknown}
}

func (o Outcome) fix(text string) Outcome {
	o.Fix = text
	return o
}

// tally is the outcome of a check that looks at many things.
type tally struct {
	status  Status
	looked  int
	unknown bool
	details []string
}

// look notes one thing; what passes leaves no detail.
func (t *tally) look(s Status, format string, args ...any) {
	t.looked++
	t.unknown = t.unknown || s == Unknown
	if t.status == "" || s.rank() > t.status.rank() {
		t.status = s
	}
	if s != Passed && s != Skipped {
		t.details = append(t.details, fmt.Sprintf(format, args...))
	}
}

// outcome says one thing where all is well, and another where it is not.
func (t *tally) outcome(well, ill string) Outcome {
	o := Outcome{Status: t.status, Says: well, Details: t.details, Incomplete: t.unknown}
	switch {
	case t.status == Skipped:
		o.Says = "what would tell is not all among what was read"
	case t.status != Passed:
		o.Says = ill
	}
	return o
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
