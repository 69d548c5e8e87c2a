package rollout_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
	"floe.dev/palisade/rollout"
)

// halfway is a world whose namespace has stood for a day with its objects
// written: mTLS is enforced, authorization audited, the network permissive.
func halfway(t *testing.T) (*world, rollout.Memory) {
	t.Helper()
	w := newWorld(model.MeshIstio, strict(1, 1, 10*time.Minute))
	s := w.add("shop", 2, "web")
	w.add("web", 1).profile = "" // governed by nobody
	w.now = w.now.Add(24 * time.Hour)
	memory := rollout.Memory{"shop": {Profile: "prod", Layers: []rollout.Layer{
		{Layer: model.LayerPodSecurity, Stage: model.StageEnforce, Since: epoch, Level: "baseline/latest"},
		{Layer: model.LayerMTLS, Stage: model.StageEnforce, Since: epoch},
		{Layer: model.LayerAuthorization, Stage: model.StageAudit, Since: epoch},
		{Layer: model.LayerNetwork, Stage: model.StagePermissive, Since: epoch},
	}}}
	require.True(t, w.write(s, rollout.Lower(w.model(), memory).Namespace("shop").Posture, nil))
	return w, memory
}

// What a gate is asked is unknown, too old, has a gap or a fault: each holds its layer by its code, and moves nothing of it.
func TestEachGateHoldsByItsCode(t *testing.T) {
	for name, test := range map[string]struct {
		layer model.Layer
		code  string
		spoil func(*rollout.Observed, *rollout.Evidence, *world)
	}{
		"the audit was not counted for the whole soak time": {model.LayerAuthorization, rollout.EvidenceMissing, func(o *rollout.Observed, _ *rollout.Evidence, w *world) {
			o.Audit.From = w.now.Add(-9 * time.Minute)
		}},
		"the audit is not known": {model.LayerAuthorization, rollout.EvidenceMissing, func(o *rollout.Observed, _ *rollout.Evidence, _ *world) { o.Audit = nil }},
		"the audit is read by nobody any more": {model.LayerAuthorization, rollout.EvidenceMissing, func(o *rollout.Observed, e *rollout.Evidence, _ *world) {
			e.Audits, o.Audit = false, nil
		}},
		"the audit noted something": {model.LayerAuthorization, rollout.AuditViolations, func(o *rollout.Observed, _ *rollout.Evidence, _ *world) { o.Audit.Violations = 1 }},
		"the verification is older than an hour": {model.LayerNetwork, rollout.VerificationStale, func(o *rollout.Observed, _ *rollout.Evidence, w *world) {
			o.Verification.Began = w.now.Add(-61 * time.Minute)
		}},
		"the verification lies ahead": {model.LayerNetwork, rollout.VerificationStale, func(o *rollout.Observed, _ *rollout.Evidence, w *world) {
			o.Verification.Began = w.now.Add(time.Hour)
		}},
		"the verification is older than what is written": {model.LayerNetwork, rollout.VerificationStale, func(o *rollout.Observed, _ *rollout.Evidence, _ *world) {
			o.Verification.Began = epoch
		}},
		"the verification could not tell": {model.LayerNetwork, rollout.EvidenceMissing, func(o *rollout.Observed, _ *rollout.Evidence, _ *world) {
			o.Verification.Result = rollout.Unclear
		}},
		"the verification failed": {model.LayerNetwork, rollout.VerificationRed, func(o *rollout.Observed, _ *rollout.Evidence, _ *world) { o.Verification.Result = rollout.Red }},
		"nothing was verified":    {model.LayerNetwork, rollout.EvidenceMissing, func(o *rollout.Observed, _ *rollout.Evidence, _ *world) { o.Verification = nil }},
		"readiness is not known":  {model.LayerNetwork, rollout.EvidenceMissing, func(o *rollout.Observed, _ *rollout.Evidence, _ *world) { o.Ready = nil }},
		"a workload is not ready": {model.LayerNetwork, rollout.WorkloadsUnready, func(o *rollout.Observed, _ *rollout.Evidence, _ *world) {
			o.Ready.Unready = make([]model.WorkloadID, 1)
		}},
		"it is not written":   {model.LayerNetwork, rollout.NotWritten, func(o *rollout.Observed, _ *rollout.Evidence, _ *world) { o.Settled = false }},
		"nothing is foreseen": {model.LayerNetwork, rollout.EvidenceMissing, func(o *rollout.Observed, _ *rollout.Evidence, _ *world) { o.Foreseen = nil }},
		"something would break": {model.LayerNetwork, rollout.BreakPredicted, func(o *rollout.Observed, _ *rollout.Evidence, _ *world) {
			o.Foreseen[model.LayerNetwork] = rollout.Foresight{Breaks: 1}
		}},
		"something would be closed": {model.LayerNetwork, rollout.ProblemsLeft, func(o *rollout.Observed, _ *rollout.Evidence, _ *world) {
			o.Foreseen[model.LayerNetwork] = rollout.Foresight{Problems: 1}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w, memory := halfway(t)
			m := w.model()
			e := w.evidence(m, memory)
			o := e.Namespaces["shop"]
			test.spoil(&o, &e, w)
			e.Namespaces["shop"] = o
			out := rollout.Step(m, e, memory, w.now)
			assert.Equal(t, stageOf(memory["shop"], test.layer), stageOf(out.Memory["shop"], test.layer))
			codes := map[string]bool{}
			for _, n := range out.Notes {
				if n.Namespace == "shop" && n.Kind == rollout.Held && n.Layer == test.layer {
					codes[n.Code] = true
				}
			}
			assert.Equal(t, map[string]bool{test.code: true}, codes, "%v", out.Notes)
		})
	}
}

func TestClientsOfNamespacesThatNobodyGovernsAreAskedFor(t *testing.T) {
	w, memory := halfway(t)
	shop := memory["shop"]
	shop.Layers[1].Stage = model.StagePermissive // mTLS
	require.True(t, w.write(w.spaces["shop"], rollout.Lower(w.model(), memory).Namespace("shop").Posture, nil))
	held := func() []rollout.Hold {
		m := w.model()
		return slices.DeleteFunc(rollout.Step(m, w.evidence(m, memory), memory, w.now).Memory["shop"].Holds, func(h rollout.Hold) bool { return h.Layer != model.LayerMTLS })
	}
	w.deaf["web"] = true
	require.Len(t, held(), 1)
	assert.Equal(t, rollout.EvidenceMissing, held()[0].Code)
	w.deaf["web"] = false
	w.spaces["web"].loose["app-0"] = true
	require.Len(t, held(), 1)
	assert.Equal(t, rollout.ClientsNotCaptured, held()[0].Code)
	clear(w.spaces["web"].loose)
	w.spaces["web"].outside["app-0"] = true
	require.Len(t, held(), 1)
	assert.Equal(t, rollout.ClientsNotCaptured, held()[0].Code)
}

func TestAProxysOwnMetricsPortAsksNoClientForAnIdentity(t *testing.T) {
	w, memory := halfway(t)
	memory["shop"].Layers[1].Stage = model.StagePermissive // mTLS
	w.spaces["web"].outside["app-0"] = true
	held := func(ports ...model.Port) bool {
		m := w.model()
		for i := range m.Workloads {
			m.Workloads[i].Facts.MetricsPorts = []model.Port{model.TCP(15020), model.TCP(15090)}
		}
		for i := range m.Flows {
			m.Flows[i].Ports = ports
		}
		holds := rollout.Step(m, w.evidence(m, memory), memory, w.now).Memory["shop"].Holds
		return slices.ContainsFunc(holds, func(h rollout.Hold) bool { return h.Code == rollout.ClientsNotCaptured })
	}
	require.True(t, w.write(w.spaces["shop"], rollout.Lower(w.model(), memory).Namespace("shop").Posture, nil))
	assert.False(t, held(model.TCP(15020)), "a scrape of the proxy is plaintext by design")
	assert.True(t, held(model.TCP(15020), model.TCP(8080)))
	assert.True(t, held(model.TCP(8080)))
}

func TestAStepThatStaysUnprovenTakesNoTurnAndCountsAsFailed(t *testing.T) {
	w, memory := newWorld(model.MeshNone, strict(1, 1, time.Minute)), rollout.Memory{}
	w.add("a", 1)
	w.add("b", 1)
	w.deaf["a"] = true
	memory = turn(t, w, memory).Memory // b alone can go
	require.NotNil(t, memory["b"].Watch)
	w.deaf["a"], w.deaf["b"] = false, true
	held := func() string {
		for _, h := range memory["a"].Holds {
			if h.Layer == "" {
				return h.Code
			}
		}
		return ""
	}
	w.now = w.now.Add(59 * time.Minute)
	memory = turn(t, w, memory).Memory
	assert.Equal(t, rollout.WaitsForTurn, held())
	w.now = w.now.Add(time.Minute)
	memory = turn(t, w, memory).Memory
	assert.Equal(t, rollout.TooManyFailed, held())
	w.profiles["prod"].posture.Rollout.MaxFailed = 2
	memory = turn(t, w, memory).Memory
	assert.Empty(t, held())
	assert.NotNil(t, memory["a"].Watch, "one more failure may be risked")
}

func TestAProfileMayDoWithoutAVerificationButNotPastOneThatFailed(t *testing.T) {
	for name, test := range map[string]struct {
		last *rollout.Verification
		goes bool
	}{
		"nothing was verified": {nil, true},
		"it could not tell":    {&rollout.Verification{Result: rollout.Unclear}, true},
		"the last is too old":  {&rollout.Verification{Result: rollout.Green, Began: epoch}, true},
		"the last one failed":  {&rollout.Verification{Result: rollout.Red}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w, memory := halfway(t)
			w.profiles["prod"].posture.Rollout.Unverified = true
			m := w.model()
			e := w.evidence(m, memory)
			o := e.Namespaces["shop"]
			if o.Verification = test.last; test.last != nil && test.last.Began.IsZero() {
				o.Verification.Began = w.now
			}
			e.Namespaces["shop"] = o
			after := rollout.Step(m, e, memory, w.now).Memory["shop"]
			went := stageOf(after, model.LayerAuthorization) != model.StageAudit || stageOf(after, model.LayerNetwork) == model.StageEnforce
			assert.Equal(t, test.goes, went, "%v", after.Holds)
		})
	}
}
