package preflight

import (
	"fmt"
	"slices"
	"strings"

	"floe.dev/palisade/model"
)

// Names by which the meshes mark what is theirs (istio manifests/charts, linkerd2 pkg/k8s/labels.go).
const (
	linkerdComponent = "linkerd.io/control-plane-component"
	linkerdProxy     = "linkerd-proxy"
	istioProxy       = "istio-proxy"
)

// inMesh runs a check of the mesh where there is one.
func inMesh(run func(*Input) Outcome) func(*Input) Outcome {
	return func(in *Input) Outcome {
		switch {
		case in.Model.Cluster.Mesh.Kind != model.MeshNone:
		case len(in.coded("MeshAmbiguous")) > 0:
			return outcome(Unknown, "which of two meshes is in use is not settled").fix("say which: --mesh istio or --mesh linkerd")
		default:
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
