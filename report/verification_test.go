package report_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
	"floe.dev/palisade/report"
	"floe.dev/palisade/verify"
)

// demo is the verification of the lab's demo (verify/lab.Demo), as it was saved.
func demo(t testing.TB) *verify.Report {
	t.Helper()
	data, err := os.ReadFile("testdata/verification/report.json")
	require.NoError(t, err)
	r, err := verify.ParseReport(data)
	require.NoError(t, err)
	return r
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", "verification", name)
	if *update {
		require.NoError(t, os.WriteFile(file, got, 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got))
}

// Features: D8.
func TestVerificationIsToldInEveryForm(t *testing.T) {
	r := demo(t)
	golden(t, "report.txt", report.VerificationText(r, nil))
	golden(t, "report.md", report.VerificationMarkdown(r))
	golden(t, "report.svg", report.VerificationSVG(r))
	changes, err := report.JSON(report.ChangesDocument(r.Changes))
	require.NoError(t, err)
	golden(t, "changes.json", changes)
}

// What is saved is what the schemas say, and is read back to the byte.
func TestVerificationFitsItsSchema(t *testing.T) {
	data, err := report.JSON(demo(t))
	require.NoError(t, err)
	fits(t, "verification-report.json", data)
	changes, err := report.JSON(report.ChangesDocument(demo(t).Changes))
	require.NoError(t, err)
	fits(t, "verification-changes.json", changes)
	empty, err := report.JSON(verify.NewReport(&verify.Run{Finished: demo(t).Finished}))
	require.NoError(t, err)
	fits(t, "verification-report.json", empty)
	saved, err := os.ReadFile("testdata/verification/report.json")
	require.NoError(t, err)
	assert.Equal(t, string(saved), string(data))
}

func fits(t *testing.T, schema string, data []byte) {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(filepath.Join("..", "docs", "schemas", schema))
	require.NoError(t, err)
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	require.NoError(t, err)
	assert.NoError(t, s.Validate(value))
}

func TestWireFindingsAreTestCasesAndResults(t *testing.T) {
	junit, err := report.Wire(demo(t)).JUnit(model.Error)
	require.NoError(t, err)
	assert.Contains(t, string(junit), `<testsuites name="palisade verify"`)
	assert.Contains(t, string(junit), `<testsuite name="StrangerAdmitted" tests="1" failures="1"`)
	assert.Contains(t, string(junit), `<testsuite name="MemberRefused" tests="1" failures="0"`)
	assert.NotContains(t, string(junit), "UDPOnlyDNS", "what only reading finds was not looked for")
	sarif, err := report.Wire(demo(t)).SARIF("v1")
	require.NoError(t, err)
	var log struct {
		Runs []struct {
			Results []struct{ RuleID string }
		}
	}
	require.NoError(t, json.Unmarshal(sarif, &log))
	require.Len(t, log.Runs, 1)
	assert.Len(t, log.Runs[0].Results, len(demo(t).Findings))
}

// big is a report on many pods, some of which fail.
func big(workloads, pods int) *verify.Report {
	noon := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	run := verify.Run{Started: noon.Add(-time.Minute), Finished: noon, Mesh: model.MeshIstio}
	for w := range workloads {
		for p := range pods {
			identity := fmt.Sprintf("mesh.example/ns/ns-%d/sa/app-%d", w%20, w)
			e := verify.Expectation{
				Target: verify.Target{Workload: model.WorkloadID{Kind: "Deployment", Namespace: fmt.Sprintf("ns-%d", w%20), Name: fmt.Sprintf("app-%d", w)}, Pod: fmt.Sprintf("app-%d-%d", w, p), Address: netip.AddrFrom4([4]byte{10, byte(w >> 8), byte(w), byte(p)}), Port: 8080},
				Way:    verify.Sidecar, Standing: verify.Strict, Identity: identity, Callers: []string{fmt.Sprintf("mesh.example/ns/ns-%d/sa/app-%d", (w+1)%20, (w+1)%workloads)},
				Checks: []verify.Check{{Client: verify.Plaintext, Want: verify.Refused}, {Client: verify.Member, Want: verify.Admitted}},
			}
			plain := verify.Observation{Client: verify.Plaintext, Outcome: verify.Closed}
			if w%50 == 0 {
				plain = verify.Observation{Client: verify.Plaintext, Outcome: verify.Spoke}
			}
			leaf := verify.Certificate{Fingerprint: fmt.Sprintf("%032d%032d", w, p), Serial: "1", Names: []string{"spiffe://" + identity}, NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(23 * time.Hour)}
			member := verify.Observation{Client: verify.Member, Outcome: verify.Established, TLS: &verify.Session{Version: "1.3", Chain: []verify.Certificate{leaf}}}
			run.Expectations = append(run.Expectations, e)
			run.Seen = append(run.Seen, verify.Observed{Target: e.Target, Seen: []verify.Observation{plain, member}})
		}
	}
	return verify.NewReport(&run)
}

// The page opens whatever the cluster is: it is bounded, and so are text and Markdown.
func TestFormsForPeopleAreBoundedAtTenThousandPods(t *testing.T) {
	r := big(5000, 2)
	html, err := report.VerificationHTML(r)
	require.NoError(t, err)
	assert.Less(t, len(html), 16<<20)
	assert.Contains(t, string(html), "ports are in the JSON form only")
	assert.Contains(t, string(html), "app-4950 ", "what fails is there")
	assert.Less(t, len(report.VerificationText(r, nil)), 32<<10)
	assert.Less(t, len(report.VerificationMarkdown(r)), 64<<10)
	assert.Less(t, len(report.VerificationSVG(r)), 128<<10)
	t.Logf("html %d KiB, text %d, markdown %d, svg %d bytes", len(html)>>10, len(report.VerificationText(r, nil)), len(report.VerificationMarkdown(r)), len(report.VerificationSVG(r)))
}

// What is broken between two namespaces is not hidden by what holds there.
//
// Features: D6.
func TestThePictureShowsTheWorstOfAPair(t *testing.T) {
	svg := string(report.VerificationSVG(big(300, 2)))
	assert.Contains(t, svg, "marker-end:url(#wire-broken)")
	assert.Contains(t, svg, "3 ports of 15")
}

// evil is what a hostile server, or a workload, may put into a report.
const evil = `</script><script>alert(1)</script><img src=x onerror=alert(2)>"'|` + "`"

func TestNothingOfAClusterBecomesMarkup(t *testing.T) {
	r := demo(t)
	for i := range r.Results {
		r.Results[i].Reason, r.Results[i].Why, r.Results[i].Pod = evil, evil, evil
		for j := range r.Results[i].Checks {
			r.Results[i].Checks[j].Saw = evil
		}
	}
	for i := range r.Findings {
		r.Findings[i].Message = evil
	}
	r.Results[0].Workload.Name, r.Results[0].Callers = evil, []string{evil}
	r.Authorities[0].Subject = evil
	html, err := report.VerificationHTML(r)
	require.NoError(t, err)
	assert.Equal(t, 1, strings.Count(string(html), "<script>"))
	assert.NotContains(t, string(html), "<img")
	assert.NotContains(t, string(report.VerificationMarkdown(r)), "<script>")
}

// The page names no address that a browser would fetch of itself, and its policy forbids any.
func TestThePageAsksNothingOfAnybody(t *testing.T) {
	html, err := report.VerificationHTML(demo(t))
	require.NoError(t, err)
	assert.Contains(t, string(html), "default-src &#39;none&#39;")
	for _, found := range regexp.MustCompile(`(?:src|srcset|action|data|poster)="([^"]*)"|url\(([^)]*)\)|@import`).FindAllStringSubmatch(string(html), -1) {
		assert.True(t, strings.HasPrefix(found[2], "#"), "%s", found[0])
	}
	for _, found := range regexp.MustCompile(`<link[^>]*href="([^"]*)"`).FindAllStringSubmatch(string(html), -1) {
		assert.Equal(t, "data:,", found[1])
	}
}
