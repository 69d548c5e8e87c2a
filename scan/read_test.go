package scan

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhatIsNoWholeReportIsAnError(t *testing.T) {
	whole, err := os.ReadFile("testdata/trivy-image.json")
	require.NoError(t, err)
	tests := map[string]struct{ text, want string }{
		"nothing":                 {"", "the file is empty"},
		"white space":             {" \n\t", "the file is empty"},
		"cut short":               {string(whole[:len(whole)/2]), "ends in the middle"},
		"a log before it":         {"2026-11-23 INFO scanning\n" + string(whole), "not one JSON document"},
		"two of them":             {string(whole) + string(whole), "not one JSON document"},
		"an old schema":           {`{"SchemaVersion": 1, "Results": []}`, "schema 1"},
		"no schema":               {`{"ArtifactName": "x", "Results": [{"Target": "x"}]}`, "schema 0"},
		"a list":                  {`[{"Target": "x", "Vulnerabilities": null}]`, "schema 1"},
		"an SBOM":                 {`{"bomFormat": "CycloneDX", "components": []}`, "an SBOM"},
		"VEX":                     {`{"@context": "https://openvex.dev/ns/v0.2.0"}`, "a VEX document"},
		"another SARIF":           {`{"version": "2.0.0", "runs": []}`, `SARIF of version "2.0.0"`},
		"SARIF of nobody":         {`{"version": "2.1.0", "runs": [{"results": []}]}`, "tool.driver.name"},
		"anything":                {`{"hello": "world"}`, "not a report that is known"},
		"a number":                {`3`, "not of the shape"},
		"null matches":            {`{"matches": null, "source": {}, "descriptor": {"name": "grype"}}`, "matches is null"},
		"matches of a stranger":   {`{"matches": []}`, "neither a source nor a descriptor"},
		"Grype without matches":   {`{"descriptor": {"name": "grype"}}`, "without matches"},
		"fields in small letters": {`{"schemaVersion": 2, "results": [{"target": "x"}]}`, "not a report that is known"},
		"another type":            {`{"SchemaVersion": 2, "Results": [{"Vulnerabilities": "none"}]}`, "not of the shape"},
		"a time that is none":     {`{"SchemaVersion": 2, "CreatedAt": "yesterday", "Results": [{"Target": "x"}]}`, "CreatedAt"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Read("report.json", []byte(test.text))
			require.ErrorContains(t, err, test.want)
			assert.True(t, strings.HasPrefix(err.Error(), "report.json: "), err)
		})
	}
}

// PowerShell writes UTF-16 with ">", and many tools a byte order mark.
func TestReportsInOtherEncodings(t *testing.T) {
	text := `{"SchemaVersion": 2, "ArtifactName": "façade", "Results": [{"Target": "x"}]}`
	var little, big []byte
	for _, unit := range utf16.Encode([]rune("\uFEFF" + text)) {
		little = append(little, byte(unit), byte(unit>>8))
		big = append(big, byte(unit>>8), byte(unit))
	}
	for name, data := range map[string][]byte{"UTF-8 with a mark": []byte("\uFEFF" + text), "little": little, "big": big} {
		r, err := Read("x", data)
		require.NoError(t, err, name)
		assert.Empty(t, r.Gaps, name)
	}
	_, err := Read("x", little[:len(little)-1])
	assert.ErrorContains(t, err, "in the middle")
}

func TestOlderClusterReportsHaveOneObjectOfMetadata(t *testing.T) {
	text := `{"ClusterName": "c", "Resources": [{"Namespace": "a", "Kind": "Pod", "Name": "b", "Metadata": {"OS": {"Family": "alpine", "Name": "3.10", "EOSL": true}, "ImageID": "sha256:1", "RepoTags": ["img:1"]}, "Results": [{"Target": "t"}]}]}`
	r, err := Read("x", []byte(text))
	require.NoError(t, err)
	found := Judge([]*Report{r}, nil, defaults()).Findings
	require.Len(t, found, 1)
	assert.Equal(t, "img:1", found[0].Artifact)
	assert.Equal(t, EndOfLife, found[0].Kind)
}

func TestOlderClusterReportsHaveListsByKind(t *testing.T) {
	text := `{"ClusterName": "c", "Vulnerabilities": [{"Namespace": "a", "Kind": "Pod", "Name": "b", "Results": [{"Target": "img (debian 12)", "Class": "os-pkgs", "Vulnerabilities": [{"VulnerabilityID": "CVE-2026-1", "PkgName": "p", "Severity": "HIGH"}]}]}],
	  "Misconfigurations": [{"Namespace": "a", "Kind": "Pod", "Name": "b", "Results": [{"Target": "Pod/b", "Class": "config", "Misconfigurations": [{"ID": "KSV-0014", "Severity": "HIGH", "Status": "FAIL"}]}]}]}`
	r, err := Read("x", []byte(text))
	require.NoError(t, err)
	assert.Len(t, Judge([]*Report{r}, nil, defaults()).Findings, 2)
	assert.Empty(t, r.Gaps)
}

const header = "apiVersion: palisade.floe.dev/v1alpha1\nkind: ScanIgnoreList\nignore:\n"

func TestIgnoreListsMustSayWhyAndUntilWhen(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"nothing":            {"", "the file is empty"},
		"another kind":       {"apiVersion: v1\nkind: List\n", "wanted apiVersion"},
		"an unknown field":   {header + "- {id: CVE-1, reason: r, expires: 2026-12-01, until: never}\n", "i:4: until: unknown field"},
		"a field twice":      {header + "- id: CVE-1\n  id: CVE-2\n  reason: r\n  expires: 2026-12-01\n", "id: is there twice"},
		"no id":              {header + "- {reason: r, expires: 2026-12-01}\n", "i:4: id:"},
		"all flaws":          {header + "- {id: '*', reason: r, expires: 2026-12-01}\n", "there is no wildcard"},
		"no reason":          {header + "- {id: CVE-1, reason: ' ', expires: 2026-12-01}\n", "i:4: CVE-1: reason"},
		"no end":             {header + "- {id: CVE-1, reason: r}\n", "i:4: CVE-1: expires: say until when"},
		"for ever":           {header + "- {id: CVE-1, reason: r, expires: 2027-11-25}\n", "more than a year ahead"},
		"never":              {header + "- {id: CVE-1, reason: r, expires: never}\n", "neither a day"},
		"a star in between":  {header + "- {id: CVE-1, reason: r, expires: 2026-12-01, artifact: 'a/*/b'}\n", "at the end only"},
		"twice the same":     {header + "- {id: CVE-1, reason: r, expires: 2026-12-01}\n- {id: cve-1, reason: s, expires: 2026-12-02}\n", "i:5: cve-1 is there already in line 4"},
		"two faults at once": {header + "- {id: CVE-1, expires: 2026-12-01}\n- {id: CVE-2, reason: r}\n", "i:5: CVE-2: expires"},
		"two documents":      {header + "- {id: CVE-1, reason: r, expires: 2026-12-01}\n---\n" + header, "more than one document"},
		"a word":             {header + "- CVE-1\n", "wanted an entry"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := ReadIgnores("i", []byte(test.text), noon)
			require.ErrorContains(t, err, test.want)
		})
	}
	list, err := ReadIgnores("i", []byte(header), noon)
	require.NoError(t, err, "an empty list is one")
	assert.Empty(t, list.Entries)
	list, err = ReadIgnores("i", []byte(header+"- {id: CVE-1, reason: r, expires: 2027-11-23}\n"), noon)
	require.NoError(t, err, "a year is allowed")
	assert.Equal(t, time.Date(2027, 11, 23, 0, 0, 0, 0, time.UTC), list.Entries[0].Expires)
}

func TestEntriesEndOnTheSecond(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "ignore.yaml"))
	require.NoError(t, err)
	end := noon // of the entry for CVE-2026-10001
	for name, test := range map[string]struct {
		at       time.Time
		status   Status
		expiring bool
	}{
		"more than a week before": {end.Add(-7*24*time.Hour - time.Second), Excused, false},
		"a week before":           {end.Add(-7 * 24 * time.Hour), Excused, true},
		"the second before":       {end.Add(-time.Second), Excused, true},
		"on the second":           {end, Fails, false},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := ReadIgnores("ignore.yaml", data, test.at)
			require.NoError(t, err)
			p := defaults()
			p.At = test.at
			r := Judge(fixture(t, "trivy-image.json", "grype-image.json"), list, p)
			statuses := map[string]Status{}
			for _, f := range r.Findings {
				statuses[f.ID] = f.Status
			}
			assert.Equal(t, test.status, statuses["CVE-2026-10001"])
			assert.Equal(t, Excused, statuses["CVE-2026-20001"], "by its alias, and the package as the other scanner writes it")
			assert.Equal(t, test.expiring, r.Ignores[1].Expiring)
			assert.Equal(t, test.status == Fails, r.Ignores[1].Expired)
			assert.Equal(t, []int{1, 1, 0}, []int{r.Ignores[0].Matched, r.Ignores[1].Matched, r.Ignores[2].Matched})
		})
	}
}

func TestEntriesExcuseNoMoreThanTheySay(t *testing.T) {
	f := Finding{
		ID: "CVE-2026-1", Aliases: []string{"GHSA-2222-3333-4444"}, Package: "org.example:lib", PURL: "pkg:maven/org.example/lib@1", Version: "1",
		Artifact: "registry.example.com/shop/web:1", Locations: []Location{{Path: "app/a.jar"}, {Path: "app/b.jar"}},
	}
	tests := map[string]struct {
		entry Ignore
		want  bool
	}{
		"the flaw":             {Ignore{ID: "cve-2026-1"}, true},
		"an alias":             {Ignore{ID: "GHSA-2222-3333-4444"}, true},
		"a beginning of it":    {Ignore{ID: "CVE-2026"}, false},
		"another":              {Ignore{ID: "CVE-2026-11"}, false},
		"the package":          {Ignore{ID: "CVE-2026-1", Package: "org.example:lib"}, true},
		"as another writes it": {Ignore{ID: "CVE-2026-1", Package: "org.example/lib"}, true},
		"packages":             {Ignore{ID: "CVE-2026-1", Package: "org.example/*"}, true},
		"another package":      {Ignore{ID: "CVE-2026-1", Package: "lib"}, false},
		"another version":      {Ignore{ID: "CVE-2026-1", Version: "2"}, false},
		"a folder of images":   {Ignore{ID: "CVE-2026-1", Artifact: "registry.example.com/shop/*"}, true},
		"another folder":       {Ignore{ID: "CVE-2026-1", Artifact: "registry.example.com/shop"}, false},
		"one of two places":    {Ignore{ID: "CVE-2026-1", Location: "app/a.jar"}, false},
		"all of its places":    {Ignore{ID: "CVE-2026-1", Location: "/app/*"}, true},
	}
	for name, test := range tests {
		assert.Equal(t, test.want, test.entry.matches(&f), name)
	}
	bare := Finding{ID: "CVE-2026-1"}
	entry := Ignore{ID: "CVE-2026-1", Location: "app/*"}
	assert.False(t, entry.matches(&bare), "a place that is not known is not the one that is meant")
}

func fuzzSeeds(f *testing.F, pattern string) {
	f.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
}

// Whatever the bytes: no panic, and never a pass without a report that says what it looked at.
func fuzzRead(t *testing.T, data []byte) {
	r, err := Read("fuzz", data)
	if err != nil {
		return
	}
	result := Judge([]*Report{r}, nil, defaults())
	merged := 0
	for i := range result.Findings {
		f := &result.Findings[i]
		if f.Severity.Rank() < 0 || f.Status.rank() < 0 || f.Fingerprint == "" || len(f.Scanners) == 0 {
			t.Fatalf("not a whole finding: %+v", f)
		}
		merged++
	}
	if merged > len(r.Findings) || merged == 0 && len(r.Findings) > 0 {
		t.Fatalf("%d findings came of %d", merged, len(r.Findings))
	}
}

func FuzzReadTrivy(f *testing.F) { fuzzSeeds(f, "trivy-*.json"); f.Fuzz(fuzzRead) }

func FuzzReadGrype(f *testing.F) { fuzzSeeds(f, "grype-*.json"); f.Fuzz(fuzzRead) }

func FuzzReadSARIF(f *testing.F) { fuzzSeeds(f, "*.sarif"); f.Fuzz(fuzzRead) }

func FuzzReadIgnores(f *testing.F) {
	fuzzSeeds(f, "ignore.yaml")
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := ReadIgnores("fuzz", data, noon)
		if err != nil {
			return
		}
		for _, e := range list.Entries {
			if e.ID == "" || e.Reason == "" || e.Expires.IsZero() || e.Expires.Sub(noon) > longestExcuse {
				t.Fatalf("an entry that says too little: %+v", e)
			}
		}
	})
}
