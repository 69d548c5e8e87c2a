package report

import (
	"bytes"
	"fmt"
	"strings"

	"floe.dev/palisade/model"
	"floe.dev/palisade/plan"
	"floe.dev/palisade/preflight"
)

// CheckDocument is what palisade check -o json prints. Its schema is docs/schemas/check-report.json.
type CheckDocument struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Mesh       plan.DocumentMesh `json:"mesh"`
	// Server is absent where files were read.
	Server  *CheckedServer     `json:"server,omitempty"`
	Summary CheckSummary       `json:"summary"`
	Checks  []preflight.Result `json:"checks"`
}

// CheckedServer is the API server that was asked.
type CheckedServer struct {
	Host    string `json:"host"`
	Version string `json:"version"`
	// User is whom the server took the asker for.
	User string `json:"user,omitempty"`
}

// CheckSummary counts checks by what became of them.
type CheckSummary struct {
	Passed  int `json:"passed"`
	Warning int `json:"warning"`
	Failed  int `json:"failed"`
	Unknown int `json:"unknown"`
	Skipped int `json:"skipped"`
	// Incomplete tells that some check, or a part of one, could not be done.
	Incomplete bool `json:"incomplete"`
}

// Checked is a preflight with what it was done on.
type Checked struct {
	Mesh   model.Mesh
	Survey *preflight.Survey
	preflight.Report
}

// Summary counts.
func (c *Checked) Summary() CheckSummary {
	return CheckSummary{
		Passed: c.Count(preflight.Passed), Warning: c.Count(preflight.Warning), Failed: c.Count(preflight.Failed),
		Unknown: c.Count(preflight.Unknown), Skipped: c.Count(preflight.Skipped), Incomplete: c.Incomplete(),
	}
}

// Document is the preflight for machines.
func (c *Checked) Document() CheckDocument {
	d := CheckDocument{
		APIVersion: apiVersion, Kind: "CheckReport", Mesh: plan.NewDocumentMesh(c.Mesh),
		Summary: c.Summary(), Checks: append([]preflight.Result{}, c.Results...),
	}
	if s := c.Survey; s != nil {
		d.Server = &CheckedServer{Host: s.Host, Version: s.Version, User: s.User}
	}
	return d
}

// statusMarks are a sign and a colour for each status.
var statusMarks = map[preflight.Status]struct{ sign, paint string }{
	preflight.Passed:  {"✓", "add"},
	preflight.Warning: {"!", "warning"},
	preflight.Failed:  {"×", "error"},
	preflight.Unknown: {"?", "warning"},
	preflight.Skipped: {"–", "quiet"},
}

var categoryTitles = map[preflight.Category]string{
	preflight.Server: "API server", preflight.Permissions: "Permissions", preflight.Mesh: "Mesh", preflight.Certificates: "Certificates of the mesh",
	preflight.Webhooks: "Webhooks", preflight.Network: "Network", preflight.PodSecurity: "Pod Security", preflight.Palisade: "palisade",
}

// shownDetails is how many things of one check a person is shown.
const shownDetails = 10

// Text is the preflight for people.
func (c *Checked) Text(paint Paint) []byte {
	var out bytes.Buffer
	last := preflight.Category("")
	for i := range c.Results {
		r := &c.Results[i]
		if r.Category != last {
			if last != "" {
				out.WriteByte('\n')
			}
			fmt.Fprintf(&out, "%s\n", painted(paint, "title", categoryTitles[r.Category]))
			last = r.Category
		}
		writeCheck(&out, r, paint)
	}
	fmt.Fprintf(&out, "\n%s\n", painted(paint, "title", c.Summary().String()))
	return out.Bytes()
}

func writeCheck(out *bytes.Buffer, r *preflight.Result, paint Paint) {
	mark := statusMarks[r.Status]
	if r.Status == preflight.Skipped {
		fmt.Fprintf(out, "%s\n", painted(paint, mark.paint, mark.sign+" "+r.ID+": skipped: "+oneLine(r.Message)))
		return
	}
	fmt.Fprintf(out, "%s %s\n", painted(paint, mark.paint, mark.sign+" "+r.ID), heading(r))
	for i, detail := range r.Details {
		if i == shownDetails && len(r.Details) > shownDetails+1 {
			fmt.Fprintf(out, "    … and %d more; -o json has them all\n", len(r.Details)-i)
			break
		}
		fmt.Fprintf(out, "    %s\n", oneLine(detail))
	}
	if r.Why == "" {
		return
	}
	fmt.Fprintf(out, "    why: %s\n    fix: %s\n    %s\n", r.Why, oneLine(r.Fix), painted(paint, "quiet", r.Link))
}

// heading says what holds, and what was found of it.
func heading(r *preflight.Result) string {
	if r.Status == preflight.Passed {
		return r.What + ": " + oneLine(r.Message)
	}
	return oneLine(r.Message) + " (wanted: " + r.What + ")"
}

// oneLine keeps what a server or an object says on its line.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// String is the summary in a line.
func (s CheckSummary) String() string {
	parts := []string{fmt.Sprintf("%d passed", s.Passed)}
	for _, part := range []struct {
		n    int
		what string
	}{{s.Failed, "failed"}, {s.Warning, "with a warning"}, {s.Unknown, "not known"}, {s.Skipped, "skipped"}} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.what))
		}
	}
	text := "Checks: " + strings.Join(parts, ", ")
	if s.Incomplete {
		text += " · not everything could be looked at"
	}
	return text
}
