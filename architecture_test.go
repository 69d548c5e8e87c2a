package palisade_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "floe.dev/palisade"

// A ban keeps packages from what does not belong there.
type ban struct {
	why string
	// direct lists import paths that may not be imported, exactly.
	direct []string
	// reach lists path prefixes that may not be reached, through however many packages.
	reach []string
}

var (
	noClients = ban{
		why:   "only cluster, verify/probe and controller talk to a cluster; everything else is values in, values out",
		reach: []string{"k8s.io/client-go", "sigs.k8s.io/controller-runtime"},
	}
	noMachine = ban{
		why:    "a compiler that reads files, sockets or the environment gives two answers to one question (net/netip is plain data)",
		direct: []string{"net", "net/http", "os", "os/exec", "os/signal", "os/user", "syscall", "io/ioutil"},
	}
	noLoggers = ban{
		why:    "what is worth saying is a Problem or a Finding, so that it ends in the report and not in a log",
		direct: []string{"log", "log/slog", "k8s.io/klog/v2", "github.com/go-logr/logr"},
	}
	noChance = ban{
		why:    "output is the same to the byte for the same input",
		direct: []string{"math/rand", "math/rand/v2", "crypto/rand", "github.com/google/uuid"},
	}
	pure = []ban{noClients, noMachine, noLoggers, noChance}
)

// A rule is one row of the table of packages.
type rule struct {
	// path below the module; empty for the root.
	path string
	// floor orders the packages from the ground up: imports go down only.
	floor int
	// ours lists the packages of this module that it may import.
	ours []string
	// bans hold beside that; a package with the bans of pure may not read the clock either.
	bans []ban
	// why explains the row where it is not plain.
	why string
}

// table is the shape of the module. A package that is not in it fails the test:
// add it here first, on the lowest floor that will do.
var table = []rule{
	{path: "", floor: 0, bans: pure, why: "the root only says where to begin"},

	{path: "api/v1alpha1", floor: 0, bans: pure, why: "others import the kinds to write them; they must not pull in the product"},
	{path: "model", floor: 0, bans: pure, why: "the words of the house know nobody"},
	{path: "deploy", floor: 0, bans: pure, why: "embedded files and nothing else"},
	{path: "scan", floor: 0, bans: pure, why: "what scanners report has nothing to do with the objects of a cluster"},

	{path: "mesh/istio", floor: 1, ours: []string{"model"}, bans: pure, why: "backends do not know each other: what one must know of another is a field of the Model"},
	{path: "mesh/linkerd", floor: 1, ours: []string{"model"}, bans: pure, why: "as mesh/istio"},
	{path: "netpol", floor: 1, ours: []string{"model"}, bans: pure, why: "as mesh/istio; the ports that a mesh rewrites to come in the Model"},
	{path: "pss", floor: 1, ours: []string{"model"}, bans: pure, why: "as mesh/istio; what a mesh injects comes in the Model"},
	{path: "budget", floor: 1, ours: []string{"model"}, bans: pure, why: "as mesh/istio"},
	{path: "harden", floor: 1, ours: []string{"model"}, bans: pure, why: "as pss, which judges what it gives: neither leans on the other"},
	{path: "manifest", floor: 1, ours: []string{"model"}, bans: pure, why: "objects as text"},

	{path: "image", floor: 1, ours: []string{"model"}, bans: pure, why: "it judges what was read; image/source reads"},

	{path: "falco", floor: 1, ours: []string{"model"}, bans: pure, why: "it understands events; falco/receiver takes them in"},
	{path: "falco/receiver", floor: 2, ours: []string{"falco"}, why: "the door by which events come"},

	{path: "image/source", floor: 2, ours: []string{"image"}, why: "it asks registries, and opens archives and folders"},
	{path: "mesh", floor: 2, ours: []string{"model", "mesh/istio", "mesh/linkerd"}, bans: pure, why: "the one place that lists the dialects"},
	{path: "verdict", floor: 2, ours: []string{"model"}, bans: pure, why: "it judges any objects, so it must not lean on the compilers of ours"},
	{path: "verify", floor: 2, ours: []string{"model"}, bans: pure, why: "expectations come from the Model and not from the objects: a compile bug then shows"},

	{path: "intent", floor: 3, ours: []string{"api/v1alpha1", "model", "mesh"}, bans: pure},
	{path: "plan", floor: 3, ours: []string{"model", "manifest", "verdict"}, bans: pure},
	{path: "audit", floor: 3, ours: []string{"model", "verdict"}, bans: pure, why: "what it looks at is there, whoever wrote it: it must not lean on the compilers of ours"},
	{path: "preflight", floor: 3, ours: []string{"model"}, bans: pure, why: "it judges what was read and asked; the findings of others come in as values"},
	{path: "rollout", floor: 3, ours: []string{"model", "verify"}, bans: pure},
	{path: "verify/probe", floor: 3, ours: []string{"model", "verify"}, why: "it carries the values of verify over the wire"},
	{path: "verify/issue", floor: 3, ours: []string{"model", "verify"}, why: "as verify/probe; what it yields fits probe.Credentials without knowing it"},
	{path: "verify/live", floor: 4, ours: []string{"model", "verify", "verify/probe", "verify/issue"}, why: "it joins what yields certificates with what shows them"},
	{path: "verify/lab", floor: 3, ours: []string{"model", "verify"}, why: "as verify/probe"},

	{path: "report", floor: 4, ours: []string{"model", "manifest", "verdict", "verify", "plan", "audit", "preflight", "pss", "scan", "image"}, bans: pure},

	{
		path: "engine", floor: 5, bans: pure, why: "it joins the pure packages; I/O comes in by interfaces",
		ours: []string{
			"api/v1alpha1", "model", "manifest", "mesh", "mesh/istio", "mesh/linkerd", "netpol", "pss", "budget", "harden",
			"intent", "verdict", "verify", "rollout", "plan", "audit", "preflight", "report",
		},
	},
	{path: "cluster", floor: 5, ours: []string{"api/v1alpha1", "model", "manifest", "intent", "plan", "preflight", "deploy"}, why: "it carries values and compiles none"},

	{
		path: "admission", floor: 6, why: "as controller; it judges by engine and writes its own certificate only",
		ours: []string{"api/v1alpha1", "model", "engine", "cluster", "report"},
	},
	{
		path: "controller", floor: 7, why: "the shell reaches the compilers by engine only",
		ours: []string{"api/v1alpha1", "model", "plan", "rollout", "engine", "cluster", "verify", "verify/live", "verify/probe", "report", "deploy", "admission", "falco", "falco/receiver"},
	},
	{path: "cmd/lab", floor: 7, ours: []string{"model", "verify", "verify/lab"}, why: "for tests and the demo; stand-ins have no place in what is shipped"},
	{
		path: "cmd/palisade", floor: 8, why: "as controller",
		ours: []string{"api/v1alpha1", "model", "manifest", "engine", "cluster", "verdict", "verify", "verify/live", "verify/probe", "report", "plan", "preflight", "deploy", "admission", "controller", "scan", "image", "image/source"},
	},
}

// listed is a package as `go list` tells of it.
type listed struct {
	ImportPath, Name, Doc, Dir string
	GoFiles                    []string
	Imports, Deps              []string
}

func TestEveryPackageKeepsToTheTable(t *testing.T) {
	for _, fault := range faultsOfPackages(table, packages(t)) {
		t.Error(fault)
	}
}

func TestTableHasFloorsAndNoCircle(t *testing.T) {
	for _, fault := range faultsOfTable(table) {
		t.Error(fault)
	}
}

func TestSourceKeepsNoStateAndReadsNoClock(t *testing.T) {
	for _, p := range packages(t) {
		clock := mayReadClock(table, p.ImportPath)
		for _, name := range p.GoFiles {
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
			require.NoError(t, err)
			for _, fault := range faultsOfSource(set, file, clock) {
				t.Error(fault)
			}
		}
	}
}

// packages lists those of this module, without their tests.
func packages(t *testing.T) []listed {
	t.Helper()
	var stderr bytes.Buffer
	list := exec.Command("go", "list", "-e", "-json=ImportPath,Name,Doc,Dir,GoFiles,Imports,Deps", "./...")
	list.Stderr = &stderr
	out, err := list.Output()
	require.NoError(t, err, stderr.String())
	var all []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles) > 0 {
			all = append(all, p)
		}
	}
	require.NotEmpty(t, all)
	return all
}

// The checks themselves must be able to fail.
func TestTheChecksFindWhatTheyLookFor(t *testing.T) {
	rules := []rule{
		{path: "model", floor: 0, bans: pure},
		{path: "netpol", floor: 1, ours: []string{"model"}, bans: pure, why: "backends do not know each other"},
		{path: "pss", floor: 1, ours: []string{"model"}, bans: pure},
		{path: "cluster", floor: 2, ours: []string{"model"}},
	}
	good := listed{ImportPath: module + "/netpol", Name: "netpol", Doc: "Package netpol is here.", Imports: []string{module + "/model", "net/netip"}}
	tests := map[string]struct {
		change func(*listed)
		want   string
	}{
		"nothing is wrong":      {func(*listed) {}, ""},
		"a package of no row":   {func(p *listed) { p.ImportPath = module + "/extra" }, "floe.dev/palisade/extra is not in the table of architecture_test.go"},
		"a sibling":             {func(p *listed) { p.Imports = []string{module + "/pss"} }, "netpol may not import pss: backends do not know each other"},
		"I/O":                   {func(p *listed) { p.Imports = []string{"os"} }, "netpol may not import os: " + noMachine.why},
		"a logger":              {func(p *listed) { p.Imports = []string{"log/slog"} }, "netpol may not import log/slog: " + noLoggers.why},
		"a client, far down":    {func(p *listed) { p.Deps = []string{"k8s.io/client-go/rest"} }, "netpol may not reach k8s.io/client-go/rest: " + noClients.why},
		"no doc comment":        {func(p *listed) { p.Doc = "" }, "netpol has no doc comment"},
		"a name without a noun": {func(p *listed) { p.Name = "util" }, `netpol is named "util": name the noun instead`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := good
			test.change(&p)
			faults := faultsOfPackages(rules, []listed{p})
			if test.want == "" {
				assert.Empty(t, faults)
			} else {
				assert.Contains(t, faults, test.want)
			}
		})
	}
	client := listed{ImportPath: module + "/cluster", Name: "cluster", Doc: "d", Imports: []string{"os"}, Deps: []string{"k8s.io/client-go/rest"}}
	assert.Empty(t, faultsOfPackages(rules, []listed{client}), "the shell may do what the middle may not")
}

func TestTheTableCannotGoInCircles(t *testing.T) {
	assert.NotEmpty(t, faultsOfTable([]rule{{path: "a", floor: 1, ours: []string{"b"}}, {path: "b", floor: 1, ours: []string{"a"}}}))
	assert.NotEmpty(t, faultsOfTable([]rule{{path: "a", ours: []string{"nowhere"}, floor: 1}}))
	assert.NotEmpty(t, faultsOfTable([]rule{{path: "a"}, {path: "a"}}))
}

func TestTheSourceChecksFindWhatTheyLookFor(t *testing.T) {
	tests := map[string]struct {
		source string
		faults int
	}{
		"a table":            {`var t = map[string]int{"a": 1}`, 0},
		"a sentinel error":   {`var ErrX = errors.New("x")`, 0},
		"an embedded file":   {"//go:embed x\nvar files embed.FS", 0},
		"an assertion":       {`var _ I = T{}`, 0},
		"init":               {`func init() {}`, 1},
		"a method init":      {`func (T) init() {}`, 0},
		"an empty map":       {`var m = map[string]int{}`, 1},
		"a made map":         {`var m = make(map[string]int)`, 1},
		"a lock":             {`var mu sync.Mutex`, 1},
		"a pool":             {`var pool = sync.Pool{New: f}`, 1},
		"a pointer to state": {`var pool = &sync.Pool{New: f}`, 1},
		"no value":           {`var current int`, 1},
		"the clock":          {`func f() any { return time.Now() }`, 1},
		"the clock, passed":  {`func f() any { return time.Since }`, 1},
		"a duration":         {`func f(at time.Time) any { return at.Add(time.Second) }`, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, "x.go", "package x\nimport \"time\"\n"+test.source, parser.ParseComments|parser.SkipObjectResolution)
			require.NoError(t, err)
			assert.Len(t, faultsOfSource(set, file, false), test.faults)
		})
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "x.go", "package x\nimport clock \"time\"\nvar f = clock.Now", parser.SkipObjectResolution)
	require.NoError(t, err)
	assert.Len(t, faultsOfSource(set, file, false), 1, "under another name as well")
	assert.Empty(t, faultsOfSource(set, file, true), "the shell may read the clock")
}

func ruleOf(rules []rule, importPath string) *rule {
	i := slices.IndexFunc(rules, func(r rule) bool { return joined(r.path) == importPath })
	if i < 0 {
		return nil
	}
	return &rules[i]
}

func mayReadClock(rules []rule, importPath string) bool {
	r := ruleOf(rules, importPath)
	return r != nil && len(r.bans) == 0
}

// timeName is the name under which a file knows package time, or empty.
func timeName(file *ast.File) string {
	for _, spec := range file.Imports {
		switch {
		case spec.Path.Value != `"time"`:
		case spec.Name != nil:
			return spec.Name.Name
		default:
			return "time"
		}
	}
	return ""
}
