package scan

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// APIVersion is that of the documents of this package.
const APIVersion = "palisade.floe.dev/v1alpha1"

// Status is what became of a finding at the gate.
type Status string

// The statuses, what fails first.
const (
	// Fails keeps the gate shut.
	Fails Status = "fails"
	// Unfixed would fail, but there is no fix yet and the policy waits for one.
	Unfixed Status = "unfixed"
	// Below is less grave than the policy minds.
	Below Status = "below"
	// Excused is on the ignore list.
	Excused Status = "ignored"
)

func (s Status) rank() int { return slices.Index([]Status{Fails, Unfixed, Below, Excused}, s) }

// Never is the threshold that nothing reaches.
const Never Severity = "never"

// Policy is what a gate minds.
type Policy struct {
	// FailOn is the least severity that fails; Never for none.
	FailOn Severity
	// FailOnUnfixed is the same for flaws of which it is known that there is no fix.
	FailOnUnfixed Severity
	// Unknown is the severity that an unknown one counts as.
	Unknown Severity
	// Sources are whose severities win over the gravest, in their order.
	Sources []string
	// AllowEmpty lets reports pass that looked at nothing.
	AllowEmpty bool
	// MaxAge is how old a report may be; 0 for any age.
	MaxAge time.Duration
	// At is the time of the judgement.
	At time.Time
}

// Verdict is the answer of a gate.
type Verdict string

// The verdicts.
const (
	Passed Verdict = "passed"
	Failed Verdict = "failed"
	// Incomplete: some report does not say what it should, so that there is no answer.
	Incomplete Verdict = "incomplete"
)

// Use is what became of an entry of the ignore list.
type Use struct {
	Ignore
	// Matched is how many findings it excuses, or would if it had not expired.
	Matched int
	// Expired and Expiring tell of its end: reached, or within a week.
	Expired, Expiring bool
}

// Result is what came out at the gate.
type Result struct {
	Policy     Policy
	Verdict    Verdict
	Reports    []*Report
	Findings   []Finding
	Suppressed []Suppressed
	Gaps       []Gap
	Ignores    []Use
}

// Judge merges reports and judges them. ignores may be nil.
func Judge(reports []*Report, ignores *IgnoreList, p Policy) *Result {
	r := &Result{Policy: p, Reports: reports, Findings: Merge(reports)}
	for _, report := range reports {
		r.Suppressed = append(r.Suppressed, report.Suppressed...)
		r.Gaps = append(r.Gaps, p.gaps(report)...)
	}
	if ignores != nil {
		for i := range ignores.Entries {
			e := ignores.Entries[i]
			left := e.Expires.Sub(p.At)
			r.Ignores = append(r.Ignores, Use{Ignore: e, Expired: left <= 0, Expiring: left > 0 && left <= excuseNotice})
		}
	}
	for i := range r.Findings {
		r.judge(&r.Findings[i])
	}
	slices.SortFunc(r.Findings, compareFindings)
	r.Verdict = Passed
	if r.Count(Fails) > 0 {
		r.Verdict = Failed
	}
	if slices.ContainsFunc(r.Gaps, func(g Gap) bool { return g.Grave }) {
		r.Verdict = Incomplete
	}
	return r
}

// Count counts findings of a status.
func (r *Result) Count(s Status) int {
	n := 0
	for i := range r.Findings {
		if r.Findings[i].Status == s {
			n++
		}
	}
	return n
}

func (r *Result) judge(f *Finding) {
	f.Severity = weigh(f.Ratings, r.Policy.Sources)
	f.Status = r.Policy.status(f)
	for i := range r.Ignores {
		use := &r.Ignores[i]
		if !use.matches(f) {
			continue
		}
		use.Matched++
		if use.Expired {
			continue
		}
		// Of several entries the one that holds longest counts.
		if f.Ignored == nil || use.Expires.After(f.Ignored.Expires) {
			f.Ignored = &Excuse{Reason: use.Reason, Owner: use.Owner, Expires: use.Expires}
		}
		f.Status = Excused
	}
}

func (p *Policy) status(f *Finding) Status {
	severity := f.Severity
	if severity == Unknown {
		severity = p.Unknown
	}
	reaches := func(threshold Severity) bool { return threshold != Never && severity.Rank() >= threshold.Rank() }
	switch {
	case !reaches(p.FailOn) && !reaches(p.FailOnUnfixed):
		return Below
	case f.Fix.State == FixNone && reaches(p.FailOnUnfixed), f.Fix.State != FixNone && reaches(p.FailOn):
		return Fails
	case f.Fix.State == FixNone:
		return Unfixed
	default:
		return Below
	}
}

// gaps are those of a report that count under the policy.
func (p *Policy) gaps(r *Report) []Gap {
	var gaps []Gap
	for _, g := range r.Gaps {
		if p.AllowEmpty && g.Code == "EmptyReport" {
			g.Grave = false
		}
		gaps = append(gaps, g)
	}
	const again = "scan again"
	switch age := p.At.Sub(r.Created); {
	case p.MaxAge == 0:
	case r.Created.IsZero():
		gaps = append(gaps, Gap{Code: "ReportUndated", Grave: true, File: r.File, Message: "the report does not say when the scan was", Fix: "give the scanner's JSON, or leave out --max-age"})
	case age > p.MaxAge:
		gaps = append(gaps, Gap{Code: "ReportTooOld", Grave: true, File: r.File, Message: fmt.Sprintf("the scan was at %s, longer ago than %s", r.Created.UTC().Format(time.RFC3339), p.MaxAge), Fix: again})
	case age < -clockSkew:
		gaps = append(gaps, Gap{Code: "ReportTooOld", Grave: true, File: r.File, Message: fmt.Sprintf("the scan was at %s, which is yet to come", r.Created.UTC().Format(time.RFC3339)), Fix: "set the clocks right and " + again})
	}
	slices.SortStableFunc(gaps, func(a, b Gap) int { return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Code, b.Code)) })
	return gaps
}

// clockSkew is how far the clocks of scanner and gate may be apart.
const clockSkew = 5 * time.Minute
