package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	was, is := n.stages[home], stagesOf(o)
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
	for _, h := range holdsOf(o) {
		if slices.Contains(passing, h.code) {
			continue
		}
		text := fmt.Sprintf("  %-*s  held, %s: %s", n.width, home, h.code, h.message)
		if !n.held[text] {
			n.held[text] = true
			n.say("%s", text)
		}
	}
}

// follow tells how postures move until each of the namespaces was once as wanted (which says how
// it is, and nothing before), and returns how long that took.
func (d *demo) follow(ctx context.Context, most time.Duration, homes []string, wanted func(*object) string) (time.Duration, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, most, fmt.Errorf("not within %s", most))
	defer cancel()
	n := d.narrator
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
			if text := wanted(o); text != "" && waiting[o.GetNamespace()] {
				delete(waiting, o.GetNamespace())
				n.say("  %-*s  ✓ %s", n.width, o.GetNamespace(), text)
			}
		case <-ended:
			return 0, errors.New("the controller has ended")
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	return time.Since(began), nil
}
