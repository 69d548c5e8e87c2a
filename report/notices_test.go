package report_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
	"floe.dev/palisade/report"
)

var update = flag.Bool("update", false, "write the golden files")

func deployment(name string) model.Ref {
	return model.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: name}
}

func TestTwoHundredWorkloadsStayReadable(t *testing.T) {
	var findings []model.Finding
	for i := range 200 {
		findings = append(findings, model.NewFinding("PodOutsideMesh", model.Warning, deployment(fmt.Sprintf("w%03d", i)), "",
			"its namespace is not enrolled", "label the namespace istio-injection=enabled"))
		findings = append(findings, model.NewFinding("RefusedAtLevel", model.Error, deployment(fmt.Sprintf("w%03d", i)), "spec.containers[0]",
			fmt.Sprintf("container w%03d runs as root", i), fmt.Sprintf("set runAsNonRoot in container w%03d", i)))
	}
	text := string(report.Findings(findings, nil))
	assertGolden(t, "many-findings.out.txt", text)
	assert.Less(t, strings.Count(text, "\n"), 50)
}

func TestProblemsNameTheirSubjectFieldAndFix(t *testing.T) {
	text := report.Problems([]model.Problem{
		{Code: "APIServerUnknown", Severity: model.Error, Message: "the address of the API server is not known; egress to it stays closed", Fix: "give --api-server"},
		{Code: "PortUnknown", Severity: model.Error, Subject: deployment("cart"), Field: "spec.ports[0].port", Message: "no container has a port grpc"},
		{Code: "PortUnknown", Severity: model.Warning, Subject: deployment("web"), Message: "line one\nline two", Fix: "do this"},
		{Code: "PortUnknown", Severity: model.Warning, Subject: deployment("web2"), Message: "other", Fix: "do that"},
	}, nil)
	assertGolden(t, "problems.out.txt", string(text))
}

func TestNothingNoticedIsNothingWritten(t *testing.T) {
	assert.Empty(t, report.Findings(nil, nil))
	assert.Empty(t, report.Problems(nil, nil))
}

func TestSeveritiesDecide(t *testing.T) {
	findings := []model.Finding{{Severity: model.Info}, {Severity: model.Warning}, {Severity: model.Error}, {Severity: "unheard-of"}}
	assert.Len(t, report.AtOrAbove(findings, model.Info), 4)
	assert.Len(t, report.AtOrAbove(findings, model.Warning), 3)
	assert.Len(t, report.AtOrAbove(findings, model.Error), 2, "an unknown severity is grave")
	assert.False(t, report.Incomplete([]model.Problem{{Severity: model.Warning}}))
	assert.True(t, report.Incomplete([]model.Problem{{Severity: model.Warning}, {Severity: model.Error}}))
}

func TestJSONLeavesTextAsItIs(t *testing.T) {
	got, err := report.JSON(map[string]string{"a": "<b> & c"})
	require.NoError(t, err)
	assert.Equal(t, "{\n  \"a\": \"<b> & c\"\n}\n", string(got))
}

func assertGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}
