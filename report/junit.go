package report

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/jstemmer/go-junit-report/v2/junit"

	"floe.dev/palisade/audit"
	"floe.dev/palisade/model"
)

// JUnit is the findings as a JUnit report: a suite for every kind that may be
// found, in it a case for each object. Those at least as grave as a severity fail;
// others pass and say so. A kind of which nothing was found is one case that
// passes. Problems of severity error are cases with an error.
func (a *Audited) JUnit(least model.Severity) ([]byte, error) {
	found := map[string][]*LocatedFinding{}
	for i := range a.Findings {
		found[a.Findings[i].Code] = append(found[a.Findings[i].Code], &a.Findings[i])
	}
	suites := junit.Testsuites{Name: "palisade audit"}
	if a.OnWire {
		suites.Name = "palisade verify"
	}
	for i, k := range audit.Kinds(a.OnWire) {
		suite := junit.Testsuite{Name: k.Code, ID: i, Time: "0"}
		for _, f := range found[k.Code] {
			suite.AddTestcase(findingCase(f, least))
		}
		if len(found[k.Code]) == 0 {
			suite.AddTestcase(junit.Testcase{Name: k.Says, Classname: k.Code})
		}
		suites.AddSuite(suite)
	}
	if problems := a.problemSuite(len(suites.Suites)); problems.Tests > 0 {
		suites.AddSuite(problems)
	}
	var out bytes.Buffer
	out.WriteString(xml.Header)
	if err := suites.WriteXML(&out); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func findingCase(f *LocatedFinding, least model.Severity) junit.Testcase {
	name := f.Subject.String()
	if f.Field != "" {
		name += " " + f.Field
	}
	c := junit.Testcase{Name: name, Classname: f.Code}
	lines := []string{fmt.Sprintf("%s: %s", f.Severity, f.Message)}
	if f.Fix != "" {
		lines = append(lines, "fix: "+f.Fix)
	}
	if s := f.Source; s != nil {
		lines = append(lines, fmt.Sprintf("at %s:%d", s.File, s.Line))
	}
	lines = append(lines, f.Link)
	text := strings.Join(lines, "\n")
	if least == "" || f.Severity.Rank() < least.Rank() {
		c.SystemOut = &junit.Output{Data: text}
		return c
	}
	c.Failure = &junit.Result{Message: f.Message, Type: string(f.Severity), Data: text}
	return c
}

func (a *Audited) problemSuite(id int) junit.Testsuite {
	suite := junit.Testsuite{Name: "problems: what could not be judged", ID: id, Time: "0"}
	for i := range a.Problems {
		p := &a.Problems[i]
		if p.Severity.Rank() < model.Error.Rank() {
			continue
		}
		suite.AddTestcase(junit.Testcase{Name: strings.TrimSpace(p.Code + " " + p.Subject.String()), Classname: "problems", Error: &junit.Result{Message: p.Message, Type: p.Code, Data: p.Fix}})
	}
	return suite
}
