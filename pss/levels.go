package pss

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"

	"floe.dev/palisade/model"
)

// LevelOptions are what the planner of levels is told beside the Model.
type LevelOptions struct {
	// Version pins the checks where no profile does: "v1.37"; empty is "latest".
	Version string
	// Defaults is the pod that a workload's template comes to once admission has filled in what it leaves
	// out; nil where nothing is filled in. It leaves the workload as it is.
	Defaults func(w *model.Workload) *corev1.PodSpec
}

// NamespaceLevels is what Pod Security may demand of a namespace.
type NamespaceLevels struct {
	Namespace string `json:"namespace"`
	// System tells of namespaces that hold the cluster's own pods, which alone may be privileged.
	System bool `json:"system"`
	// Declared tells that the Namespace itself was read, so that Enforced is known.
	Declared bool `json:"declared"`
	// Workloads and Pods count what was judged: templates (and bare pods), and the pods that run for them.
	Workloads int `json:"workloads"`
	Pods      int `json:"pods"`
	// Enforced and EnforcedVersion are the labels there now; empty for none.
	Enforced        string `json:"enforced,omitempty"`
	EnforcedVersion string `json:"enforcedVersion,omitempty"`
	// Demanded is what the namespace's profile wants enforced; empty where none governs it.
	Demanded string `json:"demanded,omitempty"`
	// Version is that of the checks: the one to pin.
	Version string `json:"version"`
	// Highest is the highest level that every running pod and every template satisfies, with what injection will add.
	Highest string `json:"highest"`
	// Defaulted is the highest once all pods are created again with the defaults filled in; empty where there are none.
	Defaulted string `json:"defaulted,omitempty"`
	// Proposed is what to enforce: the highest of Highest, what is demanded or enforced already, and baseline. Only
	// system namespaces, and those that an Exemption lowered, are left at privileged.
	Proposed string `json:"proposed"`
	// Ready tells that nothing is in the way of Proposed.
	Ready bool `json:"ready"`
	// Obstacles are the workloads that keep the namespace from restricted, those of the lowest level first.
	Obstacles []Obstacle `json:"obstacles"`
}

// InTheWay lists the obstacles to a level.
func (l *NamespaceLevels) InTheWay(level string) []Obstacle {
	var list []Obstacle
	for _, o := range l.Obstacles {
		if higher(level, o.Level) {
			list = append(list, o)
		}
	}
	return list
}

// Obstacle is a workload whose template, or some of whose pods, a level refuses. Template
// and pods have obstacles of their own where different checks refuse them.
type Obstacle struct {
	// Level is the highest that admits it: "privileged" or "baseline".
	Level string `json:"level"`
	// Workload owns the pods. Template tells that its template is refused.
	Workload model.WorkloadID `json:"workload"`
	Template bool             `json:"template"`
	// Pods counts the running pods that are refused, and Pod names the first of them.
	Pods int    `json:"pods"`
	Pod  string `json:"pod,omitempty"`
	// Defaulted tells that the defaults will mend it as soon as the pods are created again.
	Defaulted  bool     `json:"defaulted,omitempty"`
	Violations []Breach `json:"violations"`
}

// Breach is a check that is failed, where, and what to do.
type Breach struct {
	// Level is the lowest that refuses it.
	Level string `json:"level"`
	// Check is the library's id of the check.
	Check string `json:"check"`
	// Says is how the API server would put it.
	Says string `json:"says"`
	// Fields are paths in the object: the workload's, or the pod's where Template is false.
	Fields []string `json:"fields"`
	// Injected names the containers of the mesh that fail.
	Injected []string `json:"injected,omitempty"`
	Fix      string   `json:"fix"`
}

// Levels finds for every namespace the highest level of the Pod Security Standards that its running
// pods and its templates satisfy. Every pod that was read counts, however many there are; pods that
// the checks cannot tell apart are judged once.
func Levels(m *model.Model, o LevelOptions) []NamespaceLevels {
	p := planner{evaluator: NewEvaluator(), model: m, options: o}
	list := make([]NamespaceLevels, 0, len(m.Namespaces))
	for i := range m.Namespaces {
		list = append(list, p.namespace(&m.Namespaces[i]))
	}
	return list
}

type planner struct {
	evaluator Evaluator
	model     *model.Model
	options   LevelOptions
}

func (p *planner) namespace(n *model.Namespace) NamespaceLevels {
	workloads, pods := p.model.WorkloadsIn(n.Name), p.model.PodsIn(n.Name)
	l := NamespaceLevels{
		Namespace: n.Name, System: p.model.Cluster.IsSystem(n.Name), Declared: n.Declared,
		Workloads: len(workloads), Pods: len(pods),
		Enforced: n.Labels[api.EnforceLevelLabel], EnforcedVersion: n.Labels[api.EnforceVersionLabel],
		Version: p.versionOf(n), Highest: string(api.LevelRestricted), Obstacles: []Obstacle{},
	}
	if p.options.Defaults != nil {
		l.Defaulted = string(api.LevelRestricted)
	}
	byOwner := map[model.WorkloadID][]*model.Workload{}
	for i := range pods {
		byOwner[pods[i].Owner] = append(byOwner[pods[i].Owner], &pods[i])
	}
	for i := range workloads {
		w := &workloads[i]
		p.judge(&l, w, byOwner[w.ID])
		delete(byOwner, w.ID)
	}
	for i := range pods { // pods whose workload was not read
		if left, there := byOwner[pods[i].Owner]; there {
			p.judge(&l, nil, left)
			delete(byOwner, pods[i].Owner)
		}
	}
	l.propose(n)
	slices.SortStableFunc(l.Obstacles, func(a, b Obstacle) int {
		return cmp.Or(api.CompareLevels(api.Level(a.Level), api.Level(b.Level)), model.CompareWorkloadIDs(a.Workload, b.Workload))
	})
	return l
}

// versionOf is the version to judge and to pin by: the profile's, else that of the options, else latest.
func (p *planner) versionOf(n *model.Namespace) string {
	if n.Posture != nil {
		if version := n.Posture.PodSecurity.EnforceVersion; version != "" && wrong(string(api.LevelBaseline), version) == "" {
			return version
		}
	}
	return cmp.Or(p.options.Version, api.VersionLatest)
}

// propose decides what to enforce.
func (l *NamespaceLevels) propose(home *model.Namespace) {
	floor := string(api.LevelBaseline)
	if l.System || home.Posture != nil && home.Posture.PodSecurity.Origin != nil {
		floor = string(api.LevelPrivileged)
	}
	if home.Posture != nil {
		l.Demanded = home.Posture.PodSecurity.Enforce
	}
	l.Proposed = l.Highest
	for _, level := range []string{floor, l.Demanded, l.Enforced} {
		if parsed, err := api.ParseLevel(level); err == nil && higher(string(parsed), l.Proposed) {
			l.Proposed = level
		}
	}
	l.Ready = !higher(l.Proposed, l.Highest)
}

// higher tells whether level a is stricter than b.
func higher(a, b string) bool { return api.CompareLevels(api.Level(a), api.Level(b)) > 0 }

// judged is a pod, and what the checks say of all that are like it.
type judged struct {
	example *model.Workload
	verdict Verdict
	count   int
}

// mostKinds is how many kinds of pods of one workload are told apart before comparing costs more than judging.
const mostKinds = 16

// kindsOf judges pods, one of each kind. The first that is judged is the template, where it comes first.
func (p *planner) kindsOf(pods []*model.Workload, version string) []judged {
	var kinds []judged
	for _, pod := range pods {
		known := slices.IndexFunc(kinds[:min(len(kinds), mostKinds)], func(k judged) bool { return alike(k.example, pod) })
		if known >= 0 {
			kinds[known].count++
			continue
		}
		kinds = append(kinds, judged{example: pod, verdict: p.evaluator.Level(pod, version), count: 1})
	}
	return kinds
}

// judge adds what a workload, which is nil where it was not read, and its pods make of the namespace's level.
func (p *planner) judge(l *NamespaceLevels, w *model.Workload, pods []*model.Workload) {
	var found []Obstacle
	if w != nil {
		verdict := p.evaluator.Level(w, l.Version)
		l.lower(verdict.Level)
		defaulted := p.defaulted(l, w)
		if higher(string(api.LevelRestricted), verdict.Level) {
			o := p.obstacle(w, verdict)
			o.Workload, o.Template = w.ID, true
			o.Defaulted = defaulted != "" && higher(defaulted, verdict.Level)
			found = append(found, o)
		}
	}
	for _, kind := range p.kindsOf(pods, l.Version) {
		l.lower(kind.verdict.Level)
		if higher(string(api.LevelRestricted), kind.verdict.Level) {
			found = addPods(found, p.obstacle(kind.example, kind.verdict), kind)
		}
	}
	l.Obstacles = append(l.Obstacles, found...)
}

func (l *NamespaceLevels) lower(level string) {
	if higher(l.Highest, level) {
		l.Highest = level
	}
}

// defaulted is the level of a template with the defaults filled in, or empty.
func (p *planner) defaulted(l *NamespaceLevels, w *model.Workload) string {
	if p.options.Defaults == nil {
		return ""
	}
	with := *w
	// A pod that runs without a controller is made anew by whoever made it, and injected anew.
	if spec := p.options.Defaults(w); spec != nil {
		with.Spec = *spec
	}
	level := p.evaluator.Level(&with, l.Version).Level
	if higher(l.Defaulted, level) {
		l.Defaulted = level
	}
	return level
}

// addPods joins pods to an obstacle for the same checks, or adds one of theirs.
func addPods(found []Obstacle, o Obstacle, kind judged) []Obstacle {
	for i := range found {
		if found[i].Level == o.Level && slices.EqualFunc(found[i].Violations, o.Violations, func(a, b Breach) bool { return a.Check == b.Check && a.Says == b.Says }) {
			found[i].Pods += kind.count
			found[i].Pod = cmp.Or(found[i].Pod, kind.example.ID.Name)
			return found
		}
	}
	o.Workload, o.Pods, o.Pod = kind.example.Owner, kind.count, kind.example.ID.Name
	for i := range found {
		// Created again from a template that the defaults mend, they are mended as well.
		o.Defaulted = o.Defaulted || found[i].Defaulted
	}
	return append(found, o)
}

func (p *planner) obstacle(w *model.Workload, verdict Verdict) Obstacle {
	o := Obstacle{Level: verdict.Level}
	for _, v := range verdict.Violations {
		o.Violations = append(o.Violations, Breach{
			Level: v.Level, Check: v.Check, Says: v.String(), Fields: append([]string{}, v.Fields...),
			Injected: v.Injected, Fix: remedy(p.model.Cluster.Mesh, w, v),
		})
	}
	return o
}
