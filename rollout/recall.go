package rollout

import (
	"fmt"
	"time"

	"floe.dev/palisade/model"
)

// recall makes the memory fit for use: times that lie ahead, a memory that was
// lost, stages that are no longer known, and a profile that demands something else by now.
func (w *work) recall() {
	w.to.Holds = nil
	w.to.Transitions = w.was.Transitions
	if !w.p.now.IsZero() {
		w.rewind()
	}
	if w.lost() {
		w.adopt()
	}
	// What is left of a way down that was cut short tells of no stage, and goes.
	w.reverting = w.posture == nil && w.to.down() && w.p.left(w.name)
	if w.to.Profile == "" && w.posture != nil {
		w.to.Profile = w.posture.Profile
	}
	w.retarget()
}

// lost tells whether nothing is remembered, or something that cannot be read.
func (w *work) lost() bool {
	for _, l := range w.was.Layers {
		if l.Stage.Rank() < 0 || indexOf(l.Layer) < 0 {
			return true
		}
	}
	return len(w.was.Layers) == 0
}

// farthest is the longest that a layer waits before it tries again.
const farthest = 24 * time.Hour

// rewind brings times that lie ahead back to now: the clock that wrote them was
// ahead, or this one was set back. What was waited for is waited for again.
func (w *work) rewind() {
	now, ahead := w.p.now, time.Duration(0)
	back := func(t *time.Time) time.Duration {
		by := max(t.Sub(now), 0)
		*t = t.Add(-by)
		ahead = max(ahead, by)
		return by
	}
	for i := range w.to.layers {
		back(&w.to.layers[i].Since)
	}
	if watch := w.to.Watch; watch != nil {
		again := *watch
		back(&again.At)
		w.to.Watch = &again
	}
	if glass := w.to.BreakGlass; glass != nil {
		again := *glass
		if by := back(&again.Since); again.Given == "" {
			again.Until = again.Until.Add(-by)
		}
		again.Until = earlier(again.Until, now.Add(BreakGlassMost))
		w.to.BreakGlass = &again
	}
	for i := range w.to.layers {
		l := &w.to.layers[i]
		l.RetryAt = earlier(l.RetryAt, now.Add(farthest))
		if ahead > 0 {
			l.RetryAt = earlier(l.RetryAt, now.Add(w.backOff(l.Failures)))
		}
	}
	if ahead > time.Minute {
		w.say(ClockWentBack, fmt.Sprintf("remembered times lie %s ahead of the clock: waiting begins anew", ahead.Round(time.Minute)))
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// retarget takes back at once what is demanded no longer, and puts to the proof
// what is demanded anew.
func (w *work) retarget() {
	if w.posture == nil {
		return // the whole way down is one: see descend
	}
	if w.to.stage(mtls) == model.StageEnforce && w.tops[mtls] == model.StagePermissive {
		w.unwatch(mtls)
		w.move(mtls, model.StagePermissive, Lowered)
		w.changed(mtls, Lowered, "the profile demands mTLS no more than permissively")
	}
	w.retargetPodSecurity()
}

// changed tells of a change of one layer that no gate was asked for.
func (w *work) changed(layer int, code, message string) {
	w.note(Note{Layer: layers[layer], Kind: Changed, Code: code, Message: message, New: true})
}

// retargetPodSecurity follows the level that is demanded:
//
//	demanded against proven    because of           then
//	the same                                        it is enforced
//	less                       the profile          it is enforced, and what is proven is less
//	less                       an Exemption         it is enforced; what is proven is kept for its end
//	more                       an Exemption's end   it is enforced: the end was announced, and is no step
//	more, or another version   the profile          it is audited first; what is proven stays enforced
func (w *work) retargetPodSecurity() {
	l := &w.to.layers[podSecurity]
	wanted := &w.posture.PodSecurity
	level := levelOf(wanted)
	switch {
	case l.Stage != model.StageEnforce:
		if proven, _ := splitLevel(l.Level); rankOf(proven) > rankOf(wanted.Enforce) {
			l.Level = level // less than was proven is proven
		}
	case w.tops[podSecurity] == model.StageAudit:
		w.unwatch(podSecurity)
		w.move(podSecurity, model.StageAudit, Lowered)
		l.Level, l.Exempted = "", ""
		w.changed(podSecurity, Lowered, "the profile demands no level to be enforced")
	case wanted.Origin != nil:
		w.exempt(l, level)
	case l.Exempted != "":
		w.exemptionEnds(l, level)
	default:
		w.follow(l, level)
	}
}

// exempt follows an Exemption: it lowers what is enforced, not what is proven.
func (w *work) exempt(l *Layer, level string) {
	proven, _ := splitLevel(l.Level)
	asked, _ := splitLevel(level)
	if l.Exempted == level {
		return
	}
	l.Exempted = level
	if l.Level == "" || rankOf(proven) < rankOf(asked) {
		l.Level = level
	}
	w.changed(podSecurity, Lowered, w.posture.PodSecurity.Origin.String()+" lowers the level to "+level)
}

func (w *work) exemptionEnds(l *Layer, level string) {
	onlyExempted := l.Level == l.Exempted
	l.Exempted = ""
	if !onlyExempted && l.Level != level {
		w.follow(l, level)
		return
	}
	l.Level = level
	w.changed(podSecurity, ExemptionEnded, "the Exemption that lowered the level is over: "+level+" is enforced from now on")
}

// follow goes with what the profile demands.
func (w *work) follow(l *Layer, level string) {
	proven, _ := splitLevel(l.Level)
	asked, _ := splitLevel(level)
	switch {
	case l.Level == level:
	case rankOf(asked) < rankOf(proven) || l.Level == "":
		l.Level = level
		w.changed(podSecurity, Lowered, "the profile demands no more than "+level)
	default:
		from := l.Level
		w.unwatch(podSecurity)
		w.move(podSecurity, model.StageAudit, TargetRaised)
		w.changed(podSecurity, TargetRaised, "the profile demands "+level+": it is audited first, and "+from+" stays enforced meanwhile")
	}
}
