// Package scan judges what scanners of images and code reported: it reads
// reports of Trivy and Grype (JSON) and of anything that writes SARIF 2.1.0,
// merges what several of them found, leaves out what an ignore list excuses, and
// says whether a pipeline may go on. It is pure: bytes and a time in, a Result out.
//
// It fails closed. A report of a scan that failed, or that looked at nothing, is
// a Gap and never a clean result; a severity that nobody knows is not low; a flaw
// of which nobody says whether it can be fixed counts as one that can.
package scan

import "time"

// Kind is what sort of thing was found.
type Kind string

// The kinds of findings.
const (
	Vulnerability    Kind = "vulnerability"
	Misconfiguration Kind = "misconfiguration"
	Secret           Kind = "secret"
	License          Kind = "license"
	// EndOfLife is a distribution that gets no fixes any more, and of which scanners therefore know less and less.
	EndOfLife Kind = "end-of-life"
	// Code is a result of static analysis.
	Code Kind = "code"
)

// FixState tells whether there is something to be done.
type FixState string

// The states of a fix.
const (
	// FixAvailable: there is a version without the flaw, or it is the user's own to mend.
	FixAvailable FixState = "available"
	// FixNone: there is none yet, or there will be none.
	FixNone FixState = "none"
	// FixUnknown: the scanner does not say. It counts as available.
	FixUnknown FixState = "unknown"
)

// Finding is one flaw in one place, as one scanner or several reported it.
type Finding struct {
	Kind Kind `json:"kind"`
	// ID is the CVE where there is one, else what the scanner calls it.
	ID string `json:"id"`
	// Aliases are other names of the same flaw, such as its GHSA.
	Aliases []string `json:"aliases,omitempty"`
	// Related are flaws that the advisory covers together with others, or that otherwise belong to it.
	Related []string `json:"related,omitempty"`
	Title   string   `json:"title,omitempty"`
	// Severity is the one that counts; Ratings say who said what.
	Severity Severity `json:"severity"`
	Ratings  []Rating `json:"ratings"`
	// Artifact is what was scanned: an image, a folder. Empty is the working folder.
	Artifact string `json:"artifact,omitempty"`
	// Package and Version are what has the flaw; empty where it is no package.
	Package string `json:"package,omitempty"`
	Version string `json:"version,omitempty"`
	PURL    string `json:"purl,omitempty"`
	// Locations are files within the artifact.
	Locations []Location `json:"locations,omitempty"`
	// Workloads are the Kubernetes objects that run the artifact, where the report names them.
	Workloads []string `json:"workloads,omitempty"`
	Fix       Fix      `json:"fix"`
	// Scanners are those that reported it, sorted.
	Scanners []string `json:"scanners"`
	Link     string   `json:"link,omitempty"`
	// Fingerprint is the same in every run that finds the same flaw in the same place, whatever the tag of the image and the line.
	Fingerprint string `json:"fingerprint"`
	// Status is what became of it.
	Status Status `json:"status"`
	// Ignored is the entry that excuses it.
	Ignored *Excuse `json:"ignored,omitempty"`

	of *artifact
	// detail tells apart two findings of one rule in one place.
	detail string
}

// Location is a place in an artifact.
type Location struct {
	Path string `json:"path"`
	// Line counts from 1; 0 is not known.
	Line int `json:"line,omitempty"`
}

// Rating is what a source says of how grave it is.
type Rating struct {
	// Scanner reported it.
	Scanner string `json:"scanner"`
	// Source is where the scanner has it from, such as "nvd", "ghsa" or "debian"; empty where it does not say.
	Source   string   `json:"source,omitempty"`
	Severity Severity `json:"severity"`
	// Chosen is set on those that the scanner itself went by.
	Chosen bool `json:"chosen,omitempty"`
}

// Fix is what can be done.
type Fix struct {
	State FixState `json:"state"`
	// Versions are without the flaw.
	Versions []string `json:"versions,omitempty"`
	// Note is the scanner's own word for the state, such as "will_not_fix".
	Note string `json:"note,omitempty"`
}

// Suppressed is what a scanner found and left out by rules of its own.
type Suppressed struct {
	Scanner  string `json:"scanner"`
	ID       string `json:"id"`
	Artifact string `json:"artifact,omitempty"`
	Package  string `json:"package,omitempty"`
	Version  string `json:"version,omitempty"`
	// Reason is why, such as "vex: not_affected, vulnerable_code_not_present".
	Reason string `json:"reason"`
}

// Gap is something that a report does not cover. A grave one leaves the gate without an answer.
type Gap struct {
	// Code is one CamelCase word, stable across releases: EmptyReport, ScanFailed, ReportTooOld, ReportUndated, NoAnswer, ScannerWarning.
	Code    string `json:"code"`
	Grave   bool   `json:"grave"`
	File    string `json:"file"`
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
}

// Report is one file, read.
type Report struct {
	// File is its name.
	File string
	// Format is "trivy", "trivy-k8s", "grype" or "sarif".
	Format string
	// Scanners are the tools that wrote it, as "name version".
	Scanners []string
	// Created is when the scan was; zero where the report does not say.
	Created    time.Time
	Findings   []Finding
	Suppressed []Suppressed
	Gaps       []Gap
}

// artifact is what was scanned, with what tells it from others.
type artifact struct {
	name string
	// ids are digests of the image's configuration or manifests.
	ids []string
	// united is the artifact that stands for this one and its equals.
	united *artifact
}

func (a *artifact) root() *artifact {
	for a.united != nil {
		a = a.united
	}
	return a
}

func (r *Report) gap(g Gap) {
	g.File = r.File
	r.Gaps = append(r.Gaps, g)
}

// empty notes that a report looked at nothing.
func (r *Report) empty(what string) {
	r.gap(Gap{
		Code: "EmptyReport", Grave: true, Message: what,
		Fix: "look at the scanner's log and at what it was given; where there is nothing to scan by right, such as in an image FROM scratch, say so with --allow-empty",
	})
}
