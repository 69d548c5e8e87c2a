package scan

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func defaults() Policy { return Policy{FailOn: High, FailOnUnfixed: High, Unknown: Critical, At: noon} }

func fixture(t testing.TB, names ...string) []*Report {
	t.Helper()
	var reports []*Report
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		require.NoError(t, err)
		r, err := Read(name, data)
		require.NoError(t, err)
		reports = append(reports, r)
	}
	return reports
}

// lines are findings as "status severity id package version fix scanners".
func lines(findings []Finding) []string {
	var list []string
	for _, f := range findings {
		list = append(list, strings.Join(strings.Fields(fmt.Sprintf("%s %s %s %s %s %s %s", f.Status, f.Severity, f.ID, f.Package, f.Version, f.Fix.State, strings.Join(f.Scanners, "+"))), " "))
	}
	return list
}

// Features: REQ-460.
func TestTwoScannersOfOneImageAreMerged(t *testing.T) {
	r := Judge(fixture(t, "trivy-image.json", "grype-image.json"), nil, defaults())
	assert.Equal(t, []string{
		"fails critical CVE-2026-10002 libc6 2.36-9 none trivy",
		"fails critical CVE-2026-40001 log4j-core 2.14.1 available grype",
		"fails high CVE-2026-30001 golang.org/x/net v0.30.0 available grype+trivy",
		"fails high CVE-2026-10001 libssl3 3.0.15-1 available grype+trivy",
		"fails unknown CVE-2026-10003 tar 1.34 none trivy",
		"below medium CVE-2026-20001 Jinja2 3.1.2 available grype+trivy",
		"below negligible CVE-2026-10004 bash 5.2 none grype",
	}, lines(r.Findings))
	assert.Equal(t, Failed, r.Verdict)
	for _, f := range r.Findings {
		assert.Equal(t, "registry.example.com/shop/web:1.4", f.Artifact)
	}
	assert.Equal(t, []string{"GHSA-2222-3333-4444"}, r.Findings[2].Aliases)
	assert.Equal(t, []Suppressed{{
		Scanner: "grype", ID: "CVE-2026-10005", Artifact: "registry.example.com/shop/web:1.4", Package: "perl-base", Version: "5.36",
		Reason: "vex: not_affected, vulnerable_code_not_in_execute_path",
	}}, r.Suppressed)
}

func TestJSONAndSARIFOfOneScanAreMerged(t *testing.T) {
	for _, pair := range [][]string{{"trivy-image.json", "trivy-image.sarif"}, {"grype-image.json", "grype-image.sarif", "trivy-image.json"}} {
		alone := Judge(fixture(t, pair[0]), nil, defaults())
		both := Judge(fixture(t, pair[:2]...), nil, defaults())
		fewer := lines(alone.Findings)
		for _, line := range lines(both.Findings) {
			if !strings.Contains(line, "CVE-2026-10003") { // of which Grype's JSON says nothing, and its SARIF does
				assert.Contains(t, fewer, line)
			}
		}
	}
}

func TestOrderOfReportsDoesNotMatter(t *testing.T) {
	names := []string{"trivy-image.json", "grype-image.json", "trivy-folder.json", "trivy-cluster.json", "trivy-image.sarif", "grype-image.sarif", "codeql.sarif"}
	want := Judge(fixture(t, names...), nil, defaults())
	random := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		got := Judge(fixture(t, names...), nil, defaults())
		assert.ElementsMatch(t, lines(want.Findings), lines(got.Findings))
		assert.Equal(t, want.Verdict, got.Verdict)
	}
	once := Judge(fixture(t, names...), nil, defaults())
	twice := Judge(append(fixture(t, names...), fixture(t, names...)...), nil, defaults())
	assert.ElementsMatch(t, lines(once.Findings), lines(twice.Findings), "reading a report twice adds nothing")
}

// Features: REQ-460.
func TestThresholds(t *testing.T) {
	tests := map[string]struct {
		change func(*Policy)
		fails  int
		want   Verdict
	}{
		"as it is":                 {func(*Policy) {}, 5, Failed},
		"critical only":            {func(p *Policy) { p.FailOn, p.FailOnUnfixed = Critical, Critical }, 3, Failed},
		"everything":               {func(p *Policy) { p.FailOn, p.FailOnUnfixed = Negligible, Negligible }, 7, Failed},
		"never":                    {func(p *Policy) { p.FailOn, p.FailOnUnfixed = Never, Never }, 0, Passed},
		"only what can be fixed":   {func(p *Policy) { p.FailOnUnfixed = Never }, 3, Failed},
		"unknown as low":           {func(p *Policy) { p.Unknown = Low }, 4, Failed},
		"nvd is asked first":       {func(p *Policy) { p.Sources = []string{"nvd"} }, 6, Failed},
		"debian is asked first":    {func(p *Policy) { p.Sources = []string{"debian"}; p.Unknown = Low }, 3, Failed},
		"a source nobody names":    {func(p *Policy) { p.Sources = []string{"osv"} }, 5, Failed},
		"old reports are no proof": {func(p *Policy) { p.MaxAge = time.Hour }, 5, Incomplete},
		"young enough":             {func(p *Policy) { p.MaxAge = 3 * time.Hour }, 5, Failed},
		"of the future":            {func(p *Policy) { p.MaxAge = time.Hour; p.At = noon.Add(-24 * time.Hour) }, 5, Incomplete},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := defaults()
			test.change(&p)
			r := Judge(fixture(t, "trivy-image.json", "grype-image.json"), nil, p)
			assert.Equal(t, test.fails, r.Count(Fails), "%v", lines(r.Findings))
			assert.Equal(t, test.want, r.Verdict, "%v", r.Gaps)
		})
	}
}

// A lower threshold never lets through what a higher one stops.
func TestStricterPoliciesFailMore(t *testing.T) {
	reports := []string{"trivy-image.json", "grype-image.json", "trivy-folder.json", "codeql.sarif"}
	last := -1
	for _, threshold := range []Severity{Never, Critical, High, Medium, Low, Negligible} {
		p := defaults()
		p.FailOn, p.FailOnUnfixed = threshold, threshold
		n := Judge(fixture(t, reports...), nil, p).Count(Fails)
		assert.GreaterOrEqual(t, n, last, threshold)
		last = n
		p.FailOnUnfixed = Never
		assert.LessOrEqual(t, Judge(fixture(t, reports...), nil, p).Count(Fails), n)
	}
}

func TestReportsThatLookedAtNothingNeverPass(t *testing.T) {
	tests := map[string]struct {
		file, code string
	}{
		"no results":        {"trivy-nothing.json", "EmptyReport"},
		"a failed resource": {"trivy-cluster.json", "ScanFailed"},
		"a failed run":      {"failed.sarif", "ScanFailed"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := defaults()
			p.FailOn, p.FailOnUnfixed = Never, Never
			r := Judge(fixture(t, test.file), nil, p)
			assert.Equal(t, Incomplete, r.Verdict)
			require.NotEmpty(t, r.Gaps)
			assert.Equal(t, test.code, r.Gaps[0].Code)
			p.AllowEmpty = true
			assert.Equal(t, test.code != "EmptyReport", Judge(fixture(t, test.file), nil, p).Verdict == Incomplete, "empty may be allowed, failed may not")
		})
	}
	texts := map[string]string{
		"no runs":            `{"version": "2.1.0", "runs": []}`,
		"a run that did not": `{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}}]}`,
		"null results":       `{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}, "results": null}]}`,
		"a broken database":  `{"matches": [], "source": {"type": "directory", "target": "."}, "descriptor": {"name": "grype", "db": {"status": {"valid": false}}}}`,
		"no source":          `{"matches": [], "descriptor": {"name": "grype"}}`,
		"no resources":       `{"ClusterName": "kind"}`,
		"empty results":      `{"SchemaVersion": 2, "ArtifactName": "x", "Results": []}`,
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			r, err := Read("x", []byte(text))
			require.NoError(t, err)
			assert.Equal(t, Incomplete, Judge([]*Report{r}, nil, defaults()).Verdict)
		})
	}
}

func TestCleanReportsPass(t *testing.T) {
	for name, text := range map[string]string{
		"trivy": `{"SchemaVersion": 2, "ArtifactName": "x", "Results": [{"Target": "x (debian 12)", "Class": "os-pkgs", "Type": "debian"}]}`,
		"grype": `{"matches": [], "source": {"type": "directory", "target": "."}, "descriptor": {"name": "grype", "version": "1"}}`,
		"sarif": `{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}, "results": []}]}`,
	} {
		r, err := Read("x", []byte(text))
		require.NoError(t, err)
		result := Judge([]*Report{r}, nil, defaults())
		assert.Equal(t, Passed, result.Verdict, name)
		assert.Empty(t, result.Gaps, name)
	}
}

func TestWorkloadsOfOneImageShareItsFindings(t *testing.T) {
	r := Judge(fixture(t, "trivy-cluster.json"), nil, defaults())
	require.Len(t, r.Findings, 3)
	for _, f := range r.Findings {
		if f.Kind == Misconfiguration {
			assert.Equal(t, "Deployment shop/web", f.Artifact)
		} else {
			assert.Equal(t, []string{"Deployment shop/admin", "Deployment shop/web"}, f.Workloads)
		}
	}
}

func TestSARIFOfAnyTool(t *testing.T) {
	r := Judge(fixture(t, "codeql.sarif"), nil, defaults())
	assert.Equal(t, []string{
		"fails high go/sql-injection available codeql", // under review is not accepted
		"fails high go/sql-injection available codeql",
		"below low go/useless-assignment available codeql",
	}, lines(r.Findings))
	assert.Equal(t, []Location{{Path: "cmd/shop api/db.go", Line: 42}}, r.Findings[1].Locations)
	require.Len(t, r.Suppressed, 1)
	assert.Equal(t, "inSource: constants only", r.Suppressed[0].Reason)
	assert.Equal(t, []Gap{{Code: "ScannerWarning", File: "codeql.sarif", Message: "codeql noted an error: Could not process 1 file."}}, r.Gaps)
}

// Trivy's SARIF of a folder names neither the folder nor, of some, the line.
func TestSARIFOfAFolderBelongsToTheFolderOfTheJSON(t *testing.T) {
	const log = `{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "Trivy", "rules": [
	  {"id": "DS-0002", "name": "Misconfiguration"}, {"id": "left-pad:GPL-3.0-only", "name": "License"}]}}, "results": [
	  {"ruleId": "DS-0002", "ruleIndex": 0, "message": {"text": "Artifact: Dockerfile\nType: dockerfile\nVulnerability DS-0002\nSeverity: HIGH\nMessage: m\nLink: [DS-0002](x)"},
	   "locations": [{"physicalLocation": {"artifactLocation": {"uri": "Dockerfile"}, "region": {"startLine": 1}}}]},
	  {"ruleId": "left-pad:GPL-3.0-only", "ruleIndex": 1, "message": {"text": "Artifact: x\nLicense GPL-3.0-only\nPkgName: left-pad\n Classification: restricted\n Path: "}}]}]}`
	const document = `{"SchemaVersion": 2, "ArtifactName": "services/a", "Results": [
	  {"Target": "Dockerfile", "Class": "config", "Misconfigurations": [{"ID": "DS-0002", "Message": "m", "Severity": "HIGH", "Status": "FAIL"}]},
	  {"Target": "x", "Class": "license", "Licenses": [{"Name": "GPL-3.0-only", "PkgName": "left-pad", "Severity": "HIGH"}]}]}`
	var reports []*Report
	for _, text := range []string{log, document} {
		r, err := Read("x", []byte(text))
		require.NoError(t, err)
		require.Len(t, r.Findings, 2)
		reports = append(reports, r)
	}
	merged := Merge(reports)
	require.Len(t, merged, 2)
	for _, f := range merged {
		assert.Equal(t, "services/a", f.Artifact)
	}
}

// What several flaws share is an advisory, and not a name of each.
func TestAdvisoriesOverSeveralFlawsAreNotAliases(t *testing.T) {
	text := `{"matches": [
	  {"vulnerability": {"id": "ALAS-2026-1", "severity": "High", "namespace": "amazon:distro:amazonlinux:2", "fix": {"state": "fixed", "versions": ["2"]}},
	   "relatedVulnerabilities": [{"id": "CVE-2026-1001", "namespace": "nvd:cpe", "severity": "Low"}, {"id": "CVE-2026-1002", "namespace": "nvd:cpe", "severity": "Low"}],
	   "artifact": {"name": "curl", "version": "1", "type": "rpm", "purl": "pkg:rpm/amzn/curl@1"}},
	  {"vulnerability": {"id": "CVE-2026-1001", "severity": "Low"}, "artifact": {"name": "curl", "version": "1", "type": "rpm"}}],
	 "source": {"type": "image", "target": {"userInput": "x"}}, "descriptor": {"name": "grype"}}`
	r, err := Read("x", []byte(text))
	require.NoError(t, err)
	list := &IgnoreList{Entries: []Ignore{{ID: "CVE-2026-1001", Reason: "r", Expires: noon.Add(time.Hour)}}}
	result := Judge([]*Report{r}, list, defaults())
	require.Len(t, result.Findings, 2)
	assert.Equal(t, "ALAS-2026-1", result.Findings[0].ID)
	assert.Equal(t, Fails, result.Findings[0].Status, "one of its flaws is excused, and the other is not")
	assert.Equal(t, Excused, result.Findings[1].Status)
}

func TestMergingKeepsApartWhatIsNotTheSame(t *testing.T) {
	base := Finding{Kind: Vulnerability, ID: "CVE-2026-1", Package: "p", Version: "1", Scanners: []string{"a"}, of: &artifact{name: "i:1", ids: []string{"sha256:a"}}}
	tests := map[string]struct {
		change func(*Finding)
		want   int
	}{
		"the same":                       {func(*Finding) {}, 1},
		"an id in small letters":         {func(f *Finding) { f.ID = "cve-2026-1" }, 1},
		"another flaw":                   {func(f *Finding) { f.ID = "CVE-2026-2" }, 2},
		"another version":                {func(f *Finding) { f.Version = "2" }, 2},
		"a v before it":                  {func(f *Finding) { f.Version = "v1" }, 1},
		"another package":                {func(f *Finding) { f.Package = "q" }, 2},
		"a Python name":                  {func(f *Finding) { f.Package = "P" }, 1},
		"another image of the same name": {func(f *Finding) { f.of = &artifact{name: "i:1", ids: []string{"sha256:b"}} }, 2},
		"the image under another name":   {func(f *Finding) { f.of = &artifact{name: "j:1", ids: []string{"sha256:a"}} }, 1},
		"the name alone":                 {func(f *Finding) { f.of = &artifact{name: "i:1"} }, 1},
		"another name":                   {func(f *Finding) { f.of = &artifact{name: "k:1"} }, 2},
		"another kind":                   {func(f *Finding) { f.Kind = Code }, 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			other := base
			test.change(&other)
			merged := Merge([]*Report{{Findings: []Finding{base}}, {Findings: []Finding{other}}})
			assert.Len(t, merged, test.want)
		})
	}
	at := func(paths ...string) Finding {
		f := base
		for _, path := range paths {
			f.Locations = append(f.Locations, Location{Path: path})
		}
		return f
	}
	count := func(findings ...Finding) int { return len(Merge([]*Report{{Findings: findings}})) }
	assert.Equal(t, 2, count(at("a"), at("b")), "two places are two findings")
	assert.Equal(t, 1, count(at("a", "b"), at("b", "c")), "a place in common")
	assert.Equal(t, 1, count(at("a"), at("c"), at("a", "c")), "the third joins the others")
	assert.Equal(t, 1, count(at("a"), at()), "without a place it is anywhere")
}

// The groups are the closure of "has a place in common", however it is worked out.
func TestGroupsAreTheClosureOfMeeting(t *testing.T) {
	meet := func(a, b Finding) bool {
		if len(a.Locations) == 0 || len(b.Locations) == 0 {
			return true
		}
		for _, l := range a.Locations {
			for _, m := range b.Locations {
				if l.Path == m.Path && (a.Kind == Vulnerability || l.Line == m.Line || l.Line == 0 || m.Line == 0) {
					return true
				}
			}
		}
		return false
	}
	random := rand.New(rand.NewPCG(3, 4))
	for round := range 500 {
		kind := []Kind{Vulnerability, Misconfiguration}[round%2]
		var all []Finding
		var alike []int
		for i := range 1 + random.IntN(8) {
			f := Finding{Kind: kind}
			for range random.IntN(3) + random.IntN(20)/20 {
				f.Locations = append(f.Locations, Location{Path: string(rune('a' + random.IntN(6))), Line: random.IntN(3)})
			}
			all, alike = append(all, f), append(alike, i)
		}
		same := make([]int, len(all)) // the least of those that it is the same as
		for i := range same {
			same[i] = i
		}
		for range all {
			for i := range all {
				for k := range all {
					if meet(all[i], all[k]) {
						same[i] = min(same[i], same[k])
					}
				}
			}
		}
		got := make([]int, len(all))
		for _, group := range byPlace(all, alike) {
			for _, i := range group {
				got[i] = group[0]
			}
		}
		require.Equal(t, same, got, "%+v", all)
	}
}

func BenchmarkJudge(b *testing.B) {
	a := &artifact{name: "image:1", ids: []string{"sha256:1"}}
	r := &Report{File: "r", Format: trivy}
	for i := range 20000 {
		r.Findings = append(r.Findings, Finding{
			Kind: Vulnerability, ID: fmt.Sprintf("CVE-2026-%d", 1000+i%5000), Package: fmt.Sprintf("p-%d", i%100), Version: "1", of: a, Scanners: []string{trivy},
			Locations: []Location{{Path: fmt.Sprintf("app/%d", i)}}, Ratings: []Rating{{Scanner: trivy, Severity: High, Chosen: true}},
		})
	}
	b.ReportAllocs()
	for b.Loop() {
		Judge([]*Report{r}, nil, defaults())
	}
}

func TestFingerprintsStayTheSame(t *testing.T) {
	of := func(change func(*Finding)) string {
		f := Finding{Kind: Vulnerability, ID: "CVE-2026-1", Package: "p", Version: "1", Artifact: "r.example.com:5000/a:1@sha256:b", Locations: []Location{{Path: "x", Line: 3}}, Severity: Low}
		change(&f)
		return f.fingerprint()
	}
	same := of(func(*Finding) {})
	assert.Equal(t, same, of(func(f *Finding) { f.Artifact = "r.example.com:5000/a:2" }), "a new tag")
	assert.Equal(t, same, of(func(f *Finding) { f.Locations[0].Line, f.Severity, f.Title = 9, High, "t" }), "a line, a severity, a title")
	assert.NotEqual(t, same, of(func(f *Finding) { f.Artifact = "r.example.com:5000/b" }))
	assert.NotEqual(t, same, of(func(f *Finding) { f.ID = "CVE-2026-2" }))
	assert.NotEqual(t, same, of(func(f *Finding) { f.Locations[0].Path = "y" }))
}

func TestScoresAsCodeScanningReadsThem(t *testing.T) {
	for text, want := range map[string]Severity{
		"9.0": Critical, "8.9": High, "7.0": High, "6.9": Medium, "4": Medium, "3.9": Low, "0.1": Low, "0.0": Unknown, "10": Critical, "11": Unknown, "-1": Unknown, "NaN": Unknown, "high": Unknown,
	} {
		assert.Equal(t, want, severityOfScore(text), text)
	}
}
