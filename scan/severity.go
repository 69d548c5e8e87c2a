package scan

import (
	"slices"
	"strconv"
	"strings"
)

// Severity says how grave a flaw is.
type Severity string

// The severities, from the least to the gravest. Unknown stands aside: it is not low (see Policy.Unknown).
const (
	Unknown    Severity = "unknown"
	Negligible Severity = "negligible"
	Low        Severity = "low"
	Medium     Severity = "medium"
	High       Severity = "high"
	Critical   Severity = "critical"
)

// Severities are all of them, from the least to the gravest.
func Severities() []Severity {
	return []Severity{Unknown, Negligible, Low, Medium, High, Critical}
}

// Rank orders severities, Unknown lowest.
func (s Severity) Rank() int { return slices.Index(Severities(), s) }

// severityOf understands the words of Trivy, Grype, GitHub's and Red Hat's advisories.
func severityOf(word string) Severity {
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "critical":
		return Critical
	case "high", "important":
		return High
	case "medium", "moderate":
		return Medium
	case "low":
		return Low
	case "negligible":
		return Negligible
	default:
		return Unknown
	}
}

// severityOfScore maps a CVSS base score as FIRST's CVSS 3.1, section 5, and
// GitHub's code scanning do. 0.0 is what scanners write that do not know.
func severityOfScore(text string) Severity {
	score, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	switch {
	case err != nil || !(score > 0) || score > 10:
		return Unknown
	case score >= 9:
		return Critical
	case score >= 7:
		return High
	case score >= 4:
		return Medium
	default:
		return Low
	}
}

// weigh picks the severity that counts: that of the first of the sources that
// knows one, else the gravest that a scanner went by.
func weigh(ratings []Rating, sources []string) Severity {
	for _, source := range sources {
		worst := Unknown
		for _, r := range ratings {
			if (r.Source == source || r.Chosen && r.Scanner == source) && r.Severity.Rank() > worst.Rank() {
				worst = r.Severity
			}
		}
		if worst != Unknown {
			return worst
		}
	}
	worst := Unknown
	for _, r := range ratings {
		if r.Chosen && r.Severity.Rank() > worst.Rank() {
			worst = r.Severity
		}
	}
	return worst
}
