package rollout

import (
	"slices"
	"time"

	"floe.dev/palisade/model"
)

// Memory is what must outlast a restart, by namespace. A namespace of which
// nothing is remembered is judged by the objects that palisade owns there: a status
// that was lost opens nothing. Times are whole seconds, in UTC.
type Memory map[string]Namespace

// Namespace is the memory of one namespace. It is bounded, and fits a status.
type Namespace struct {
	// Profile governs the namespace, or governed it last.
	Profile string
	// Layers are those that the profile demands, or that are on their way down, in the order in which they are enforced.
	Layers []Layer
	// Watch is the last change while it is not proven, or nil.
	Watch *Watch
	// BreakGlass is the one in force, or over and still annotated; nil where there is none.
	BreakGlass *BreakGlass
	// Released is the last value of AnnotationRelease that was heeded.
	Released string
	// Holds say what the namespace waits for, and what people should mend; at most MostHolds.
	Holds []Hold
	// Transitions are the last changes, the oldest first; at most MostTransitions.
	Transitions []Transition
}

// The bounds of what a Namespace remembers.
const (
	// MostHolds and MostTransitions bound the lists.
	MostHolds       = 8
	MostTransitions = 8
	// MostText bounds what people wrote and what is said to them, in bytes.
	MostText = 512
)

// Layer is the memory of one layer.
type Layer struct {
	Layer model.Layer
	Stage model.Stage
	// Since is when the stage was first seen to be written; zero until then.
	Since time.Time
	// Level is the Pod Security level and version that was proven, "baseline/latest"; it is
	// enforced while another is only audited. Empty for other layers, and where none was.
	Level string
	// Exempted is the level that an Exemption lowers what is enforced to; empty where none does.
	Exempted string
	// Failures counts the steps back since the last step that was proven.
	Failures int
	// RetryAt is before when the layer does not go up again after a failure.
	RetryAt time.Time
}

// Watch is a change that is not proven yet.
type Watch struct {
	// At is when it was decided.
	At    time.Time
	Moves []Move
}

// Move is where a layer came from.
type Move struct {
	Layer model.Layer
	From  model.Stage
	// Level is Layer.Level before the change.
	Level string
}

// BreakGlass is a namespace that a person opened.
type BreakGlass struct {
	// Stage is StagePermissive or StageObserve.
	Stage model.Stage
	// Reason and By are what was given, or empty.
	Reason, By string
	// Given is the end as it was written, to tell one order from the next; empty where none was.
	Given string
	// Since and Until are when it began, and ends.
	Since, Until time.Time
	// Over tells that it ended, though the annotation is still there.
	Over bool
}

// Hold is what a namespace, or a layer of it, waits for.
type Hold struct {
	// Layer is empty where the whole namespace waits.
	Layer model.Layer
	// Code is one of the codes of notes.
	Code    string
	Message string
}

// Transition is a change that was decided.
type Transition struct {
	At       time.Time
	Layer    model.Layer
	From, To model.Stage
	// Code says why, as a note does.
	Code string
}

// Stage is how far the namespace is: the least of the stages of its layers, StageObserve where there are none.
func (n Namespace) Stage() model.Stage {
	if len(n.Layers) == 0 {
		return model.StageObserve
	}
	return slices.MinFunc(n.Layers, func(a, b Layer) int { return a.Stage.Rank() - b.Stage.Rank() }).Stage
}

// Failed tells whether some layer was stepped back and has not been proven since.
func (n Namespace) Failed() bool {
	return slices.ContainsFunc(n.Layers, func(l Layer) bool { return l.Failures > 0 })
}

// state is a Namespace in the form that is worked on: every layer in its place.
type state struct {
	Namespace
	layers [len(layers)]Layer
}

func stateOf(n Namespace) state {
	s := state{Namespace: n}
	for i, l := range layers {
		s.layers[i] = Layer{Layer: l, Stage: model.StageObserve}
	}
	for _, l := range n.Layers {
		if i := indexOf(l.Layer); i >= 0 {
			s.layers[i] = l
		}
	}
	return s
}

func (s *state) stage(layer int) model.Stage { return s.layers[layer].Stage }

// down tells whether no layer is above StageObserve.
func (s *state) down() bool {
	return !slices.ContainsFunc(s.layers[:], func(l Layer) bool { return l.Stage != model.StageObserve })
}

// settled is since when all of it is written; false while some of it is not.
func (s *state) settled() (since time.Time, all bool) {
	for i := range s.layers {
		l := &s.layers[i]
		switch {
		case l.Stage == model.StageObserve && l.Since.IsZero():
		case l.Since.IsZero():
			return time.Time{}, false
		case l.Since.After(since):
			since = l.Since
		}
	}
	return since, true
}
