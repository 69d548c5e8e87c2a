package engine_test

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/cluster"
	"floe.dev/palisade/engine"
	"floe.dev/palisade/model"
	"floe.dev/palisade/rollout"
)

// memories makes random memories. With full set, no field is left empty and every bound is reached.
type memories struct {
	*rand.Rand
	full bool
}

func (r *memories) fill(v reflect.Value) {
	if !r.full && v.Kind() != reflect.Struct && r.IntN(4) == 0 {
		return
	}
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = time.Unix(1_700_000_000+r.Int64N(1<<28), 0).UTC()
		return
	case *model.Layer:
		*x = []model.Layer{model.LayerPodSecurity, model.LayerMTLS, model.LayerAuthorization, model.LayerNetwork}[r.IntN(4)]
		return
	case *model.Stage:
		*x = []model.Stage{model.StageObserve, model.StagePermissive}[r.IntN(2)] // also for a broken glass
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(strings.Repeat("x", 1+r.IntN(40)))
	case reflect.Int:
		v.SetInt(1 + r.Int64N(9))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		r.fill(v.Elem())
	case reflect.Slice:
		for range 1 + r.IntN(rollout.MostHolds) {
			e := reflect.New(v.Type().Elem()).Elem()
			r.fill(e)
			v.Set(reflect.Append(v, e))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			r.fill(v.Field(i))
		}
	default:
		panic("a memory has a field of a kind that the test does not fill: " + v.Type().String())
	}
}

// valid gives required fields their values, and each layer but once.
func (r *memories) valid(n *rollout.Namespace) {
	all := []model.Layer{model.LayerPodSecurity, model.LayerMTLS, model.LayerAuthorization, model.LayerNetwork}
	n.Layers = n.Layers[:min(len(n.Layers), len(all))]
	for i := range n.Layers {
		n.Layers[i].Layer = all[i]
		n.Layers[i].Stage = []model.Stage{model.StagePrepare, model.StageAudit, model.StageEnforce}[r.IntN(3)]
	}
	if n.Watch != nil {
		n.Watch.Moves = n.Watch.Moves[:min(len(n.Watch.Moves), len(all))]
		for i := range n.Watch.Moves {
			n.Watch.Moves[i].Layer, n.Watch.Moves[i].From = all[i], model.StageObserve
		}
	}
}

func (r *memories) memory() rollout.Namespace {
	var n rollout.Namespace
	r.fill(reflect.ValueOf(&n).Elem())
	r.valid(&n)
	return n
}

// throughStatus writes a memory to a status, as JSON, and reads it again.
func throughStatus(t *testing.T, n rollout.Namespace) (rollout.Namespace, []byte) {
	t.Helper()
	written := v1alpha1.NamespacePosture{}
	written.APIVersion, written.Kind = v1alpha1.GroupVersion.String(), "NamespacePosture"
	written.Namespace, written.Name = "shop", "posture"
	engine.SetRollout(&written.Status, n, true)
	data, err := json.Marshal(written)
	require.NoError(t, err)
	var read v1alpha1.NamespacePosture
	require.NoError(t, json.Unmarshal(data, &read))
	memory := engine.MemoryOf([]v1alpha1.NamespacePosture{read})
	require.Len(t, memory, 1)
	return memory["shop"], data
}

func TestMemoryComesBackFromTheStatusAsItWas(t *testing.T) {
	local := time.Local
	time.Local = time.FixedZone("far away", 5*3600+1800) // reading a status makes its times local
	t.Cleanup(func() { time.Local = local })
	for seed := range uint64(2000) {
		r := &memories{Rand: rand.New(rand.NewPCG(seed, 1)), full: seed%2 == 0} //nolint:gosec // a fixed seed makes the test repeatable
		n := r.memory()
		again, _ := throughStatus(t, n)
		require.Equal(t, n, again, "seed %d", seed)
	}
}

// A memory of which every bound is reached is one that the API server takes.
func TestTheLargestMemoryIsAValidStatus(t *testing.T) {
	r := &memories{Rand: rand.New(rand.NewPCG(1, 1)), full: true} //nolint:gosec // a fixed seed makes the test repeatable
	n := r.memory()
	text := strings.Repeat("ж", rollout.MostText/len("ж"))
	for len(n.Holds) < rollout.MostHolds {
		n.Holds = append(n.Holds, n.Holds[0])
	}
	for len(n.Transitions) < rollout.MostTransitions {
		n.Transitions = append(n.Transitions, n.Transitions[0])
	}
	for i := range n.Holds {
		n.Holds[i].Message = text
	}
	n.Profile, n.Released = strings.Repeat("p", 253), text
	n.BreakGlass.Reason, n.BreakGlass.By, n.BreakGlass.Given = text, text, text
	for i := range n.Layers {
		n.Layers[i].Level, n.Layers[i].Exempted = "restricted/v1.1000", "privileged/v1.1000"
	}
	for i := range n.Transitions {
		n.Transitions[i].From, n.Transitions[i].To = model.StagePrepare, model.StageAudit
	}
	again, data := throughStatus(t, n)
	require.Equal(t, n, again)
	assert.Less(t, len(data), 16<<10, "bytes of a status")
	manifest, err := yaml.JSONToYAML(data)
	require.NoError(t, err)
	_, err = cluster.Read([]string{"-"}, strings.NewReader(string(manifest)), cluster.Options{})
	require.NoError(t, err)
}

func TestWhatIsNotRememberedIsTakenFromTheStatus(t *testing.T) {
	status := v1alpha1.NamespacePostureStatus{Profile: "prod"}
	engine.SetRollout(&status, rollout.Namespace{Layers: []rollout.Layer{{Layer: model.LayerNetwork, Stage: model.StagePrepare}}}, true)
	assert.Equal(t, "Prepare", status.Stage)
	engine.SetRollout(&status, rollout.Namespace{}, false)
	assert.Equal(t, v1alpha1.NamespacePostureStatus{Profile: "prod"}, status, "the rest of the status is left alone")
	assert.Empty(t, engine.MemoryOf([]v1alpha1.NamespacePosture{{Status: status}}))
}
