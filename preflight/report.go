package preflight

import (
	"fmt"
	"slices"
	"strings"
)

// Result is one check of a Report.
type Result struct {
	ID       string   `json:"id"`
	Category Category `json:"category"`
	Status   Status   `json:"status"`
	// What holds where the check passes; Message is what was found, Details name what it is about.
	What    string   `json:"what"`
	Message string   `json:"message"`
	Details []string `json:"details,omitempty"`
	// Incomplete tells that a part could not be looked at.
	Incomplete bool `json:"incomplete,omitempty"`
	// Why and Fix are there where the check did not pass.
	Why  string `json:"why,omitempty"`
	Fix  string `json:"fix,omitempty"`
	Link string `json:"link"`
}

// Report is what all checks came to, in the order of the catalogue.
type Report struct{ Results []Result }

// Count is how many checks have a status.
func (r *Report) Count(s Status) int {
	n := 0
	for i := range r.Results {
		if r.Results[i].Status == s {
			n++
		}
	}
	return n
}

// Incomplete tells whether some check, or a part of one, could not be done. What was skipped does not count.
func (r *Report) Incomplete() bool {
	return slices.ContainsFunc(r.Results, func(x Result) bool { return x.Incomplete })
}

// Choice says which checks to do, by id or category; without Only all of them.
type Choice struct{ Only, Skip []string }

// Validate tells of the first name that is neither an id nor a category.
func (c Choice) Validate() error {
	for _, name := range slices.Concat(c.Only, c.Skip) {
		if !slices.ContainsFunc(Catalogue(), func(k Check) bool { return k.named(name) }) {
			return fmt.Errorf("%q is neither a check nor a category; the categories are %s", name, categoryNames())
		}
	}
	return nil
}

func categoryNames() string {
	var names []string
	for _, c := range Categories() {
		names = append(names, string(c))
	}
	return strings.Join(names, ", ")
}

func (c Check) named(name string) bool {
	return strings.EqualFold(name, c.ID) || strings.EqualFold(name, string(c.Category))
}

func (c Choice) takes(k Check) bool {
	return (len(c.Only) == 0 || slices.ContainsFunc(c.Only, k.named)) && !slices.ContainsFunc(c.Skip, k.named)
}

// Run does the checks that a choice takes.
func Run(in *Input, c Choice) Report {
	var r Report
	for _, k := range Catalogue() {
		if c.takes(k) {
			r.Results = append(r.Results, k.result(in))
		}
	}
	return r
}

// result does one check. What it could not read makes it Unknown, whatever it would find without.
func (c Check) result(in *Input) Result {
	o := c.outcome(in)
	r := Result{
		ID: c.ID, Category: c.Category, Status: o.Status, What: c.What, Message: o.Says, Details: o.Details,
		Incomplete: o.Incomplete, Link: c.Link(),
	}
	if o.Status != Passed && o.Status != Skipped {
		r.Why, r.Fix = c.Why, c.Fix
		if o.Fix != "" {
			r.Fix = o.Fix
		}
	}
	return r
}

func (c Check) outcome(in *Input) Outcome {
	if c.Live && !in.live() {
		return outcome(Skipped, "needs a running cluster, and files were read")
	}
	for _, resource := range c.Reads {
		if which := in.unread(resource); which != "" {
			return outcome(Unknown, "%s could not be read; EverythingRead says why", which).fix("let whoever runs palisade list " + which + ", or see why its API server does not answer")
		}
	}
	return c.Run(in)
}
