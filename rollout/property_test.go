package rollout_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
	"floe.dev/palisade/rollout"
)

var everyLayer = []model.Layer{model.LayerPodSecurity, model.LayerMTLS, model.LayerAuthorization, model.LayerNetwork}

// chaos is a random scenario: a world, what goes wrong in it, and when the controller crashes.
type chaos struct {
	*world
	t      testing.TB
	r      *rand.Rand
	memory rollout.Memory
	// crashes is the chance that a reconcile ends before its end; lies the chance
	// that what was remembered last is lost, so that the objects are ahead of the memory.
	crashes, lies float64
	// people tells that annotations and profiles change.
	people bool
	// moved counts the transitions of each namespace, and last is when the last one was.
	moved map[string]int
	last  map[string]time.Time
	log   []string
	steps int
}

func newChaos(t testing.TB, seed uint64) *chaos {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, seed^0x5eed))
	mesh := []model.MeshKind{model.MeshIstio, model.MeshIstio, model.MeshLinkerd, model.MeshNone}[r.IntN(4)]
	soak := time.Duration(r.IntN(4)) * 3 * time.Minute
	c := &chaos{
		world: newWorld(mesh, strict(1+r.IntN(3), 1+r.IntN(3), soak)), t: t, r: r, memory: rollout.Memory{},
		moved: map[string]int{}, last: map[string]time.Time{},
	}
	c.audits = r.IntN(4) > 0
	p := &c.profiles["prod"].posture
	switch r.IntN(5) {
	case 0:
		p.Mesh.Authorization = false
	case 1:
		p.Mesh.MTLS = model.MTLSPermissive
	case 2:
		p.Mesh.MTLS = ""
	}
	dev := strict(1+r.IntN(3), 1+r.IntN(3), soak/2)
	dev.Mesh.MTLS, dev.Mesh.Authorization, dev.PodSecurity.Enforce = model.MTLSPermissive, r.IntN(2) == 0, "privileged"
	c.profiles["dev"] = &profile{posture: dev}
	names := []string{"a", "b", "c", "d", "e", "f"}[:1+r.IntN(6)]
	for _, name := range names {
		s := c.add(name, r.IntN(4))
		s.ambient = mesh == model.MeshIstio && r.IntN(4) == 0
		for _, other := range names {
			if r.IntN(4) == 0 {
				s.callers = append(s.callers, other)
			}
		}
	}
	c.onWrite = func(name string) {
		if len(c.spaces[name].workloads) == 0 {
			return // nothing runs there that could be refused something
		}
		require.Empty(c.t, c.spaces[name].torn(), "seed %d: %s\n%s", seed, name, c)
	}
	return c
}

// String is the last of what happened, for a failure.
func (c *chaos) String() string { return strings.Join(c.log[max(0, len(c.log)-60):], "\n") }

// trouble changes something of a namespace that a step must heed.
func (c *chaos) trouble() {
	s := c.spaces[c.names()[c.r.IntN(len(c.spaces))]]
	app := func() string {
		if len(s.workloads) == 0 {
			return "none"
		}
		return s.workloads[c.r.IntN(len(s.workloads))]
	}
	layer := everyLayer[c.r.IntN(len(everyLayer))]
	yes := c.r.IntN(3) > 0
	switch c.r.IntN(11) {
	case 0:
		setOrDelete(s.outside, app(), yes)
	case 1:
		setOrDelete(s.loose, app(), yes)
	case 2:
		s.breaks[layer] = c.r.IntN(3)
	case 3:
		s.problems[layer] = c.r.IntN(3) / 2
	case 4:
		s.refused = c.r.IntN(3)
	case 5:
		s.violations = c.r.IntN(3)
	case 6:
		setOrDelete(s.unready, app(), yes)
	case 7:
		s.verification = []rollout.Result{"", "", rollout.Red, rollout.Unclear}[c.r.IntN(4)]
	case 8:
		s.fragile = []model.Layer{"", "", layer}[c.r.IntN(3)]
	case 9:
		c.deaf[s.name] = !yes
	case 10:
		s.held = []model.Layer{layer}[:c.r.IntN(2)]
	}
}

func setOrDelete(set map[string]bool, key string, yes bool) {
	if delete(set, key); yes {
		set[key] = true
	}
}

// peopleAct changes what people can: annotations, the profile, who governs.
func (c *chaos) peopleAct() {
	s := c.spaces[c.names()[c.r.IntN(len(c.spaces))]]
	p := c.profiles["prod"]
	s.annotations = maps.Clone(s.annotations)
	toggle := func(key, value string) {
		if _, there := s.annotations[key]; there {
			delete(s.annotations, key)
			return
		}
		s.annotations[key] = value
	}
	switch c.r.IntN(12) {
	case 10: // profiles swap their namespaces
		for _, s := range c.spaces {
			s.profile = map[string]string{"prod": "dev", "dev": "prod"}[s.profile]
		}
	case 11: // another namespace of the same name; the controller forgets the one that was deleted
		delete(c.memory, s.name)
		clear(s.objects)
		if c.r.IntN(2) == 0 {
			s.workloads = nil
		}
	case 0:
		toggle(rollout.AnnotationPause, "true")
	case 1:
		s.annotations[rollout.AnnotationRelease] = fmt.Sprint(c.now.Unix())
	case 2:
		toggle(rollout.AnnotationBreakGlass, []string{"Permissive", "Observe", "open"}[c.r.IntN(3)])
	case 3:
		s.annotations[rollout.AnnotationBreakGlassUntil] = c.now.Add(time.Duration(c.r.IntN(120)) * time.Minute).Format(time.RFC3339)
	case 4:
		p.posture.PodSecurity.Enforce = []string{"privileged", "baseline", "restricted"}[c.r.IntN(3)]
	case 5:
		p.posture.Mesh.MTLS = []model.MTLSMode{model.MTLSStrict, model.MTLSPermissive, ""}[c.r.IntN(3)]
	case 6:
		p.posture.Mesh.Authorization = !p.posture.Mesh.Authorization
	case 7:
		p.posture.Rollout.Paused = !p.posture.Rollout.Paused
	case 8:
		s.profile = []string{"prod", "prod", "dev", ""}[c.r.IntN(4)]
	case 9:
		p.observe = c.r.IntN(3) == 0
	}
}

// calm mends everything, and lets a person release what failed.
func (c *chaos) calm() {
	for _, p := range c.profiles {
		p.observe, p.posture.Rollout.Paused = false, false
	}
	clear(c.deaf)
	for _, s := range c.spaces {
		clear(s.outside)
		clear(s.loose)
		clear(s.breaks)
		clear(s.problems)
		clear(s.unready)
		s.refused, s.violations, s.verification, s.fragile, s.held, s.profile = 0, 0, "", "", nil, "prod"
		s.annotations = map[string]string{rollout.AnnotationRelease: "all is mended at " + c.now.String()}
	}
}

// reconcile steps once, with whatever crash comes, and holds the step to its promises.
func (c *chaos) reconcile() rollout.Outcome {
	m := c.model()
	e := c.evidence(m, c.memory)
	before := c.memory
	out := rollout.Step(m, e, c.memory, c.now)
	if c.steps++; c.steps%8 == 0 {
		given := snapshot(c.t, c.memory)
		again := rollout.Step(m, e, c.memory, c.now)
		require.Equal(c.t, given, snapshot(c.t, c.memory), "a step leaves the memory that it was given as it was")
		require.Equal(c.t, out.Memory, again.Memory, "a step may be repeated")
		require.Equal(c.t, out.Notes, again.Notes)
		lowered := rollout.Lower(m, out.Memory)
		for name := range out.Memory {
			require.Equal(c.t, out.Model.Namespace(name).Posture, lowered.Namespace(name).Posture, "what is written is what %s is compared with next time\n%s", name, c)
		}
	}
	for _, n := range out.Notes {
		c.log = append(c.log, c.now.Format("15:04:05 ")+n.String())
	}
	c.judge(m, e, before, out)
	c.keepAndWrite(out, before)
	return out
}

// keepAndWrite keeps the memory and writes the objects, unless it crashes in between.
func (c *chaos) keepAndWrite(out rollout.Outcome, before rollout.Memory) {
	if c.r.Float64() < c.crashes/3 {
		c.log = append(c.log, "crash before anything was kept")
		return
	}
	c.memory = remembered(c.t, out.Memory)
	if c.r.Float64() < c.crashes/3 {
		c.log = append(c.log, "crash before anything was written")
		return
	}
	left := -1
	if c.r.Float64() < c.crashes {
		left = c.r.IntN(12)
		c.log = append(c.log, fmt.Sprintf("crash after %d writes", left))
	}
	stop := func() bool {
		left--
		return left == -1
	}
	for _, name := range c.names() {
		if !c.write(c.spaces[name], out.Model.Namespace(name).Posture, stop) {
			break
		}
	}
	if c.r.Float64() < c.lies {
		c.log = append(c.log, "what was kept is lost")
		c.memory = before
	}
}

// remembered is a memory after it was written as JSON and read again.
func remembered(t testing.TB, memory rollout.Memory) rollout.Memory {
	t.Helper()
	data, err := json.Marshal(memory)
	require.NoError(t, err)
	var again rollout.Memory
	require.NoError(t, json.Unmarshal(data, &again))
	require.LessOrEqual(t, len(data), 2+len(memory)*12<<10, "each fits a status")
	return again
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	require.NoError(t, err)
	return data
}

func snapshot(t testing.TB, m rollout.Memory) string {
	t.Helper()
	return string(mustJSON(t, m))
}

// judge holds one step to the promises of the package's comment, by evidence and model alone.
func (c *chaos) judge(m *model.Model, e rollout.Evidence, before rollout.Memory, out rollout.Outcome) {
	busy, began := map[string]int{}, map[string]bool{}
	for _, n := range m.Namespaces {
		was, is := before[n.Name], out.Memory[n.Name]
		c.judgeNamespace(m, &n, e, was, is, out)
		if is.Watch != nil && c.now.Sub(is.Watch.At) < time.Hour {
			busy[is.Profile]++
		}
		if said(out, n.Name, rollout.Advanced) {
			began[is.Profile] = true
		}
	}
	for name, p := range c.profiles {
		most := p.posture.Rollout.MaxNamespaces
		require.True(c.t, busy[name] <= most || !began[name], "%d namespaces of %s change at once, %d may\n%s", busy[name], name, most, c)
	}
	for _, n := range out.Notes {
		require.NotEmpty(c.t, n.Message, n.Code)
		require.LessOrEqual(c.t, len(n.Message), rollout.MostText)
	}
}

func (c *chaos) judgeNamespace(m *model.Model, n *model.Namespace, e rollout.Evidence, was, is rollout.Namespace, out rollout.Outcome) {
	seen := e.Namespaces[n.Name]
	governed := n.Posture != nil && n.Posture.Enforcement == model.Enforce
	empty := len(c.spaces[n.Name].workloads) == 0
	up := false
	for _, l := range everyLayer {
		from, to := stageOf(was, l), stageOf(is, l)
		if from != to {
			c.moved[n.Name]++
			c.last[n.Name] = c.now
		}
		if to.Rank() <= from.Rank() || len(was.Layers) == 0 && adopted(out, n.Name) {
			continue
		}
		up = true
		require.True(c.t, governed, "%s %s goes up, and nobody governs it\n%s", n.Name, l, c)
		require.Empty(c.t, n.Annotations[rollout.AnnotationPause], "%s is paused and goes up\n%s", n.Name, c)
		require.False(c.t, n.Posture.Rollout.Paused, "the profile is paused, and %s goes up\n%s", n.Name, c)
		require.Nil(c.t, inForce(is.BreakGlass), "the glass is broken, and %s goes up\n%s", n.Name, c)
		require.False(c.t, m.IsHeld(n.Name, l), "%s %s is held and goes up\n%s", n.Name, l, c)
		if empty {
			continue
		}
		require.True(c.t, seen.Settled && seen.Ready != nil && len(seen.Ready.Unready) == 0, "%s %s goes up without being settled and ready\n%s", n.Name, l, c)
		require.False(c.t, l != model.LayerPodSecurity && seen.Verification.Result == rollout.Red, "%s %s goes up after a verification that failed\n%s", n.Name, l, c)
		if to == model.StageEnforce {
			if proven(out, n.Name) {
				was.Layers = slices.Clone(was.Layers)
				for i := range was.Layers {
					was.Layers[i].Failures, was.Layers[i].RetryAt = 0, time.Time{}
				}
			}
			require.Equal(c.t, "", c.red(n, e, l, was), "%s %s is enforced\n%s", n.Name, l, c)
		}
	}
	c.judgeFault(n, seen, was, is, out)
	if governed && !empty && !up {
		c.judgeWords(n, is, out)
	}
}

// judgeFault: a fault takes the change under watch back in the same step, one stage.
func (c *chaos) judgeFault(n *model.Namespace, seen rollout.Observed, was, is rollout.Namespace, out rollout.Outcome) {
	if was.Watch == nil || n.Posture == nil || n.Posture.Enforcement != model.Enforce || c.deaf[n.Name] || inForce(is.BreakGlass) != nil {
		return
	}
	// What the profile demands no longer is not watched any more.
	moves := slices.DeleteFunc(slices.Clone(was.Watch.Moves), func(m rollout.Move) bool {
		return c.top(n, m.Layer) == model.StageObserve || slices.ContainsFunc(out.Notes, func(note rollout.Note) bool {
			return note.Namespace == n.Name && note.Layer == m.Layer && note.Kind == rollout.Changed
		})
	})
	traffic := slices.ContainsFunc(moves, func(m rollout.Move) bool { return m.Layer != model.LayerPodSecurity })
	v := seen.Verification
	red := traffic && v.Result == rollout.Red && v.Began.Sub(earlier(was.Watch.At, c.now)) >= time.Minute
	if len(seen.Ready.Unready) == 0 && !red {
		return
	}
	for _, move := range moves {
		if stageOf(was, move.Layer) == model.StageObserve {
			continue
		}
		require.LessOrEqual(c.t, stageOf(is, move.Layer).Rank(), max(move.From.Rank(), 0), "a gate broke, and %s %s stays\n%s", n.Name, move.Layer, c)
	}
}

// judgeWords: whoever could go further and does not is told why.
func (c *chaos) judgeWords(n *model.Namespace, is rollout.Namespace, out rollout.Outcome) {
	for _, l := range everyLayer {
		if stageOf(is, l) == c.top(n, l) {
			continue
		}
		held := slices.ContainsFunc(out.Notes, func(note rollout.Note) bool {
			return note.Namespace == n.Name && note.Kind != rollout.Said
		})
		require.True(c.t, held, "%s is at %v and %s not at its top, and no word says why\n%s", n.Name, is.Layers, l, c)
		return
	}
}

// top is the stage that the profile demands of a layer.
func (c *chaos) top(n *model.Namespace, l model.Layer) model.Stage {
	p := n.Posture
	switch {
	case p == nil || p.Enforcement != model.Enforce:
		return model.StageObserve
	case (l == model.LayerMTLS || l == model.LayerAuthorization) && c.mesh == model.MeshNone,
		l == model.LayerMTLS && p.Mesh.MTLS == "", l == model.LayerAuthorization && !p.Mesh.Authorization:
		return model.StageObserve
	case l == model.LayerMTLS && p.Mesh.MTLS == model.MTLSPermissive:
		return model.StagePermissive
	default:
		return model.StageEnforce
	}
}

// red names a gate that is not green: the promises of docs/rollout.md, judged anew.
func (c *chaos) red(n *model.Namespace, e rollout.Evidence, l model.Layer, was rollout.Namespace) string {
	s, seen := c.spaces[n.Name], e.Namespaces[n.Name]
	f := seen.Foreseen[l]
	mesh := l == model.LayerMTLS || l == model.LayerAuthorization
	switch {
	case l != model.LayerPodSecurity && (seen.Foreseen == nil || f.Breaks > 0 || f.Problems > 0):
		return "something would break"
	case l == model.LayerPodSecurity && (seen.PodSecurity == nil || seen.PodSecurity.Refused > 0 || seen.PodSecurity.Level != n.Posture.PodSecurity.Enforce):
		return "the dry run is not clean"
	case mesh && (len(s.outside) > 0 && hasAny(s.outside, s.workloads) || hasAny(s.loose, s.workloads)):
		return "a pod is not captured"
	case l != model.LayerPodSecurity && c.mesh != model.MeshNone && seen.Verification.Result != rollout.Green:
		return "the verification is not green"
	case l == model.LayerAuthorization && stageOf(was, l) == model.StageAudit && seen.Audit.Violations > 0:
		return "the audit noted violations"
	}
	for _, caller := range s.callers {
		if other := c.spaces[caller]; mesh && caller != n.Name && (hasAny(other.outside, other.workloads) || hasAny(other.loose, other.workloads) || c.deaf[caller] && len(other.workloads) > 0) {
			return "a client is not captured"
		}
	}
	for _, layer := range was.Layers {
		// A time ahead of the clock is taken for now: waiting begins anew.
		if stood := max(c.now.Sub(layer.Since), 0); layer.Layer == l && stood < n.Posture.Rollout.Soak && layer.Stage != model.StageObserve && layer.Stage != model.StagePrepare {
			return "it has not soaked"
		}
		if layer.Layer == l && (layer.Failures >= 3 || c.now.Before(layer.RetryAt)) && s.annotations[rollout.AnnotationRelease] == was.Released {
			return "it failed"
		}
	}
	return ""
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func hasAny(set map[string]bool, of []string) bool {
	return slices.ContainsFunc(of, func(s string) bool { return set[s] })
}

func inForce(b *rollout.BreakGlass) *rollout.BreakGlass {
	if b == nil || b.Over {
		return nil
	}
	return b
}

func adopted(out rollout.Outcome, name string) bool { return said(out, name, rollout.Adopted) }

func proven(out rollout.Outcome, name string) bool { return said(out, name, rollout.Proven) }

func said(out rollout.Outcome, name, code string) bool {
	return slices.ContainsFunc(out.Notes, func(n rollout.Note) bool { return n.Namespace == name && n.Code == code })
}

func stageOf(n rollout.Namespace, l model.Layer) model.Stage {
	for _, layer := range n.Layers {
		if layer.Layer == l {
			return layer.Stage
		}
	}
	return model.StageObserve
}

// run reconciles for a while, with a random time between.
func (c *chaos) run(steps int, each func()) {
	for range steps {
		c.now = c.now.Add(time.Duration(20+c.r.IntN(400)) * time.Second)
		if each != nil {
			each()
		}
		c.reconcile()
	}
}

// finished tells whether every namespace is at its top, and nothing is watched.
func (c *chaos) finished() bool {
	for _, n := range c.model().Namespaces {
		if c.memory[n.Name].Watch != nil {
			return false
		}
		for _, l := range everyLayer {
			if stageOf(c.memory[n.Name], l) != c.top(&n, l) {
				return false
			}
		}
	}
	return true
}

// seeds is how many random scenarios a property is tried on; PALISADE_ROLLOUT_SEEDS asks for more.
func seeds(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv("PALISADE_ROLLOUT_SEEDS")
	if text == "" {
		return 12
	}
	n, err := strconv.ParseUint(text, 10, 32)
	require.NoError(t, err)
	return n
}

// Whatever goes wrong, whoever intervenes, and wherever the controller crashes, each
// step keeps its promises; once all is mended everything is enforced, and once the profile is gone nothing is left.
func TestPromisesHoldInChaos(t *testing.T) {
	for seed := range seeds(t) {
		c := newChaos(t, seed)
		c.people = seed%2 == 0
		c.crashes = []float64{0, 0.2, 0.6}[seed%3]
		if seed%5 == 0 {
			c.lies = 0.1
		}
		c.run(60, func() {
			for c.r.IntN(3) == 0 {
				c.trouble()
			}
			if c.people && c.r.IntN(8) == 0 {
				c.peopleAct()
			}
			switch c.r.IntN(60) {
			case 0:
				c.now = c.now.Add(-time.Duration(c.r.IntN(72)) * time.Hour)
			case 1:
				delete(c.memory, c.names()[c.r.IntN(len(c.spaces))])
			}
		})
		c.crashes, c.lies = 0, 0
		c.calm()
		for i := 0; i < 400 && !c.finished(); i++ {
			c.run(1, nil)
		}
		require.True(t, c.finished(), "seed %d: all is mended, and not all is enforced: %v\n%s", seed, c.memory, c)
		for _, s := range c.spaces {
			s.profile = ""
		}
		c.run(8, nil)
		for _, s := range c.spaces {
			require.Empty(t, s.objects, "seed %d: %s\n%s", seed, s.name, c)
		}
		require.Empty(t, c.memory, "seed %d", seed)
	}
}

// Where nothing is wrong, nothing ever goes back, and every step goes somewhere or says when it will.
func TestProgressIsMonotoneWhereAllIsGreen(t *testing.T) {
	for seed := range seeds(t) {
		c := newChaos(t, seed)
		ranks := map[string]int{}
		for i := 0; !c.finished(); i++ {
			require.Less(t, i, 1200, "seed %d does not come to an end\n%s", seed, c)
			c.run(1, nil)
			for _, name := range c.names() {
				sum := 0
				for _, l := range everyLayer {
					sum += stageOf(c.memory[name], l).Rank()
				}
				require.GreaterOrEqual(t, sum, ranks[name], "seed %d: %s went back\n%s", seed, name, c)
				ranks[name] = sum
			}
		}
	}
}

// A rollout that is crashed at every turn comes to the same end as one that is not.
func TestCrashesDoNotChangeTheEnd(t *testing.T) {
	for seed := range seeds(t) {
		end := func(crashes, lies float64) string {
			c := newChaos(t, seed)
			for range 6 {
				c.trouble() // lasting ones
			}
			for _, s := range c.spaces {
				s.fragile, s.verification = "", ""
				clear(s.unready)
			}
			c.crashes, c.lies = crashes, lies
			c.run(180, nil)
			c.crashes, c.lies = 0, 0
			c.run(60, nil)
			return c.stages()
		}
		calm := end(0, 0)
		require.Equal(t, calm, end(0.7, 0), "seed %d", seed)
		require.Equal(t, calm, end(0.3, 0.3), "seed %d", seed)
	}
}

// stages is how far everything is, and what is written.
func (c *chaos) stages() string {
	var b strings.Builder
	for _, name := range c.names() {
		fmt.Fprintf(&b, "%s:", name)
		for _, l := range c.memory[name].Layers {
			if c.mesh == model.MeshLinkerd && l.Layer == model.LayerMTLS && l.Stage == model.StageObserve {
				l.Stage = model.StagePermissive // nothing is written for it, so a lost memory cannot tell
			}
			fmt.Fprintf(&b, " %s %s %s", l.Layer, l.Stage, l.Level)
		}
		fmt.Fprintf(&b, " %v\n", slices.Sorted(maps.Keys(c.spaces[name].objects)))
	}
	return b.String()
}

// However often a step fails, and however verification flickers, a rollout comes to rest by itself.
func TestNothingOscillates(t *testing.T) {
	for seed := range seeds(t) {
		c := newChaos(t, seed)
		flicker := c.r.Float64()
		c.run(300, func() {
			for _, s := range c.spaces {
				if s.fragile == "" && c.r.IntN(3) == 0 {
					s.fragile = everyLayer[c.r.IntN(len(everyLayer))]
				}
				s.verification = ""
				if c.r.Float64() < flicker {
					s.verification = []rollout.Result{rollout.Red, rollout.Unclear}[c.r.IntN(2)]
				}
			}
		})
		for name, n := range c.moved {
			// Up to five stages of four layers, and three failures, there and back, at each.
			require.LessOrEqual(t, n, 4*4*(1+2*3), "seed %d: %s\n%s", seed, name, c)
		}
		was := maps.Clone(c.moved)
		for _, s := range c.spaces {
			s.verification = rollout.Red
		}
		c.run(100, nil)
		require.Equal(t, was, c.moved, "seed %d: it goes on moving while nothing gets better\n%s", seed, c)
	}
}

// The simulation itself must be able to fail: a planner that forgets a rule is caught.
func TestTheJudgeSeesWhatItLooksFor(t *testing.T) {
	w := newWorld(model.MeshIstio, strict(1, 1, time.Minute))
	s := w.add("shop", 2)
	full := w.profiles["prod"].posture
	full.Profile = "prod"
	torn := ""
	w.onWrite = func(string) { torn = torn + s.torn() }
	w.write(s, &full, nil)
	require.Contains(t, torn, "the allows of palisade-b are not there", "to write everything at once refuses something in between")

	c := newChaos(t, 1)
	n := c.model().Namespaces[0]
	e := rollout.Evidence{Namespaces: map[string]rollout.Observed{n.Name: {}}}
	require.NotEmpty(t, c.red(&n, e, model.LayerNetwork, rollout.Namespace{}))
	require.NotEmpty(t, c.red(&n, e, model.LayerPodSecurity, rollout.Namespace{}))
	require.True(t, reflect.DeepEqual(rollout.Memory{}, remembered(t, rollout.Memory{})))
}
