package preflight

import (
	"fmt"
	"slices"

	"floe.dev/palisade/model"
)

// linkerdComponents are the Deployments that Linkerd cannot do without.
var linkerdComponents = []string{"destination", "identity", "proxy-injector"}

// controlPlane are the Deployments of the mesh's control plane.
func (in *Input) controlPlane() []*model.Workload {
	mesh := &in.Model.Cluster.Mesh
	return in.workloads(func(w *model.Workload) bool {
		if w.ID.Kind != "Deployment" {
			return false
		}
		if mesh.Kind == model.MeshIstio {
			return w.Labels["app"] == "istiod"
		}
		return w.ID.Namespace == mesh.Namespace && slices.Contains(linkerdComponents, w.Labels[linkerdComponent])
	})
}

func controlPlaneReady() Check {
	return Check{
		ID: "ControlPlaneReady", Category: Mesh, Reads: []string{readDeployments},
		What: "the control plane of the mesh is there, with all its pods ready",
		Why:  "It hands out certificates and policies: while it is down no proxy learns what palisade writes, and leaves run out within a day.",
		Fix:  "see why its pods are not ready: kubectl describe and kubectl logs in its namespace",
		Run: inMesh(func(in *Input) Outcome {
			all := in.controlPlane()
			var t tally
			if in.Model.Cluster.Mesh.Kind == model.MeshLinkerd && len(all) > 0 {
				for _, component := range linkerdComponents {
					if !slices.ContainsFunc(all, func(w *model.Workload) bool { return w.Labels[linkerdComponent] == component }) {
						t.look(Failed, "linkerd-%s: there is no such Deployment", component)
					}
				}
			}
			for _, w := range all {
				status, text := in.healthOf(w)
				t.look(status, "%s", text)
			}
			switch {
			case t.looked > 0:
			case !in.live():
				return in.none("Deployment of the control plane")
			case in.Model.Cluster.Mesh.Kind == model.MeshIstio:
				return outcome(Unknown, "no istiod runs here: it is gone, or runs in another cluster").fix("look after it there, and leave this out by --skip ControlPlaneReady")
			default:
				return outcome(Failed, "no Deployment of the control plane is there")
			}
			return t.outcome(plural(len(all), "Deployment")+" ready: "+model.Named(all), "not all of it is ready")
		}),
	}
}

// healthOf judges a Deployment or a DaemonSet by its status.
func (in *Input) healthOf(w *model.Workload) (Status, string) {
	h := w.Health
	switch {
	case h == nil && !in.live():
		return Skipped, ""
	case h == nil:
		return Unknown, fmt.Sprintf("%s: no status was read", w.ID)
	case h.Desired == 0:
		return Failed, fmt.Sprintf("%s: meant to run no pods", w.ID)
	case h.Ready == 0:
		return Failed, fmt.Sprintf("%s: none of %s ready", w.ID, plural(int(h.Desired), "pod"))
	case h.Ready < h.Desired:
		return Warning, fmt.Sprintf("%s: %d of %s ready", w.ID, h.Ready, plural(int(h.Desired), "pod"))
	default:
		return Passed, fmt.Sprintf("%s: %s ready", w.ID, plural(int(h.Ready), "pod"))
	}
}

func controlPlaneRedundant() Check {
	return Check{
		ID: "ControlPlaneRedundant", Category: Mesh, Reads: []string{readDeployments},
		What: "each part of the control plane runs at least twice",
		Why:  "With one pod, a drain of its node stops injection and the issuing of certificates for as long as it takes.",
		Fix:  "run two or more replicas (Istio: pilot.autoscaleMin; Linkerd: its values for high availability), with a budget",
		Run: inMesh(func(in *Input) Outcome {
			var t tally
			for _, w := range in.controlPlane() {
				desired := w.Replicas
				if w.Health != nil {
					desired = w.Health.Desired
				}
				if desired == 1 {
					t.look(Warning, "%s: one replica", w.ID)
				} else {
					t.look(Passed, "")
				}
			}
			if t.looked == 0 {
				return in.none("Deployment of the control plane")
			}
			return t.outcome(plural(t.looked, "Deployment"), plural(len(t.details), "Deployment")+" of one replica")
		}),
	}
}
