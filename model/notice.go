package model

import "cmp"

// Severity says how much a Problem or a Finding matters.
type Severity string

// The severities, from the least to the gravest.
const (
	Info    Severity = "info"
	Warning Severity = "warning"
	Error   Severity = "error"
)

// Rank orders severities: a higher rank is graver. An unknown one is gravest.
func (s Severity) Rank() int {
	switch s {
	case Info:
		return 0
	case Warning:
		return 1
	default:
		return 2
	}
}

// Problem is what palisade could not express, or does not know and needs:
// something of the intent stays closed or unwritten because of it. A Problem
// of severity Error means that the result is incomplete.
type Problem struct {
	// Code is one CamelCase word, stable across releases.
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	// Subject is the object that the problem is about; the zero Ref means the cluster.
	Subject Ref `json:"subject,omitzero"`
	// Field is the path in the subject, for example "spec.ports[0].port".
	Field string `json:"field,omitempty"`
	// Message says what is the matter and what was left out because of it.
	Message string `json:"message"`
	// Fix names the flag or the object that would supply what is missing.
	Fix string `json:"fix,omitempty"`
}

// Finding is a fault of the user's cluster: a result, not an error of ours.
type Finding struct {
	// Code is one CamelCase word, stable across releases; its page is docs/findings/<Code>.md.
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	// Subject is the object at fault.
	Subject Ref `json:"subject"`
	// Field is the path in the subject that shows the fault.
	Field string `json:"field,omitempty"`
	// Message says what is wrong and what follows from it.
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
	// Link is the page that explains it.
	Link string `json:"link,omitempty"`
}

// FindingsURL is where the pages of the findings live; the code and ".md" follow.
const FindingsURL = "https://palisade.floe.dev/docs/findings/"

// NewFinding fills in the link from the code.
func NewFinding(code string, severity Severity, subject Ref, field, message, fix string) Finding {
	return Finding{
		Code: code, Severity: severity, Subject: subject, Field: field,
		Message: message, Fix: fix, Link: FindingsURL + code + ".md",
	}
}

// CompareProblems orders problems by severity (gravest first), subject, code and text.
func CompareProblems(a, b Problem) int {
	return cmp.Or(
		cmp.Compare(b.Severity.Rank(), a.Severity.Rank()),
		CompareRefs(a.Subject, b.Subject),
		cmp.Compare(a.Code, b.Code),
		cmp.Compare(a.Field, b.Field),
		cmp.Compare(a.Message, b.Message),
	)
}

// CompareFindings orders findings by severity (gravest first), subject, code and text.
func CompareFindings(a, b Finding) int {
	return cmp.Or(
		cmp.Compare(b.Severity.Rank(), a.Severity.Rank()),
		CompareRefs(a.Subject, b.Subject),
		cmp.Compare(a.Code, b.Code),
		cmp.Compare(a.Field, b.Field),
		cmp.Compare(a.Message, b.Message),
	)
}
