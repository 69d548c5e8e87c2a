package apiserver

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// mutant is a sample with one thing changed.
type mutant struct {
	change string
	tree   map[string]any
}

// Every so many-th mutant is tried, and every so many-th of those that the server
// refuses is given to palisade as well, which takes a run for each. Both are primes, so
// that they walk through all changes. What the server admits is always given to it.
const (
	tryEvery     = 5
	explainEvery = 11
)

// TestServerAndPalisadeJudgeMutatedSamplesAlike changes the valid samples, one
// field at a time, and holds what palisade says of them offline against the server.
func TestServerAndPalisadeJudgeMutatedSamplesAlike(t *testing.T) {
	s := newServer(t)
	tried, refused := 0, 0
	for _, file := range sampleFiles(t, "valid") {
		for i, m := range mutants(sample(t, file)) {
			if (i+len(file))%tryEvery != 0 {
				continue
			}
			tried++
			_, err := s.create(t, &object{Object: m.tree})
			if err != nil {
				refused++
			}
			if err == nil || refused%explainEvery == 0 {
				judgeAlike(t, filepath.Base(file)+" with "+m.change, m, err)
			}
		}
	}
	t.Logf("tried %d changes, of which the server refuses %d", tried, refused)
	assert.Greater(t, tried-refused, 100)
	assert.Greater(t, refused, 100)
	s.warnings.take() // about names and the like, which are not at issue here
}

// judgeAlike gives palisade what the server admitted, or refused with err.
func judgeAlike(t *testing.T, about string, m mutant, err error) {
	t.Helper()
	text, marshalErr := yaml.Marshal(m.tree)
	require.NoError(t, marshalErr)
	file := write(t, "mutant.yaml", text)
	if err != nil {
		assertSameFaults(t, serverFaults(t, err), told(offlineFaults(t, file)), about)
		return
	}
	if r := palisadeAtAll(t, "plan", "--no-diff", "-f", file); r.code == 2 {
		assert.Empty(t, told(offlineFaults(t, file)), "%s: the server admits what palisade refuses", about)
	}
}

// mutants are all the changes to spec and status of a sample, in a fixed order.
func mutants(o *object) []mutant {
	var list []mutant
	add := func(path []any, change string, to func(old any) any) {
		tree := runtime.DeepCopyJSON(o.Object)
		replace(tree, path, to)
		if strings.HasPrefix(fmt.Sprint(path[0]), "spec") {
			tree["metadata"].(map[string]any)["name"] = fmt.Sprintf("%s-%d", o.GetName(), len(list))
		}
		list = append(list, mutant{change: fmt.Sprintf("%v %s", path, change), tree: tree})
	}
	for _, root := range []string{"spec", "status"} {
		if o.Object[root] != nil {
			walk([]any{root}, o.Object[root], func(path []any, value any) { mutate(path, value, add) })
		}
	}
	return list
}

// gone stands for a value that is to be taken away.
type gone struct{}

// mutate makes the changes to one value.
func mutate(path []any, value any, add func([]any, string, func(any) any)) {
	if len(path) > 1 {
		add(path, "left out", func(any) any { return gone{} })
	}
	for _, other := range []any{nil, "", "x", "UPPER case", strings.Repeat("x", 2000), int64(0), int64(-1), int64(70000), 1.5, true, []any{}, map[string]any{}} {
		add(path, fmt.Sprintf("set to %.20q", fmt.Sprint(other)), func(any) any { return other })
	}
	switch value := value.(type) {
	case map[string]any:
		add(path, "with a strange field", func(old any) any {
			old.(map[string]any)["strange"] = "field"
			return old
		})
	case []any:
		if len(value) > 0 {
			add(path, "with the first item twice", func(old any) any { return append(old.([]any), runtime.DeepCopyJSONValue(value[0])) })
			add(path, "with the first item many times", func(old any) any {
				return append(old.([]any), slices.Repeat([]any{runtime.DeepCopyJSONValue(value[0])}, 130)...)
			})
		}
	}
}

// walk calls visit with each value of a tree, parents first, fields in order.
func walk(path []any, value any, visit func([]any, any)) {
	visit(path, value)
	switch value := value.(type) {
	case map[string]any:
		for _, field := range slices.Sorted(maps.Keys(value)) {
			walk(append(slices.Clone(path), field), value[field], visit)
		}
	case []any:
		for i, item := range value {
			walk(append(slices.Clone(path), i), item, visit)
		}
	}
}

// replace puts another value at a path, or takes it away.
func replace(tree any, path []any, to func(old any) any) any {
	if len(path) == 0 {
		return to(tree)
	}
	switch tree := tree.(type) {
	case map[string]any:
		field := path[0].(string)
		value := replace(tree[field], path[1:], to)
		if _, ok := value.(gone); ok {
			delete(tree, field)
			return tree
		}
		tree[field] = value
	case []any:
		i := path[0].(int)
		value := replace(tree[i], path[1:], to)
		if _, ok := value.(gone); ok {
			return slices.Delete(tree, i, i+1)
		}
		tree[i] = value
	}
	return tree
}
