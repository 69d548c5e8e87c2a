package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"floe.dev/palisade/model"
)

// Annotations on a Namespace by which people lead its rollout.
const (
	// AnnotationPrefix begins them all.
	AnnotationPrefix = "palisade.floe.dev/"
	// AnnotationPause keeps the namespace from going further. Its value says why; "false" and an empty one do not count.
	AnnotationPause = AnnotationPrefix + "pause"
	// AnnotationRelease lets a namespace that failed try again. Its value is any text that it did not have before: who, and why.
	AnnotationRelease = AnnotationPrefix + "release"
	// AnnotationBreakGlass opens the namespace at once: "Permissive" refuses nothing
	// any more, "Observe" takes all objects away as well.
	AnnotationBreakGlass = AnnotationPrefix + "break-glass"
	// AnnotationBreakGlassReason and AnnotationBreakGlassBy are why, and by whom; kept in the status.
	AnnotationBreakGlassReason = AnnotationBreakGlass + "-reason"
	AnnotationBreakGlassBy     = AnnotationBreakGlass + "-by"
	// AnnotationBreakGlassUntil is when it ends, RFC 3339; BreakGlassTerm after it began without it, and at most BreakGlassMost.
	AnnotationBreakGlassUntil = AnnotationBreakGlass + "-until"
)

// The times of a broken glass.
const (
	BreakGlassTerm = 4 * time.Hour
	BreakGlassMost = 7 * 24 * time.Hour
)

var annotations = []string{
	AnnotationBreakGlass, AnnotationBreakGlassBy, AnnotationBreakGlassReason, AnnotationBreakGlassUntil, AnnotationPause, AnnotationRelease,
}

// unknownAnnotations says of annotations with palisade's prefix that they do
// nothing: a slip of the pen in an emergency, or a wish to skip stages, which nothing grants.
func (w *work) unknownAnnotations() {
	var unknown []string
	for key := range w.annotations {
		if strings.HasPrefix(key, AnnotationPrefix) && !slices.Contains(annotations, key) {
			unknown = append(unknown, key)
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		w.remark(AnnotationUnknown, fmt.Sprintf("%s of palisade's prefix does nothing%s: stages and gates cannot be skipped, and palisade knows %s",
			plural(len(unknown), "annotation"), some(unknown, 0), strings.Join(annotations, ", ")))
	}
}

// pausedBy says what pauses the namespace; empty where nothing does.
func (w *work) pausedBy() string {
	if w.posture != nil && w.posture.Rollout.Paused {
		return "SecurityProfile " + w.posture.Profile + " is paused (spec.rollout.paused)"
	}
	switch why := strings.TrimSpace(w.annotations[AnnotationPause]); {
	case why == "", strings.EqualFold(why, "false"):
		return ""
	case strings.EqualFold(why, "true"):
		return "the namespace is paused (annotation " + AnnotationPause + ")"
	default:
		return fmt.Sprintf("the namespace is paused (annotation %s): %s", AnnotationPause, why)
	}
}

// release heeds a person who lets a failed namespace try again.
func (w *work) release() {
	value := bounded(w.annotations[AnnotationRelease])
	if value == "" || value == w.to.Released {
		return
	}
	w.to.Released = value
	if !w.to.failed() {
		return // remembered, lest it release a failure to come
	}
	for i := range w.to.layers {
		w.to.layers[i].Failures, w.to.layers[i].RetryAt = 0, time.Time{}
	}
	w.note(Note{Kind: Changed, Code: Released, Message: "failures are forgotten and the namespace may try again, by annotation " + AnnotationRelease + ": " + value, New: true})
}

func (s *state) failed() bool {
	return slices.ContainsFunc(s.layers[:], func(l Layer) bool { return l.Failures > 0 })
}

// breakGlass brings what is remembered of a broken glass up to date with the annotations.
func (w *work) breakGlass() {
	was := w.to.BreakGlass
	text, there := w.annotations[AnnotationBreakGlass]
	if !there {
		if was != nil && !was.Over {
			w.note(Note{Kind: Changed, Code: BreakGlassEnded, Message: "the break-glass annotation is gone: the namespace goes up again, by its gates", New: true})
		}
		w.to.BreakGlass = nil
		return
	}
	order, fault := w.readBreakGlass(text)
	if fault != "" {
		w.remark(AnnotationInvalid, fault+"; nothing is opened by it")
		if was == nil {
			return
		}
	} else if was == nil || !was.same(&order) {
		was = &order
		if order.Given != "" && order.Given != clock(order.Until) && order.Until.Equal(w.p.now.Add(BreakGlassMost)) {
			w.say(AnnotationInvalid, "break-glass lasts for a week at most: it ends at "+clock(order.Until))
		}
	}
	glass := *was
	if !glass.Over && !w.p.now.Before(glass.Until) {
		glass.Over = true
		w.note(Note{Kind: Changed, Code: BreakGlassExpired, Message: fmt.Sprintf("break-glass ended at %s: the namespace goes up again, by its gates; remove the annotation %s",
			clock(glass.Until), AnnotationBreakGlass), New: true})
	}
	w.to.BreakGlass = &glass
}

func (b *BreakGlass) same(other *BreakGlass) bool {
	return b.Stage == other.Stage && b.Reason == other.Reason && b.By == other.By && b.Given == other.Given
}

// readBreakGlass reads the annotations, as an order that begins now.
func (w *work) readBreakGlass(text string) (order BreakGlass, fault string) {
	order = BreakGlass{
		Since: w.p.now, Until: w.p.now.Add(BreakGlassTerm),
		Reason: bounded(w.annotations[AnnotationBreakGlassReason]), By: bounded(w.annotations[AnnotationBreakGlassBy]),
		Given: bounded(strings.TrimSpace(w.annotations[AnnotationBreakGlassUntil])),
	}
	switch text = strings.TrimSpace(text); {
	case strings.EqualFold(text, string(model.StagePermissive)):
		order.Stage = model.StagePermissive
	case strings.EqualFold(text, string(model.StageObserve)):
		order.Stage = model.StageObserve
	default:
		return order, fmt.Sprintf("the annotation %s is %q, and can be Permissive or Observe", AnnotationBreakGlass, text)
	}
	if order.Given == "" {
		return order, ""
	}
	until, err := time.Parse(time.RFC3339, order.Given)
	if err != nil {
		return order, fmt.Sprintf("the annotation %s is %q, which is no time of RFC 3339 such as 2026-01-31T18:00:00Z", AnnotationBreakGlassUntil, order.Given)
	}
	order.Until = until.UTC().Truncate(time.Second)
	if last := w.p.now.Add(BreakGlassMost); order.Until.After(last) {
		order.Until = last
	}
	return order, ""
}

func (b *BreakGlass) String() string {
	text := "until " + clock(b.Until)
	if b.By != "" {
		text += ", by " + b.By
	}
	if b.Reason != "" {
		text += ": " + b.Reason
	}
	return text
}

// clock is a time as messages have it.
func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }
