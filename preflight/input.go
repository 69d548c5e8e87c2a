package preflight

import (
	"slices"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"floe.dev/palisade/model"
)

// Input is everything that the checks look at.
type Input struct {
	Model      *model.Model
	Validating []admissionregistrationv1.ValidatingWebhookConfiguration
	Mutating   []admissionregistrationv1.MutatingWebhookConfiguration
	Nodes      []corev1.Node
	Slices     []discoveryv1.EndpointSlice
	Endpoints  []corev1.Endpoints
	// Profiles are the names of the SecurityProfiles.
	Profiles []string
	// Findings and Problems are those of palisade audit.
	Findings []model.Finding
	Problems []model.Problem
	// Survey is what the running cluster was asked; nil where files were read.
	Survey *Survey
	// NoMesh tells that the user wants no mesh (--mesh none).
	NoMesh bool
	For    Audience
	// Home is palisade's own namespace.
	Home string
	// Now is when certificates and leases are judged.
	Now time.Time
}

// live tells whether a running cluster was asked.
func (in *Input) live() bool { return in.Survey != nil }

// none is the outcome where nothing is there to look at: in files, that says nothing about a cluster.
func (in *Input) none(what string) Outcome {
	if in.live() {
		return outcome(Passed, "no %s", what)
	}
	return outcome(Skipped, "no %s among what was read", what)
}

// missing is the outcome where a fact that palisade needs does not show: files may just not hold it.
func (in *Input) missing(what string) Outcome {
	if in.live() {
		return outcome(Failed, "%s", what)
	}
	return outcome(Unknown, "%s among what was read", what)
}

// unread is the first resource that could not be read of those that a name stands
// for: "apps/deployments", all of a group ("cilium.io/*"), or all ("*"). It is empty where all were read.
func (in *Input) unread(name string) string {
	for i := range in.Problems {
		p := &in.Problems[i]
		if p.Code != "KindUnreadable" {
			continue
		}
		resource, _, _ := strings.Cut(p.Message, " ")
		group, all := strings.CutSuffix(name, "/*")
		if name == "*" || resource == name || all && strings.HasPrefix(resource, group+"/") {
			return resource
		}
	}
	return ""
}

// object finds an object that was read as a tree, or nil.
func (in *Input) object(kind, namespace, name string) *model.Object {
	for i := range in.Model.Existing {
		if ref := in.Model.Existing[i].Ref(); ref.Kind == kind && ref.Namespace == namespace && ref.Name == name {
			return &in.Model.Existing[i]
		}
	}
	return nil
}

// configMaps are those of a name, in every namespace.
func (in *Input) configMaps(name string) []*model.Object {
	var found []*model.Object
	for i := range in.Model.Existing {
		if ref := in.Model.Existing[i].Ref(); ref.Kind == "ConfigMap" && ref.Name == name {
			found = append(found, &in.Model.Existing[i])
		}
	}
	return found
}

// workloads are those that a choice takes.
func (in *Input) workloads(choose func(*model.Workload) bool) []*model.Workload {
	var found []*model.Workload
	for i := range in.Model.Workloads {
		if choose(&in.Model.Workloads[i]) {
			found = append(found, &in.Model.Workloads[i])
		}
	}
	return found
}

// coded are the messages of findings and problems with one of some codes.
func (in *Input) coded(codes ...string) []string {
	var texts []string
	for i := range in.Findings {
		if f := &in.Findings[i]; slices.Contains(codes, f.Code) {
			texts = append(texts, subjectText(f.Subject)+f.Message)
		}
	}
	for i := range in.Problems {
		if p := &in.Problems[i]; slices.Contains(codes, p.Code) {
			texts = append(texts, subjectText(p.Subject)+p.Message)
		}
	}
	return texts
}

func subjectText(ref model.Ref) string {
	if ref.String() == "" {
		return ""
	}
	return ref.String() + ": "
}

// backends counts what is ready behind a Service; known is false where that could not be found out.
func (in *Input) backends(name ServiceName) (ready int, known bool) {
	if in.live() {
		for i := range in.Survey.Backends {
			if b := &in.Survey.Backends[i]; b.Namespace == name.Namespace && b.Service == name.Name {
				return readyIn(b.Slices), b.Unread == ""
			}
		}
		return 0, false
	}
	var found []discoveryv1.EndpointSlice
	for i := range in.Slices {
		if s := &in.Slices[i]; s.Namespace == name.Namespace && s.Labels[discoveryv1.LabelServiceName] == name.Name {
			found = append(found, *s)
		}
	}
	if len(found) > 0 {
		return readyIn(found), true
	}
	for i := range in.Endpoints {
		if e := &in.Endpoints[i]; e.Namespace == name.Namespace && e.Name == name.Name {
			for j := range e.Subsets {
				ready += len(e.Subsets[j].Addresses)
			}
			return ready, true
		}
	}
	return 0, false
}

// leadsOut tells of a Service that is a name outside of the cluster, and so has no endpoints.
func (in *Input) leadsOut(name ServiceName) bool {
	return slices.ContainsFunc(in.Model.Services, func(s model.Service) bool {
		return s.Namespace == name.Namespace && s.Name == name.Name && s.Type == corev1.ServiceTypeExternalName
	})
}

func readyIn(slices []discoveryv1.EndpointSlice) int {
	ready := 0
	for i := range slices {
		for j := range slices[i].Endpoints {
			// Without a word of it an endpoint counts as ready (discovery.k8s.io/v1, EndpointConditions).
			if is := slices[i].Endpoints[j].Conditions.Ready; is == nil || *is {
				ready += len(slices[i].Endpoints[j].Addresses)
			}
		}
	}
	return ready
}
