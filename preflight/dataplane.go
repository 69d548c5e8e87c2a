package preflight

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// meshAgents are the DaemonSets by which the meshes reach every node.
func (in *Input) meshAgents() []*model.Workload {
	return in.workloads(func(w *model.Workload) bool {
		if w.ID.Kind != "DaemonSet" {
			return false
		}
		if in.Model.Cluster.Mesh.Kind == model.MeshLinkerd {
			return w.Labels["k8s-app"] == "linkerd-cni"
		}
		return w.Labels["app"] == "ztunnel" || w.ID.Name == "ztunnel" || w.Labels["k8s-app"] == "istio-cni-node" || w.ID.Name == "istio-cni-node"
	})
}

func nodeAgentsComplete() Check {
	return Check{
		ID: "NodeAgentsComplete", Category: Mesh, Reads: []string{readDaemonSets, readNodes},
		What: "the mesh's CNI plugin and ztunnel run on every node",
		Why:  "On a node without them pods start outside of the mesh, or do not start at all.",
		Fix:  "see which node lacks a ready pod, and give the DaemonSet the tolerations that it needs",
		Run: inMesh(func(in *Input) Outcome {
			mesh := &in.Model.Cluster.Mesh
			var t tally
			agents := in.meshAgents()
			for _, w := range agents {
				status, text := in.healthOf(w)
				t.look(status, "%s", text)
				if nodes := len(in.Nodes); w.Health != nil && w.Health.Desired > 0 && int(w.Health.Desired) < nodes {
					t.look(Warning, "%s: meant for %d of %s", w.ID, w.Health.Desired, plural(nodes, "node"))
				}
			}
			lacks := func(name string) bool {
				return !slices.ContainsFunc(agents, func(w *model.Workload) bool { return strings.Contains(w.ID.Name+" "+w.Labels["app"], name) })
			}
			if in.live() && mesh.Kind == model.MeshIstio && mesh.Ambient {
				for _, name := range []string{"ztunnel", "istio-cni"} {
					if lacks(name) {
						t.look(Failed, "%s: ambient mode is on, and there is no such DaemonSet", name)
					}
				}
			}
			if t.looked == 0 {
				return in.none("DaemonSet of the mesh")
			}
			return t.outcome(plural(len(agents), "DaemonSet")+" complete: "+model.Named(agents), "not on every node")
		}),
	}
}

func podsCaptured() Check {
	return Check{
		ID: "PodsCaptured", Category: Mesh, Reads: []string{readPods},
		What: "every pod of an enrolled workload is in the mesh, and what comes in passes its proxy",
		Why:  "A pod without a proxy takes plaintext from anybody, and a server that is strict refuses it as a client.",
		Fix:  "restart the pods that started before their namespace was enrolled; palisade audit names each and why",
		Run: inMesh(func(in *Input) Outcome {
			meshed, out := 0, 0
			for i := range in.Model.Pods {
				if in.Model.Pods[i].Facts.Meshed() {
					meshed++
				} else {
					out++
				}
			}
			var t tally
			for i := range in.Findings {
				f := &in.Findings[i]
				switch {
				case f.Code == "InboundNotCaptured", f.Code == "PodOutsideMesh" && f.Severity == model.Error:
					t.look(Failed, "%s: %s", f.Subject, f.Message)
				case f.Code == "PodOutsideMesh" && f.Severity == model.Warning:
					t.look(Warning, "%s: %s", f.Subject, f.Message)
				}
			}
			counts := fmt.Sprintf("%s in the mesh, %d outside", plural(meshed, "pod"), out)
			if t.looked == 0 && meshed+out == 0 {
				return in.none("running pod of a workload")
			}
			t.look(Passed, "")
			return t.outcome(counts, counts+"; "+plural(len(t.details), "workload")+" not captured as meant")
		}),
	}
}

var imageVersion = regexp.MustCompile(`:(v?\d+\.\d+[^:@/]*|(?:edge|stable|enterprise|preview)-[^:@/]+)`)

// proxyVersion is the release of the proxy of a pod; found is false for a pod without one.
func proxyVersion(w *model.Workload) (text string, found bool) {
	if text = w.Annotations["linkerd.io/proxy-version"]; text != "" {
		return text, true
	}
	for _, list := range [][]corev1.Container{w.Spec.Containers, w.Spec.InitContainers} {
		for i := range list {
			if name := list[i].Name; name != istioProxy && name != linkerdProxy {
				continue
			}
			if tag := imageVersion.FindStringSubmatch(list[i].Image); tag != nil {
				return tag[1], true
			}
			return "", true
		}
	}
	return "", false
}

// releaseForm is a release at the beginning of a tag, without the flavour of an image ("-distroless", "-debug", "-fips").
var releaseForm = regexp.MustCompile(`^(?:edge-)?\d+\.\d+(?:\.\d+)?(?:-(?:alpha|beta|rc)\.?\d+)?`)

// plainVersion drops what does not tell releases apart: "v", the channel, the flavour.
func plainVersion(text string) string {
	for _, prefix := range []string{"v", "stable-", "enterprise-"} {
		text = strings.TrimPrefix(text, prefix)
	}
	if found := releaseForm.FindString(text); found != "" {
		return found
	}
	return text
}

func proxiesCurrent() Check {
	return Check{
		ID: "ProxiesCurrent", Category: Mesh, Reads: []string{readPods, readDeployments},
		What: "the proxies are of the control plane's release",
		Why:  "A proxy keeps the release of the day its pod started: an old one may read a policy otherwise, or not at all.",
		Fix:  "restart the workloads whose proxies lag (kubectl rollout restart)",
		Run: inMesh(func(in *Input) Outcome {
			counts := map[string]int{}
			example := map[string]string{}
			for i := range in.Model.Pods {
				if text, found := proxyVersion(&in.Model.Pods[i]); found {
					text = plainVersion(text)
					counts[text]++
					if example[text] == "" {
						example[text] = in.Model.Pods[i].ID.String()
					}
				}
			}
			if len(counts) == 0 {
				return in.none("running pod with a proxy of its own")
			}
			want := plainVersion(in.Model.Cluster.Mesh.Version)
			var t tally
			for _, v := range sortedKeys(counts) {
				switch n := counts[v]; {
				case v == "" || want == "":
					t.look(Unknown, "%s of an unknown release, such as that of %s", plural(n, "proxy container"), example[v])
				case v == want:
					t.look(Passed, "")
				default:
					t.look(lag(v, want), "%s of %s, such as that of %s", plural(n, "proxy container"), v, example[v])
				}
			}
			return t.outcome("all are of "+want, "the control plane is of "+want)
		}),
	}
}

// lag judges a proxy's release. Istio supports proxies up to two minor releases older than the control plane, and none newer
// (istio.io/latest/docs/releases/supported-releases, "control plane/data plane skew"); Linkerd one of its releases.
func lag(proxy, want string) Status {
	p, okP := parseVersion(strings.TrimPrefix(proxy, "edge-"))
	w, okW := parseVersion(strings.TrimPrefix(want, "edge-"))
	calendar := strings.HasPrefix(proxy, "edge-") || strings.HasPrefix(want, "edge-")
	if okP && okW && !calendar && (w.before(p) || p.major != w.major || w.minor-p.minor > 2) {
		return Failed
	}
	return Warning
}
