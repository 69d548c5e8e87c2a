package istio

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"floe.dev/palisade/model"
)

// Detect tells whether Istio is in use and what it is, from objects and
// workloads only. Where nothing was found, the facts still hold Istio's own
// defaults that no object has to state, for a mesh that is chosen by flag.
func Detect(objects []model.Object, workloads []model.Workload) (found bool, facts model.Mesh, problems []model.Problem) {
	facts = model.Mesh{Kind: model.MeshIstio, AutoMTLS: true}
	s := survey(objects, workloads)
	if s.why() == "" {
		return false, facts, nil
	}
	facts.Why, facts.Namespace = s.why(), s.namespace()
	facts.Revision, facts.Revisions, facts.Version = s.revision(), s.webhookRevisions(), s.version()
	facts.Ambient = s.ztunnel != nil || s.ambientEnv
	s.readInjector(&facts)
	if revisions := s.revisions(); len(revisions) > 1 {
		problems = append(problems, model.Problem{
			Code: "SeveralControlPlanes", Severity: model.Warning, Subject: s.istiods[0].Ref(),
			Message: fmt.Sprintf("control planes of the revisions %s were found: any revision that a label names is taken for one of them", strings.Join(revisions, ", ")),
		})
	}
	return true, facts, append(problems, s.readMeshConfig(&facts)...)
}

// signs are what was seen of Istio.
type signs struct {
	istiods     []*model.Workload
	ztunnel     *model.Workload
	cniNode     *model.Workload
	ambientEnv  bool
	meshConfigs []model.Object
	injectors   []model.Object
	// webhooks are the revisions and tags of the injector's webhooks.
	webhooks  []string
	cniConfig bool
	crd       string
}

func survey(objects []model.Object, workloads []model.Workload) *signs {
	s := &signs{}
	for i := range workloads {
		w := &workloads[i]
		switch {
		case w.ID.Kind == "Deployment" && w.Labels["app"] == "istiod":
			s.istiods = append(s.istiods, w)
			s.ambientEnv = s.ambientEnv || env(w, "PILOT_ENABLE_AMBIENT") == "true"
		case w.ID.Kind == "DaemonSet" && (w.Labels["app"] == "ztunnel" || w.ID.Name == "ztunnel"):
			s.ztunnel = cmp.Or(s.ztunnel, w)
		case w.ID.Kind == "DaemonSet" && (w.Labels["k8s-app"] == "istio-cni-node" || w.ID.Name == "istio-cni-node"):
			s.cniNode = cmp.Or(s.cniNode, w)
		}
	}
	for _, o := range objects {
		s.object(o)
	}
	return s
}

func (s *signs) object(o model.Object) {
	ref := o.Ref()
	switch ref.Kind {
	case "CustomResourceDefinition":
		if group := text(&o, "spec", "group"); group == "security.istio.io" {
			s.crd = cmp.Or(s.crd, ref.String())
		}
	case "MutatingWebhookConfiguration":
		if labels := o.Labels(); labels["app"] == "sidecar-injector" && labels[revisionLabel] != "" {
			s.webhooks = append(s.webhooks, cmp.Or(labels[tagLabel], labels[revisionLabel]))
		}
	case "ConfigMap":
		data := o.Map("data")
		switch {
		case named(ref.Name, "istio") && data["mesh"] != nil:
			s.meshConfigs = append(s.meshConfigs, o)
		case named(ref.Name, "istio-sidecar-injector") && data["values"] != nil:
			s.injectors = append(s.injectors, o)
		case ref.Name == "istio-cni-config":
			s.cniConfig = true
		}
	}
}

// named tells whether a name is the given one, alone or with a revision behind it.
func named(name, want string) bool { return name == want || strings.HasPrefix(name, want+"-") }

func env(w *model.Workload, name string) string {
	for i := range w.Spec.Containers {
		for _, e := range w.Spec.Containers[i].Env {
			if e.Name == name {
				return e.Value
			}
		}
	}
	return ""
}

// why names the best evidence: istiod, then ambient's ztunnel, the mesh's configuration, and its CRDs.
func (s *signs) why() string {
	switch {
	case len(s.istiods) > 0:
		return s.istiods[0].ID.String()
	case s.ztunnel != nil:
		return s.ztunnel.ID.String()
	case len(s.meshConfigs) > 0:
		return s.meshConfigs[0].Ref().String()
	default:
		return s.crd
	}
}

func (s *signs) namespace() string {
	switch {
	case len(s.istiods) > 0:
		return s.istiods[0].ID.Namespace
	case len(s.meshConfigs) > 0:
		return s.meshConfigs[0].Ref().Namespace
	case s.ztunnel != nil:
		return s.ztunnel.ID.Namespace
	default:
		return ""
	}
}

func (s *signs) revisions() []string {
	var revisions []string
	for _, w := range s.istiods {
		revisions = append(revisions, cmp.Or(w.Labels["istio.io/rev"], defaultRevision))
	}
	slices.Sort(revisions)
	return slices.Compact(revisions)
}

// webhookRevisions are the values of istio.io/rev that a webhook answers to
// (templates/mutatingwebhook.yaml, revision-tags-mwc.yaml).
func (s *signs) webhookRevisions() []string {
	slices.Sort(s.webhooks)
	return slices.Compact(s.webhooks)
}

// revision is that of the only control plane; the default one and several have none to hold workloads to.
func (s *signs) revision() string {
	if revisions := s.revisions(); len(revisions) == 1 && revisions[0] != defaultRevision {
		return revisions[0]
	}
	return ""
}

// release finds "1.31.1" in the tag of an image, "docker.io/istio/pilot:1.31.1-distroless".
var release = regexp.MustCompile(`:v?(\d+\.\d+\.\d+(?:-(?:alpha|beta|rc)\.\d+)?)`)

func (s *signs) version() string {
	for _, w := range s.istiods {
		for i := range w.Spec.Containers {
			if found := release.FindStringSubmatch(w.Spec.Containers[i].Image); found != nil {
				return found[1]
			}
		}
		if label := w.Labels["app.kubernetes.io/version"]; label != "" {
			return label
		}
	}
	return ""
}
