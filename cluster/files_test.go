package cluster

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/intent"
	"floe.dev/palisade/model"
)

// write lays out files in a new folder; keys are paths below it.
func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	return dir
}

// read reads text as standard input.
func read(t testing.TB, text string) *intent.Snapshot {
	t.Helper()
	snapshot, err := Read([]string{"-"}, strings.NewReader(text), Options{})
	require.NoError(t, err)
	return snapshot
}

// refuse reads text as standard input and returns why it was refused.
func refuse(t testing.TB, text string) string {
	t.Helper()
	snapshot, err := Read([]string{"-"}, strings.NewReader(text), Options{})
	require.Error(t, err)
	require.Nil(t, snapshot, "nothing is half returned")
	return err.Error()
}

func service(name string) string {
	return "apiVersion: v1\nkind: Service\nmetadata: {name: " + name + "}\nspec: {ports: [{port: 80}]}\n"
}

func serviceNames(s *intent.Snapshot) []string {
	var names []string
	for _, service := range s.Services {
		names = append(names, service.Name)
	}
	return names
}

func TestFoldersAreReadWithThoseBelow(t *testing.T) {
	dir := write(t, map[string]string{
		"a.yaml": service("a"), "b/c/d.yml": service("d"), "b/e.json": `{"apiVersion":"v1","kind":"Service","metadata":{"name":"e"}}`, "b/upper.YAML": service("upper"),
		"notes.txt": "not: [a manifest", ".hidden.yaml": "not: [a manifest", ".git/f.yaml": "not: [a manifest",
	})
	require.NoError(t, os.Symlink(dir, filepath.Join(dir, "b", "loop")))
	require.NoError(t, os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "dangling")))
	snapshot, err := Read([]string{dir}, nil, Options{})
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "d", "e", "upper"}, serviceNames(snapshot))
	assert.Equal(t, filepath.Join(dir, "b/c/d.yml"), snapshot.Services[1].Source.File)
}

func TestLinkedFoldersAndFilesAreFollowed(t *testing.T) {
	dir := write(t, map[string]string{"real/a.yaml": service("a"), "shown/.keep": "", "elsewhere/b.txt": service("b")})
	require.NoError(t, os.Symlink(filepath.Join(dir, "real"), filepath.Join(dir, "shown", "link")))
	require.NoError(t, os.Symlink(filepath.Join(dir, "elsewhere", "b.txt"), filepath.Join(dir, "shown", "b.yaml")))
	snapshot, err := Read([]string{filepath.Join(dir, "shown")}, nil, Options{})
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "b"}, serviceNames(snapshot))
}

func TestANamedFileIsReadWhateverItsEnding(t *testing.T) {
	dir := write(t, map[string]string{".hidden": service("a")})
	snapshot, err := Read([]string{filepath.Join(dir, ".hidden"), "-"}, strings.NewReader(service("b")), Options{})
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "b"}, serviceNames(snapshot))
	assert.Equal(t, "-", snapshot.Services[1].Source.File)
}

func TestAMissingPathIsAnError(t *testing.T) {
	_, err := Read([]string{"no/such/folder"}, nil, Options{})
	require.EqualError(t, err, "no/such/folder: no such file or directory")
	assert.ErrorIs(t, err, fs.ErrNotExist)
	var input *InputError
	assert.True(t, errors.As(err, &input))
}

func TestNothingReadIsAnError(t *testing.T) {
	dir := write(t, map[string]string{"empty.yaml": "---\n# only a comment\n--- # and another\n", "notes.txt": "x"})
	_, err := Read([]string{dir}, nil, Options{})
	assert.EqualError(t, err, dir+": no manifests found")
	_, err = Read([]string{"-"}, strings.NewReader(""), Options{})
	assert.EqualError(t, err, "-: no manifests found")
	snapshot, err := Read([]string{dir, "-"}, strings.NewReader(service("a")), Options{})
	require.NoError(t, err)
	assert.Equal(t, []string{"a"}, serviceNames(snapshot))
}

func TestUTF16IsSaidAloud(t *testing.T) {
	assert.Equal(t, "-: is UTF-16; manifests must be UTF-8", refuse(t, "\xff\xfea\x00"))
}

func TestDocumentsAndLinesAreCountedAsAPersonWould(t *testing.T) {
	text := strings.ReplaceAll("\ufeff# licence\n\n--- # first\n"+service("a")+"---\n# nothing here\n---\n"+service("b")+"...\n%YAML 1.1\n# still nothing\n---\n"+service("c")+
		"--- {apiVersion: v1, kind: Service, metadata: {name: d}}\n---\n{\"apiVersion\": \"v1\", \"kind\": \"Service\", \"metadata\": {\"name\": \"e\"}}\n\n{\"apiVersion\": \"v1\",\n\"kind\": \"Service\", \"metadata\": {\"name\": \"f\"}}\n---\n"+service("g"), "\n", "\r\n")
	snapshot := read(t, text)
	var got []model.Source
	for _, s := range snapshot.Services {
		got = append(got, s.Source)
	}
	assert.Equal(t, []string{"a", "b", "c", "d", "e", "f", "g"}, serviceNames(snapshot))
	lines := strings.Split(text, "\n")
	for i, source := range got {
		assert.Equal(t, i+1, source.Document)
		assert.Contains(t, lines[source.Line-1], "apiVersion", "object %d", i)
	}
}

func TestMarkersInsideTextAreNoMarkers(t *testing.T) {
	snapshot := read(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: coredns}\ndata:\n  Corefile: |\n    ---\n    ...\n    a\n  other: '---'\n")
	require.Len(t, snapshot.Objects, 1)
	assert.Equal(t, "---\n...\na\n", snapshot.Objects[0].Map("data")["Corefile"])
}

func TestAnchorsMergesAndYAML11MeanWhatKubectlMakesOfThem(t *testing.T) {
	snapshot := read(t, `apiVersion: v1
kind: ConfigMap
metadata: {name: istio, labels: &labels {a: b}}
data:
  <<: [{x: "1", own: lost}, {x: "2", z: "3"}]
  own: kept
  80: "port"
  time: 2026-11-01T00:00:00Z
  copy: *labels
  int: 0x10
  octal: 0755
  float: 1.5
  whole: 1e3
  yes: no
  text: "no"
  tilde: ~
`)
	assert.Equal(t, map[string]any{
		"x": "1", "z": "3", "own": "kept", "80": "port", "true": false, "time": "2026-11-01T00:00:00Z", "copy": map[string]any{"a": "b"},
		"int": int64(16), "octal": int64(493), "float": 1.5, "whole": int64(1000), "text": "no", "tilde": nil,
	}, snapshot.Objects[0].Map("data"))
}
