package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/scan"
)

func scanned(t *testing.T, names ...string) Scanned {
	t.Helper()
	var reports []*scan.Report
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join("..", "scan", "testdata", name))
		require.NoError(t, err)
		r, err := scan.Read(name, data)
		require.NoError(t, err)
		reports = append(reports, r)
	}
	at := time.Date(2026, 11, 23, 11, 0, 0, 0, time.UTC)
	return Scanned{scan.Judge(reports, nil, scan.Policy{FailOn: scan.High, FailOnUnfixed: scan.Never, Unknown: scan.Critical, At: at})}
}

func TestPathsAreReferences(t *testing.T) {
	for path, want := range map[string]string{
		"./a/b.yaml": "a/b.yaml", "a b.yaml": "a%20b.yaml", "web:1": "./web:1", "r.example.com/web:1": "r.example.com/web:1", "/a": "file:///a", "../a": "../a", ".": ".",
	} {
		assert.Equal(t, want, fileURI(path))
	}
}

// One gate's SARIF read by another says the same, or graver: SARIF has no word for negligible and unknown. Fingerprints are those of one run.
func TestSARIFOfTheGateIsReadBack(t *testing.T) {
	first := scanned(t, "trivy-image.json", "grype-image.json", "trivy-folder.json", "codeql.sarif")
	data, err := first.SARIF("1.0.0")
	require.NoError(t, err)
	r, err := scan.Read("own.sarif", data)
	require.NoError(t, err)
	require.Len(t, r.Findings, len(first.Findings))
	again := Scanned{scan.Judge([]*scan.Report{r}, nil, scan.Policy{FailOn: scan.High, FailOnUnfixed: scan.High, Unknown: scan.Critical})}
	counts := func(s Scanned) map[scan.Severity]int {
		n := map[scan.Severity]int{}
		for i := range s.Findings {
			n[s.Findings[i].Severity]++
		}
		return n
	}
	want := counts(first)
	want[scan.Low], want[scan.High] = want[scan.Low]+want[scan.Negligible], want[scan.High]+want[scan.Unknown]
	delete(want, scan.Negligible)
	delete(want, scan.Unknown)
	assert.Equal(t, want, counts(again))
	var log struct {
		Runs []struct {
			Results []struct {
				PartialFingerprints map[string]string
				Locations           []struct {
					PhysicalLocation struct{ ArtifactLocation struct{ URI string } }
				}
			}
		}
	}
	require.NoError(t, json.Unmarshal(data, &log))
	seen := map[string]bool{}
	for _, result := range log.Runs[0].Results {
		mark := result.PartialFingerprints["palisade/v1"]
		assert.False(t, seen[mark], "two results have one fingerprint")
		seen[mark] = true
		require.NotEmpty(t, result.Locations)
		assert.NotContains(t, result.Locations[0].PhysicalLocation.ArtifactLocation.URI, ":1.4", "the tag is not part of the place")
	}
}

func TestSARIFOfTheGateTellsNoneFromNotLooked(t *testing.T) {
	clean, err := scan.Read("clean.json", []byte(`{"SchemaVersion": 2, "ArtifactName": "x", "Results": [{"Target": "go.mod"}]}`))
	require.NoError(t, err)
	data, err := Scanned{scan.Judge([]*scan.Report{clean}, nil, scan.Policy{FailOn: scan.High, FailOnUnfixed: scan.High, Unknown: scan.Critical})}.SARIF("1")
	require.NoError(t, err)
	assert.Contains(t, string(data), `"results": []`)
	assert.Contains(t, string(data), `"executionSuccessful": true`)
	data, err = scanned(t, "failed.sarif").SARIF("1")
	require.NoError(t, err)
	assert.Contains(t, string(data), `"executionSuccessful": false`)
	data, err = scanned(t, "failed.sarif").JUnit()
	require.NoError(t, err)
	assert.Contains(t, string(data), `errors="1"`)
}
