package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"path"
	"path/filepath"
	"strings"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"floe.dev/palisade/audit"
	"floe.dev/palisade/model"
)

// toolURL is where SARIF viewers send people who want to know more of the tool.
const toolURL = "https://palisade.floe.dev"

// SARIF is the findings as a SARIF 2.1.0 log (OASIS), with every kind that may be
// found as a rule: what has no result was looked for. Problems are notifications of
// the run: with one of severity error it was not successful.
func (a *Audited) SARIF(version string) ([]byte, error) {
	run := sarif.NewRunWithInformationURI("palisade", toolURL)
	run.Tool.Driver.WithVersion(version)
	at := map[string]int{}
	for i, k := range audit.Kinds(a.OnWire) {
		at[k.Code] = i
		run.Tool.Driver.AddRule(sarifRule(k))
	}
	for i := range a.Findings {
		run.AddResult(sarifResult(&a.Findings[i], at))
	}
	done := sarif.NewInvocation().WithExecutionSuccessful(!Incomplete(a.Problems))
	for i := range a.Problems {
		p := &a.Problems[i]
		done.AddToolExecutionNotification(sarif.NewNotification().WithLevel(sarifLevel(p.Severity)).
			WithDescriptor(sarif.NewReportingDescriptorReference().WithID(p.Code)).
			WithMessage(sarif.NewTextMessage(strings.TrimPrefix(p.Subject.String()+": "+p.Message, ": "))))
	}
	run.AddInvocation(done)
	log := sarif.NewReport()
	log.AddRun(run)
	var out bytes.Buffer
	if err := log.PrettyWrite(&out); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

func sarifRule(k audit.Kind) *sarif.ReportingDescriptor {
	return sarif.NewRule(k.Code).WithName(k.Code).
		WithShortDescription(sarif.NewMultiformatMessageString().WithText(k.Says)).
		WithFullDescription(sarif.NewMultiformatMessageString().WithText(k.Why)).
		WithHelp(sarif.NewMultiformatMessageString().WithText(k.Why + " " + k.Fix)).
		WithHelpURI(model.FindingsURL + k.Code + ".md").
		WithDefaultConfiguration(sarif.NewReportingConfiguration().WithLevel(sarifLevel(k.Severities[0])))
}

func sarifResult(f *LocatedFinding, rules map[string]int) *sarif.Result {
	text := f.Message
	if f.Fix != "" {
		text += "\nFix: " + f.Fix
	}
	r := sarif.NewRuleResult(f.Code).WithLevel(sarifLevel(f.Severity)).WithMessage(sarif.NewTextMessage(f.Subject.String() + ": " + text))
	if i, known := rules[f.Code]; known {
		r.WithRuleIndex(i)
	}
	location := sarif.NewLocation()
	name := f.Subject.String()
	if f.Field != "" {
		name += " " + f.Field
	}
	location.AddLogicalLocation(sarif.NewLogicalLocation().WithFullyQualifiedName(name).WithKind("object"))
	if s := f.Source; s != nil && s.File != "-" {
		physical := sarif.NewPhysicalLocation().WithArtifactLocation(sarif.NewSimpleArtifactLocation(fileURI(s.File)))
		if s.Line > 0 {
			physical.WithRegion(sarif.NewSimpleRegion(s.Line, s.Line))
		}
		location.WithPhysicalLocation(physical)
	}
	r.AddLocation(location)
	r.WithPartialFingerprints(map[string]string{"palisade/v1": fingerprint(f)})
	return r
}

// fingerprint stays the same when lines move and messages are worded anew.
func fingerprint(f *LocatedFinding) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{f.Code, f.Subject.Group(), f.Subject.String(), f.Field}, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// fileURI is a path as a reference relative to where the tool ran, or a file URI (RFC 8089) where the path is absolute.
func fileURI(file string) string {
	slashed := filepath.ToSlash(file)
	if filepath.IsAbs(file) {
		return (&url.URL{Scheme: "file", Path: slashed}).String()
	}
	return (&url.URL{Path: path.Clean(slashed)}).String() // which keeps "a:b" from being of a scheme "a"
}

func sarifLevel(s model.Severity) string {
	switch s {
	case model.Info:
		return "note"
	case model.Warning:
		return "warning"
	default:
		return "error"
	}
}
