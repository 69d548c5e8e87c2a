package controller

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// slow is a profile that soaks.
var slow = strings.Replace(plain, "soak: 0s, maxNamespaces: 1000", "soak: 3s", 1)

// open is the policy that lets everything through while others are written beside it.
const open = "palisade-open"

// layer is how far a layer of a namespace is.
func (l *lab) layer(namespace, layer string) map[string]any {
	l.Helper()
	p := l.get(postures, namespace, "posture")
	if p == nil {
		return nil
	}
	layers, _, _ := unstructured.NestedSlice(p.Object, "status", "rollout", "layers")
	for _, entry := range layers {
		if entry, ok := entry.(map[string]any); ok && entry["layer"] == layer {
			return entry
		}
	}
	return nil
}

// stage says what is missing until a layer is at a stage.
func (l *lab) stage(namespace, layer, stage string) func() string {
	return func() string {
		l.Helper()
		if is := l.layer(namespace, layer); is["stage"] != stage {
			p := l.get(postures, namespace, "posture")
			return fmt.Sprintf("%s of %s is %v, not %s: %v", layer, namespace, is["stage"], stage, p)
		}
		return ""
	}
}

func TestANamespaceThatIsInUseGoesUpStepByStep(t *testing.T) {
	l := newLab(t)
	home := l.shop()
	w := l.watch(networkPolicies, postures)
	l.apply(slow)
	l.controller()
	l.eventually(time.Minute, l.governed(home))
	var story []string
	for _, e := range w.all() {
		switch {
		case e.object.GetKind() == "NamespacePosture":
			stages := map[string]string{}
			layers, _, _ := unstructured.NestedSlice(e.object.Object, "status", "rollout", "layers")
			for _, entry := range layers {
				entry := entry.(map[string]any)
				stages[entry["layer"].(string)] = entry["stage"].(string)
			}
			line := "Network " + stages["Network"] + ", PodSecurity " + stages["PodSecurity"]
			if len(layers) > 0 && !slices.Contains(story, line) {
				story = append(story, line)
			}
		default:
			story = append(story, string(e.what)+" "+e.object.GetName())
		}
	}
	t.Logf("what happened:\n%s", strings.Join(story, "\n"))
	at := func(line string) int { return slices.Index(story, line) }
	assert.Equal(t, "Network Prepare, PodSecurity Observe", story[0], "what is remembered is written before any object")
	assert.Equal(t, 1, at("ADDED "+open), "what lets everything through comes first")
	assert.Less(t, at("Network Permissive, PodSecurity Audit"), at("ADDED "+deny))
	assert.Less(t, at("ADDED "+deny), at("DELETED "+open), "the step to Enforce is to take away what lets everything through")
	assert.Equal(t, len(story)-1, slices.Index(story, "DELETED "+open)+countAfter(story, "DELETED "+open), "nothing is written after that")
	for _, line := range story {
		assert.NotContains(t, line, "MODIFIED")
	}
}

// countAfter counts lines of postures after a line.
func countAfter(story []string, line string) int {
	return len(story) - 1 - slices.Index(story, line)
}

func TestAStepIsTakenBackWhenWorkloadsBecomeUnready(t *testing.T) {
	l := newLab(t)
	home := l.shop()
	l.apply(strings.Replace(plain, "soak: 0s, maxNamespaces: 1000", "soak: 4s", 1))
	l.controller()
	l.eventually(time.Minute, l.stage(home, "Network", "Enforce"))
	l.eventually(10*time.Second, func() string {
		if slices.Contains(l.names(networkPolicies, home), open) {
			return "still open"
		}
		return ""
	})
	l.available(home, false, "api")
	took := l.eventually(10*time.Second, func() string {
		if !slices.Contains(l.names(networkPolicies, home), open) {
			return "not open again"
		}
		return ""
	})
	t.Logf("open again %s after a workload became unready", took)
	l.eventually(5*time.Second, func() string {
		for _, e := range l.list(eventKind, home) {
			if e.Object["reason"] == "SteppedBack" {
				assert.Contains(t, e.Object["note"], "Deployment "+home+"/api")
				return ""
			}
		}
		return "no Event SteppedBack"
	})
	held := conditionOf(l.get(postures, home, "posture"), "Held")
	assert.Equal(t, "True", held["status"], "%v", held)
}

func TestARolloutHoldsWhereWorkloadsAreUnready(t *testing.T) {
	l := newLab(t)
	home := l.shop()
	l.available(home, false, "api")
	l.apply(slow)
	l.controller()
	l.eventually(30*time.Second, func() string {
		p := l.get(postures, home, "posture")
		if p == nil {
			return "no posture"
		}
		if held := conditionOf(p, "Held"); held["reason"] != "WorkloadsUnready" {
			return fmt.Sprint(held)
		}
		return ""
	})
	time.Sleep(5 * time.Second)
	assert.NotEqual(t, "Enforce", l.layer(home, "Network")["stage"])
	l.available(home, true, "api")
	l.eventually(time.Minute, l.governed(home))
}

func TestAPersonBreaksTheGlass(t *testing.T) {
	l := newLab(t)
	home := l.shop()
	l.apply(plain)
	l.controller()
	l.eventually(30*time.Second, l.governed(home))
	l.patch(namespaceKind, "", home, `{"metadata": {"annotations": {"palisade.floe.dev/break-glass": "Permissive", "palisade.floe.dev/break-glass-reason": "orders are lost", "palisade.floe.dev/break-glass-by": "anna"}}}`)
	took := l.eventually(5*time.Second, func() string {
		if !slices.Contains(l.names(networkPolicies, home), open) {
			return "not open"
		}
		return ""
	})
	t.Logf("open %s after the glass was broken", took)
	p := l.get(postures, home, "posture")
	glass, _, _ := unstructured.NestedMap(p.Object, "status", "rollout", "breakGlass")
	assert.Equal(t, "anna", glass["by"])
	assert.Equal(t, "orders are lost", glass["reason"])
	l.patch(namespaceKind, "", home, `{"metadata": {"annotations": {"palisade.floe.dev/break-glass": null, "palisade.floe.dev/break-glass-reason": null, "palisade.floe.dev/break-glass-by": null}}}`)
	l.eventually(30*time.Second, l.governed(home))
	assert.NotContains(t, l.names(networkPolicies, home), open)
}

func TestPausedGoesNoFurther(t *testing.T) {
	l := newLab(t)
	home := l.shop()
	l.apply(strings.Replace(slow, "rollout: {", "rollout: {paused: true, ", 1))
	l.controller()
	l.eventually(20*time.Second, func() string {
		p := l.get(postures, home, "posture")
		if p == nil || conditionOf(p, "Held")["reason"] != "Paused" {
			return fmt.Sprint(p)
		}
		return ""
	})
	time.Sleep(3 * time.Second)
	assert.Empty(t, l.names(networkPolicies, home))
	l.apply(slow)
	l.eventually(time.Minute, l.governed(home))
}

func TestARestartGoesOnWhereTheLastOneEnded(t *testing.T) {
	l := newLab(t)
	home := l.shop()
	l.apply(slow)
	w := l.watch(networkPolicies)
	for range 12 {
		c := l.controller()
		time.Sleep(1500 * time.Millisecond)
		c.kill()
		if l.governed(home)() == "" {
			break
		}
	}
	l.controller()
	l.eventually(time.Minute, l.governed(home))
	for _, e := range w.all() {
		assert.NotEqual(t, "MODIFIED", string(e.what), "%s", e)
	}
	assert.NotContains(t, l.names(networkPolicies, home), open)
}
