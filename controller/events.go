package controller

import (
	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/engine"
	"floe.dev/palisade/rollout"
)

// event tells something of a namespace, on its posture.
func (g *governor) event(namespace, severity, reason, action, message string) {
	ref := postureRef(namespace)
	regarding := &corev1.ObjectReference{APIVersion: ref.APIVersion, Kind: ref.Kind, Namespace: namespace, Name: ref.Name}
	g.events.Eventf(regarding, nil, severity, reason, action, "%s", bounded(message, mostMessage))
}

// quiet are notes that tell of nothing but time passing.
var quiet = map[string]bool{rollout.Soaking: true, rollout.NotWritten: true, rollout.WaitsForTurn: true}

// tell makes Events of what package rollout says for the first time, and log lines of what it changes.
func (g *governor) tell(t *engine.Turn) {
	for i := range t.Notes {
		n := &t.Notes[i]
		if !n.New {
			continue
		}
		if n.Kind != rollout.Held {
			g.log.Info(n.Message, "namespace", n.Namespace, "layer", string(n.Layer), "code", n.Code)
		}
		g.metrics.noted(n)
		if quiet[n.Code] {
			continue
		}
		severity := corev1.EventTypeNormal
		if n.Kind == rollout.Held || n.Code == rollout.SteppedBack {
			severity = corev1.EventTypeWarning
		}
		message := n.Message
		if n.Layer != "" {
			message = string(n.Layer) + ": " + message
		}
		g.event(n.Namespace, severity, n.Code, "Rollout", message)
	}
}
