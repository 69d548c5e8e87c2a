package deploy_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

const (
	rules     = "alerts/palisade.rules.yaml"
	dashboard = "dashboards/palisade.json"
	runbooks  = "https://palisade.floe.dev/docs/alerts/"
)

// alert is one rule (https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules).
type alert struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

func alertsOf(t *testing.T) []alert {
	t.Helper()
	text, err := os.ReadFile(rules)
	require.NoError(t, err)
	var file struct {
		Groups []struct {
			Name  string  `json:"name"`
			Rules []alert `json:"rules"`
		} `json:"groups"`
	}
	require.NoError(t, yaml.UnmarshalStrict(text, &file))
	var list []alert
	for _, g := range file.Groups {
		list = append(list, g.Rules...)
	}
	require.NotEmpty(t, list)
	return list
}

// metrics are the names of docs/metrics.md, and of its last paragraph those of others.
func metrics(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("../docs/metrics.md")
	require.NoError(t, err)
	names := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([a-z]+) \\|").FindAllStringSubmatch(string(text), -1) {
		if row[2] == "histogram" {
			names[row[1]+"_bucket"], names[row[1]+"_sum"], names[row[1]+"_count"] = true, true, true
			continue
		}
		assert.Equal(t, row[2] == "counter", strings.HasSuffix(row[1], "_total"), row[1])
		names[row[1]] = true
	}
	_, others, found := strings.Cut(string(text), "Beside these")
	require.True(t, found)
	for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(others, -1) {
		names[name[1]] = true
	}
	require.Greater(t, len(names), 15)
	return names
}

var (
	inQuotes    = regexp.MustCompile(`"[^"]*"`)
	inBraces    = regexp.MustCompile(`\{[^}]*\}`)
	inBrackets  = regexp.MustCompile(`\[[^\]]*\]`)
	labelLists  = regexp.MustCompile(`\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)`)
	identifiers = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*(\s*\()?`)
	words       = []string{"and", "or", "unless", "offset", "bool", "by", "without", "on", "ignoring"}
	duration    = regexp.MustCompile(`\b[0-9.]+(ms|[smhdwy])?\b`)
)

// namesIn are the metrics of a PromQL expression: its identifiers that are no functions, words, labels or durations.
func namesIn(expr string) []string {
	set := map[string]bool{}
	for _, r := range []*regexp.Regexp{inQuotes, inBraces, inBrackets, labelLists, duration} {
		expr = r.ReplaceAllString(expr, " ")
	}
	for _, id := range identifiers.FindAllString(expr, -1) {
		if !strings.HasSuffix(id, "(") && !slices.Contains(words, strings.TrimSpace(id)) {
			set[strings.TrimSpace(id)] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

func TestNamesInExpressions(t *testing.T) {
	tests := map[string][]string{
		`absent(up)`: {"up"},
		`sum by (a, b) (rate(x_total{c="d e"}[5m])) > 0 or (y unless on (a) z offset 1d)`: {"x_total", "y", "z"},
		`time() - max(a{b=~"c|d", e!="f"}) > 14 * 86400`:                                  {"a"},
		`histogram_quantile(0.99, sum by (le) (rate(x_bucket[$__rate_interval])))`:        {"x_bucket"},
	}
	for expr, want := range tests {
		assert.Equal(t, want, namesIn(expr), expr)
	}
}

func TestEveryAlertIsWholeAndHasAPage(t *testing.T) {
	index, err := os.ReadFile("../docs/alerts/README.md")
	require.NoError(t, err)
	known := metrics(t)
	pages, err := filepath.Glob("../docs/alerts/Palisade*.md")
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, a := range alertsOf(t) {
		assert.False(t, seen[a.Alert], "%s is there twice", a.Alert)
		seen[a.Alert] = true
		assert.Contains(t, []string{"critical", "warning", "info"}, a.Labels["severity"], a.Alert)
		assert.NotEmpty(t, a.Annotations["summary"], a.Alert)
		assert.NotEmpty(t, a.Annotations["description"], a.Alert)
		assert.Equal(t, runbooks+a.Alert+".md", a.Annotations["runbook_url"])
		for _, name := range namesIn(a.Expr) {
			assert.True(t, known[name], "%s: docs/metrics.md has no %s", a.Alert, name)
		}
		after := "at once"
		if a.For != "" {
			after = "after " + a.For
		}
		assert.Contains(t, string(index), fmt.Sprintf("| [%s](%s.md) | %s | %s | %s |", a.Alert, a.Alert, a.Labels["severity"], after, a.Annotations["summary"]))
		page, err := os.ReadFile("../docs/alerts/" + a.Alert + ".md")
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(string(page), fmt.Sprintf("# %s\n**%s** · %s\n\n", a.Alert, a.Labels["severity"], after)), a.Alert)
		at := 0
		for _, part := range []string{"**Why it matters.**", "**Look.**", "```sh", "**Do.**"} {
			i := strings.Index(string(page)[at:], part)
			require.GreaterOrEqual(t, i, 0, "%s has no %s, or not in its place", a.Alert, part)
			at += i
		}
	}
	assert.Len(t, pages, len(seen), "a page for each alert and no other")
}

func TestEveryAlertIsTestedBothWays(t *testing.T) {
	type tests struct {
		Tests []struct {
			AlertRuleTest []struct {
				Alertname string `json:"alertname"`
				ExpAlerts []any  `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		} `json:"tests"`
	}
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, file := range unitTests(t) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var f tests
		require.NoError(t, yaml.Unmarshal(text, &f))
		for _, test := range f.Tests {
			for _, r := range test.AlertRuleTest {
				if len(r.ExpAlerts) > 0 {
					fires[r.Alertname] = true
				} else {
					silent[r.Alertname] = true
				}
			}
		}
	}
	for _, a := range alertsOf(t) {
		assert.True(t, fires[a.Alert], "no test has %s fire", a.Alert)
		assert.True(t, silent[a.Alert], "no test has %s keep quiet before", a.Alert)
	}
}

func unitTests(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("alerts/*_test.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

func promtool(t *testing.T, args ...string) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), tool(t, "PALISADE_PROMTOOL"), args...).CombinedOutput()
	return string(out), err
}

func TestAlertsFireWhenTheyShould(t *testing.T) {
	out, err := promtool(t, "check", "rules", "--lint=all", "--lint-fatal", rules)
	require.NoError(t, err, out)
	out, err = promtool(t, append([]string{"test", "rules"}, unitTests(t)...)...)
	assert.NoError(t, err, out)
}

// panel is what is looked at of a panel of Grafana.
type panel struct {
	ID          int    `json:"id"`
	Type        string `json:"type"`
	Title       string `json:"title"`
	GridPos     struct{ H, W, X, Y int }
	Targets     []struct{ Expr, RefID string }
	Datasource  *struct{ UID string }
	Description string
}

func panels(t *testing.T) []panel {
	t.Helper()
	text, err := os.ReadFile(dashboard)
	require.NoError(t, err)
	var d struct {
		UID           string  `json:"uid"`
		Title         string  `json:"title"`
		SchemaVersion int     `json:"schemaVersion"`
		Panels        []panel `json:"panels"`
		Templating    struct {
			List []struct{ Name, Type string } `json:"list"`
		} `json:"templating"`
	}
	require.NoError(t, json.Unmarshal(text, &d))
	assert.NotEmpty(t, d.UID)
	assert.Positive(t, d.SchemaVersion)
	assert.Equal(t, []struct{ Name, Type string }{{"datasource", "datasource"}, {"namespace", "query"}}, d.Templating.List)
	require.NotEmpty(t, d.Panels)
	return d.Panels
}

func TestDashboardShowsMetricsThatThereAre(t *testing.T) {
	known := metrics(t)
	shown := map[string]bool{}
	ids := map[int]bool{}
	taken := map[[2]int]string{}
	for _, p := range panels(t) {
		assert.False(t, ids[p.ID], "panel %d is there twice", p.ID)
		ids[p.ID] = true
		assert.NotEmpty(t, p.Title)
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			assert.Less(t, x, 24, p.Title)
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				assert.Empty(t, taken[[2]int{x, y}], "%s lies on another panel", p.Title)
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		require.NotNil(t, p.Datasource, p.Title)
		assert.Equal(t, "${datasource}", p.Datasource.UID, p.Title)
		assert.NotEmpty(t, p.Targets, p.Title)
		for _, target := range p.Targets {
			names := namesIn(target.Expr)
			assert.NotEmpty(t, names, p.Title)
			for _, name := range names {
				assert.True(t, known[name], "%s: docs/metrics.md has no %s", p.Title, name)
				shown[name] = true
			}
		}
	}
	for name := range known {
		if histogram := strings.HasSuffix(name, "_sum") || strings.HasSuffix(name, "_count"); !histogram {
			assert.True(t, shown[name], "no panel shows %s", name)
		}
	}
}

// TestDashboardAsksInPromQL has Prometheus' own parser read every expression.
func TestDashboardAsksInPromQL(t *testing.T) {
	tool(t, "PALISADE_PROMTOOL")
	variables := strings.NewReplacer("$__rate_interval", "5m", "$namespace", "shop")
	check := func(exprs ...string) (string, error) {
		var list []any
		for i, expr := range exprs {
			list = append(list, map[string]any{"record": fmt.Sprintf("panel:expr:%d", i), "expr": variables.Replace(expr)})
		}
		text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "panels", "rules": list}}})
		require.NoError(t, err)
		file := filepath.Join(t.TempDir(), "rules.yaml")
		require.NoError(t, os.WriteFile(file, text, 0o600))
		return promtool(t, "check", "rules", file)
	}
	var exprs []string
	for _, p := range panels(t) {
		for _, target := range p.Targets {
			assert.NotContains(t, variables.Replace(target.Expr), "$", p.Title)
			exprs = append(exprs, target.Expr)
		}
	}
	out, err := check(exprs...)
	assert.NoError(t, err, out)
	assert.Contains(t, out, fmt.Sprintf("%d rules found", len(exprs)))
	_, err = check("sum(by)(x")
	assert.Error(t, err, "the parser refuses what is none")
}
