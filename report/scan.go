package report

import (
	"bytes"
	"fmt"
	"strings"
	"time"
	"unicode"

	"floe.dev/palisade/scan"
)

// ScanDocument is what palisade scan-gate -o json prints. Its schema is docs/schemas/scan-report.json.
type ScanDocument struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Verdict    scan.Verdict      `json:"verdict"`
	At         time.Time         `json:"at"`
	Policy     ScanPolicy        `json:"policy"`
	Summary    ScanSummary       `json:"summary"`
	Reports    []ScannedReport   `json:"reports"`
	Gaps       []scan.Gap        `json:"gaps"`
	Findings   []scan.Finding    `json:"findings"`
	Suppressed []scan.Suppressed `json:"suppressed"`
	Ignores    []ScanIgnore      `json:"ignores"`
}

// ScanPolicy is what the gate minds.
type ScanPolicy struct {
	FailOn          scan.Severity `json:"failOn"`
	FailOnUnfixed   scan.Severity `json:"failOnUnfixed"`
	UnknownCountsAs scan.Severity `json:"unknownCountsAs"`
	SeveritySources []string      `json:"severitySources,omitempty"`
	AllowEmpty      bool          `json:"allowEmpty,omitempty"`
	MaxAgeSeconds   int64         `json:"maxAgeSeconds,omitempty"`
}

// ScanSummary counts findings by what became of them, and those that fail by severity.
type ScanSummary struct {
	Fails      int                   `json:"fails"`
	Unfixed    int                   `json:"unfixed"`
	Below      int                   `json:"below"`
	Ignored    int                   `json:"ignored"`
	Suppressed int                   `json:"suppressed"`
	Failing    map[scan.Severity]int `json:"failing"`
}

// ScannedReport is a report that was read.
type ScannedReport struct {
	File     string     `json:"file"`
	Format   string     `json:"format"`
	Scanners []string   `json:"scanners"`
	Created  *time.Time `json:"created,omitempty"`
	// Findings are counted before they were merged.
	Findings int `json:"findings"`
}

// ScanIgnore is an entry of the ignore list and what became of it.
type ScanIgnore struct {
	ID       string    `json:"id"`
	Package  string    `json:"package,omitempty"`
	Version  string    `json:"version,omitempty"`
	Artifact string    `json:"artifact,omitempty"`
	Location string    `json:"location,omitempty"`
	Reason   string    `json:"reason"`
	Owner    string    `json:"owner,omitempty"`
	Expires  time.Time `json:"expires"`
	Line     int       `json:"line"`
	Matched  int       `json:"matched"`
	// State is "used", "unused", "expiring" (used, and its end is within a week) or "expired".
	State string `json:"state"`
}

// Scanned is what came out at the gate, to be shown.
type Scanned struct{ *scan.Result }

// Summary counts.
func (s Scanned) Summary() ScanSummary {
	sum := ScanSummary{
		Fails: s.Count(scan.Fails), Unfixed: s.Count(scan.Unfixed), Below: s.Count(scan.Below), Ignored: s.Count(scan.Excused),
		Suppressed: len(s.Suppressed), Failing: map[scan.Severity]int{},
	}
	for i := range s.Findings {
		if f := &s.Findings[i]; f.Status == scan.Fails {
			sum.Failing[f.Severity]++
		}
	}
	return sum
}

// Document is the result for machines.
func (s Scanned) Document() ScanDocument {
	p := s.Policy
	d := ScanDocument{
		APIVersion: apiVersion, Kind: "ScanReport", Verdict: s.Verdict, At: p.At.UTC(), Summary: s.Summary(),
		Policy: ScanPolicy{
			FailOn: p.FailOn, FailOnUnfixed: p.FailOnUnfixed, UnknownCountsAs: p.Unknown, SeveritySources: p.Sources,
			AllowEmpty: p.AllowEmpty, MaxAgeSeconds: int64(p.MaxAge / time.Second),
		},
		Reports: []ScannedReport{}, Gaps: append([]scan.Gap{}, s.Gaps...), Findings: append([]scan.Finding{}, s.Findings...),
		Suppressed: append([]scan.Suppressed{}, s.Suppressed...), Ignores: []ScanIgnore{},
	}
	for _, r := range s.Reports {
		read := ScannedReport{File: r.File, Format: r.Format, Scanners: append([]string{}, r.Scanners...), Findings: len(r.Findings)}
		if !r.Created.IsZero() {
			at := r.Created.UTC()
			read.Created = &at
		}
		d.Reports = append(d.Reports, read)
	}
	for i := range s.Ignores {
		u := &s.Ignores[i]
		d.Ignores = append(d.Ignores, ScanIgnore{
			ID: u.ID, Package: u.Package, Version: u.Version, Artifact: u.Artifact, Location: u.Location, Reason: u.Reason, Owner: u.Owner,
			Expires: u.Expires.UTC(), Line: u.Line, Matched: u.Matched, State: useState(u),
		})
	}
	return d
}

func useState(u *scan.Use) string {
	switch {
	case u.Expired:
		return "expired"
	case u.Matched == 0:
		return "unused"
	case u.Expiring:
		return "expiring"
	default:
		return "used"
	}
}

// scanPaint is the colour of a severity.
func scanPaint(s scan.Severity) string {
	switch s {
	case scan.Critical, scan.High:
		return "error"
	case scan.Medium, scan.Unknown:
		return "warning"
	default:
		return "quiet"
	}
}

// scanSections are the parts of the text, in their order; a limit of 0 shows all.
var scanSections = []struct {
	status scan.Status
	title  string
	limit  int
}{
	{scan.Fails, "Fails", 0},
	{scan.Unfixed, "Would fail, and there is no fix yet", 10},
	{scan.Excused, "Ignored", 10},
}

// Text is the result for people. What the scanners wrote is kept to its line, without control characters.
func (s Scanned) Text(paint Paint) []byte {
	var out bytes.Buffer
	for _, r := range s.Reports {
		fmt.Fprintf(&out, "%s: %s, %s", plain(r.File), plain(strings.Join(r.Scanners, ", ")), count(len(r.Findings), "finding"))
		if !r.Created.IsZero() {
			fmt.Fprintf(&out, ", of %s", r.Created.UTC().Format(time.RFC3339))
		}
		out.WriteByte('\n')
	}
	s.writeGaps(&out, paint)
	for _, section := range scanSections {
		s.writeSection(&out, section.status, section.title, section.limit, paint)
	}
	s.writeSuppressed(&out, paint)
	s.writeIgnores(&out, paint)
	fmt.Fprintf(&out, "\n%s\n", painted(paint, s.verdictPaint(), s.line()))
	return out.Bytes()
}

func (s Scanned) writeGaps(out *bytes.Buffer, paint Paint) {
	if len(s.Gaps) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%s\n", painted(paint, "title", "What the reports do not cover"))
	for _, g := range s.Gaps {
		colour := "warning"
		if g.Grave {
			colour = "error"
		}
		fmt.Fprintf(out, "  %s %s: %s\n", painted(paint, colour, g.Code), plain(g.File), plain(g.Message))
		if g.Fix != "" {
			fmt.Fprintf(out, "    fix: %s\n", g.Fix)
		}
	}
}

func (s Scanned) writeSection(out *bytes.Buffer, status scan.Status, title string, limit int, paint Paint) {
	total := s.Count(status)
	if total == 0 {
		return
	}
	fmt.Fprintf(out, "\n%s\n", painted(paint, "title", fmt.Sprintf("%s (%d)", title, total)))
	shown := 0
	for _, artifact := range s.artifactsOf(status) {
		fmt.Fprintf(out, "  %s\n", plain(orFolder(artifact)))
		for i := range s.Findings {
			f := &s.Findings[i]
			if f.Status != status || f.Artifact != artifact {
				continue
			}
			if limit > 0 && shown == limit && total > limit+1 {
				fmt.Fprintf(out, "  … and %d more; -o json has them all\n", total-shown)
				return
			}
			shown++
			writeScanFinding(out, f, paint)
			if f.Severity == scan.Unknown && status == scan.Fails {
				fmt.Fprintf(out, "      nobody knows how grave it is: it counts as %s (--unknown-counts-as)\n", s.Policy.Unknown)
			}
		}
	}
}

// artifactsOf are those with findings of a status, the one with the gravest first.
func (s Scanned) artifactsOf(status scan.Status) []string {
	var list []string
	seen := map[string]bool{}
	for i := range s.Findings {
		if f := &s.Findings[i]; f.Status == status && !seen[f.Artifact] {
			seen[f.Artifact] = true
			list = append(list, f.Artifact)
		}
	}
	return list
}

func orFolder(artifact string) string {
	if artifact == "" {
		return "(the folder that was scanned)"
	}
	return artifact
}

func writeScanFinding(out *bytes.Buffer, f *scan.Finding, paint Paint) {
	fmt.Fprintf(out, "    %s %s", painted(paint, scanPaint(f.Severity), string(f.Severity)), plain(f.ID))
	if f.Kind != scan.Vulnerability {
		fmt.Fprintf(out, " (%s)", f.Kind)
	}
	if f.Package != "" {
		fmt.Fprintf(out, " %s", plain(strings.TrimSpace(f.Package+" "+f.Version)))
	}
	if len(f.Fix.Versions) > 0 {
		fmt.Fprintf(out, " → %s", plain(strings.Join(f.Fix.Versions, ", ")))
	}
	if len(f.Locations) > 0 {
		fmt.Fprintf(out, ", %s", plain(f.Locations[0].Path))
		if line := f.Locations[0].Line; line > 0 {
			fmt.Fprintf(out, ":%d", line)
		}
	}
	fmt.Fprintf(out, " [%s]\n", plain(strings.Join(f.Scanners, ", ")))
	if f.Title != "" {
		fmt.Fprintf(out, "      %s\n", plain(f.Title))
	}
	if words := disagreement(f); words != "" {
		fmt.Fprintf(out, "      severities differ: %s\n", words)
	}
	if x := f.Ignored; x != nil {
		fmt.Fprintf(out, "      until %s: %s\n", x.Expires.UTC().Format(time.RFC3339), plain(joinWords(x.Owner, x.Reason)))
	}
}

func joinWords(owner, reason string) string {
	if owner == "" {
		return reason
	}
	return owner + ", " + reason
}

// disagreement names who said what, where the scanners do not agree.
func disagreement(f *scan.Finding) string {
	var said []string
	differ := false
	var last scan.Severity
	for _, r := range f.Ratings {
		if !r.Chosen {
			continue
		}
		differ = differ || last != "" && r.Severity != last
		last = r.Severity
		by := r.Scanner
		if r.Source != "" {
			by += " by " + r.Source
		}
		said = append(said, fmt.Sprintf("%s (%s)", r.Severity, by))
	}
	if !differ {
		return ""
	}
	return plain(strings.Join(said, ", "))
}

func (s Scanned) writeSuppressed(out *bytes.Buffer, paint Paint) {
	if len(s.Suppressed) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%s\n", painted(paint, "title", fmt.Sprintf("Left out by the scanners' own rules (%d)", len(s.Suppressed))))
	const limit = 10
	for i, x := range s.Suppressed {
		if i == limit && len(s.Suppressed) > limit+1 {
			fmt.Fprintf(out, "  … and %d more; -o json has them all\n", len(s.Suppressed)-limit)
			break
		}
		fmt.Fprintf(out, "  %s %s [%s]: %s\n", plain(x.ID), plain(strings.TrimSpace(x.Package+" "+x.Version)), x.Scanner, plain(x.Reason))
	}
}

// writeIgnores tells of the entries that want a hand: expired, about to, and for nothing.
func (s Scanned) writeIgnores(out *bytes.Buffer, paint Paint) {
	begun := false
	for i := range s.Ignores {
		u := &s.Ignores[i]
		state := useState(u)
		end := u.Expires.UTC().Format(time.RFC3339)
		text := map[string]string{
			"expired":  fmt.Sprintf("expired at %s and no longer counts (%s)", end, count(u.Matched, "finding")),
			"expiring": fmt.Sprintf("expires at %s, within a week (%s)", end, count(u.Matched, "finding")),
			"unused":   "matches nothing that was found: take it out",
		}[state]
		if text == "" {
			continue
		}
		if !begun {
			fmt.Fprintf(out, "\n%s\n", painted(paint, "title", "The ignore list"))
			begun = true
		}
		fmt.Fprintf(out, "  %s line %d, %s: %s\n", painted(paint, "warning", state), u.Line, plain(u.ID), text)
	}
}

func (s Scanned) verdictPaint() string {
	if s.Verdict == scan.Passed {
		return "add"
	}
	return "error"
}

// line is the summary in a line.
func (s Scanned) line() string {
	sum := s.Summary()
	parts := []string{fmt.Sprintf("%d fail", sum.Fails)}
	for _, part := range []struct {
		n    int
		what string
	}{{sum.Unfixed, "without a fix"}, {sum.Below, "below"}, {sum.Ignored, "ignored"}, {sum.Suppressed, "left out by scanners"}} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.what))
		}
	}
	threshold := string(s.Policy.FailOn)
	if s.Policy.FailOnUnfixed != s.Policy.FailOn {
		threshold += ", without a fix " + string(s.Policy.FailOnUnfixed)
	}
	text := fmt.Sprintf("Gate: %s (fails on %s): %s", s.Verdict, threshold, strings.Join(parts, ", "))
	if s.Verdict == scan.Incomplete {
		text += " · some report does not say what it should, so there is no answer"
	}
	return text
}

// plain keeps foreign text on one line, and from commanding the terminal.
func plain(text string) string {
	return oneLine(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, text))
}
