package report

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"strings"
	"time"

	"github.com/jstemmer/go-junit-report/v2/junit"
	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"floe.dev/palisade/scan"
)

// scoreOf is a CVSS score within the range that GitHub's code scanning shows as a severity.
var scoreOf = map[scan.Severity]string{
	scan.Critical: "9.5", scan.High: "8.0", scan.Medium: "5.5", scan.Low: "2.0", scan.Negligible: "0.1", scan.Unknown: "0.0",
}

// SARIF is the merged findings as one run of a SARIF 2.1.0 log (OASIS). What is
// ignored is a suppressed result; grave gaps make the run an unsuccessful one.
func (s Scanned) SARIF(version string) ([]byte, error) {
	run := sarif.NewRunWithInformationURI("palisade scan-gate", toolURL)
	run.Tool.Driver.WithVersion(version)
	at := map[string]int{}
	for i := range s.Findings {
		f := &s.Findings[i]
		id := ruleOf(f)
		if _, known := at[id]; !known {
			at[id] = len(at)
			run.Tool.Driver.AddRule(scanRule(f, id))
		}
		run.AddResult(scanResult(f, at[id]))
	}
	if run.Results == nil {
		run.Results = []*sarif.Result{} // none were found, which is not to be mistaken for a run that did not look
	}
	done := sarif.NewInvocation().WithExecutionSuccessful(s.Verdict != scan.Incomplete)
	for i := range s.Gaps {
		g := &s.Gaps[i]
		level := "warning"
		if g.Grave {
			level = "error"
		}
		done.AddToolExecutionNotification(sarif.NewNotification().WithLevel(level).
			WithDescriptor(sarif.NewReportingDescriptorReference().WithID(g.Code)).WithMessage(sarif.NewTextMessage(g.File + ": " + g.Message)))
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

// ruleOf keeps severities apart: viewers take that of the rule for all of its results.
func ruleOf(f *scan.Finding) string { return f.ID + "/" + string(f.Severity) }

func scanRule(f *scan.Finding, id string) *sarif.ReportingDescriptor {
	title := cmp.Or(f.Title, f.ID)
	rule := sarif.NewRule(id).WithName(f.ID).
		WithShortDescription(sarif.NewMultiformatMessageString().WithText(title)).
		WithDefaultConfiguration(sarif.NewReportingConfiguration().WithLevel(scanLevel(f.Severity)))
	if strings.HasPrefix(f.Link, "https://") || strings.HasPrefix(f.Link, "http://") {
		rule.WithHelpURI(f.Link)
	}
	properties := sarif.NewPropertyBag().WithTags([]string{"security", string(f.Kind), string(f.Severity)})
	if f.Severity != scan.Unknown {
		properties.Add("security-severity", scoreOf[f.Severity])
	}
	return rule.WithProperties(properties)
}

func scanResult(f *scan.Finding, rule int) *sarif.Result {
	subject := strings.TrimSpace(f.Package + " " + f.Version)
	text := strings.TrimSpace(f.ID+" "+subject) + " in " + orFolder(f.Artifact)
	if f.Title != "" {
		text += ": " + f.Title
	}
	if len(f.Fix.Versions) > 0 {
		text += "\nFixed in: " + strings.Join(f.Fix.Versions, ", ")
	}
	r := sarif.NewRuleResult(ruleOf(f)).WithRuleIndex(rule).WithLevel(scanLevel(f.Severity)).WithMessage(sarif.NewTextMessage(text))
	for _, l := range scanPlaces(f) {
		line := max(l.Line, 1)
		location := sarif.NewLocation().WithPhysicalLocation(sarif.NewPhysicalLocation().
			WithArtifactLocation(sarif.NewSimpleArtifactLocation(fileURI(l.Path))).WithRegion(sarif.NewSimpleRegion(line, line)))
		location.AddLogicalLocation(sarif.NewLogicalLocation().WithFullyQualifiedName(strings.TrimSpace(orFolder(f.Artifact) + " " + subject)).WithKind("package"))
		r.AddLocation(location)
	}
	if f.Ignored != nil {
		why := fmt.Sprintf("%s (until %s)", joinWords(f.Ignored.Owner, f.Ignored.Reason), f.Ignored.Expires.UTC().Format(time.RFC3339))
		r.AddSuppression(sarif.NewSuppression().WithKind("external").WithStatus("accepted").WithJustification(why))
	}
	return r.WithPartialFingerprints(map[string]string{"palisade/v1": f.Fingerprint})
}

// scanPlaces are the locations, or the name of the image as a path, without its tag: viewers want a file, and the same one tomorrow.
func scanPlaces(f *scan.Finding) []scan.Location {
	if len(f.Locations) > 0 {
		return f.Locations
	}
	return []scan.Location{{Path: cmp.Or(scan.Repository(f.Artifact), ".")}}
}

func scanLevel(s scan.Severity) string {
	switch s {
	case scan.Critical, scan.High, scan.Unknown:
		return "error"
	case scan.Medium:
		return "warning"
	default:
		return "note"
	}
}

// JUnit is the result as a JUnit report: a suite for every artifact, in it a case
// for each finding; what fails the gate fails, all else passes and says why. Grave
// gaps are cases with an error.
func (s Scanned) JUnit() ([]byte, error) {
	suites := junit.Testsuites{Name: "palisade scan-gate"}
	at := map[string]int{}
	var order []*junit.Testsuite
	for i := range s.Findings {
		f := &s.Findings[i]
		k, known := at[f.Artifact]
		if !known {
			k = len(order)
			at[f.Artifact] = k
			order = append(order, &junit.Testsuite{Name: orFolder(f.Artifact), ID: k, Time: "0"})
		}
		order[k].AddTestcase(scanCase(f))
	}
	gaps := &junit.Testsuite{Name: "what the reports cover", ID: len(order), Time: "0"}
	for _, g := range s.Gaps {
		c := junit.Testcase{Name: g.Code + " " + g.File, Classname: "reports"}
		if g.Grave {
			c.Error = &junit.Result{Message: g.Message, Type: g.Code, Data: g.Fix}
		} else {
			c.SystemOut = &junit.Output{Data: g.Message}
		}
		gaps.AddTestcase(c)
	}
	if len(s.Gaps) == 0 {
		gaps.AddTestcase(junit.Testcase{Name: "every report says what it looked at", Classname: "reports"})
	}
	for _, suite := range append(order, gaps) {
		suites.AddSuite(*suite)
	}
	var out bytes.Buffer
	out.WriteString(xml.Header)
	if err := suites.WriteXML(&out); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func scanCase(f *scan.Finding) junit.Testcase {
	name := strings.TrimSpace(f.ID + " " + f.Package + " " + f.Version)
	if len(f.Locations) > 0 {
		name += " " + f.Locations[0].Path
	}
	c := junit.Testcase{Name: plain(name), Classname: string(f.Kind)}
	text := plain(fmt.Sprintf("%s %s %s", f.Severity, f.Title, f.Link))
	if len(f.Fix.Versions) > 0 {
		text += "\nfixed in " + plain(strings.Join(f.Fix.Versions, ", "))
	}
	if f.Status == scan.Fails {
		c.Failure = &junit.Result{Message: plain(cmp.Or(f.Title, f.ID)), Type: string(f.Severity), Data: text}
		return c
	}
	if f.Ignored != nil {
		text = "ignored: " + plain(joinWords(f.Ignored.Owner, f.Ignored.Reason)) + "\n" + text
	}
	c.SystemOut = &junit.Output{Data: string(f.Status) + "\n" + text}
	return c
}
