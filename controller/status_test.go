package controller

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/engine"
	"floe.dev/palisade/model"
	"floe.dev/palisade/plan"
	"floe.dev/palisade/rollout"
)

func TestTheSameStatusLaterIsTheSame(t *testing.T) {
	at := func(at time.Time, message string) v1alpha1.RuleStatus {
		var list []metav1.Condition
		set(&list, metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonInForce, Message: message}, at)
		return v1alpha1.RuleStatus{ObservedGeneration: 3, Conditions: list}
	}
	assert.Equal(t, statusDigest(at(noon, "fine")), statusDigest(at(after(time.Minute), "fine")))
	assert.NotEqual(t, statusDigest(at(noon, "fine")), statusDigest(at(noon, "not fine")))
	assert.False(t, at(noon, "fine").Conditions[0].LastTransitionTime.IsZero(), "the status itself keeps its times")
}

// turnOf is a snapshot and a turn of one namespace.
func turnOf(posture, lowered *model.Posture, memory rollout.Memory, frozen string, problems ...model.Problem) (*engine.Snapshot, *engine.Turn) {
	demanded := &model.Model{Namespaces: []model.Namespace{{Name: "shop", Posture: posture}}}
	written := &model.Model{Namespaces: []model.Namespace{{Name: "shop", Posture: lowered}}}
	t := &engine.Turn{Demanded: demanded, Result: engine.Result{Model: written, Problems: problems}, Past: engine.Past{Memory: memory}}
	if frozen != "" {
		t.Frozen = map[string]string{"shop": frozen}
	}
	return &engine.Snapshot{Profiles: []v1alpha1.SecurityProfile{{ObjectMeta: metav1.ObjectMeta{Name: "prod", Generation: 4}}}}, t
}

func TestAPostureTellsHowItsNamespaceStands(t *testing.T) {
	demanded := &model.Posture{Profile: "prod", Enforcement: model.Enforce}
	lower := &model.Posture{Profile: "prod"}
	enforced := rollout.Memory{"shop": {Profile: "prod", Layers: []rollout.Layer{{Layer: model.LayerNetwork, Stage: model.StageEnforce}}}}
	onItsWay := rollout.Memory{"shop": {Profile: "prod", Layers: []rollout.Layer{{Layer: model.LayerNetwork, Stage: model.StagePrepare}}}}
	watched := rollout.Memory{"shop": {Profile: "prod", Watch: &rollout.Watch{At: noon}, Layers: enforced["shop"].Layers}}
	fault := model.Problem{Code: "DNSUnknown", Severity: model.Error, Subject: model.Ref{APIVersion: "v1", Kind: "Namespace", Name: "shop"}, Message: "no resolver was found", Fix: "name it"}
	ready := &v1alpha1.NamespacePosture{Status: v1alpha1.NamespacePostureStatus{Conditions: []metav1.Condition{
		{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonInForce, Message: "as it was"},
	}}}
	observes := &model.Posture{Profile: "prod", Enforcement: model.Observe}
	for name, test := range map[string]struct {
		posture, lowered *model.Posture
		memory           rollout.Memory
		frozen           string
		problems         []model.Problem
		there            *v1alpha1.NamespacePosture
		pending          int
		status           metav1.ConditionStatus
		reason           string
	}{
		"all is in force":                         {demanded, demanded, enforced, "", nil, nil, 0, metav1.ConditionTrue, v1alpha1.ReasonInForce},
		"the rollout is on its way":               {demanded, lower, onItsWay, "", nil, nil, 0, metav1.ConditionFalse, v1alpha1.ReasonProgressing},
		"the last step is not proven":             {demanded, demanded, watched, "", nil, nil, 0, metav1.ConditionFalse, v1alpha1.ReasonProgressing},
		"objects are to be written":               {demanded, demanded, enforced, "", nil, nil, 2, metav1.ConditionFalse, v1alpha1.ReasonProgressing},
		"a rule changed, and was ready":           {demanded, demanded, enforced, "", nil, ready, 2, metav1.ConditionTrue, v1alpha1.ReasonInForce},
		"an error is about it":                    {demanded, demanded, enforced, "", []model.Problem{fault}, nil, 0, metav1.ConditionFalse, "DNSUnknown"},
		"the profile only observes":               {observes, observes, nil, "", nil, nil, 0, metav1.ConditionFalse, v1alpha1.ReasonObserved},
		"nobody governs, and something is left":   {nil, lower, onItsWay, "", nil, nil, 0, metav1.ConditionFalse, v1alpha1.ReasonReverting},
		"it cannot be told what is wanted":        {nil, demanded, enforced, "two profiles", nil, ready, 0, metav1.ConditionFalse, v1alpha1.ReasonFrozen},
		"nobody governs, and nothing is there":    {nil, nil, nil, "", nil, nil, 0, "", ""},
		"nobody governs, and the posture is left": {nil, nil, nil, "", nil, ready, 0, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, turn := turnOf(test.posture, test.lowered, test.memory, test.frozen, test.problems...)
			b := newBooks(s, turn)
			status := b.posture(&turn.Demanded.Namespaces[0], test.there, test.pending, noon)
			if test.reason == "" {
				assert.Nil(t, status)
				return
			}
			got := conditionIn(status.Conditions, v1alpha1.ConditionReady)
			assert.Equal(t, test.status, got.Status, got.Message)
			assert.Equal(t, test.reason, got.Reason)
			assert.NotEmpty(t, got.Message)
			again := b.posture(&turn.Demanded.Namespaces[0], &v1alpha1.NamespacePosture{Status: *status}, test.pending, after(time.Hour))
			assert.Equal(t, status, again, "worked out again, an hour later, it is the same")
		})
	}
}

func name(namespace, name string) types.NamespacedName {
	return types.NamespacedName{Namespace: namespace, Name: name}
}

func conditionIn(list []metav1.Condition, kind string) metav1.Condition {
	for _, c := range list {
		if c.Type == kind {
			return c
		}
	}
	return metav1.Condition{}
}

func TestAStatusIsBounded(t *testing.T) {
	posture := &model.Posture{Profile: "prod", Enforcement: model.Enforce}
	var problems []model.Problem
	long := make([]byte, 5000)
	for i := range long {
		long[i] = 'x'
	}
	for i := range 100 {
		problems = append(problems, model.Problem{Code: "Some", Severity: model.Error, Subject: model.Ref{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: string(long[:200+i])}, Message: string(long)})
	}
	s, turn := turnOf(posture, posture, rollout.Memory{"shop": {Profile: "prod", Layers: []rollout.Layer{{Layer: model.LayerNetwork, Stage: model.StageEnforce}}}}, "", problems...)
	for i := range 500 {
		turn.Objects = append(turn.Objects, model.Object{Tree: map[string]any{"apiVersion": "v1", "kind": "X", "metadata": map[string]any{"namespace": "shop", "name": string(long[:100+i%50])}}})
	}
	status := newBooks(s, turn).posture(&turn.Demanded.Namespaces[0], nil, 0, noon)
	assert.Len(t, status.Worst, mostWorst)
	assert.Len(t, status.Inventory, mostInventory)
	for _, w := range status.Worst {
		assert.LessOrEqual(t, len(w.Message), mostText)
		assert.LessOrEqual(t, len(w.Subject), mostText)
	}
	assert.EqualValues(t, 100, status.Findings[0].Count)
	assert.LessOrEqual(t, len(conditionIn(status.Conditions, v1alpha1.ConditionReady).Message), mostMessage)
}

func TestProfilesAndRulesTellWhatBecameOfThem(t *testing.T) {
	s := &engine.Snapshot{
		Profiles: []v1alpha1.SecurityProfile{{ObjectMeta: metav1.ObjectMeta{Name: "a", Generation: 1}}, {ObjectMeta: metav1.ObjectMeta{Name: "b"}}},
		Rules:    []v1alpha1.TrafficRule{{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "api", Generation: 2}}},
	}
	turn := &engine.Turn{Demanded: &model.Model{Namespaces: []model.Namespace{
		{Name: "one", Posture: &model.Posture{Profile: "a"}}, {Name: "two", Contested: []string{"a", "b"}},
	}}, Result: engine.Result{Model: &model.Model{}, Plan: plan.Plan{}, Problems: []model.Problem{
		{Code: "PortUnknown", Severity: model.Error, Subject: ownRef("TrafficRule", "shop", "api"), Message: "no container gives its port that name", Fix: "name the port"},
		{Code: "ObjectInvalid", Severity: model.Error, Subject: ownRef("Exemption", "shop", "old"), Message: "it is stored in a form that is not valid"},
	}}}
	by := ownStatuses(s, turn, noon)
	a := by["SecurityProfile"][name("", "a")].status.(v1alpha1.SecurityProfileStatus)
	assert.EqualValues(t, 1, a.Namespaces)
	assert.Equal(t, metav1.ConditionTrue, conditionIn(a.Conditions, v1alpha1.ConditionConflict).Status)
	assert.Contains(t, conditionIn(a.Conditions, v1alpha1.ConditionReady).Message, "namespace two")
	rule := by["TrafficRule"][name("shop", "api")].status.(v1alpha1.RuleStatus)
	ready := conditionIn(rule.Conditions, v1alpha1.ConditionReady)
	assert.Equal(t, metav1.ConditionFalse, ready.Status)
	assert.Equal(t, "PortUnknown", ready.Reason)
	assert.Contains(t, ready.Message, "Fix: name the port")
	assert.True(t, by["Exemption"][name("shop", "old")].blind)

	s.Rules[0].Status = rule
	assert.NotContains(t, ownStatuses(s, turn, after(time.Hour))["TrafficRule"], name("shop", "api"), "what is stored already is not written again")
}
