package controller

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/engine"
	"floe.dev/palisade/model"
	"floe.dev/palisade/plan"
	"floe.dev/palisade/rollout"
)

// Bounds of a status, as the CustomResourceDefinitions have them.
const (
	mostInventory = 64
	mostWorst     = 8
	mostText      = 512
	// mostMessage is how long the message of a condition gets.
	mostMessage = 1024
)

// notice is a problem or a finding.
type notice struct {
	code     string
	severity model.Severity
	subject  model.Ref
	message  string
	fix      string
}

// books are what one run came to, by namespace; every status is made of them.
type books struct {
	turn     *engine.Turn
	notices  map[string][]notice
	held     map[string][]rollout.Note
	objects  map[string][]model.Ref
	profiles map[string]*v1alpha1.SecurityProfile
	observed map[string]int
}

func newBooks(s *engine.Snapshot, t *engine.Turn) *books {
	b := &books{
		turn: t, notices: map[string][]notice{}, held: map[string][]rollout.Note{}, objects: map[string][]model.Ref{},
		profiles: map[string]*v1alpha1.SecurityProfile{}, observed: map[string]int{},
	}
	for _, n := range notices(t) {
		home := n.subject.Home()
		b.notices[home] = append(b.notices[home], n)
	}
	for _, n := range t.Notes {
		if n.Kind == rollout.Held {
			b.held[n.Namespace] = append(b.held[n.Namespace], n)
		}
	}
	for i := range t.Objects {
		ref := t.Objects[i].Ref()
		b.objects[ref.Home()] = append(b.objects[ref.Home()], ref)
	}
	for i := range s.Profiles {
		b.profiles[s.Profiles[i].Name] = &s.Profiles[i]
	}
	for i := range t.Plan.Changes {
		if c := &t.Plan.Changes[i]; c.Action == plan.Observe {
			b.observed[c.Namespace]++
		}
	}
	return b
}

// notices are the problems and findings of a run, the gravest first.
func notices(t *engine.Turn) []notice {
	list := make([]notice, 0, len(t.Problems)+len(t.Findings))
	for i := range t.Problems {
		p := &t.Problems[i]
		list = append(list, notice{p.Code, p.Severity, p.Subject, p.Message, p.Fix})
	}
	for i := range t.Findings {
		f := &t.Findings[i]
		list = append(list, notice{f.Code, f.Severity, f.Subject, f.Message, f.Fix})
	}
	slices.SortStableFunc(list, func(a, b notice) int { return b.severity.Rank() - a.severity.Rank() })
	return list
}

// text is the notice as a condition says it.
func (n *notice) text() string {
	text := n.message
	if s := n.subject.String(); s != "" {
		text = s + ": " + text
	}
	if n.fix != "" {
		text += ". Fix: " + n.fix
	}
	return bounded(text, mostMessage)
}

// posture is what the status of a namespace's posture is to be; nil where there is to be none.
func (b *books) posture(n *model.Namespace, there *v1alpha1.NamespacePosture, pending int, now time.Time) *v1alpha1.NamespacePostureStatus {
	memory, remembered := b.turn.Memory[n.Name]
	frozen := b.turn.Frozen[n.Name]
	if n.Posture == nil && !remembered && (frozen == "" || there == nil) {
		return nil
	}
	s := &v1alpha1.NamespacePostureStatus{}
	if there != nil {
		s.Conditions = slices.Clone(there.Status.Conditions)
	}
	if frozen != "" && there != nil {
		s = there.Status.DeepCopy()
	}
	engine.SetRollout(s, memory, remembered)
	ready, kept := b.ready(n, memory, pending, frozen)
	if there != nil && kept && meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionReady) != nil {
		ready = *meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionReady)
	}
	set(&s.Conditions, ready, now)
	set(&s.Conditions, b.holds(n.Name), now)
	if frozen != "" {
		return s
	}
	s.Profile = memory.Profile
	if n.Posture != nil {
		s.Profile = n.Posture.Profile
	}
	if p := b.profiles[s.Profile]; p != nil {
		s.ObservedGeneration = p.Generation
	}
	if kind := b.turn.Demanded.Cluster.Mesh.Kind; kind != model.MeshNone {
		s.Mesh = string(kind)
	}
	s.Modes = modes(b.turn.Demanded.WorkloadsIn(n.Name))
	s.Findings, s.Worst = b.findings(n.Name)
	s.Inventory = b.inventory(n.Name, s.Stage)
	return s
}

// ready is the condition Ready. kept tells that one that is there may stay as it is: a change of an
// object is on its way, and all that the rollout has to do is done.
func (b *books) ready(n *model.Namespace, memory rollout.Namespace, pending int, frozen string) (c metav1.Condition, kept bool) {
	worst := b.worstError(n.Name)
	lowered := b.turn.Model.Namespace(n.Name)
	switch {
	case frozen != "":
		return notReady(v1alpha1.ReasonFrozen, "everything stays as it is, since it cannot be told what is wanted: "+frozen), false
	case n.Posture == nil:
		return notReady(v1alpha1.ReasonReverting, "no profile governs the namespace any more; what palisade wrote is being taken away"), false
	case n.Posture.Enforcement == model.Observe:
		return notReady(v1alpha1.ReasonObserved, fmt.Sprintf("SecurityProfile %s only observes: %d objects would be written", n.Posture.Profile, b.observed[n.Name])), false
	case worst != nil:
		return notReady(worst.code, worst.text()), false
	case lowered == nil || lowered.Posture != n.Posture || memory.Watch != nil:
		return notReady(v1alpha1.ReasonProgressing, stages(memory)), false
	case pending > 0:
		return notReady(v1alpha1.ReasonProgressing, "objects are being written"), true
	}
	return metav1.Condition{
		Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonInForce,
		Message: fmt.Sprintf("all that SecurityProfile %s demands is in force", n.Posture.Profile),
	}, false
}

func notReady(reason, message string) metav1.Condition {
	return metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: reason, Message: bounded(message, mostMessage)}
}

func (b *books) worstError(namespace string) *notice {
	if list := b.notices[namespace]; len(list) > 0 && list[0].severity == model.Error {
		return &list[0]
	}
	return nil
}

// stages tells in a line how far each layer is.
func stages(n rollout.Namespace) string {
	var parts []string
	for _, l := range n.Layers {
		parts = append(parts, fmt.Sprintf("%s %s", l.Layer, l.Stage))
	}
	return "the rollout is on its way: " + strings.Join(parts, ", ")
}

// holds is the condition Held.
func (b *books) holds(namespace string) metav1.Condition {
	list := b.held[namespace]
	if len(list) == 0 {
		return metav1.Condition{Type: v1alpha1.ConditionHeld, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonNone, Message: "nothing holds the rollout"}
	}
	var parts []string
	for _, n := range list {
		text := n.Message
		if n.Layer != "" {
			text = string(n.Layer) + ": " + text
		}
		parts = append(parts, text)
	}
	return metav1.Condition{
		Type: v1alpha1.ConditionHeld, Status: metav1.ConditionTrue, Reason: list[0].Code, Message: bounded(strings.Join(parts, "; "), mostMessage),
	}
}

func modes(workloads []model.Workload) []v1alpha1.ModeCount {
	counts := map[string]int32{}
	for i := range workloads {
		counts[cmp.Or(string(workloads[i].Facts.Mode), "none")]++
	}
	var list []v1alpha1.ModeCount
	for mode, count := range counts {
		list = append(list, v1alpha1.ModeCount{Mode: mode, Count: count})
	}
	slices.SortFunc(list, func(a, b v1alpha1.ModeCount) int { return cmp.Compare(a.Mode, b.Mode) })
	return list
}

func (b *books) findings(namespace string) (counts []v1alpha1.FindingCount, worst []v1alpha1.FindingSummary) {
	by := map[model.Severity]int32{}
	for _, n := range b.notices[namespace] {
		by[n.severity]++
		if len(worst) < mostWorst {
			worst = append(worst, v1alpha1.FindingSummary{
				Code: n.code, Severity: string(n.severity), Subject: bounded(n.subject.String(), mostText), Message: bounded(n.message, mostText),
			})
		}
	}
	for _, s := range []model.Severity{model.Error, model.Warning, model.Info} {
		if by[s] > 0 {
			counts = append(counts, v1alpha1.FindingCount{Severity: string(s), Count: by[s]})
		}
	}
	return counts, worst
}

// inventory lists what palisade owns in a namespace, or is about to; the Namespace itself is not its own.
func (b *books) inventory(namespace, stage string) []v1alpha1.OwnedObject {
	if stage == "" {
		return nil
	}
	var list []v1alpha1.OwnedObject
	for _, r := range b.objects[namespace] {
		if r.Namespace != "" && len(list) < mostInventory {
			list = append(list, v1alpha1.OwnedObject{APIVersion: r.APIVersion, Kind: r.Kind, Name: r.Name})
		}
	}
	return list
}

// set puts a condition in its place; its time changes with its status only.
func set(list *[]metav1.Condition, c metav1.Condition, now time.Time) {
	c.LastTransitionTime = metav1.NewTime(now.Truncate(time.Second))
	meta.SetStatusCondition(list, c)
}

// bounded cuts a text at the end of a rune.
func bounded(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most-len("…")], "") + "…"
}

// statusDigest stands for a status, whenever its conditions came to hold: the same
// that was worked out anew while the first is on its way is not written again.
func statusDigest(status any) uint64 {
	switch s := status.(type) {
	case *v1alpha1.NamespacePostureStatus:
		timeless := *s
		timeless.Conditions = untimed(s.Conditions)
		return digestOf(timeless)
	case v1alpha1.SecurityProfileStatus:
		s.Conditions = untimed(s.Conditions)
		return digestOf(s)
	case v1alpha1.RuleStatus:
		s.Conditions = untimed(s.Conditions)
		return digestOf(s)
	}
	return digestOf(status)
}

func untimed(conditions []metav1.Condition) []metav1.Condition {
	list := slices.Clone(conditions)
	for i := range list {
		list[i].LastTransitionTime = metav1.Time{}
	}
	return list
}
