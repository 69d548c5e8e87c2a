package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"floe.dev/palisade/model"
)

// mostFailures is how many steps back a layer takes before a person must release it.
const mostFailures = 3

// leastWait is the shortest time before another try; it doubles with each failure.
const leastWait = time.Minute

// leastPatience is how long a change may stay unproven, at the least, before others need not wait for it any longer.
const leastPatience = time.Hour

// patience is how long a change may stay unproven.
func (w *work) patience() time.Duration { return max(leastPatience, 6*w.soak()) }

// stuck tells whether the last change has stayed unproven for longer than others
// can wait: it counts as failed, and takes no turn from them.
func (w *work) stuck() bool {
	return w.to.Watch != nil && w.p.now.Sub(w.to.Watch.At) >= w.patience()
}

// watch looks after the last change: it is proven when it has stood for the soak
// time with every gate green, and taken back at once when one breaks.
func (w *work) watch() {
	if w.to.Watch == nil {
		return
	}
	if code, fault := w.fault(); fault != "" {
		w.stepBack(code, fault)
		return
	}
	code, waits := w.unproven()
	if waits == "" {
		w.proven()
		return
	}
	w.hold("", code, w.changeText()+": "+waits)
}

// fault is what broke after the change; empty where nothing is known to have.
func (w *work) fault() (code, fault string) {
	if w.seen == nil {
		return "", ""
	}
	if r := w.seen.Ready; r != nil && len(r.Unready) > 0 {
		return WorkloadsUnready, plural(len(r.Unready), "workload") + " became unready" + some(workloadNames(r.Unready), len(r.Unready))
	}
	traffic := slices.ContainsFunc(w.to.Watch.Moves, func(m Move) bool { return m.Layer != model.LayerPodSecurity })
	if v := w.seen.Verification; traffic && v != nil && v.Result == Red && w.tells(v) {
		return VerificationRed, "the verification of " + clock(v.Began) + " failed" + some(v.Failed, 0)
	}
	return "", ""
}

// tells tells whether a verification speaks of the last change: it began when all
// was seen to be written, or long enough after the decision that it should have been.
func (w *work) tells(v *Verification) bool {
	from := w.to.Watch.At.Add(leastWait)
	if since, all := w.to.settled(); all && since.Add(time.Second).Before(from) {
		from = since.Add(time.Second)
	}
	return !v.Began.Before(from) && !v.Began.After(w.p.now.Add(time.Minute))
}

// stepBack takes the last change back, one stage.
func (w *work) stepBack(code, fault string) {
	text := w.changeText()
	var failed []string
	for _, m := range w.to.Watch.Moves {
		i := indexOf(m.Layer)
		if i < 0 {
			continue
		}
		w.move(i, m.From, SteppedBack)
		l := &w.to.layers[i]
		l.Failures++
		l.Level = m.Level
		l.RetryAt = w.p.now.Add(w.backOff(l.Failures))
		failed = append(failed, fmt.Sprintf("%s is %s again", m.Layer, m.From))
	}
	w.to.Watch = nil
	w.note(Note{Kind: Changed, Code: SteppedBack, Gate: code, New: true, Message: fmt.Sprintf("%s was taken back: %s (%s); %s", text, fault, code, strings.Join(failed, ", "))})
}

// backOff is how long a layer waits after so many failures.
func (w *work) backOff(failures int) time.Duration {
	return min(min(max(w.soak(), leastWait), farthest)<<(min(max(failures, 1), 8)-1), farthest)
}

// unproven says what the last change still needs; empty when it is proven.
func (w *work) unproven() (code, waits string) {
	enforces, soaking := false, false
	for _, m := range w.to.Watch.Moves {
		if i := indexOf(m.Layer); i >= 0 {
			soaking = soaking || soaks(w.to.stage(i))
			enforces = enforces || w.to.stage(i) == model.StageEnforce && i != podSecurity
		}
	}
	since, written := w.to.settled()
	switch {
	case w.seen == nil:
		return EvidenceMissing, "nothing is known of the namespace at the moment"
	case !w.seen.Settled || !written:
		return NotWritten, "waits until it is seen to be written"
	case w.seen.Ready == nil:
		return EvidenceMissing, "it is not known whether the workloads are ready"
	case soaking && w.p.now.Sub(since) < w.soak():
		return Soaking, "soaks until " + clock(since.Add(w.soak()))
	case enforces:
		return w.verified(since)
	default:
		return "", ""
	}
}

// proven ends the watch over the last change.
func (w *work) proven() {
	for _, m := range w.to.Watch.Moves {
		if i := indexOf(m.Layer); i >= 0 && soaks(w.to.stage(i)) {
			w.to.layers[i].Failures, w.to.layers[i].RetryAt = 0, time.Time{}
		}
	}
	w.note(Note{Kind: Said, Code: Proven, Message: w.changeText() + " lasted", New: true})
	w.to.Watch = nil
}

// changeText names the last change: "MTLS Permissive → Enforce".
func (w *work) changeText() string {
	var parts []string
	for _, m := range w.to.Watch.Moves {
		if i := indexOf(m.Layer); i >= 0 {
			parts = append(parts, fmt.Sprintf("%s %s → %s", m.Layer, m.From, w.to.stage(i)))
		}
	}
	return strings.Join(parts, ", ")
}
