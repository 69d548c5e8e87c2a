package engine

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/model"
	"floe.dev/palisade/rollout"
)

// MemoryOf is what NamespacePostures tell of the rollout. A namespace whose status
// says nothing is left out: package rollout then goes by the objects that are there.
func MemoryOf(postures []v1alpha1.NamespacePosture) rollout.Memory {
	memory := make(rollout.Memory, len(postures))
	for i := range postures {
		p := &postures[i]
		if s := p.Status.Rollout; s != nil {
			memory[p.Namespace] = namespaceMemory(s)
		}
	}
	return memory
}

// SetRollout writes what is remembered of a namespace to its status. Where
// remembered is false, which is where the outcome's Memory lacks the namespace, the status forgets the rollout.
func SetRollout(status *v1alpha1.NamespacePostureStatus, n rollout.Namespace, remembered bool) {
	if !remembered {
		status.Stage, status.Rollout = "", nil
		return
	}
	status.Stage, status.Rollout = string(n.Stage()), rolloutStatus(&n)
}

func namespaceMemory(s *v1alpha1.RolloutStatus) rollout.Namespace {
	n := rollout.Namespace{Profile: s.Profile, Released: s.Released}
	for _, l := range s.Layers {
		n.Layers = append(n.Layers, rollout.Layer{
			Layer: model.Layer(l.Layer), Stage: model.Stage(l.Stage), Since: utc(l.Since), Level: l.Level, Exempted: l.Exempted,
			Failures: int(l.Failures), RetryAt: utc(l.RetryAt),
		})
	}
	if s.Watch != nil {
		n.Watch = &rollout.Watch{At: utc(&s.Watch.At)}
		for _, m := range s.Watch.Moves {
			n.Watch.Moves = append(n.Watch.Moves, rollout.Move{Layer: model.Layer(m.Layer), From: model.Stage(m.From), Level: m.Level})
		}
	}
	if b := s.BreakGlass; b != nil {
		n.BreakGlass = &rollout.BreakGlass{
			Stage: model.Stage(b.Stage), Reason: b.Reason, By: b.By, Given: b.Given, Since: utc(&b.Since), Until: utc(&b.Until), Over: b.Over,
		}
	}
	for _, h := range s.Holds {
		n.Holds = append(n.Holds, rollout.Hold{Layer: model.Layer(h.Layer), Code: h.Code, Message: h.Message})
	}
	for _, t := range s.Transitions {
		n.Transitions = append(n.Transitions, rollout.Transition{
			At: utc(&t.At), Layer: model.Layer(t.Layer), From: model.Stage(t.From), To: model.Stage(t.To), Code: t.Code,
		})
	}
	return n
}

func rolloutStatus(n *rollout.Namespace) *v1alpha1.RolloutStatus {
	s := &v1alpha1.RolloutStatus{Profile: n.Profile, Released: n.Released}
	for _, l := range n.Layers {
		s.Layers = append(s.Layers, v1alpha1.RolloutLayerStatus{
			Layer: v1alpha1.RolloutLayer(l.Layer), Stage: v1alpha1.RolloutStage(l.Stage), Since: instant(l.Since), Level: l.Level, Exempted: l.Exempted,
			Failures: int32(l.Failures), RetryAt: instant(l.RetryAt),
		})
	}
	if w := n.Watch; w != nil {
		s.Watch = &v1alpha1.RolloutWatch{At: metav1.NewTime(w.At), Moves: []v1alpha1.RolloutMove{}}
		for _, m := range w.Moves {
			s.Watch.Moves = append(s.Watch.Moves, v1alpha1.RolloutMove{Layer: v1alpha1.RolloutLayer(m.Layer), From: v1alpha1.RolloutStage(m.From), Level: m.Level})
		}
	}
	if b := n.BreakGlass; b != nil {
		s.BreakGlass = &v1alpha1.BreakGlassStatus{
			Stage: v1alpha1.BreakGlassStage(b.Stage), Reason: b.Reason, By: b.By, Given: b.Given,
			Since: metav1.NewTime(b.Since), Until: metav1.NewTime(b.Until), Over: b.Over,
		}
	}
	for _, h := range n.Holds {
		s.Holds = append(s.Holds, v1alpha1.RolloutHold{Layer: v1alpha1.RolloutLayer(h.Layer), Code: h.Code, Message: h.Message})
	}
	for _, t := range n.Transitions {
		s.Transitions = append(s.Transitions, v1alpha1.RolloutTransition{
			At: metav1.NewTime(t.At), Layer: v1alpha1.RolloutLayer(t.Layer), From: v1alpha1.RolloutStage(t.From), To: v1alpha1.RolloutStage(t.To), Code: t.Code,
		})
	}
	return s
}

// instant is a time as a status has it; nil stands for zero.
func instant(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return &metav1.Time{Time: t}
}

// utc is a time as package rollout has it: reading a status makes it local.
func utc(t *metav1.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}
