package harden

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"floe.dev/palisade/model"
)

// Policy is a profile's defaults, made ready: what is written is rendered once. It does not change, so any number of goroutines may use it.
type Policy struct {
	// Profile is the name of the profile.
	Profile string
	// KeepToken says why no token may be taken away, though the profile asks for it; empty where one may.
	KeepToken string

	security *securityDefaults
	workload *workloadDefaults
}

// securityDefaults are those of security contexts, as JSON; what is empty is not given.
type securityDefaults struct {
	nonRoot, readOnlyRoot           bool
	user, group, fsGroup            string
	seccomp, localSeccomp, appArmor string
	seLinuxType, seLinux            string
	writable, allowed               []string
}

// workloadDefaults are all others, as JSON; what is empty is not given.
type workloadDefaults struct {
	noToken, secrets, moving bool
	spread, antiAffinity     bool
	priorityClass            string
	dnsPolicy, dnsConfig     string
	limits, requests         []defaultAmount
}

// defaultAmount is one resource.
type defaultAmount struct {
	name     string
	quantity resource.Quantity
	json     string
}

// NewPolicy makes the defaults of a profile ready.
func NewPolicy(profile string, h model.Hardening) *Policy {
	p := &Policy{Profile: profile}
	if d := h.SecurityContext; d != nil {
		p.security = &securityDefaults{
			nonRoot: d.RunAsNonRoot, readOnlyRoot: d.ReadOnlyRootFilesystem,
			user: id(d.RunAsUser), group: id(d.RunAsGroup), fsGroup: id(d.FSGroup),
			seccomp: profileJSON(model.LocalProfile{Type: string(corev1.SeccompProfileTypeRuntimeDefault)}), appArmor: profileJSON(d.AppArmor),
			writable: d.WritablePaths, allowed: d.AllowedCapabilities,
		}
		if d.Seccomp.Type == string(corev1.SeccompProfileTypeLocalhost) {
			p.security.localSeccomp = profileJSON(d.Seccomp)
		}
		if d.SELinuxType != "" {
			p.security.seLinuxType = quoted(d.SELinuxType)
			p.security.seLinux = `{"type":` + quoted(d.SELinuxType) + `}`
		}
	}
	if d := h.Workload; d != nil {
		p.workload = &workloadDefaults{
			noToken: d.NoToken, secrets: d.SecretVolumes, moving: d.PullMovingTags, spread: d.Spread, antiAffinity: d.AntiAffinity,
			limits: amountsOf(d.Resources.Limits), requests: amountsOf(d.Resources.Requests),
		}
		if d.PriorityClassName != "" {
			p.workload.priorityClass = quoted(d.PriorityClassName)
		}
		if d.DNSPolicy != "" {
			p.workload.dnsPolicy = quoted(string(d.DNSPolicy))
		}
		if d.DNSConfig != nil {
			p.workload.dnsConfig = marshalled(d.DNSConfig)
		}
	}
	return p
}

func id(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

func profileJSON(p model.LocalProfile) string {
	switch {
	case p.Type == "":
		return ""
	case p.Name == "":
		return `{"type":` + quoted(p.Type) + `}`
	default:
		return `{"localhostProfile":` + quoted(p.Name) + `,"type":` + quoted(p.Type) + `}`
	}
}

func amountsOf(list corev1.ResourceList) []defaultAmount {
	var all []defaultAmount
	for _, name := range slices.SortedFunc(maps.Keys(list), cmp.Compare[corev1.ResourceName]) {
		quantity := list[name]
		all = append(all, defaultAmount{name: string(name), quantity: quantity, json: quoted(quantity.String())})
	}
	return all
}

// quoted is a string as JSON.
func quoted(text string) string { return marshalled(text) }

// marshalled is a value of the API as JSON; such values always have one.
func marshalled(value any) string {
	data, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("harden: %T has no JSON: %v", value, err))
	}
	return string(data)
}

// Options say what of the defaults holds for one pod.
type Options struct {
	// Exempt is the Exemption that relaxes Pod Security for the pod, "Exemption shop/cart"; empty for none. Its security contexts are then left alone.
	Exempt string
	// Record writes RecordAnnotation.
	Record bool
}

// Apply tells what a pod is given. What it says itself stays; whoever applies the
// changes and asks again is told of none.
func (p *Policy) Apply(pod *Pod, o Options) Result {
	if pod.mirror || len(pod.containers) == 0 { // a mirror of what a kubelet runs by itself cannot be changed
		return Result{}
	}
	w := &work{pod: pod, policy: p, exempt: o.Exempt != ""}
	w.changes = make([]Change, 0, 8+12*len(pod.containers))
	if p.security != nil && !w.exempt {
		w.user()
		w.podProfiles()
	}
	if p.workload != nil {
		w.placement()
		w.token()
		w.secretModes()
	}
	for i := range pod.containers {
		if c := &pod.containers[i]; !c.mesh {
			w.container(c)
		}
	}
	w.appendVolumes()
	w.takeToken()
	if o.Record && len(w.changes) > 0 {
		w.record(p.Profile, o.Exempt)
	}
	return Result{Changes: w.changes, Kept: w.kept}
}

// work is one pod under way.
type work struct {
	pod    *Pod
	policy *Policy
	exempt bool
	// fsGroup tells that volumes are to belong to a group.
	fsGroup bool
	// inherited are the users, groups and demands that containers are given of their own, since not all may inherit them.
	own struct{ user, group, nonRoot bool }
	// without tells that the token is to be taken away.
	without bool

	changes []Change
	volumes []Change
	kept    []Kept
}

func (w *work) add(c Change) { w.changes = append(w.changes, c) }

// context sets a field of the pod's security context.
func (w *work) context(field, value, why string) {
	w.add(Change{Parent: "securityContext", Missing: !w.pod.context.there, Field: field, Value: value, Why: why})
}

// of sets a field of a container, in parent.
func (w *work) of(c *container, parent string, missing bool, field, value, why string) {
	w.add(Change{List: c.list, Index: c.index, Name: c.name, Parent: parent, Missing: missing, Field: field, Value: value, Why: why})
}

func (w *work) contextOf(c *container, field, value, why string) {
	w.of(c, "securityContext", !c.context.there, field, value, why)
}

func (w *work) keep(c *container, field, says, fix string) {
	k := Kept{Field: "spec." + field, Says: says, Fix: fix}
	if c != nil {
		k.Container = c.name
		k.Field = "spec." + c.list + "[" + c.name + "]." + field
	}
	w.kept = append(w.kept, k)
}
