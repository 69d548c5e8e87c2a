package controller

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/engine"
	"floe.dev/palisade/model"
)

// ownStatus is the status of an object that people write, as it is to be.
type ownStatus struct {
	ref model.Ref
	uid types.UID
	// status is a SecurityProfileStatus or a RuleStatus.
	status any
	// blind tells that what is stored could not be read, so that it is not known whether it says so already.
	blind bool
}

// statuses gathers those that differ from what is stored.
type statuses struct {
	by  map[string]map[types.NamespacedName]*ownStatus
	on  map[model.Ref][]notice
	now time.Time
}

// ownStatuses are the statuses of palisade's own kinds that are to be written, by kind.
func ownStatuses(s *engine.Snapshot, t *engine.Turn, now time.Time) map[string]map[types.NamespacedName]*ownStatus {
	st := &statuses{by: map[string]map[types.NamespacedName]*ownStatus{}, on: map[model.Ref][]notice{}, now: now}
	for _, n := range notices(t) {
		if n.subject.Group() == v1alpha1.GroupVersion.Group {
			st.on[n.subject] = append(st.on[n.subject], n)
		}
	}
	governed, contested := govern(t.Demanded)
	for i := range s.Profiles {
		st.profile(&s.Profiles[i], governed[s.Profiles[i].Name], contested[s.Profiles[i].Name])
	}
	for i := range s.Rules {
		r := &s.Rules[i]
		st.rule("TrafficRule", &r.ObjectMeta, &r.Status)
	}
	for i := range s.ExternalAccess {
		a := &s.ExternalAccess[i]
		st.rule("ExternalAccess", &a.ObjectMeta, &a.Status)
	}
	for i := range s.Exemptions {
		e := &s.Exemptions[i]
		st.rule("Exemption", &e.ObjectMeta, &e.Status)
	}
	st.invalid()
	return st.by
}

// govern counts the namespaces of each profile, and lists those that it shares with another of the same priority.
func govern(m *model.Model) (governed map[string]int32, contested map[string][]string) {
	governed, contested = map[string]int32{}, map[string][]string{}
	for i := range m.Namespaces {
		n := &m.Namespaces[i]
		if n.Posture != nil {
			governed[n.Posture.Profile]++
		}
		for _, profile := range n.Contested {
			contested[profile] = append(contested[profile], n.Name)
		}
	}
	return governed, contested
}

func ownRef(kind, namespace, name string) model.Ref {
	return model.Ref{APIVersion: v1alpha1.GroupVersion.String(), Kind: kind, Namespace: namespace, Name: name}
}

func (st *statuses) profile(p *v1alpha1.SecurityProfile, governed int32, contested []string) {
	ref := ownRef("SecurityProfile", "", p.Name)
	wanted := v1alpha1.SecurityProfileStatus{
		ObservedGeneration: p.Generation, Namespaces: governed, Conditions: slices.Clone(p.Status.Conditions),
	}
	conflict := metav1.Condition{
		Type: v1alpha1.ConditionConflict, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonNone, ObservedGeneration: p.Generation,
		Message: "no other profile of its priority selects the same namespaces",
	}
	ready := st.ready(ref, p.Generation, fmt.Sprintf("it governs %d namespaces", governed))
	if len(contested) > 0 {
		conflict.Status, conflict.Reason = metav1.ConditionTrue, "ProfileConflict"
		conflict.Message = bounded(fmt.Sprintf("another profile of priority %d selects namespace %s as well: nothing changes there until one of them has a higher priority",
			p.Spec.Priority, few(contested)), mostMessage)
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, conflict.Reason, conflict.Message
	}
	set(&wanted.Conditions, ready, st.now)
	set(&wanted.Conditions, conflict, st.now)
	if !equality.Semantic.DeepEqual(&p.Status, &wanted) {
		st.add(&ownStatus{ref: ref, uid: p.UID, status: wanted})
	}
}

func (st *statuses) rule(kind string, o *metav1.ObjectMeta, there *v1alpha1.RuleStatus) {
	ref := ownRef(kind, o.Namespace, o.Name)
	wanted := v1alpha1.RuleStatus{ObservedGeneration: o.Generation, Conditions: slices.Clone(there.Conditions)}
	set(&wanted.Conditions, st.ready(ref, o.Generation, "it is taken into account"), st.now)
	if !equality.Semantic.DeepEqual(there, &wanted) {
		st.add(&ownStatus{ref: ref, uid: o.UID, status: wanted})
	}
}

// ready is the condition Ready: not where an error is about the object. A warning is said beside it.
func (st *statuses) ready(ref model.Ref, generation int64, otherwise string) metav1.Condition {
	c := metav1.Condition{
		Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonInForce, ObservedGeneration: generation, Message: otherwise,
	}
	if list := st.on[ref]; len(list) > 0 {
		c.Reason, c.Message = list[0].code, list[0].text()
		if list[0].severity == model.Error {
			c.Status = metav1.ConditionFalse
		}
	}
	return c
}

// invalid tells of objects that are stored in a form that is not valid.
func (st *statuses) invalid() {
	for ref, list := range st.on {
		i := slices.IndexFunc(list, func(n notice) bool { return n.code == "ObjectInvalid" })
		if i < 0 || !slices.Contains(ownKinds, ref.Kind) {
			continue
		}
		c := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: list[i].code, Message: list[i].text()}
		var conditions []metav1.Condition
		set(&conditions, c, st.now)
		s := &ownStatus{ref: ref, blind: true, status: v1alpha1.RuleStatus{Conditions: conditions}}
		if ref.Kind == "SecurityProfile" {
			s.status = v1alpha1.SecurityProfileStatus{Conditions: conditions}
		}
		st.add(s)
	}
}

func (st *statuses) add(s *ownStatus) {
	if st.by[s.ref.Kind] == nil {
		st.by[s.ref.Kind] = map[types.NamespacedName]*ownStatus{}
	}
	st.by[s.ref.Kind][types.NamespacedName{Namespace: s.ref.Namespace, Name: s.ref.Name}] = s
}

// few names some of many.
func few(names []string) string {
	const shown = 3
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
}
