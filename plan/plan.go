// Package plan compares the objects that are wanted with those that are there,
// and says what would be written: Plan is a value, computed without I/O, that
// people read as text, machines as JSON, and whoever applies it as a list.
//
// What is compared is what palisade answers for:
//
//	there                    wanted         becomes
//	nothing                  any            Create
//	an object of ours        the same       unchanged
//	an object of ours        other content  Update
//	an object of ours        nothing        Delete, but not where it is unknown what is needed
//	an object of another's   any            nothing, and Problem NameTaken
//	an object of another's   nothing        nothing
//	a Namespace              labels         Create or Update of these labels, nothing else of it
//
// In a namespace whose profile only observes, each of the three becomes Observe.
package plan

import (
	"strings"

	"floe.dev/palisade/model"
)

// Action is what a plan would do to an object.
type Action string

// The actions.
const (
	Create Action = "Create"
	Update Action = "Update"
	Delete Action = "Delete"
	// Observe is for what would be created, changed or deleted if the profile
	// of the namespace did not only observe.
	Observe Action = "Observe"
)

// Change is one object that is to be written or deleted.
type Change struct {
	Action Action
	// Would is what Observe stands for; empty with any other action.
	Would Action
	Ref   model.Ref
	// Namespace is the one that the change belongs to: that of the object, the
	// name of a Namespace object itself, empty for other cluster-wide objects.
	Namespace string
	// Desired is nil for a deletion, Existing for a creation.
	Desired, Existing *model.Object
}

// Effect is what happens to the object, now or once the profile enforces.
func (c Change) Effect() Action {
	if c.Action == Observe {
		return c.Would
	}
	return c.Action
}

// Origins are the lines of the object's origin annotation: the rules it came from.
func (c Change) Origins() []string {
	object := c.Desired
	if object == nil {
		object = c.Existing
	}
	return strings.FieldsFunc(object.Annotations()[model.OriginAnnotation], func(r rune) bool { return r == '\n' })
}

// Plan is all that would be written, and all that there is to say about it.
type Plan struct {
	// Mesh is the mesh in use.
	Mesh model.Mesh
	// Postures tells, for each namespace of a change, what governs it; nil where nothing does.
	Postures map[string]*model.Posture
	// Changes are grouped by namespace, cluster-wide objects first; within a
	// namespace what allows comes before what denies, and deletions come last.
	Changes []Change
	// Problems and Findings are sorted, those of earlier stages included.
	Problems []model.Problem
	Findings []model.Finding
	Summary  Summary
	// Impact is what is let through now and will not be, the surest uses first;
	// nil where it was not asked for. See SetImpact.
	Impact []Impact
	// Unknown counts the objects of kinds that were not looked at, by "apiVersion kind".
	Unknown map[string]int
}

// Summary counts.
type Summary struct {
	Create    int `json:"create"`
	Update    int `json:"update"`
	Delete    int `json:"delete"`
	Observe   int `json:"observe"`
	Unchanged int `json:"unchanged"`

	Problems BySeverity `json:"problems"`
	Findings BySeverity `json:"findings"`

	// Namespaces that exist, and how many of them a profile governs.
	Namespaces int `json:"namespaces"`
	Governed   int `json:"governed"`
	Workloads  int `json:"workloads"`
	// Flows that TrafficRules and ExternalAccesses declare.
	Flows int `json:"flows"`
	// Impact counts what is let through now and will not be.
	Impact ByBasis `json:"impact"`
}

// ByBasis counts ports of servers that clients lose, by why these are thought to use them.
type ByBasis struct {
	Declared   int `json:"declared"`
	Referenced int `json:"referenced"`
	Possible   int `json:"possible"`
}

// BySeverity counts by severity.
type BySeverity struct {
	Error   int `json:"error"`
	Warning int `json:"warning"`
	Info    int `json:"info"`
}

// All is how many there are.
func (b BySeverity) All() int { return b.Error + b.Warning + b.Info }

// Add counts one more.
func (b *BySeverity) Add(s model.Severity) {
	switch s {
	case model.Info:
		b.Info++
	case model.Warning:
		b.Warning++
	default:
		b.Error++
	}
}
