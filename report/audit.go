package report

import (
	"bytes"
	"fmt"

	"floe.dev/palisade/model"
	"floe.dev/palisade/plan"
)

// AuditDocument is what palisade audit -o json prints. Its schema is
// docs/schemas/audit-report.json. Lists are empty rather than absent.
type AuditDocument struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Mesh       plan.DocumentMesh `json:"mesh"`
	Summary    AuditSummary      `json:"summary"`
	Findings   []LocatedFinding  `json:"findings"`
	Problems   []model.Problem   `json:"problems"`
	// Unknown counts the objects of kinds that were not looked at, by "apiVersion kind".
	Unknown map[string]int `json:"unknown"`
}

// AuditSummary counts what was found, and what was looked at.
type AuditSummary struct {
	Findings   plan.BySeverity `json:"findings"`
	Problems   plan.BySeverity `json:"problems"`
	Namespaces int             `json:"namespaces"`
	Workloads  int             `json:"workloads"`
}

// LocatedFinding is a finding, and where the object was read.
type LocatedFinding struct {
	model.Finding
	// Source has the line of the field, where that is known; nil for what was not read from a file.
	Source *model.Source `json:"source,omitempty"`
}

// Audited is what an audit came to, with where everything was read.
type Audited struct {
	// OnWire tells that handshakes found it: then other kinds were looked for.
	OnWire     bool
	Mesh       model.Mesh
	Findings   []LocatedFinding
	Problems   []model.Problem
	Unknown    map[string]int
	Namespaces int
	Workloads  int
}

// Summary counts.
func (a *Audited) Summary() AuditSummary {
	s := AuditSummary{Namespaces: a.Namespaces, Workloads: a.Workloads}
	for i := range a.Findings {
		s.Findings.Add(a.Findings[i].Severity)
	}
	for i := range a.Problems {
		s.Problems.Add(a.Problems[i].Severity)
	}
	return s
}

// Document is the audit for machines.
func (a *Audited) Document() AuditDocument {
	d := AuditDocument{
		APIVersion: apiVersion, Kind: "AuditReport", Mesh: plan.NewDocumentMesh(a.Mesh), Summary: a.Summary(),
		Findings: append([]LocatedFinding{}, a.Findings...), Problems: append([]model.Problem{}, a.Problems...), Unknown: a.Unknown,
	}
	if d.Unknown == nil {
		d.Unknown = map[string]int{}
	}
	return d
}

// Text is the audit for people, without its problems.
func (a *Audited) Text(paint Paint) []byte {
	var out bytes.Buffer
	s := a.Summary()
	fmt.Fprintf(&out, "%s, %s, %s\n\n", plan.DescribeMesh(a.Mesh), count(s.Workloads, "workload"), count(s.Namespaces, "namespace"))
	out.Write(Findings(a.findings(), paint))
	fmt.Fprintf(&out, "%s\n", painted(paint, "title", fmt.Sprintf("Audit: %s · %s", s.Findings.Describe("findings"), s.Problems.Describe("problems"))))
	return out.Bytes()
}

func (a *Audited) findings() []model.Finding {
	list := make([]model.Finding, len(a.Findings))
	for i := range a.Findings {
		list[i] = a.Findings[i].Finding
	}
	return list
}

func painted(paint Paint, what, text string) string {
	if paint == nil {
		return text
	}
	return paint(what, text)
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
