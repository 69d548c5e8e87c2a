package report_test

import (
	"encoding/json"
	"encoding/xml"
	"testing"

	"github.com/jstemmer/go-junit-report/v2/junit"
	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/audit"
	"floe.dev/palisade/model"
	"floe.dev/palisade/report"
)

func audited() *report.Audited {
	at := func(code string, severity model.Severity, source *model.Source) report.LocatedFinding {
		return report.LocatedFinding{Finding: model.NewFinding(code, severity, deployment("web"), "spec.replicas", "it is wrong", "mend it"), Source: source}
	}
	return &report.Audited{
		Findings: []report.LocatedFinding{
			at("DrainBlocked", model.Error, &model.Source{File: "a b/shop.yaml", Document: 2, Line: 7}),
			at("UDPOnlyDNS", model.Warning, &model.Source{File: "/abs/shop.yaml", Line: 9}),
			at("PodBelowWarn", model.Info, nil),
		},
		Problems:   []model.Problem{{Code: "PolicyNotJudged", Severity: model.Error, Message: "1 object was not judged"}},
		Namespaces: 2, Workloads: 3,
	}
}

func TestSARIFIsValidAndSaysWhereEverythingIs(t *testing.T) {
	data, err := audited().SARIF("palisade v1")
	require.NoError(t, err)
	log, err := sarif.FromBytes(data)
	require.NoError(t, err)
	require.NoError(t, log.Validate())
	run := log.Runs[0]
	assert.Len(t, run.Tool.Driver.Rules, len(audit.Kinds(false)), "what has no result was looked for")
	require.Len(t, run.Results, 3)
	assert.False(t, *run.Invocations[0].ExecutionSuccessful, "something could not be judged")
	first := run.Results[0]
	assert.Equal(t, "error", first.Level)
	assert.Equal(t, "DrainBlocked", *run.Tool.Driver.Rules[first.RuleIndex].ID)
	assert.Equal(t, "a%20b/shop.yaml", *first.Locations[0].PhysicalLocation.ArtifactLocation.URI)
	assert.Equal(t, 7, *first.Locations[0].PhysicalLocation.Region.StartLine)
	assert.Equal(t, "file:///abs/shop.yaml", *run.Results[1].Locations[0].PhysicalLocation.ArtifactLocation.URI)
	assert.Nil(t, run.Results[2].Locations[0].PhysicalLocation)
	assert.Equal(t, "Deployment shop/web spec.replicas", *run.Results[2].Locations[0].LogicalLocations[0].FullyQualifiedName)
	assert.NotEqual(t, first.PartialFingerprints, run.Results[1].PartialFingerprints)
}

func TestJUnitFailsWhatIsGraveEnough(t *testing.T) {
	for least, failures := range map[model.Severity]int{model.Error: 1, model.Warning: 2, model.Info: 3, "": 0} {
		data, err := audited().JUnit(least)
		require.NoError(t, err)
		var suites junit.Testsuites
		require.NoError(t, xml.Unmarshal(data, &suites))
		assert.Equal(t, failures, suites.Failures, "%q", least)
		assert.Equal(t, 1, suites.Errors, "something could not be judged")
		assert.Equal(t, len(audit.Kinds(false))+1, suites.Tests, "each kind is a case, found or not")
	}
}

func TestTheAuditReportCounts(t *testing.T) {
	data, err := report.JSON(audited().Document())
	require.NoError(t, err)
	var d report.AuditDocument
	require.NoError(t, json.Unmarshal(data, &d))
	assert.Equal(t, 1, d.Summary.Findings.Error)
	assert.Equal(t, 1, d.Summary.Problems.Error)
	assert.Equal(t, 7, d.Findings[0].Source.Line)
	assert.Contains(t, string(audited().Text(nil)), "Audit: findings: 1 error, 1 warning, 1 info · problems: 1 error")
}
