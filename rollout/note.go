package rollout

import (
	"fmt"
	"strings"

	"floe.dev/palisade/model"
)

// NoteKind is what a note is good for.
type NoteKind string

// The kinds of notes.
const (
	// Changed tells of a change of stage, for an Event and the log.
	Changed NoteKind = "Changed"
	// Held tells what keeps a namespace from going on, for a condition.
	Held NoteKind = "Held"
	// Said tells of something else that a person should know.
	Said NoteKind = "Said"
)

// Codes of notes. A hold's code says which gate holds.
const (
	// Changes.
	Advanced          = "Advanced"          // a stage further
	GovernedAtOnce    = "GovernedAtOnce"    // no workloads, so all stages at once
	SteppedBack       = "SteppedBack"       // a gate broke after the step
	Lowered           = "Lowered"           // the profile demands less
	TargetRaised      = "TargetRaised"      // the profile demands more of a layer that was enforced
	ExemptionEnded    = "ExemptionEnded"    // the level that an Exemption lowered is back
	BreakGlassOpened  = "BreakGlassOpened"  // a person opened the namespace
	Reverting         = "Reverting"         // nobody governs the namespace any more, or the profile only observes
	Reverted          = "Reverted"          // nothing of palisade's is left
	Proven            = "Proven"            // the last change lasted
	Adopted           = "Adopted"           // nothing was remembered; the objects that are there were gone by
	Released          = "Released"          // a person let it try again
	BreakGlassExpired = "BreakGlassExpired" // its time is over
	BreakGlassEnded   = "BreakGlassEnded"   // the annotation is gone
	AnnotationUnknown = "AnnotationUnknown" // of palisade's prefix, and none of its own
	AnnotationInvalid = "AnnotationInvalid" // cannot be read
	ClockWentBack     = "ClockWentBack"     // remembered times lie ahead

	// Holds.
	EvidenceMissing    = "EvidenceMissing"
	NotWritten         = "NotWritten"
	LayerHeld          = "LayerHeld"
	ProblemsLeft       = "ProblemsLeft"
	WorkloadsUnready   = "WorkloadsUnready"
	BreakPredicted     = "BreakPredicted"
	PodsNotCaptured    = "PodsNotCaptured"
	ClientsNotCaptured = "ClientsNotCaptured"
	PodSecurityRefuses = "PodSecurityRefuses"
	AuditViolations    = "AuditViolations"
	VerificationRed    = "VerificationRed"
	VerificationStale  = "VerificationStale"
	Soaking            = "Soaking"
	WaitsForLayer      = "WaitsForLayer"
	BackingOff         = "BackingOff"
	NeedsRelease       = "NeedsRelease"
	Paused             = "Paused"
	TooManyFailed      = "TooManyFailed"
	WaitsForTurn       = "WaitsForTurn"
	BrokenGlass        = "BrokenGlass"
)

// Note is something for people to read.
type Note struct {
	Namespace string
	// Layer is empty where the whole namespace is meant.
	Layer model.Layer
	Kind  NoteKind
	Code  string
	// Gate is the one that broke, where the code is SteppedBack; else empty.
	Gate string
	// Message is a sentence or two, without a full stop at its end; the same for the same cause, so that it can be told once.
	Message string
	// New tells that it was not said, in these words, the step before.
	New bool
}

// String is the note on a line.
func (n Note) String() string {
	where := n.Namespace
	if n.Layer != "" {
		where += " " + string(n.Layer)
	}
	return fmt.Sprintf("%s: %s %s: %s", where, n.Kind, n.Code, n.Message)
}

// shown is how many names a message shows of a longer list.
const shown = 3

// some lists a few of many.
func some(names []string, count int) string {
	count = max(count, len(names))
	if len(names) > shown {
		names = names[:shown]
	}
	text := strings.Join(names, ", ")
	switch more := count - len(names); {
	case text == "":
		return ""
	case more > 0:
		return fmt.Sprintf(" (%s and %d more)", text, more)
	default:
		return " (" + text + ")"
	}
}

func workloadNames(ids []model.WorkloadID) []string {
	names := make([]string, min(len(ids), shown))
	for i := range names {
		names[i] = ids[i].String()
	}
	return names
}

// bounded cuts a text to MostText bytes, at the end of a rune.
func bounded(s string) string {
	if len(s) <= MostText {
		return s
	}
	return strings.ToValidUTF8(s[:MostText-len("…")], "") + "…"
}

// plural is "1 workload" or "3 workloads".
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
