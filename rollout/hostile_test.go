package rollout_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
	"floe.dev/palisade/rollout"
)

// turn is one step over a world, with its objects written unless keep says that they are not.
func turn(t *testing.T, w *world, memory rollout.Memory) rollout.Outcome {
	t.Helper()
	m := w.model()
	out := rollout.Step(m, w.evidence(m, memory), memory, w.now)
	for name, s := range w.spaces {
		w.write(s, out.Model.Namespace(name).Posture, nil)
	}
	return out
}

// enforced is a world of one namespace at its top, and its memory.
func enforced(t *testing.T, mesh model.MeshKind) (*world, rollout.Memory) {
	t.Helper()
	w, memory := newWorld(mesh, strict(1, 1, time.Minute)), rollout.Memory{}
	w.add("shop", 2)
	for range 60 {
		w.now = w.now.Add(2 * time.Minute)
		memory = turn(t, w, memory).Memory
	}
	require.Equal(t, model.StageEnforce, memory["shop"].Stage())
	require.Nil(t, memory["shop"].Watch)
	return w, memory
}

func has(notes []rollout.Note, code string) bool {
	return slices.ContainsFunc(notes, func(n rollout.Note) bool { return n.Code == code })
}

// crashed goes up to the top and all the way down again; each time that crash says so, a reconcile ends before its next write.
func crashed(t *testing.T, mesh model.MeshKind, crash func(reconcile, write int) bool) (reconciles, writes int) {
	t.Helper()
	w, memory := newWorld(mesh, strict(1, 1, time.Minute)), rollout.Memory{}
	s := w.add("shop", 2)
	w.onWrite = func(string) { require.Empty(t, s.torn(), "reconcile %d, write %d", reconciles, writes) }
	stop := func() bool {
		writes++
		return crash(reconciles, writes)
	}
	run := func(times int) {
		for range times {
			reconciles++
			w.now = w.now.Add(2 * time.Minute)
			m := w.model()
			out := rollout.Step(m, w.evidence(m, memory), memory, w.now)
			memory = out.Memory
			w.write(s, out.Model.Namespace("shop").Posture, stop)
		}
	}
	run(24)
	require.Equal(t, model.StageEnforce, memory["shop"].Stage())
	require.Nil(t, memory["shop"].Watch)
	s.profile = ""
	run(6)
	require.Empty(t, s.objects)
	require.Empty(t, memory)
	return reconciles, writes
}

func TestACrashAtAnyWriteTearsNothing(t *testing.T) {
	for _, mesh := range []model.MeshKind{model.MeshNone, model.MeshIstio, model.MeshLinkerd} {
		reconciles, writes := crashed(t, mesh, func(int, int) bool { return false })
		require.Greater(t, writes, 10)
		for at := range writes {
			crashed(t, mesh, func(_, write int) bool { return write == at+1 })
		}
		for at := range reconciles {
			for length := range 3 { // several in a row write nothing, though the memory is kept
				crashed(t, mesh, func(reconcile, _ int) bool { return reconcile > at && reconcile <= at+1+length })
			}
		}
	}
}

func TestPauseHoldsAnEmptyNamespaceAsWell(t *testing.T) {
	w := newWorld(model.MeshIstio, strict(1, 1, time.Minute))
	s := w.add("shop", 0)
	s.annotations = map[string]string{rollout.AnnotationPause: "moving house"}
	out := turn(t, w, rollout.Memory{})
	assert.True(t, has(out.Notes, rollout.Paused))
	assert.Empty(t, s.objects)
	s.annotations = nil
	assert.True(t, has(turn(t, w, out.Memory).Notes, rollout.GovernedAtOnce))
}

// A crash in the last deletions, after the memory is gone, may leave objects that refuse nothing and tell of no stage.
func TestWhatACrashLeftOfTheWayDownGoesAsWell(t *testing.T) {
	for _, observes := range []bool{true, false} {
		w := newWorld(model.MeshLinkerd, strict(1, 1, time.Minute))
		s := w.add("shop", 2)
		s.objects["MeshTLSAuthentication/palisade-named"] = "named"
		w.profiles["prod"].observe = observes
		if !observes {
			s.profile = ""
		}
		lowered := rollout.Lower(w.model(), nil).Namespace("shop").Posture
		out := turn(t, w, rollout.Memory{})
		assert.Empty(t, s.objects, "observes: %v", observes)
		assert.Equal(t, out.Model.Namespace("shop").Posture, lowered, "what is to be written now is what is compared with")
		assert.Empty(t, out.Memory)
	}
}

func TestAClockThatWasAheadDoesNotProlongBreakGlass(t *testing.T) {
	w, memory := enforced(t, model.MeshIstio)
	w.spaces["shop"].annotations = map[string]string{rollout.AnnotationBreakGlass: "Permissive"}
	w.now = w.now.Add(72 * time.Hour) // wrong
	memory = turn(t, w, memory).Memory
	w.now = w.now.Add(-72 * time.Hour) // set right
	out := turn(t, w, memory)
	assert.True(t, has(out.Notes, rollout.ClockWentBack))
	assert.Equal(t, w.now.Add(rollout.BreakGlassTerm), out.Memory["shop"].BreakGlass.Until)
}

func TestAClockThatWasAheadDoesNotProlongBackingOff(t *testing.T) {
	w, memory := enforced(t, model.MeshNone)
	shop := memory["shop"]
	ahead := w.now.Add(20 * time.Hour)
	for i := range shop.Layers {
		if shop.Layers[i].Layer == model.LayerNetwork {
			shop.Layers[i].Stage, shop.Layers[i].Since = model.StagePermissive, ahead
			shop.Layers[i].Failures, shop.Layers[i].RetryAt = 2, ahead.Add(2*time.Minute)
		}
	}
	memory["shop"] = shop
	out := turn(t, w, memory)
	for _, l := range out.Memory["shop"].Layers {
		assert.False(t, l.RetryAt.After(w.now.Add(2*time.Minute)), "%s waits until %s, and it is %s", l.Layer, l.RetryAt, w.now)
	}
}

// watched is a world in which mTLS was just enforced, and its memory.
func watched(t *testing.T) (*world, rollout.Memory) {
	t.Helper()
	w, memory := newWorld(model.MeshIstio, strict(1, 1, time.Minute)), rollout.Memory{}
	w.add("shop", 2)
	for range 60 {
		w.now = w.now.Add(2 * time.Minute)
		out := turn(t, w, memory)
		memory = out.Memory
		if stageOf(memory["shop"], model.LayerMTLS) == model.StageEnforce {
			return w, memory
		}
	}
	t.Fatal("mTLS is never enforced")
	return nil, nil
}

func TestARedVerificationCountsOnlyWhereItSpeaksOfTheChange(t *testing.T) {
	for name, test := range map[string]struct {
		after, began time.Duration // the next step, and the verification, after the decision
		unwritten    bool
		stepsBack    bool
	}{
		"it began before the decision":                      {after: 10 * time.Minute, began: -time.Second},
		"it began before the objects were seen":             {after: 20 * time.Second, began: 10 * time.Second},
		"it began long enough after the decision":           {after: 10 * time.Minute, began: 2 * time.Minute, stepsBack: true},
		"it failed though not all is written after minutes": {after: 10 * time.Minute, began: 5 * time.Minute, unwritten: true, stepsBack: true},
		"it lies ahead of the clock":                        {after: 10 * time.Minute, began: 20 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			w, memory := watched(t)
			decided := w.now
			w.now = decided.Add(test.after)
			m := w.model()
			e := w.evidence(m, memory)
			o := e.Namespaces["shop"]
			o.Settled = !test.unwritten
			o.Verification = &rollout.Verification{Result: rollout.Red, Began: decided.Add(test.began)}
			e.Namespaces["shop"] = o
			out := rollout.Step(m, e, memory, w.now)
			assert.Equal(t, test.stepsBack, has(out.Notes, rollout.SteppedBack), "%v", out.Notes)
			assert.Equal(t, test.stepsBack, stageOf(out.Memory["shop"], model.LayerMTLS) == model.StagePermissive)
		})
	}
}

func TestANamespaceThatWentIsForgotten(t *testing.T) {
	w, memory := enforced(t, model.MeshIstio)
	shop := w.spaces["shop"]
	delete(w.spaces, "shop")
	memory = turn(t, w, memory).Memory
	assert.Empty(t, memory)
	w.spaces["shop"] = shop
	clear(shop.objects)
	memory = turn(t, w, memory).Memory
	assert.Equal(t, model.StageObserve, stageOf(memory["shop"], model.LayerMTLS), "another one of the same name begins anew")
}

func TestAStatusThatIsLostOpensNothingAndSoaksFromWhenAllIsWritten(t *testing.T) {
	w, _ := enforced(t, model.MeshIstio)
	w.now = w.now.Add(time.Hour)
	out := turn(t, w, rollout.Memory{})
	assert.True(t, has(out.Notes, rollout.Adopted))
	assert.Equal(t, model.StageEnforce, out.Memory["shop"].Stage())

	s := w.spaces["shop"]
	s.objects["NetworkPolicy/palisade-open"] = ""
	delete(s.objects, "NetworkPolicy/palisade-b") // a write was cut short
	out = turn(t, w, rollout.Memory{})
	for _, l := range out.Memory["shop"].Layers {
		if l.Layer == model.LayerNetwork {
			assert.Equal(t, model.StagePermissive, l.Stage)
			assert.Zero(t, l.Since, "not all of it is written")
		}
	}
	assert.False(t, has(out.Notes, rollout.Advanced))
}

func TestProfilesThatSwapKeepWhatIsEnforced(t *testing.T) {
	w, memory := enforced(t, model.MeshIstio)
	other := w.profiles["prod"].posture
	other.PodSecurity.Enforce = "restricted"
	w.profiles["other"] = &profile{posture: other}
	for i := range 40 {
		w.now = w.now.Add(10 * time.Second)
		w.spaces["shop"].profile = []string{"other", "prod"}[i%2]
		memory = turn(t, w, memory).Memory
		for _, l := range []model.Layer{model.LayerMTLS, model.LayerAuthorization, model.LayerNetwork} {
			require.Equal(t, model.StageEnforce, stageOf(memory["shop"], l), "swap %d", i)
			require.True(t, w.spaces["shop"].refuses(l), "swap %d", i)
		}
		require.True(t, w.spaces["shop"].refuses(model.LayerPodSecurity), "baseline, which was proven, is enforced all the time: %s", w.spaces["shop"].objects["Namespace/"])
	}
	require.LessOrEqual(t, len(memory["shop"].Transitions), rollout.MostTransitions)
}

// Whoever litters a namespace with annotations hides no hold from its status, and has nothing told twice.
func TestUnknownAnnotationsDoNotCrowdOutHolds(t *testing.T) {
	w := newWorld(model.MeshIstio, strict(1, 1, time.Minute))
	s := w.add("shop", 2)
	s.unready["app-0"] = true
	s.annotations = map[string]string{}
	for i := range 40 {
		s.annotations[fmt.Sprintf("%sskip-%d", rollout.AnnotationPrefix, i)] = "true"
	}
	out := turn(t, w, rollout.Memory{})
	assert.True(t, slices.ContainsFunc(out.Memory["shop"].Holds, func(h rollout.Hold) bool { return h.Code == rollout.WorkloadsUnready }))
	w.now = w.now.Add(time.Minute)
	for _, n := range turn(t, w, out.Memory).Notes {
		assert.False(t, n.New, "%s", n)
	}
}
