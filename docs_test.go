package palisade_test

import (
	"errors"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/audit"
)

const (
	pagesOfFindings = "docs/findings"
	indexOfFindings = "docs/findings/README.md"
	pageOfProblems  = "docs/problems.md"
)

// partsOf a page of a finding, in their order.
var partsOf = []string{"**Why it matters.**", "```", "**Fix.**", "**Safe to leave**"}

func TestEveryCodeIsFollowedToALiteral(t *testing.T) {
	assert.Empty(t, collect(sourceFiles(t)).faults)
}

func TestTheCatalogueHoldsEveryFindingThatIsReported(t *testing.T) {
	findings := collect(sourceFiles(t)).findings
	require.NotEmpty(t, findings)
	catalogue := audit.Catalogue()
	var inCatalogue []string
	for _, k := range catalogue {
		inCatalogue = append(inCatalogue, k.Code)
		assert.FileExists(t, filepath.Join("audit", strings.ToLower(k.Code)+".go"), "each finding has a file of its own")
		assert.NotEmpty(t, k.Severities, k.Code)
		for _, text := range []string{k.Says, k.Why, k.Fix} {
			assert.NotEmpty(t, text, k.Code)
		}
		if k.Find == nil {
			assert.NotNil(t, findings[k.Code], "%s is in the catalogue, and nothing reports it", k.Code)
		}
	}
	assert.True(t, slices.IsSorted(inCatalogue), "the catalogue is to be sorted by code")
	assert.Len(t, slices.Compact(slices.Clone(inCatalogue)), len(inCatalogue), "no code may be there twice")
	for _, code := range list(findings) {
		assert.True(t, slices.Contains(inCatalogue, code), "%s is not in the catalogue (%s)", code, whereOf(findings, code))
	}
	assert.Equal(t, inCatalogue, pagesThere(t), "%s has a page for each finding and no other", pagesOfFindings)
}

func TestEveryProblemHasASection(t *testing.T) {
	problems := collect(sourceFiles(t)).problems
	require.NotEmpty(t, problems)
	sections := sectionsOf(t, pageOfProblems)
	for _, code := range list(problems) {
		assert.True(t, slices.Contains(sections, code), "%s has no section %s (%s)", pageOfProblems, code, whereOf(problems, code))
	}
	for _, code := range sections {
		assert.NotNil(t, problems[code], "%s explains %s, which nothing reports", pageOfProblems, code)
	}
	assert.True(t, slices.IsSorted(sections), "the sections of %s are to be sorted", pageOfProblems)
	assert.Len(t, slices.Compact(slices.Clone(sections)), len(sections), "no code may have two sections")
}

func TestPagesOfFindingsAreAlike(t *testing.T) {
	for _, code := range pagesThere(t) {
		text := read(t, filepath.Join(pagesOfFindings, code+".md"))
		assert.True(t, strings.HasPrefix(text, "# "+code+"\n"), "%s.md begins with its code", code)
		assert.Regexp(t, "```\n(error|warning|info) "+code+" ", text, "%s.md shows what the plan says", code)
		at := 0
		for _, part := range partsOf {
			next := strings.Index(text[at:], part)
			if assert.GreaterOrEqual(t, next, 0, "%s.md has no %s, or not in its place", code, part) {
				at += next
			}
		}
	}
}

// The index has a row for each page: | [Code](Code.md) | severity | says |, in the words of the catalogue; and the page states the same severities.
func TestIndexListsExactlyTheCatalogue(t *testing.T) {
	rows := regexp.MustCompile(`(?m)^\| \[(\w+)\]\((\w+)\.md\) \| ([a-z, ]+) \| (.+) \|$`).FindAllStringSubmatch(read(t, indexOfFindings), -1)
	var listed []string
	says := map[string]string{}
	for _, row := range rows {
		assert.Equal(t, row[1], row[2])
		listed = append(listed, row[1]+": "+row[3])
		says[row[1]] = strings.ReplaceAll(row[4], "`", "")
	}
	var wanted []string
	for _, k := range audit.Catalogue() {
		var severities []string
		for _, severity := range k.Severities {
			severities = append(severities, string(severity))
		}
		wanted = append(wanted, k.Code+": "+strings.Join(severities, ", "))
		assert.Equal(t, k.Says, says[k.Code], "what the index says of %s", k.Code)
		if page := strings.Split(read(t, filepath.Join(pagesOfFindings, k.Code+".md")), "\n"); assert.Greater(t, len(page), 1) {
			stated, _, _ := strings.Cut(page[1], " · ")
			assert.Equal(t, strings.Join(severities, ", "), strings.NewReplacer("*", "", " or", ",").Replace(stated), "the severity of %s", k.Code)
		}
	}
	assert.Equal(t, wanted, listed, "%s lists the catalogue, in its order", indexOfFindings)
}

func TestLinksOfTheDocumentationLeadSomewhere(t *testing.T) {
	var files []string
	for _, pattern := range []string{"README.md", "docs/*.md", "docs/findings/*.md", "docs/alerts/*.md", "deploy/README.md"} {
		matched, err := filepath.Glob(pattern)
		require.NoError(t, err)
		files = append(files, matched...)
	}
	for _, file := range files {
		for _, target := range linksOf(read(t, file)) {
			path, anchor, _ := strings.Cut(target, "#")
			to := filepath.Join(filepath.Dir(file), path)
			if path == "" {
				to = file
			}
			_, err := os.Stat(to)
			assert.False(t, errors.Is(err, fs.ErrNotExist), "%s links to %s, which is not there", file, target)
			if anchor != "" && err == nil && strings.HasSuffix(to, ".md") {
				assert.Contains(t, anchorsOf(read(t, to)), anchor, "%s links to %s, which has no such heading", file, target)
			}
		}
	}
}

// The collector itself must be able to fail.
func TestTheCollectorFollowsCodes(t *testing.T) {
	const helper = "func (r *r) note(code string, n int) { r.all = append(r.all, model.NewFinding(code, 1)) }\n"
	tests := map[string]struct {
		source             string
		findings, problems []string
		faults             int
	}{
		"a call":                 {`func f() { model.NewFinding("A", 1) }`, []string{"A"}, nil, 0},
		"a literal":              {`var x = model.Finding{Severity: 1, Code: "A"}`, []string{"A"}, nil, 0},
		"a literal of a problem": {`var x = &model.Problem{Code: "A"}`, nil, []string{"A"}, 0},
		"a list":                 {`var x = []model.Problem{{Code: "A"}, {Code: "B"}}`, nil, []string{"A", "B"}, 0},
		"a constant":             {`const a = "A"; var x = model.Problem{Code: a}`, nil, []string{"A"}, 0},
		"a helper":               {helper + `func f(r *r) { r.note("A", 1); r.note("B", 2) }`, []string{"A", "B"}, nil, 0},
		"a helper of a helper": {
			helper + `func (r *r) pass(n int, code string) { r.note(code, n) }; func f(r *r) { r.pass(1, "A") }`, []string{"A"}, nil, 0,
		},
		"a variable":          {`func f(b bool) { code := "A"; if b { code = "B" }; _ = model.Problem{Code: code} }`, nil, []string{"A", "B"}, 0},
		"a field of a table":  {`type row struct{ code, text string }; var t = []string{}; var a = row{"A", "x"}; func f(r row) { _ = model.Problem{Code: r.code} }`, nil, []string{"A"}, 0},
		"a copy":              {`func f(p model.Problem) { _ = model.Problem{Code: p.Code} }`, nil, nil, 0},
		"another type":        {`var x = other.Finding{Code: "A"}`, nil, nil, 0},
		"a made code":         {`func f(s string) { model.NewFinding("A"+s, 1) }`, nil, nil, 1},
		"a call for a code":   {helper + `func f(r *r) { r.note(name(), 1) }`, nil, nil, 1},
		"a helper unused":     {helper, nil, nil, 1},
		"a code set later":    {`func f(p *model.Problem) { p.Code = "A" }`, nil, nil, 1},
		"a literal by place":  {`var x = model.Problem{"A", 1}`, nil, nil, 1},
		"no code":             {`var x = model.Problem{Severity: 1}`, nil, nil, 1},
		"an unknown variable": {`func f() { model.NewFinding(code, 1) }`, nil, nil, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, "x.go", "package x\n"+test.source, parser.SkipObjectResolution)
			require.NoError(t, err)
			found := collect([]sourceFile{{set: set, ast: file, pkg: "x"}})
			assert.Equal(t, test.findings, list(found.findings))
			assert.Equal(t, test.problems, list(found.problems))
			assert.Len(t, found.faults, test.faults, "%v", found.faults)
		})
	}
}

// pagesThere are the codes that have a page, sorted.
func pagesThere(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(pagesOfFindings + "/*.md")
	require.NoError(t, err)
	var there []string
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".md"); name != "README" {
			there = append(there, name)
		}
	}
	slices.Sort(there)
	return there
}

func sectionsOf(t *testing.T, file string) []string {
	t.Helper()
	var sections []string
	for _, match := range regexp.MustCompile(`(?m)^### (.+)$`).FindAllStringSubmatch(read(t, file), -1) {
		sections = append(sections, match[1])
	}
	return sections
}

// linksOf lists the relative links of a text; what is shown as code holds none.
func linksOf(text string) []string {
	text = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`").ReplaceAllStringFunc(text, func(code string) string {
		if strings.HasPrefix(code, "```") {
			return ""
		}
		return "code"
	})
	var links []string
	for _, match := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(text, -1) {
		if !strings.Contains(match[1], "://") && !strings.HasPrefix(match[1], "mailto:") {
			links = append(links, match[1])
		}
	}
	return links
}

// anchorsOf lists the anchors of a text's headings, as GitHub makes them.
func anchorsOf(text string) []string {
	var anchors []string
	for _, match := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		anchor := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(match[1]), "")
		anchors = append(anchors, strings.ReplaceAll(anchor, " ", "-"))
	}
	return anchors
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(data)
}
