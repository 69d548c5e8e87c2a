package audit_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/audit"
	"floe.dev/palisade/cluster"
	"floe.dev/palisade/engine"
	"floe.dev/palisade/model"
)

var update = flag.Bool("update", false, "write what is found into the fixtures")

// noon is when the fixtures are judged.
var noon = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

// A fixture is testdata/<Code>-<what-it-shows>.txtar. Its file faulty.yaml is a cluster in
// which the code is found, found.txt all that is found there, and mended.yaml, where
// it is there, the cluster after the fix, in which the code is found no more. What stands
// before the first file are flags: "mesh: linkerd", "pod-cidr: 10.0.0.0/8".
type fixture struct {
	name, code            string
	given                 engine.Given
	archive               *txtar.Archive
	faulty, found, mended []byte
}

func fixtures(t *testing.T) []fixture {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var all []fixture
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		require.NoError(t, err)
		f := fixture{name: strings.TrimSuffix(filepath.Base(file), ".txtar"), archive: archive, given: given(t, string(archive.Comment))}
		f.code, _, _ = strings.Cut(f.name, "-")
		for i := range archive.Files {
			switch part := &archive.Files[i]; part.Name {
			case "faulty.yaml":
				f.faulty = part.Data
			case "found.txt":
				f.found = part.Data
			case "mended.yaml":
				f.mended = part.Data
			default:
				t.Errorf("%s: unknown part %s", file, part.Name)
			}
		}
		all = append(all, f)
	}
	return all
}

func given(t *testing.T, flags string) engine.Given {
	t.Helper()
	var g engine.Given
	for line := range strings.Lines(flags) {
		name, value, found := strings.Cut(strings.TrimSpace(line), ": ")
		switch {
		case strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "":
		case found && name == "mesh":
			g.Mesh = value
		case found && name == "pod-cidr":
			g.PodCIDRs = append(g.PodCIDRs, value)
		case found && name == "service-cidr":
			g.ServiceCIDRs = append(g.ServiceCIDRs, value)
		case found && name == "node-cidr":
			g.NodeCIDRs = append(g.NodeCIDRs, value)
		case found && name == "api-server":
			g.APIServers = append(g.APIServers, value)
		case found && name == "dns-server":
			g.DNSServers = append(g.DNSServers, value)
		default:
			t.Errorf("not a flag of a fixture: %q", line)
		}
	}
	return g
}

// inspect audits manifests.
func inspect(t *testing.T, g engine.Given, manifests []byte) engine.Audit {
	t.Helper()
	file := filepath.Join(t.TempDir(), "cluster.yaml")
	require.NoError(t, os.WriteFile(file, manifests, 0o600))
	snapshot, err := cluster.Read([]string{file}, nil, cluster.Options{})
	require.NoError(t, err)
	return engine.Inspect(snapshot, engine.Options{Given: g, Now: noon})
}

func TestFixturesShowWhatIsFoundAndWhatMendsIt(t *testing.T) {
	for _, f := range fixtures(t) {
		t.Run(f.name, func(t *testing.T) {
			a := inspect(t, f.given, f.faulty)
			text := asText(a)
			assert.Contains(t, codesOf(a.Findings), f.code)
			if *update {
				f.write(t, text)
			} else {
				assert.Equal(t, string(f.found), text)
			}
			if f.mended != nil {
				mended := inspect(t, f.given, f.mended)
				assert.NotContains(t, codesOf(mended.Findings), f.code, "%s", asText(mended))
			}
		})
	}
}

// asText is findings and problems, a few lines each.
func asText(a engine.Audit) string {
	var b strings.Builder
	for _, f := range a.Findings {
		fmt.Fprintf(&b, "%s %s: %s", f.Severity, f.Code, f.Subject)
		if f.Field != "" {
			fmt.Fprintf(&b, " at %s", f.Field)
		}
		fmt.Fprintf(&b, "\n  %s\n  fix: %s\n", f.Message, f.Fix)
	}
	for _, p := range a.Problems {
		if p.Severity != model.Info {
			fmt.Fprintf(&b, "problem %s %s: %s %s\n", p.Severity, p.Code, p.Subject, p.Message)
		}
	}
	return b.String()
}

func codesOf(findings []model.Finding) []string {
	var codes []string
	for _, f := range findings {
		codes = append(codes, f.Code)
	}
	return codes
}

// write puts what was found into the fixture's file.
func (f *fixture) write(t *testing.T, text string) {
	t.Helper()
	i := slices.IndexFunc(f.archive.Files, func(part txtar.File) bool { return part.Name == "found.txt" })
	if i < 0 {
		i = 1
		f.archive.Files = slices.Insert(f.archive.Files, i, txtar.File{Name: "found.txt"})
	}
	f.archive.Files[i].Data = []byte(text)
	require.NoError(t, os.WriteFile(filepath.Join("testdata", f.name+".txtar"), txtar.Format(f.archive), 0o600))
}

func TestEveryFindingHasAFixtureThatShowsHowToMendIt(t *testing.T) {
	found, mended := map[string]bool{}, map[string]bool{}
	for _, f := range fixtures(t) {
		found[f.code] = true
		mended[f.code] = mended[f.code] || f.mended != nil
	}
	// What is found on the wire has its faults in verify/report_test.go and verify/probe.
	for _, k := range audit.Kinds(false) {
		assert.True(t, found[k.Code], "testdata has no fixture in which %s is found", k.Code)
		assert.True(t, mended[k.Code], "no fixture of %s shows it mended", k.Code)
		delete(found, k.Code)
	}
	assert.Empty(t, found, "fixtures of codes that are not in the catalogue")
}
