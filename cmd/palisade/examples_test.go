package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// palisade runs a command line in the test's own process.
func palisade(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), append([]string{"palisade"}, args...), streams{bytes.NewReader(nil), &out, &err})
	return out.String(), err.String(), code
}

// The examples of the repository, rendered and read back: nothing changes, in any mesh and in any order of reading.
func TestExamplesRenderStably(t *testing.T) {
	shared := filepath.Join("..", "..", "..", "shared", "inputs")
	examples := map[string][]string{
		"floe":            {"../../examples/floe"},
		"online-boutique": {"../../examples/online-boutique", filepath.Join(shared, "online-boutique")},
		"bookinfo":        {"../../examples/bookinfo", filepath.Join(shared, "bookinfo")},
	}
	for name, paths := range examples {
		for _, mesh := range []string{"istio", "linkerd", "none"} {
			t.Run(name+"/"+mesh, func(t *testing.T) {
				assertStable(t, paths, mesh)
			})
		}
	}
}

func assertStable(t *testing.T, paths []string, mesh string) {
	t.Helper()
	var args []string
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil {
			t.Skipf("%s is not here: it is not part of the repository", path)
		}
		args = append(args, "-f", path)
	}
	args = append(args, "--mesh", mesh, "--fail-on", "never", "--at", "2026-11-23T12:00:00Z")
	rendered, notes, code := palisade(t, append([]string{"render"}, args...)...)
	require.NotEqual(t, exitFailure, code, notes)
	require.NotEmpty(t, rendered)

	file := filepath.Join(t.TempDir(), "rendered.yaml")
	require.NoError(t, os.WriteFile(file, []byte(rendered), 0o600))
	for _, order := range [][]string{append([]string{"-f", file}, args...), append(args[:len(args):len(args)], "-f", file)} {
		again, _, _ := palisade(t, append([]string{"render"}, order...)...)
		require.Equal(t, rendered, again)
		planned, _, _ := palisade(t, append([]string{"plan", "--no-diff"}, order...)...)
		assert.Contains(t, planned, "\nPlan: 0 to create, 0 to change, 0 to delete, ")
	}
}

// The picture of the README is what its command draws.
func TestThePictureOfTheREADMEIsWhatTheCommandDraws(t *testing.T) {
	drawn, notes, code := palisade(t, "map", "-f", "../../examples/floe", "--focus", "floe-sales-domain/*", "-o", "svg")
	require.Equal(t, exitClean, code, notes)
	there, err := os.ReadFile("../../docs/map.svg")
	require.NoError(t, err)
	assert.Equal(t, string(there), drawn, "draw docs/map.svg anew")
}
