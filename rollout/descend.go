package rollout

import (
	"fmt"
	"time"

	"floe.dev/palisade/model"
)

// descend takes layers down that are demanded no longer, or that a person opened.
// No gate is asked, and nothing waits but for what is written to be seen: an
// object that lets everything through stands before anything beside it goes, and goes last.
func (w *work) descend() {
	switch glass := w.to.BreakGlass; {
	case w.posture == nil:
		w.revert()
		return
	case glass != nil && !glass.Over:
		w.breakOpen(glass)
	}
	for i := range w.to.layers {
		if w.tops[i] == model.StageObserve && w.to.stage(i) != model.StageObserve {
			w.unwatch(i)
			if w.down(i, Lowered) {
				w.changed(i, Lowered, "the profile demands nothing of this layer: its objects go")
			} else {
				w.hold(layers[i], NotWritten, "the way back waits until what lets everything through is seen to be written")
			}
		}
	}
}

// revert takes everything away: the profile is gone, selects the namespace no more, or only observes.
func (w *work) revert() {
	if w.to.down() {
		return
	}
	w.reverting = true
	w.to.Watch = nil
	why := "no profile governs the namespace any more"
	if w.observes != nil {
		why = "SecurityProfile " + w.observes.Profile + " only observes"
	}
	moved := false
	for i := range w.to.layers {
		w.to.layers[i].Failures, w.to.layers[i].RetryAt = 0, time.Time{}
		moved = w.down(i, Reverting) || moved
	}
	switch {
	case w.to.down():
		w.note(Note{Kind: Changed, Code: Reverted, Message: why + ": the last objects go", New: true})
	case moved:
		w.note(Note{Kind: Changed, Code: Reverting, Message: why + ": everything is let through, and the objects go after that", New: true})
	default:
		w.hold("", NotWritten, "the way back waits until what lets everything through is seen to be written")
	}
}

// down takes a layer one stage towards StageObserve, and tells whether it moved.
// From where something may be refused, or rules isolate pods, it goes by the
// stage in which only what lets everything through is left.
func (w *work) down(layer int, code string) bool {
	from := w.to.stage(layer)
	ladder := w.ladder(layer)
	to := model.StageObserve
	switch {
	case from == model.StageObserve:
		return false
	case layer == mtls && from == model.StageEnforce:
		to = model.StagePermissive
	case ladder[1] == model.StagePrepare && (from == model.StageEnforce || from == model.StagePermissive):
		to = model.StagePrepare
	case from == model.StagePrepare || layer == mtls:
		if w.seen == nil || !w.seen.Settled || w.to.layers[layer].Since.IsZero() {
			return false
		}
	}
	w.move(layer, to, code)
	if to == model.StageObserve {
		w.to.layers[layer].Level, w.to.layers[layer].Exempted = "", ""
	}
	return true
}

// breakOpen opens the namespace as far as a person wants it, at once.
func (w *work) breakOpen(glass *BreakGlass) {
	moved := false
	for i := range w.to.layers {
		from := w.to.stage(i)
		if from == model.StageEnforce {
			w.move(i, w.open(i), BreakGlassOpened)
			moved = true
		} else if glass.Stage == model.StageObserve {
			moved = w.down(i, BreakGlassOpened) || moved
		}
		if w.to.stage(i) != model.StageEnforce {
			w.to.layers[i].Level, w.to.layers[i].Exempted = "", ""
		}
	}
	w.to.Watch = nil
	if moved {
		w.note(Note{Kind: Changed, Code: BreakGlassOpened, Message: fmt.Sprintf("the namespace is opened (%s) %s", glass.Stage, glass), New: true})
	}
	w.hold("", BrokenGlass, fmt.Sprintf("break-glass holds the namespace at %s %s", glass.Stage, glass))
}

// unwatch leaves a layer out of what is watched.
func (w *work) unwatch(layer int) {
	if w.to.Watch == nil {
		return
	}
	left := Watch{At: w.to.Watch.At}
	for _, m := range w.to.Watch.Moves {
		if m.Layer != layers[layer] {
			left.Moves = append(left.Moves, m)
		}
	}
	w.to.Watch = nil
	if len(left.Moves) > 0 {
		w.to.Watch = &left
	}
}
