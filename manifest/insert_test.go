package manifest_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/manifest"
)

func put(value string, steps ...string) manifest.Insertion {
	return manifest.Insertion{Steps: steps, Value: value}
}

func add(value string, steps ...string) manifest.Insertion {
	return manifest.Insertion{Steps: steps, Value: value, Append: true}
}

func TestEverythingElseStaysAsItIs(t *testing.T) {
	tests := map[string]struct {
		in, out string
		list    []manifest.Insertion
	}{
		"behind the last key, before what stands further out": {
			in:   "a: # one\n  b: 'x'   # two\n\n  # about c\n  c: \"y\"\n# the end of a\n\nd: 1\n",
			out:  "a: # one\n  b: 'x'   # two\n\n  # about c\n  c: \"y\"\n  e: true\n# the end of a\n\nd: 1\n",
			list: []manifest.Insertion{put("true", "a", "e")},
		},
		"an element of a list, indented as its own": {
			in:   "list:\n    - name: a\n      args:\n      - x\n    - name: b\n",
			out:  "list:\n    - name: a\n      args:\n      - x\n      s:\n        u: 1\n    - name: b\n",
			list: []manifest.Insertion{put("1", "list", "0", "s", "u")},
		},
		"two fields of an object that was not there": {
			in: "a: {}\nb:\n  c: 1\n", out: "a: {}\nb:\n  c: 1\n  d:\n    e: 1\n    f: two\n",
			list: []manifest.Insertion{put("1", "b", "d", "e"), put(`"two"`, "b", "d", "f")},
		},
		"brackets": {
			in: "a: {b: 1, c: {d: 'x}'}}\nl: [1, 2]\nm: []\nz: {}\n", out: "a: {b: 1, c: {d: 'x}', e: 1}}\nl: [1, 2, 3]\nm: [{x: 1}]\nz: {w: 0}\n",
			list: []manifest.Insertion{put("1", "a", "c", "e"), add("3", "l"), add(`{"x":1}`, "m"), put("0", "z", "w")},
		},
		"JSON": {
			in: "{\n  \"a\": {\n    \"b\": [1]\n  }\n}\n", out: "{\n  \"a\": {\n    \"b\": [1, 2], \"c\": {\"d\":\"<\"}\n  }\n}\n",
			list: []manifest.Insertion{add("2", "a", "b"), put(`"<"`, "a", "c", "d")},
		},
		"a list at the indentation of its key, and one deeper": {
			in: "a:\n- x: 1\n  y: 2\nb:\n    - 1\n", out: "a:\n- x: 1\n  y: 2\n- z: 3\nb:\n    - 1\n    - 2\n",
			list: []manifest.Insertion{add(`{"z":3}`, "a"), add("2", "b")},
		},
		"behind text of several lines": {
			in: "a:\n  script: |\n    echo 1\n\n    # not a comment\n\n  folded: >-\n    one\n\n    two\nb: 1\n", out: "a:\n  script: |\n    echo 1\n\n    # not a comment\n\n  folded: >-\n    one\n\n    two\n  c: 1\nb: 1\n",
			list: []manifest.Insertion{put("1", "a", "c")},
		},
		"no end of line at the end": {in: "a:\n  b: 1", out: "a:\n  b: 1\n  c: 2", list: []manifest.Insertion{put("2", "a", "c")}},
		"ends of lines of Windows":  {in: "a:\r\n  b: 1\r\n", out: "a:\r\n  b: 1\r\n  c: 2\r\n", list: []manifest.Insertion{put("2", "a", "c")}},
		"a marker and a comment above": {
			in: "---\n# head\na:\n  b: 1\n", out: "---\n# head\na:\n  b: 1\n  c: 2\n", list: []manifest.Insertion{put("2", "a", "c")},
		},
		"a list that was not there": {in: "a: 1\n", out: "a: 1\nl:\n- m: x\n- \"n\"\n", list: []manifest.Insertion{add(`{"m":"x"}`, "l"), add(`"n"`, "l")}},
		"words that YAML 1.1 takes for others": {
			in: "a: 1\n", out: "a: 1\n\"on\": \"yes\"\n", list: []manifest.Insertion{put(`"yes"`, "on")},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			out, err := manifest.Insert([]byte(test.in), test.list)
			require.NoError(t, err)
			assert.Equal(t, test.out, string(out))
		})
	}
}

func TestNullGivesWay(t *testing.T) {
	out, err := manifest.Insert([]byte("# head\na:\n  b: # why\n  c: 1 # one\n"), []manifest.Insertion{put("2", "a", "b", "d")})
	require.NoError(t, err)
	for _, kept := range []string{"# head", "# why", "c: 1 # one", "d: 2"} {
		assert.Contains(t, string(out), kept)
	}
}

func TestWhatIsSaidElsewhereTooIsNotChanged(t *testing.T) {
	for name, in := range map[string]string{
		"an anchor":       "x: &x {b: 1}\na: *x\n",
		"the anchor":      "a: &x\n  b: 1\nz: *x\n",
		"a merge key":     "x: &x {b: 1}\na:\n  <<: *x\n  c: 1\n",
		"an anchor above": "a: &x\n  b: 1\n  d: {}\n",
	} {
		_, err := manifest.Insert([]byte(in), []manifest.Insertion{put("2", "a", "e")})
		assert.ErrorIs(t, err, manifest.ErrAliased, name)
	}
}

func TestNothingIsReplaced(t *testing.T) {
	for _, in := range []string{"a: 1\n", "a: {b: 1}\n", "a: ''\n", "a: [1]\n"} {
		_, err := manifest.Insert([]byte(in), []manifest.Insertion{put("2", "a", "b")})
		assert.Error(t, err, in)
	}
}

// Whatever is put wherever into real manifests, no line of theirs changes.
func TestLinesOfRealManifestsStay(t *testing.T) {
	files, err := filepath.Glob("../examples/*/*.yaml")
	require.NoError(t, err)
	more, err := filepath.Glob("../../shared/inputs/*/*.yaml") // not part of the repository
	require.NoError(t, err)
	require.NotEmpty(t, files)
	r := rand.New(rand.NewPCG(7, 7))
	for _, file := range append(files, more...) {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		for n, document := range strings.Split(string(data), "\n---\n") {
			var tree any
			document += "\n"
			if yaml.Unmarshal([]byte(document), &tree) != nil || tree == nil {
				continue
			}
			var list []manifest.Insertion
			for i := range 8 {
				steps, isList := somewhere(r, tree)
				if isList {
					list = append(list, add(fmt.Sprintf(`{"name":"n%d","list":[1,"a"]}`, i), steps...))
				} else {
					list = append(list, put(`{"b":true,"c":["ALL"]}`, append(steps, fmt.Sprintf("new%d", i))...))
				}
			}
			out, err := manifest.Insert([]byte(document), list)
			require.NoError(t, err, "%s %d", file, n)
			if strings.ContainsAny(document, "{[") {
				continue // lines with brackets change
			}
			assertSubsequence(t, strings.Split(strings.TrimSuffix(document, "\n"), "\n"), strings.Split(string(out), "\n"), fmt.Sprintf("%s %d", file, n))
		}
	}
}

func somewhere(r *rand.Rand, tree any) (steps []string, isList bool) {
	for {
		switch v := tree.(type) {
		case map[string]any:
			var keys []string
			for key, child := range v {
				switch child.(type) {
				case map[string]any, []any:
					keys = append(keys, key)
				}
			}
			if len(keys) == 0 || r.IntN(4) == 0 {
				return steps, false
			}
			key := keys[r.IntN(len(keys))]
			steps, tree = append(steps, key), v[key]
		case []any:
			if len(v) == 0 || r.IntN(3) == 0 {
				return steps, true
			}
			i := r.IntN(len(v))
			if reflect.ValueOf(v[i]).Kind() != reflect.Map {
				return steps, true
			}
			steps, tree = append(steps, strconv.Itoa(i)), v[i]
		}
	}
}

func assertSubsequence(t *testing.T, lines, of []string, at string) {
	t.Helper()
	i := 0
	for _, line := range of {
		if i < len(lines) && line == lines[i] {
			i++
		}
	}
	if i < len(lines) {
		t.Errorf("%s: line %q is gone", at, lines[i])
	}
}

// Whatever the text, what comes out says what it said and what was put there, and nothing else.
func FuzzInsert(f *testing.F) {
	for _, text := range []string{
		"a:\n  b: 1\n", "a: {b: [1, {c: d}]}", "a:\n- b\n-  c: |+\n    x\n\n", "{\"a\": {}}", "a: &x\n  b: *x\n", "a:\n  - - x\n", "a: \"{\"\n", "? a\n: b: 1\n", "a: !!map {b: 1}\n", "a:\n  b: >\n   x\n\n# c\n", "é: {ü: 1, a: {}}\na: {}\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list := []manifest.Insertion{put(`{"x":1,"y":["z"]}`, "a", "new"), add(`{"n":"v"}`, "a", "list"), add(`"w"`, "a", "list")}
		out, err := manifest.Insert([]byte(text), list)
		if err != nil {
			return
		}
		var was, is any
		require.NoError(t, yaml.Unmarshal([]byte(text), &was))
		require.NoError(t, yaml.Unmarshal(out, &is))
		root := is.(map[string]any)
		a := root["a"].(map[string]any)
		require.Equal(t, map[string]any{"x": float64(1), "y": []any{"z"}}, a["new"])
		appended := a["list"].([]any)
		require.Equal(t, []any{map[string]any{"n": "v"}, "w"}, appended[len(appended)-2:])
		before, _ := was.(map[string]any)
		had, _ := before["a"].(map[string]any)
		if rest := appended[:len(appended)-2]; len(rest) > 0 {
			a["list"] = rest
		} else if _, there := had["list"]; there {
			a["list"] = had["list"]
		} else {
			delete(a, "list")
		}
		if _, there := had["new"]; there {
			a["new"] = had["new"]
		} else {
			delete(a, "new")
		}
		if len(a) == 0 && had == nil {
			root["a"] = nil
		}
		if before == nil {
			before = map[string]any{}
		}
		if _, there := before["a"]; !there {
			delete(root, "a")
		}
		require.Equal(t, before, root, "%q", out)
	})
}
