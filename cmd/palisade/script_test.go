package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/verify/lab"
)

var update = flag.Bool("update", false, "write the expected outputs of the scripts")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"palisade": main, "kubectl-palisade": main})
}

// TestScripts runs testdata/script, a file for each behaviour. Every script
// finds the folder shop, a small cluster with its intent, and scan, reports of scanners.
func TestScripts(t *testing.T) {
	schemas, err := filepath.Abs("../../docs/schemas")
	if err != nil {
		t.Fatal(err)
	}
	started := &labs{running: map[string]*lab.Lab{}}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			if err := os.CopyFS(filepath.Join(env.WorkDir, "scan"), os.DirFS("../../scan/testdata")); err != nil {
				return err
			}
			return os.CopyFS(filepath.Join(env.WorkDir, "shop"), os.DirFS("testdata/shop"))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"valid": func(ts *testscript.TestScript, neg bool, args []string) {
				valid(ts, filepath.Join(schemas, args[0]), args[1])
			},
			"count":  count,
			"lab":    started.start,
			"rotate": started.rotate,
			"stop":   started.stop,
		},
	})
}

// exits runs a command and demands one exit code: exits 3 palisade plan -f shop.
// A failure with code 2 may not have written to standard output.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code command [argument...]")
	}
	code := 0
	var failed *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &failed) {
		code = failed.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d instead of %s", code, args[0])
	}
	if out := ts.ReadFile("stdout"); code == exitFailure && out != "" {
		ts.Fatalf("a command that failed printed to standard output:\n%s", out)
	}
}

// valid holds a file (or stdout) against a JSON Schema: valid plan.json stdout.
func valid(ts *testscript.TestScript, schema, file string) {
	compiled, err := jsonschema.NewCompiler().Compile(schema)
	ts.Check(err)
	text, err := yaml.YAMLToJSON([]byte(ts.ReadFile(file))) // JSON is YAML too
	ts.Check(err)
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	ts.Check(err)
	ts.Check(compiled.Validate(document))
}

// count demands how many lines of a file begin with a text: count 3 '+ ' stdout.
func count(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: count number beginning file")
	}
	n := 0
	for line := range strings.Lines(ts.ReadFile(args[2])) {
		if strings.HasPrefix(line, args[1]) {
			n++
		}
	}
	if strconv.Itoa(n) != args[0] {
		ts.Fatalf("%d lines of %s begin with %q, not %s", n, args[2], args[1], args[0])
	}
}
