package falco

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// sidekick is an event as falcosidekick hands it on.
const sidekick = `{
  "uuid": "5b9a53dc-4e0f-4d3b-9d11-0d8f0f3c2a11", "hostname": "node-1", "source": "syscall",
  "output": "11:59:58.123456789: Warning Shell in a hardened pod (namespace=shop pod=web-7d9)", "priority": "Warning",
  "rule": "Palisade Shell in Hardened Pod", "time": "2026-11-23T11:59:58.123456789Z", "tags": ["palisade", "container", "REQ-448", "T1059"],
  "output_fields": {"container.name": "web", "evt.time": 1795435198123456789, "k8s.ns.name": "shop", "k8s.pod.name": "web-7d9", "proc.tty": 0, "user.uid": 65532}}`

func TestEventsAreReadAsFalcosidekickSendsThem(t *testing.T) {
	e, err := Read([]byte(sidekick), noon)
	require.NoError(t, err)
	assert.Equal(t, Event{
		Rule: "Palisade Shell in Hardened Pod", Priority: "WARNING", Time: noon.Add(-2*time.Second + 123456789), Host: "node-1",
		Namespace: "shop", Pod: "web-7d9", Container: "web", Output: "11:59:58.123456789: Warning Shell in a hardened pod (namespace=shop pod=web-7d9)",
		Tags: []string{"palisade", "container", "REQ-448", "T1059"},
	}, e)
	assert.Equal(t, model.Warning, e.Priority.Severity())
}

func TestEventsThatSayTooLittleAreRefused(t *testing.T) {
	tests := map[string]struct{ was, is, want string }{
		"no JSON":           {sidekick, `{"rule":`, "reading an event"},
		"two of them":       {sidekick, sidekick + sidekick, "reading an event"},
		"no rule":           {`"Palisade Shell in Hardened Pod"`, `" "`, "names no rule"},
		"another priority":  {`"Warning"`, `"Grave"`, `the priority "Grave" is not one`},
		"no time":           {`"2026-11-23T11:59:58.123456789Z"`, `""`, "its time"},
		"a time to come":    {"2026-11-23T11:59:58", "2026-11-23T12:06:00", "yet to come"},
		"fields of a list":  {`"output_fields": {`, `"output_fields": [], "x": {`, "reading an event"},
		"a rule in numbers": {`"Palisade Shell in Hardened Pod"`, `7`, "reading an event"},
	}
	for name, test := range tests {
		_, err := Read([]byte(strings.Replace(sidekick, test.was, test.is, 1)), noon)
		assert.ErrorContains(t, err, test.want, name)
	}
	_, err := Read([]byte(strings.Replace(sidekick, "2026-11-23T11:59:58", "2026-11-23T12:04:59", 1)), noon)
	assert.NoError(t, err, "clocks may be a little apart")
}

func TestNamesThatNoObjectHasAreLeftOut(t *testing.T) {
	for _, is := range []string{`"k8s.ns.name": "<NA>",`, `"k8s.ns.name": null,`, `"k8s.ns.name": 7,`, ``} {
		e, err := Read([]byte(strings.Replace(sidekick, `"k8s.ns.name": "shop",`, is, 1)), noon)
		require.NoError(t, err, is)
		assert.Empty(t, e.Namespace, is)
	}
	e, err := Read([]byte(strings.Replace(sidekick, `"shop"`, `"../kube-system"`, 1)), noon)
	require.NoError(t, err)
	assert.Empty(t, e.Namespace)
	assert.Equal(t, "web-7d9", e.Pod)
}

func TestTextsAreBoundedAndCommandNoTerminal(t *testing.T) {
	event := map[string]any{"rule": strings.Repeat("r", 999), "priority": "notice", "time": "2026-11-23T11:00:00Z", "output": "\x1b[2J" + strings.Repeat("é", 9999), "tags": slices.Repeat([]string{"t"}, 99)}
	data, err := json.Marshal(event)
	require.NoError(t, err)
	e, err := Read(data, noon)
	require.NoError(t, err)
	assert.Len(t, e.Rule, longestRule)
	assert.LessOrEqual(t, len(e.Output), longestOutput)
	assert.NotContains(t, e.Output, "\x1b")
	assert.True(t, strings.HasSuffix(e.Output, "é"))
	assert.Len(t, e.Tags, mostTags)
}

func TestPrioritiesMeanSeverities(t *testing.T) {
	for priority, want := range map[Priority]model.Severity{
		"EMERGENCY": model.Error, "ERROR": model.Error, "WARNING": model.Warning, "NOTICE": model.Info, "INFORMATIONAL": model.Info, "DEBUG": model.Info, "": model.Error, "NEW": model.Error,
	} {
		assert.Equal(t, want, priority.Severity(), priority)
	}
}

func TestPromisesAreSortedAndFound(t *testing.T) {
	all := Promises()
	assert.True(t, slices.IsSortedFunc(all, func(a, b Promise) int { return strings.Compare(a.Rule, b.Rule) }))
	for _, p := range all {
		found, ok := PromiseOf(p.Rule)
		assert.True(t, ok, p.Rule)
		assert.Equal(t, p, found)
		assert.NotEmpty(t, p.Requirements, p.Rule)
		assert.NotEmpty(t, p.Broken, p.Rule)
		assert.NotEmpty(t, p.Fix, p.Rule)
	}
	_, ok := PromiseOf("Terminal shell in container")
	assert.False(t, ok)
}

func event(namespace, rule, pod string, at time.Time) Event {
	return Event{Rule: rule, Priority: "WARNING", Time: at, Namespace: namespace, Pod: pod, Output: "as seen at " + at.Format(time.TimeOnly)}
}

const (
	shell = "Palisade Shell in Hardened Pod"
	root  = "Palisade Process as Root"
)

func TestLedgersKeepWhatStandsForANamespace(t *testing.T) {
	l := NewLedger(time.Hour)
	for i := range 7 {
		assert.True(t, l.Add(event("shop", shell, fmt.Sprintf("web-%d", i%6), noon.Add(time.Duration(i)*time.Minute)), noon.Add(10*time.Minute)))
	}
	grave := event("shop", root, "db-0", noon)
	grave.Priority = "ERROR"
	l.Add(grave, noon)
	l.Add(event("shop", "Terminal shell in container", "", noon.Add(2*time.Minute)), noon.Add(3*time.Minute))
	now := noon.Add(10 * time.Minute)
	standing := l.Of("shop", now)
	require.Len(t, standing, 3)
	assert.Equal(t, []string{root, shell, "Terminal shell in container"}, []string{standing[0].Rule, standing[1].Rule, standing[2].Rule}, "the gravest first, then the last")
	s := standing[1]
	assert.Equal(t, 7, s.Count)
	assert.Equal(t, noon, s.First)
	assert.Equal(t, noon.Add(6*time.Minute), s.Last)
	assert.Equal(t, []string{"web-0", "web-5", "web-4", "web-3", "web-2"}, s.Pods, "the last few, each once")
	assert.Equal(t, []string{"REQ-448"}, s.Requirements)
	assert.Equal(t, "a shell was started", s.Message)
	assert.Equal(t, "as seen at 12:02:00", standing[2].Message, "of others what Falco wrote")
	assert.Equal(t, []string{"shop"}, l.Namespaces(now))
	assert.Empty(t, l.Of("billing", now))
	assert.False(t, l.Add(event("", shell, "", noon), now), "of no namespace")
}

func TestEventsPassOnTheSecond(t *testing.T) {
	l := NewLedger(time.Hour)
	require.True(t, l.Add(event("shop", shell, "a", noon), noon))
	assert.Len(t, l.Of("shop", noon.Add(time.Hour-time.Second)), 1)
	assert.Empty(t, l.Of("shop", noon.Add(time.Hour)))
	assert.Empty(t, l.Namespaces(noon.Add(time.Hour)))
	assert.False(t, l.Add(event("shop", shell, "a", noon), noon.Add(time.Hour)), "too old to be kept")
	l.Forget(noon.Add(time.Hour))
	assert.Empty(t, l.namespaces)
}

func TestLedgersAreBounded(t *testing.T) {
	l := NewLedger(time.Hour)
	for i := range 3 * mostRules {
		l.Add(event("shop", fmt.Sprintf("made up %d", i), "a", noon), noon)
	}
	assert.Len(t, l.Of("shop", noon), mostRules-len(Promises()))
	assert.Equal(t, 3*mostRules-(mostRules-len(Promises())), l.Unkept)
	for _, p := range Promises() {
		assert.True(t, l.Add(event("shop", p.Rule, "a", noon), noon), "made-up rules do not push out %s", p.Rule)
	}
	for i := range mostNamespaces + 10 {
		l.Add(event(fmt.Sprintf("ns-%d", i), shell, "a", noon), noon)
	}
	assert.Len(t, l.Namespaces(noon), mostNamespaces)
	later := noon.Add(time.Hour)
	assert.True(t, l.Add(event("late", shell, "a", later), later), "what has passed makes room")
	assert.Equal(t, []string{"late"}, l.Namespaces(later))
}

func TestALateEventDoesNotTurnBackTheClock(t *testing.T) {
	l := NewLedger(time.Hour)
	l.Add(event("shop", "other", "a", noon), noon)
	l.Add(event("shop", "other", "b", noon.Add(-time.Minute)), noon)
	s := l.Of("shop", noon)[0]
	assert.Equal(t, noon, s.Last)
	assert.Equal(t, noon.Add(-time.Minute), s.First)
	assert.Equal(t, "as seen at 12:00:00", s.Message)
}

// Whatever is sent: no panic, and what is taken in is within its bounds.
func FuzzRead(f *testing.F) {
	f.Add([]byte(sidekick))
	f.Add([]byte(`{"rule": "r", "priority": "Debug", "time": "2026-11-23T11:59:58Z"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := Read(data, noon)
		if err != nil {
			return
		}
		if e.Rule == "" || len(e.Rule) > longestRule || len(e.Output) > longestOutput || len(e.Namespace) > 63 || len(e.Pod) > longestName || len(e.Tags) > mostTags || e.Time.Sub(noon) > clockSkew {
			t.Fatalf("out of bounds: %+v", e)
		}
		l := NewLedger(time.Hour)
		if kept := l.Add(e, noon); kept != (len(l.Of(e.Namespace, noon)) == 1) {
			t.Fatalf("kept %v, and %d stand", kept, len(l.Of(e.Namespace, noon)))
		}
	})
}
