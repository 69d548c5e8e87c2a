package intent

import (
	"cmp"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/mesh"
	"floe.dev/palisade/model"
)

// Result is a Model with all that was noticed on the way to it.
type Result struct {
	Model    *model.Model
	Problems []model.Problem
	Findings []model.Finding
}

// Resolve makes the Model. The dialect is nil where there is no mesh. Exemptions
// are judged at the time now. The snapshot is left as it was.
func Resolve(s *Snapshot, cluster model.Cluster, dialect mesh.Dialect, now time.Time) Result {
	r := &resolver{
		snapshot: s, now: now, dialect: dialect,
		model: &model.Model{
			Cluster:    cluster,
			Namespaces: slices.Clone(s.Namespaces),
			Workloads:  slices.Clone(s.Workloads),
			Pods:       slices.Clone(s.Pods),
			Services:   slices.Clone(s.Services),
			Existing:   slices.Clone(s.Objects),
		},
		profiles:   map[string]*v1alpha1.SecurityProfile{},
		namespaces: map[string][]string{},
		own:        map[model.WorkloadID]metav1.LabelSelector{},
		exposed:    map[model.WorkloadID]bool{},
	}
	r.sort()
	r.governNamespaces()
	r.attachServices()
	r.askMesh()
	r.applyExemptions()
	r.baseFlows()
	r.profileFlows()
	r.ruleFlows()
	r.externalFlows()
	r.holdHTTP()
	r.routeFlows()
	r.findFaults()
	return Result{Model: r.model, Problems: r.problems, Findings: r.findings}
}

// resolver carries the Model while it grows, and what was noticed so far.
type resolver struct {
	snapshot *Snapshot
	now      time.Time
	dialect  mesh.Dialect
	model    *model.Model
	// profiles is the governing profile of each governed namespace.
	profiles map[string]*v1alpha1.SecurityProfile
	// namespaces remembers which namespaces a selector matches, by its key.
	namespaces map[string][]string
	// own remembers by which selector each workload's pods are told from all others.
	own map[model.WorkloadID]metav1.LabelSelector
	// exposed are the workloads that some rule opens to clients outside the cluster.
	exposed  map[model.WorkloadID]bool
	problems []model.Problem
	findings []model.Finding
}

func (r *resolver) problem(code string, severity model.Severity, subject model.Ref, field, message, fix string) {
	r.problems = append(r.problems, model.Problem{
		Code: code, Severity: severity, Subject: subject, Field: field, Message: message, Fix: fix,
	})
}

func (r *resolver) finding(code string, severity model.Severity, subject model.Ref, field, message, fix string) {
	r.findings = append(r.findings, model.NewFinding(code, severity, subject, field, message, fix))
}

func (r *resolver) sort() {
	m := r.model
	slices.SortFunc(m.Namespaces, func(a, b model.Namespace) int { return cmp.Compare(a.Name, b.Name) })
	for _, list := range [][]model.Workload{m.Workloads, m.Pods} {
		slices.SortFunc(list, func(a, b model.Workload) int { return model.CompareWorkloadIDs(a.ID, b.ID) })
	}
	slices.SortFunc(m.Services, func(a, b model.Service) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	slices.SortFunc(m.Existing, func(a, b model.Object) int { return model.CompareRefs(a.Ref(), b.Ref()) })
}

// attachServices tells each workload which Services select it. A Service
// selects by pod labels, never by its own (trap: Service labels are not pod labels).
func (r *resolver) attachServices() {
	for i := range r.model.Services {
		service := &r.model.Services[i]
		if len(service.Selector) == 0 {
			continue
		}
		for _, list := range [][]model.Workload{r.model.WorkloadsIn(service.Namespace), r.model.PodsIn(service.Namespace)} {
			for j := range list {
				if containsAll(list[j].Labels, service.Selector) {
					list[j].Services = append(list[j].Services, service)
				}
			}
		}
	}
}

func containsAll(labels, wanted map[string]string) bool {
	for key, value := range wanted {
		if got, ok := labels[key]; !ok || got != value {
			return false
		}
	}
	return true
}

// askMesh asks the dialect about every workload, and every pod.
func (r *resolver) askMesh() {
	if r.dialect == nil {
		return
	}
	for _, list := range [][]model.Workload{r.model.Workloads, r.model.Pods} {
		for i := range list {
			list[i].Facts = r.dialect.Facts(&list[i])
		}
	}
}

// ruleRef names an object of palisade's own kinds.
func ruleRef(kind, namespace, name string) model.Ref {
	return model.Ref{APIVersion: v1alpha1.GroupVersion.String(), Kind: kind, Namespace: namespace, Name: name}
}

// posture returns the posture of a governed namespace, or nil.
func (r *resolver) posture(namespace string) *model.Posture {
	if n := r.model.Namespace(namespace); n != nil {
		return n.Posture
	}
	return nil
}
