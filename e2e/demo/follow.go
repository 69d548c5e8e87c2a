package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// narrator tells what changes between two states of a posture.
type narrator struct {
	*screen
	stages map[string]map[string]string
	held   map[string]bool
	width  int
}

// layers are in the order in which they are enforced.
var layers = []string{"PodSecurity", "MTLS", "Authorization", "Network"}

// passing are holds that only wait for the next look, for time, or for another layer.
var passing = []string{"NotWritten", "Soaking", "WaitsForLayer", "WaitsForTurn"}

// tell tells of stages that moved, and of holds that are new.
func (n *narrator) tell(o *object) {
	home := o.GetNamespace()
	was, is := n.stages[home], map[string]string{}
	list, _, _ := unstructured.NestedSlice(o.Object, "status", "rollout", "layers")
	for _, entry := range list {
		if entry, ok := entry.(map[string]any); ok {
			is[fmt.Sprint(entry["layer"])] = fmt.Sprint(entry["stage"])
		}
	}
	var moved []string
	for _, layer := range layers {
		before := was[layer]
		if before == "" {
			before = "Observe"
		}
		if now := is[layer]; now != "" && now != before {
			moved = append(moved, fmt.Sprintf("%s %s → %s", layer, before, now))
		}
	}
	if len(moved) > 0 {
		n.say("  %-*s  %s", n.width, home, strings.Join(moved, ", "))
	}
	n.stages[home] = is
	holds, _, _ := unstructured.NestedSlice(o.Object, "status", "rollout", "holds")
	for _, entry := range holds {
		hold, ok := entry.(map[string]any)
		if !ok || slices.Contains(passing, fmt.Sprint(hold["code"])) {
			continue
		}
		text := fmt.Sprintf("  %-*s  held, %s: %s", n.width, home, hold["code"], hold["message"])
		if !n.held[text] {
			n.held[text] = true
			n.say("%s", text)
		}
	}
}

// follow tells how postures move until all of the namespaces are as wanted, and returns how long that took.
func (d *demo) follow(ctx context.Context, most time.Duration, homes []string, wanted func(*object) bool) (time.Duration, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, most, fmt.Errorf("not within %s", most))
	defer cancel()
	n := &narrator{screen: d.screen, stages: map[string]map[string]string{}, held: map[string]bool{}}
	waiting := map[string]bool{}
	for _, home := range homes {
		n.width = max(n.width, len(home))
		waiting[home] = true
	}
	watch, err := d.cluster.objects.Resource(postures).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, err
	}
	defer watch.Stop()
	var ended <-chan struct{}
	if d.controller != nil {
		ended = d.controller.ended
	}
	for len(waiting) > 0 {
		select {
		case e, open := <-watch.ResultChan():
			o, is := e.Object.(*object)
			switch {
			case ctx.Err() != nil:
				return 0, context.Cause(ctx)
			case !open || !is:
				return 0, fmt.Errorf("watching postures: %v", e.Object)
			case !slices.Contains(homes, o.GetNamespace()):
				continue
			}
			n.tell(o)
			if waiting[o.GetNamespace()] && wanted(o) {
				delete(waiting, o.GetNamespace())
				n.say("  %-*s  ✓ %v", n.width, o.GetNamespace(), condition(o, "Ready")["message"])
			}
		case <-ended:
			return 0, errors.New("the controller has ended")
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	return time.Since(began), nil
}
