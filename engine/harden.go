package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/harden"
	"floe.dev/palisade/intent"
	"floe.dev/palisade/manifest"
	"floe.dev/palisade/mesh"
	"floe.dev/palisade/model"
	"floe.dev/palisade/pss"
)

// Hardener writes the defaults of profiles into manifests, and tells what keeps pods from the level restricted all the same.
type Hardener struct {
	guard     *Guard
	workloads map[model.WorkloadID]*model.Workload
	versions  map[string]string
	judge     pss.Evaluator
	now       time.Time
	system    func(namespace string) bool
}

// Hardened is one pod or template.
type Hardened struct {
	ID model.WorkloadID
	// Profile gives the defaults; empty where none does, and Why says why.
	Profile, Why string
	// Exempt is the Exemption that leaves its security contexts alone, or empty.
	Exempt  string
	Changes []harden.Change
	Kept    []harden.Kept
	// Below are the checks of restricted that its pods fail, changed and with what the mesh injects.
	Below []pss.Violation
	// Failed is why it could not be changed, or nil.
	Failed error
}

// HardenedDocument is a YAML document with what it came to.
type HardenedDocument struct {
	Text      []byte
	Templates []Hardened
}

// NewHardener prepares for the manifests that a snapshot was read of.
func NewHardener(s *Snapshot, o Options) *Hardener {
	cluster, _ := intent.Facts(s, o.Given)
	m := intent.Resolve(s, cluster, mesh.New(cluster.Mesh, cluster.Domain), o.Now).Model
	h := &Hardener{guard: NewGuard(s, o.Given), workloads: map[model.WorkloadID]*model.Workload{}, versions: map[string]string{}, judge: pss.NewEvaluator(), now: o.Now}
	h.system = func(namespace string) bool { return intent.IsSystem(s, cluster, namespace) }
	for i := range m.Workloads {
		h.workloads[m.Workloads[i].ID] = &m.Workloads[i]
	}
	for i := range m.Namespaces {
		if n := &m.Namespaces[i]; n.Posture != nil {
			h.versions[n.Name] = n.Posture.PodSecurity.EnforceVersion
		}
	}
	return h
}

// GiveAll gives the defaults of an empty profile also where profiles give none, but for the namespaces of the system.
func (h *Hardener) GiveAll() { h.guard.giveAll() }

// Builtin tells that the defaults of an empty profile are given where profiles give none.
func (h *Hardener) Builtin() bool { return h.guard.otherwise != nil }

// Document hardens every pod and template of a YAML document; objects that name no namespace are in
// namespace. What YAML anchors say is left as it is, and Failed.
func (h *Hardener) Document(text []byte, namespace string) (HardenedDocument, error) {
	out := HardenedDocument{Text: text}
	found, err := templatesOf(text, namespace)
	if err != nil {
		return out, err
	}
	for i := range found {
		t, err := h.template(&found[i])
		if err != nil {
			return out, err
		}
		if changed, err := manifest.Insert(out.Text, insertions(found[i].steps, t.Changes)); err == nil {
			out.Text = changed
		} else if t.Failed = err; !errors.Is(err, manifest.ErrAliased) && !errors.Is(err, manifest.ErrMisread) {
			return out, fmt.Errorf("%s: %w", t.ID, err)
		}
		if t.Failed != nil {
			t.Changes = nil
		}
		out.Templates = append(out.Templates, t)
	}
	changed, err := templatesOf(out.Text, namespace)
	if err == nil && len(changed) != len(found) {
		err = fmt.Errorf("%d of %d templates are there", len(changed), len(found))
	}
	if err != nil {
		return out, fmt.Errorf("reading again what was written: %w", err)
	}
	for i := range changed {
		if out.Templates[i].Below, err = h.below(&changed[i]); err != nil {
			return out, err
		}
	}
	return out, nil
}

// template tells what a template is given.
func (h *Hardener) template(t *template) (Hardened, error) {
	out := Hardened{ID: t.id}
	pod, err := harden.Read(string(t.json))
	if err != nil {
		return out, fmt.Errorf("reading the pod of %s: %w", t.id, err)
	}
	if pod.Owner = t.id.Kind; t.id.Kind == "Pod" {
		pod.Owner = ""
	}
	policy := h.guard.otherwise
	switch n := h.guard.namespaces[t.id.Namespace]; {
	case n != nil:
		policy, out.Exempt = n.policy, n.exempt(pod, h.now)
	case policy == nil:
		out.Why = "no SecurityProfile with securityContext or workload governs namespace " + t.id.Namespace
	case h.system(t.id.Namespace):
		policy, out.Why = nil, "namespace "+t.id.Namespace+" is the system's"
	}
	if policy == nil {
		return out, nil
	}
	r := policy.Apply(pod, harden.Options{Exempt: out.Exempt})
	out.Profile, out.Changes, out.Kept = policy.Profile, r.Changes, r.Kept
	for i := range out.Kept {
		out.Kept[i].Field = t.prefix() + out.Kept[i].Field
	}
	return out, nil
}

// restricted is the level that every pod is to reach.
const restricted = "restricted"

// below tells what keeps the pods of a template from restricted; nothing where they were not read as a workload, such as a pod that has ended.
func (h *Hardener) below(t *template) ([]pss.Violation, error) {
	known := h.workloads[t.id]
	if known == nil {
		return nil, nil
	}
	var pod corev1.PodTemplateSpec
	if err := json.Unmarshal(t.json, &pod); err != nil {
		return nil, fmt.Errorf("reading the pod of %s: %w", t.id, err)
	}
	w := *known
	w.Spec, w.Labels, w.Annotations = pod.Spec, pod.Labels, pod.Annotations
	version := h.versions[t.id.Namespace]
	if version == "" {
		version = "latest"
	}
	return h.judge.Level(&w, version).At(restricted), nil
}

// template is a pod or a template in a document.
type template struct {
	id model.WorkloadID
	// steps lead to it from the document.
	steps []string
	// within is how many of steps lead to the object.
	within int
	json   []byte
}

// prefix is the path in the object: "spec.template.".
func (t *template) prefix() string {
	if len(t.steps) == t.within {
		return ""
	}
	return strings.Join(t.steps[t.within:], ".") + "."
}

// templatePath is the way to the pod in the objects that have one (k8s.io/api).
func templatePath(apiVersion, kind string) ([]string, bool) {
	switch apiVersion + " " + kind {
	case "v1 Pod":
		return nil, true
	case "apps/v1 Deployment", "apps/v1 ReplicaSet", "apps/v1 StatefulSet", "apps/v1 DaemonSet", "v1 ReplicationController", "batch/v1 Job":
		return []string{"spec", "template"}, true
	case "batch/v1 CronJob":
		return []string{"spec", "jobTemplate", "spec", "template"}, true
	}
	return nil, false
}

// templatesOf finds the pods and templates of a document, also those of a List.
func templatesOf(text []byte, namespace string) ([]template, error) {
	data, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, err
	}
	var all []template
	var collect func(data []byte, steps []string) error
	collect = func(data []byte, steps []string) error {
		var o struct {
			metav1.TypeMeta `json:",inline"`
			Metadata        metav1.ObjectMeta `json:"metadata"`
			Items           []json.RawMessage `json:"items"`
		}
		if err := json.Unmarshal(data, &o); err != nil {
			return nil // what palisade does not know as an object is none of its business, and was read before
		}
		for i := range o.Items {
			if err := collect(o.Items[i], append(slices.Clone(steps), "items", strconv.Itoa(i))); err != nil {
				return err
			}
		}
		path, has := templatePath(o.APIVersion, o.Kind)
		if !has {
			return nil
		}
		t := template{id: model.WorkloadID{Namespace: o.Metadata.Namespace, Kind: o.Kind, Name: o.Metadata.Name}, steps: append(slices.Clone(steps), path...), within: len(steps)}
		if t.id.Namespace == "" {
			t.id.Namespace = namespace
		}
		if t.json, err = descend(data, path); err == nil && len(t.json) > 0 {
			all = append(all, t)
		}
		return err
	}
	return all, collect(data, nil)
}

// descend is the part of a JSON object to which steps lead; nothing where there is none.
func descend(data []byte, steps []string) ([]byte, error) {
	for _, step := range steps {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(data, &members); err != nil {
			return nil, err
		}
		data = members[step]
		if data == nil {
			return nil, nil
		}
	}
	return data, nil
}

// insertions are changes of a pod, in the document.
func insertions(to []string, changes []harden.Change) []manifest.Insertion {
	list := make([]manifest.Insertion, 0, len(changes))
	for i := range changes {
		c := &changes[i]
		list = append(list, manifest.Insertion{Steps: append(slices.Clone(to), c.Steps()...), Append: c.Op == harden.Append, Value: c.Value})
	}
	return list
}
