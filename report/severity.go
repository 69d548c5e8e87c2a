package report

import "floe.dev/palisade/model"

// AtOrAbove picks the findings that are at least as grave as a severity.
func AtOrAbove(findings []model.Finding, least model.Severity) []model.Finding {
	var grave []model.Finding
	for _, f := range findings {
		if f.Severity.Rank() >= least.Rank() {
			grave = append(grave, f)
		}
	}
	return grave
}

// Incomplete tells whether some problem leaves the result incomplete.
func Incomplete(problems []model.Problem) bool {
	for _, p := range problems {
		if p.Severity.Rank() >= model.Error.Rank() {
			return true
		}
	}
	return false
}
