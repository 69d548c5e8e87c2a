package verify

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"floe.dev/palisade/model"
)

// An issuer that was made long before it came into its place accuses nobody for the time between.
func TestAnIssuerCountsFromTheRunThatFirstSawIt(t *testing.T) {
	name := func(issuer string) string { return strings.Repeat(issuer[:1], 64) }
	at := func(now time.Time, issuer string, since time.Time, before *Report, issued time.Time) *Report {
		e := expected(Sidecar, Strict)
		seen := good(&e)
		seen.Target = e.Target
		for i := range seen.Seen {
			if s := seen.Seen[i].TLS; s != nil {
				c := leafAt(Sidecar, issued.String(), issued, 24*time.Hour)
				c.IssuerKeyID = "first"
				s.Chain = []Certificate{c}
			}
		}
		run := &Run{Started: now, Finished: now, Mesh: model.MeshIstio, Expectations: []Expectation{e}, Seen: []Observed{*seen}, Before: before}
		if issuer != "" {
			run.Authority = Authority{Issuer: &Certificate{Fingerprint: name(issuer), KeyID: issuer, NotBefore: noon.Add(-48 * time.Hour), NotAfter: noon.Add(365 * 24 * time.Hour)}, IssuerSince: since}
		}
		return NewReport(run)
	}
	stalled := func(r *Report) bool { return slices.Contains(codes(r), "error RotationStalled") }
	var never time.Time

	before := at(noon, "first", never, nil, noon.Add(-time.Hour))
	assert.False(t, stalled(before))
	assert.Equal(t, &Placed{Fingerprint: name("first")}, before.Issuer)
	replaced := noon.Add(time.Hour)
	after := at(replaced, "second", never, before, noon.Add(-time.Hour))
	assert.False(t, stalled(after), "the leaf is older than the replacement, though not than the issuer")
	assert.Equal(t, &Placed{Fingerprint: name("second"), Since: replaced}, after.Issuer)

	blind := at(replaced.Add(time.Minute), "", never, after, noon.Add(-time.Hour))
	assert.Equal(t, after.Issuer, blind.Issuer, "a run that is told nothing forgets nothing")
	late := at(replaced.Add(time.Hour), "second", never, blind, replaced.Add(30*time.Minute))
	assert.True(t, stalled(late), "this one was made later, and the one that was replaced signed it")
	assert.Equal(t, after.Issuer, late.Issuer)

	told := at(replaced.Add(time.Hour), "second", noon.Add(-2*time.Hour), before, noon.Add(-time.Hour))
	assert.True(t, stalled(told), "what the operator says goes before")
	alone := at(replaced, "second", never, nil, noon.Add(-time.Hour))
	assert.True(t, stalled(alone), "without an earlier run it counts from its own beginning")
	i := slices.IndexFunc(alone.Findings, func(f model.Finding) bool { return f.Code == "RotationStalled" })
	assert.Contains(t, alone.Findings[i].Message, "when it was put in place is not known")
	assert.NotContains(t, late.Findings[slices.IndexFunc(late.Findings, func(f model.Finding) bool { return f.Code == "RotationStalled" })].Message, "not known")
}
