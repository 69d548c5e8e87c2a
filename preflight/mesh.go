package preflight

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// Names by which the meshes mark what is theirs (istio manifests/charts, linkerd2 pkg/k8s/labels.go).
const (
	linkerdComponent = "linkerd.io/control-plane-component"
	linkerdProxy     = "linkerd-proxy"
	istioProxy       = "istio-proxy"
)

// linkerdComponents are the Deployments that Linkerd cannot do without.
var linkerdComponents = []string{"destination", "identity", "proxy-injector"}

// inMesh runs a check of the mesh where there is one.
func inMesh(run func(*Input) Outcome) func(*Input) Outcome {
	return func(in *Input) Outcome {
		if in.Model.Cluster.Mesh.Kind == model.MeshNone {
			return outcome(Skipped, "no mesh in use")
		}
		return run(in)
	}
}

// Resources that the checks read.
const (
	readDeployments = "apps/deployments"
	readDaemonSets  = "apps/daemonsets"
	readPods        = "pods"
	readNodes       = "nodes"
	readConfigMaps  = "configmaps"
	readServices    = "services"
	readMutating    = "admissionregistration.k8s.io/mutatingwebhookconfigurations"
	readValidating  = "admissionregistration.k8s.io/validatingwebhookconfigurations"
	readAPIServices = "apiregistration.k8s.io/apiservices"
	readDefinitions = "apiextensions.k8s.io/customresourcedefinitions"
)

func meshFound() Check {
	return Check{
		ID: "MeshFound", Category: Mesh, Reads: []string{readDeployments},
		What: "it is clear which mesh is in use",
		Why:  "Without a mesh nothing encrypts and nobody is authenticated; with two to choose from, palisade writes into neither.",
		Fix:  "install Istio or Linkerd, or say --mesh none if that is meant",
		Run: func(in *Input) Outcome {
			mesh := &in.Model.Cluster.Mesh
			ambiguous := in.coded("MeshAmbiguous")
			switch {
			case len(ambiguous) > 0:
				return outcome(Failed, "%s", ambiguous[0]).fix("say which: --mesh istio or --mesh linkerd")
			case mesh.Kind == model.MeshNone && in.NoMesh:
				return outcome(Passed, "none, as --mesh none says")
			case mesh.Kind == model.MeshNone:
				return outcome(Warning, "none: %s", mesh.Why)
			case len(in.coded("ControlPlaneNotSeen")) > 0:
				return outcome(Unknown, "%s (%s), and its control plane was not read", mesh.Kind, mesh.Why).fix("let palisade read the namespace of the control plane, or give --mesh-namespace and --trust-domain")
			case mesh.Namespace == "":
				return outcome(Unknown, "%s (%s), and where its control plane runs does not show", mesh.Kind, mesh.Why).fix("give --mesh-namespace")
			case mesh.TrustDomain == "":
				return outcome(Failed, "%s (%s), of which the trust domain is not known: no authorization is written", mesh.Kind, mesh.Why).fix("give --trust-domain, or let palisade read the mesh's ConfigMap")
			default:
				return outcome(Passed, "%s in %s, trust domain %s (%s)", mesh.Kind, mesh.Namespace, mesh.TrustDomain, mesh.Why)
			}
		},
	}
}

// The releases of Istio that palisade is held to, and the oldest that serves the versions that it writes (security.istio.io/v1).
var (
	oldestIstio = version{1, 22}
	heldIstio   = version{1, 28}
	newestIstio = version{1, 31}
	// Linkerd's: since 2.15 open-source releases are edges, 24.2 being the first of these.
	oldestLinkerd     = version{2, 14}
	newestLinkerd     = version{2, 20}
	oldestLinkerdEdge = version{24, 2}
	newestLinkerdEdge = version{26, 8}
)

func meshVersion() Check {
	return Check{
		ID: "MeshVersion", Category: Mesh, Reads: []string{readDeployments},
		What: "the mesh is of a release that palisade is held to",
		Why:  "Releases differ in what they serve, in ports, and in what a policy means; palisade writes for those that it was held to.",
		Fix:  fmt.Sprintf("upgrade the mesh: Istio %s to %s, Linkerd %s to %s (edge-%d.%d to edge-%d.%d)", heldIstio, newestIstio, oldestLinkerd, newestLinkerd, oldestLinkerdEdge.major, oldestLinkerdEdge.minor, newestLinkerdEdge.major, newestLinkerdEdge.minor),
		Run: inMesh(func(in *Input) Outcome {
			mesh := &in.Model.Cluster.Mesh
			if mesh.Kind == model.MeshLinkerd {
				return linkerdVersion(mesh.Version)
			}
			return judgeVersion(mesh.Version, mesh.Version, oldestIstio, heldIstio, newestIstio)
		}),
	}
}

func linkerdVersion(text string) Outcome {
	number := text
	for _, channel := range []string{"stable-", "enterprise-", "preview-"} {
		number = strings.TrimPrefix(number, channel)
	}
	if edge, is := strings.CutPrefix(number, "edge-"); is {
		return judgeVersion(text, edge, oldestLinkerdEdge, oldestLinkerdEdge, newestLinkerdEdge)
	}
	return judgeVersion(text, number, oldestLinkerd, oldestLinkerd, newestLinkerd)
}

// judgeVersion holds a release against the oldest that works, and those that palisade was held to.
func judgeVersion(text, number string, oldest, held, newest version) Outcome {
	v, ok := parseVersion(number)
	switch {
	case !ok:
		return outcome(Unknown, "the version of the control plane does not show (%q)", text).fix("let palisade read the Deployment of the control plane; its image's tag tells")
	case v.before(oldest):
		return outcome(Failed, "%s, older than %s", text, oldest)
	case v.before(held):
		return outcome(Warning, "%s, older than %s, to which palisade is held", text, held)
	case newest.before(v):
		return outcome(Warning, "%s, newer than %s, to which palisade is held", text, newest)
	default:
		return outcome(Passed, "%s", text)
	}
}

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

func meshRevisions() Check {
	return Check{
		ID: "MeshRevisions", Category: Mesh, Reads: []string{readDeployments},
		What: "one revision of the control plane is installed",
		Why:  "During an upgrade namespaces belong to one revision or the other: a policy must mean the same in both, and a namespace that names none gets no proxies.",
		Fix:  "finish the upgrade: move the namespaces' istio.io/rev, restart their pods, and remove the old revision",
		Run: inMesh(func(in *Input) Outcome {
			if in.Model.Cluster.Mesh.Kind == model.MeshLinkerd {
				if several := in.coded("LinkerdNamespaceAmbiguous"); len(several) > 0 {
					return outcome(Failed, "%s", several[0]).fix("give --mesh-namespace, or remove the control plane that is not used")
				}
				return outcome(Passed, "Linkerd has one")
			}
			revisions := map[string]string{}
			for _, w := range in.controlPlane() {
				revision := w.Labels["istio.io/rev"]
				if revision == "" {
					revision = "default"
				}
				revisions[revision] = w.ID.String()
			}
			if len(revisions) == 0 {
				return in.none("Deployment of the control plane")
			}
			names := sortedKeys(revisions)
			if len(names) == 1 {
				return outcome(Passed, "revision %s", names[0])
			}
			o := outcome(Warning, "%d revisions: %s", len(names), strings.Join(names, ", "))
			for _, name := range names {
				o.Details = append(o.Details, name+": "+revisions[name])
			}
			return o
		}),
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

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

// isInjector tells the mesh's own injector among the mutating webhooks.
func (in *Input) isInjector(name string, labels map[string]string) bool {
	if in.Model.Cluster.Mesh.Kind == model.MeshLinkerd {
		return name == "linkerd-proxy-injector-webhook-config" || labels[linkerdComponent] == "proxy-injector"
	}
	return labels["app"] == "sidecar-injector"
}

func injectorPresent() Check {
	return Check{
		ID: "InjectorPresent", Category: Mesh, Reads: []string{readMutating},
		What: "the injector is registered, answers, and lets no pod start without it",
		Why:  "Without the injector, or past one that is down and fails open, pods start without a proxy: in plaintext, and refused by strict servers.",
		Fix:  "bring the injector's pods back; set its failurePolicy to Fail (Linkerd: webhookFailurePolicy), once it runs at least twice",
		Run: inMesh(func(in *Input) Outcome {
			var t tally
			for i := range in.Mutating {
				c := &in.Mutating[i]
				if !in.isInjector(c.Name, c.Labels) {
					continue
				}
				for j := range c.Webhooks {
					h := &c.Webhooks[j]
					t.look(Passed, "")
					if !failsClosed(h.FailurePolicy) {
						t.look(Warning, "%s %s: failurePolicy Ignore: while it is down, pods start outside of the mesh", c.Name, h.Name)
					}
					if s := h.ClientConfig.Service; s != nil {
						in.lookBehind(&t, c.Name+" "+h.Name, ServiceName{s.Namespace, s.Name})
					}
				}
			}
			mesh := &in.Model.Cluster.Mesh
			switch {
			case t.looked > 0:
				return t.outcome("the injector is registered, and answers", "the injector can be passed by, or does not answer")
			case !in.live():
				return outcome(Skipped, "no webhook of the injector among what was read")
			case mesh.Ambient:
				return outcome(Passed, "none, and ambient mode needs none")
			default:
				return outcome(Failed, "no webhook injects proxies").fix("install the injector with the mesh, or its revision's webhook (istioctl tag set default)")
			}
		}),
	}
}

// lookBehind notes whether a Service has ready endpoints.
func (in *Input) lookBehind(t *tally, who string, service ServiceName) {
	switch ready, known := in.backends(service); {
	case in.leadsOut(service):
		t.look(Passed, "")
	case !known && !in.live():
		t.look(Skipped, "")
	case !known:
		t.look(Unknown, "%s: what is behind Service %s could not be read", who, service)
	case ready == 0:
		t.look(Failed, "%s: Service %s has no ready endpoint", who, service)
	default:
		t.look(Passed, "")
	}
}
