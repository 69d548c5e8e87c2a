package rollout_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
	"floe.dev/palisade/rollout"
)

var update = flag.Bool("update", false, "write the stories anew")

// TestStories plays every testdata/<behaviour>.txt: the lines before "---" say what
// there is and what happens when, those after it are what the rollout did, told as a story.
//
//	mesh istio | linkerd | none [unread]     unread: nobody reads what audits note
//	profile max=1 failed=2 soak=10m [mtls=… enforce=… observe]
//	namespace NAME WORKLOADS [callers=a,b] [outside=app-0] [ambient] [since=…]
//	every 1m until 2h
//	at 12m NAMESPACE KEY=VALUE …             from then on; see (*world).happen
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			script, want, _ := strings.Cut(string(data), "---\n")
			got := play(t, script)
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(script+"---\n"+got), 0o644))
				return
			}
			require.Equal(t, want, got, "run with -update to write it anew, and read what changed")
		})
	}
}

// event is something that happens in a story.
type event struct {
	at   time.Duration
	what []string
}

// story is a script on its way.
type story struct {
	w            *world
	every, until time.Duration
	events       []event
	born         map[string]time.Duration
	text         strings.Builder
}

func play(t *testing.T, script string) string {
	t.Helper()
	s := &story{w: newWorld(model.MeshIstio, strict(1, 2, 10*time.Minute)), every: time.Minute, until: 2 * time.Hour, born: map[string]time.Duration{}}
	for line := range strings.Lines(script) {
		if fields := strings.Fields(line); len(fields) > 0 && !strings.HasPrefix(line, "#") {
			s.read(t, fields)
		}
	}
	s.run(t)
	return s.text.String()
}

func (s *story) read(t *testing.T, fields []string) {
	t.Helper()
	switch fields[0] {
	case "mesh":
		s.w.mesh = model.MeshKind(strings.ReplaceAll(fields[1], "none", ""))
		s.w.audits = !slices.Contains(fields, "unread")
	case "profile":
		s.w.change(t, fields[1:])
	case "namespace":
		workloads, err := strconv.Atoi(fields[2])
		require.NoError(t, err)
		s.w.add(fields[1], workloads)
		for _, f := range fields[3:] {
			if since, yes := strings.CutPrefix(f, "since="); yes {
				s.born[fields[1]] = duration(t, since)
				continue
			}
			s.w.happen(t, fields[1], f)
		}
	case "every":
		s.every, s.until = duration(t, fields[1]), duration(t, fields[3])
	case "at":
		s.events = append(s.events, event{duration(t, fields[1]), fields[2:]})
	default:
		t.Fatalf("a story knows no %q", fields[0])
	}
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	require.NoError(t, err)
	return d
}

// run plays the story from its beginning, and tells what changes.
func (s *story) run(t *testing.T) {
	t.Helper()
	memory := rollout.Memory{}
	unborn := map[string]*space{}
	for name := range s.born {
		unborn[name] = s.w.spaces[name]
		delete(s.w.spaces, name)
	}
	for at := time.Duration(0); at <= s.until; at += s.every {
		s.w.now = s.w.now.Add(s.every)
		if at == 0 {
			s.w.now = epoch
		}
		for name, space := range unborn {
			if s.born[name] == at {
				s.tell(at, "%s: the namespace is created", name)
				s.w.spaces[name] = space
			}
		}
		for _, e := range s.events {
			if e.at == at {
				s.tell(at, "%s", strings.Join(e.what, " "))
				if memory = s.happen(t, e.what, memory); memory == nil {
					t.Fatal("no memory")
				}
			}
		}
		var notes []rollout.Note
		var writes []string
		memory, notes, writes = s.step(t, memory)
		for _, n := range notes {
			if n.New {
				s.tell(at, "%s", n)
			}
		}
		for _, text := range writes {
			s.tell(at, "    %s", text)
		}
	}
	s.end(memory)
}

// step is one reconcile; it tells what is written.
func (s *story) step(t *testing.T, memory rollout.Memory) (rollout.Memory, []rollout.Note, []string) {
	t.Helper()
	m := s.w.model()
	out := rollout.Step(m, s.w.evidence(m, memory), memory, s.w.now)
	var writes []string
	for _, name := range s.w.names() {
		space := s.w.spaces[name]
		was := maps.Clone(space.objects)
		require.True(t, s.w.write(space, out.Model.Namespace(name).Posture, nil))
		require.Empty(t, space.torn())
		if text := changes(was, space.objects); text != "" {
			writes = append(writes, name+": "+text)
		}
	}
	return out.Memory, out.Notes, writes
}

// happen lets something happen to a namespace, the profile, the memory or the clock.
func (s *story) happen(t *testing.T, what []string, memory rollout.Memory) rollout.Memory {
	t.Helper()
	switch what[0] {
	case "profile":
		s.w.change(t, what[1:])
	case "forget": // the status of a namespace is deleted
		memory = maps.Clone(memory)
		delete(memory, what[1])
	case "clock":
		s.w.now = s.w.now.Add(duration(t, what[1]))
	default:
		s.w.happen(t, what[0], what[1:]...)
	}
	return memory
}

func (s *story) tell(at time.Duration, format string, args ...any) {
	fmt.Fprintf(&s.text, "%02d:%02d  %s\n", int(at.Hours()), int(at.Minutes())%60, fmt.Sprintf(format, args...))
}

// end tells how everything stands.
func (s *story) end(memory rollout.Memory) {
	s.text.WriteString("\nat the end\n")
	for _, name := range s.w.names() {
		n, there := memory[name]
		if !there {
			fmt.Fprintf(&s.text, "  %s: nothing is remembered, %d objects\n", name, len(s.w.spaces[name].objects))
			continue
		}
		var parts []string
		for _, l := range n.Layers {
			text := string(l.Layer) + " " + string(l.Stage)
			if l.Layer == model.LayerPodSecurity && l.Level != "" {
				text += " " + l.Level
			}
			parts = append(parts, text)
		}
		fmt.Fprintf(&s.text, "  %s: %s (%s)\n", name, n.Stage(), strings.Join(parts, ", "))
	}
}

// changes tells of objects that came, changed and went.
func changes(was, is map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(is)) {
		content := strings.TrimSpace(name + " " + is[name])
		if before, there := was[name]; !there {
			parts = append(parts, "+"+content)
		} else if before != is[name] {
			parts = append(parts, "~"+content)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(was)) {
		if _, there := is[name]; !there {
			parts = append(parts, "-"+name)
		}
	}
	return strings.Join(parts, ", ")
}

// change sets parts of the profile.
func (w *world) change(t *testing.T, settings []string) {
	t.Helper()
	p := w.profiles["prod"]
	for _, setting := range settings {
		key, value, _ := strings.Cut(setting, "=")
		switch key {
		case "max", "failed":
			n, err := strconv.Atoi(value)
			require.NoError(t, err)
			if key == "max" {
				p.posture.Rollout.MaxNamespaces = n
			} else {
				p.posture.Rollout.MaxFailed = n
			}
		case "soak":
			p.posture.Rollout.Soak = duration(t, value)
		case "paused":
			p.posture.Rollout.Paused = value != "no"
		case "observe":
			p.observe = value != "no"
		case "mtls":
			p.posture.Mesh.MTLS = model.MTLSMode(value)
		case "authorization":
			p.posture.Mesh.Authorization = value != "no"
		case "enforce":
			p.posture.PodSecurity.Enforce = value
		case "exempted":
			p.posture.PodSecurity.Origin = nil
			if value != "no" {
				p.posture.PodSecurity.Origin = &model.Origin{Ref: model.Ref{Kind: "Exemption", Namespace: "shop", Name: "root-image"}}
			}
		default:
			t.Fatalf("a profile has no %q", key)
		}
	}
}

// happen changes a namespace: KEY=VALUE, where "no" takes it back. In values "_" stands for a space.
func (w *world) happen(t *testing.T, name string, settings ...string) {
	t.Helper()
	s := w.spaces[name]
	require.NotNil(t, s, name)
	for _, setting := range settings {
		key, value, _ := strings.Cut(setting, "=")
		yes := value != "no"
		switch {
		case strings.Contains(key, "/"):
			s.annotations = maps.Clone(s.annotations)
			delete(s.annotations, key)
			if yes {
				s.annotations[key] = strings.ReplaceAll(value, "_", " ")
			}
		case key == "callers":
			s.callers = strings.Split(value, ",")
		case key == "outside":
			s.outside[value] = true
		case key == "inside":
			delete(s.outside, value)
		case key == "loose":
			s.loose[value] = true
		case key == "caught":
			delete(s.loose, value)
		case key == "unready":
			clear(s.unready)
			if yes {
				s.unready[value] = true
			}
		case key == "ambient":
			s.ambient = yes
		case key == "deaf":
			w.deaf[name] = yes
		case key == "fragile":
			s.fragile = model.Layer(strings.ReplaceAll(value, "no", ""))
		case key == "breaks":
			layer, count, _ := strings.Cut(value, ":")
			n, err := strconv.Atoi(count)
			require.NoError(t, err)
			s.breaks[model.Layer(layer)] = n
		case key == "refused", key == "violations", key == "workloads":
			n, err := strconv.Atoi(value)
			require.NoError(t, err)
			switch key {
			case "refused":
				s.refused = n
			case "violations":
				s.violations = n
			default:
				s.workloads = w.add("scratch", n).workloads
				delete(w.spaces, "scratch")
			}
		case key == "verification":
			s.verification = rollout.Result(strings.ReplaceAll(value, "no", ""))
		case key == "stale":
			s.stale = yes
		case key == "profile":
			s.profile = strings.ReplaceAll(value, "no", "")
		case key == "held":
			s.held = nil
			if yes {
				s.held = []model.Layer{model.Layer(value)}
			}
		default:
			t.Fatalf("nothing happens to a namespace by %q", key)
		}
	}
}
