package audit

import "floe.dev/palisade/model"

// waypointMissing is reported by package mesh/istio, audit_waypoints.go.
func waypointMissing() Kind {
	return Kind{
		Code: "WaypointMissing", Severities: []model.Severity{model.Error, model.Warning},
		Says: "a waypoint is asked for that traffic is not led through",
		Why:  "ztunnel sends traffic straight to the pods where a waypoint is not there, not ready or not for such traffic, and nobody enforces what is attached to it.",
		Fix:  "create the waypoint's Gateway and wait until it is programmed, or choose the pods by a selector",
	}
}
