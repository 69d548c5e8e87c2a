package harden

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

const (
	whyResources = "takes no more of a node than it says"
	whyPull      = "runs the image that its tag names now"
	whySecret    = "is read by the pod's group alone, and written by nobody"
	whyToken     = "does not call the Kubernetes API"
	whyPlaced    = "as the profile has it"
	whySpread    = "outlives a node, and a zone"
)

// The modes of Secret volumes: what is given, and what the API server fills in.
const (
	secretMode  = "256" // 0400
	defaultMode = 0o644
)

// resources gives requests and limits that the container lacks, never a request above its limit. Resources of the
// whole pod (KEP-2837) bound those of its containers, so none is given beside them.
func (w *work) resources(c *container) {
	d, has := w.policy.workload, &c.resources
	if w.pod.resources || len(d.limits)+len(d.requests) == 0 {
		return
	}
	var limits, requests []pair
	for i := range d.limits {
		if limit, ok := d.limits[i].asLimit(has); ok {
			limits = append(limits, limit)
		}
	}
	for i := range d.requests {
		name := d.requests[i].name
		_, limited := has.limits.of(name)
		if _, requested := has.requests.of(name); !requested && !limited { // a limit alone is the request as well
			requests = append(requests, pair{name, d.requests[i].json})
		}
	}
	if has.there {
		w.amounts(c, "resources/limits", has.limits.there, limits)
		w.amounts(c, "resources/requests", has.requests.there, requests)
		return
	}
	if len(limits) > 0 {
		w.of(c, "resources", true, "limits", object(limits), whyResources)
	}
	if len(requests) > 0 {
		w.of(c, "resources", true, "requests", object(requests), whyResources)
	}
}

// asLimit is the default, or the container's own request where that is greater; false where it has a limit.
func (d *defaultAmount) asLimit(has *resources) (pair, bool) {
	if _, limited := has.limits.of(d.name); limited {
		return pair{}, false
	}
	if text, requested := has.requests.of(d.name); requested {
		request, err := resource.ParseQuantity(text)
		if err != nil {
			return pair{}, false
		}
		if request.Cmp(d.quantity) > 0 {
			return pair{d.name, quoted(text)}, true
		}
	}
	return pair{d.name, d.json}, true
}

func (w *work) amounts(c *container, parent string, there bool, list []pair) {
	if len(list) == 0 {
		return
	}
	if !there {
		_, field, _ := strings.Cut(parent, "/")
		w.of(c, "resources", false, field, object(list), whyResources)
		return
	}
	for _, p := range list {
		w.of(c, parent, false, p.name, p.json, whyResources)
	}
}

// pair is a member of an object.
type pair struct{ name, json string }

func object(list []pair) string {
	b := []byte{'{'}
	for i, p := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, quoted(p.name)...)
		b = append(b, ':')
		b = append(b, p.json...)
	}
	return string(append(b, '}'))
}

// movingTags are moved by custom; so is an image without any tag.
var movingTags = []string{"canary", "current", "dev", "develop", "edge", "head", "latest", "main", "master", "nightly", "next", "snapshot", "stable", "tip", "trunk", "unstable"}

// moving tells whether an image's tag is moved from one image to another, and whether it is latest, said or not.
func moving(image string) (moves, latest bool) {
	if image == "" || strings.Contains(image, "@") {
		return false, false
	}
	name := image[strings.LastIndexByte(image, '/')+1:]
	_, tag, tagged := strings.Cut(name, ":")
	if !tagged || tag == "latest" {
		return true, true
	}
	return slices.Contains(movingTags, strings.ToLower(tag)), false
}

// pull has moving images pulled always. IfNotPresent is what an API server fills in for all tags but latest.
func (w *work) pull(c *container) {
	moves, latest := moving(c.image)
	if !w.policy.workload.moving || !moves || c.pullPolicy == "Always" {
		return
	}
	if c.pullPolicy == "" || w.pod.Admitted && !latest && c.pullPolicy == "IfNotPresent" {
		w.of(c, "", false, "imagePullPolicy", `"Always"`, whyPull)
		return
	}
	w.keep(c, "imagePullPolicy", "is "+c.pullPolicy+", and the tag of "+c.image+" moves", "name the image by its digest, or pull it always")
}

// secretModes gives volumes of Secrets the mode 0400, if a group owns the volumes, by which
// the containers then read them (the kubelet turns it into 0440), and if no proxy uses them.
func (w *work) secretModes() {
	if !w.policy.workload.secrets || w.pod.windows || !w.fsGroup && !w.pod.context.fsGroup.there {
		return
	}
	for i := range w.pod.volumes {
		v := &w.pod.volumes[i]
		free := !v.mode.there || w.pod.Admitted && v.mode.is(defaultMode)
		if v.secret && free && !w.meshMounts(v.name) {
			w.add(Change{List: "volumes", Index: i, Name: v.name, Parent: "secret", Field: "defaultMode", Value: secretMode, Why: whySecret})
		}
	}
}

func (w *work) meshMounts(name string) bool {
	return slices.ContainsFunc(w.pod.containers, func(c container) bool {
		return c.mesh && slices.ContainsFunc(c.mounts, func(m mount) bool { return m.volume == name })
	})
}

func (w *work) readOnlySecrets(c *container) {
	if !w.policy.workload.secrets {
		return
	}
	for i, m := range c.mounts {
		if m.readOnly == unsaid && slices.ContainsFunc(w.pod.volumes, func(v volume) bool { return v.secret && v.name == m.volume }) {
			w.of(c, "volumeMounts/"+itoa(i), false, "readOnly", "true", whySecret)
		}
	}
}

// token has the token of the service account not mounted, unless the pod says that it needs it, or its mesh does.
func (w *work) token() {
	if !w.policy.workload.noToken || w.pod.token != unsaid {
		return
	}
	if why := w.policy.KeepToken; why != "" {
		w.keep(nil, "automountServiceAccountToken", "is left out, and stays so: "+why, "turn the projection of tokens on in the mesh")
		return
	}
	w.add(Change{Field: "automountServiceAccountToken", Value: "false", Why: whyToken})
	w.without = true
}

// takeToken takes away what the API server has mounted before any webhook was asked: from
// the containers that are not of a mesh, and as a volume where no proxy uses it. It comes last, since it moves indices.
func (w *work) takeToken() {
	if !w.without || !w.pod.Admitted {
		return
	}
	for i := range w.pod.containers {
		c := &w.pod.containers[i]
		for j := len(c.mounts) - 1; j >= 0 && !c.mesh; j-- {
			if m := &c.mounts[j]; m.path == tokenPath && w.isToken(m.volume) {
				w.add(Change{Op: Remove, List: c.list, Index: c.index, Name: c.name, Parent: "volumeMounts", Field: itoa(j), Why: whyToken})
			}
		}
	}
	for i := len(w.pod.volumes) - 1; i >= 0; i-- {
		if v := &w.pod.volumes[i]; v.token && !w.stillMounted(v.name) {
			w.add(Change{Op: Remove, Parent: "volumes", Field: itoa(i), Name: v.name, Why: whyToken})
		}
	}
}

func (w *work) isToken(name string) bool {
	return slices.ContainsFunc(w.pod.volumes, func(v volume) bool { return v.token && v.name == name })
}

// stillMounted tells whether a token is used by a proxy, or at another place than the API server's.
func (w *work) stillMounted(name string) bool {
	return slices.ContainsFunc(w.pod.containers, func(c container) bool {
		return slices.ContainsFunc(c.mounts, func(m mount) bool { return m.volume == name && (c.mesh || m.path != tokenPath) })
	})
}

// placement gives what the scheduler and the resolver go by.
func (w *work) placement() {
	w.priority()
	w.resolver()
	w.spread()
}

// priority gives a class. What the API server has worked out for no class is taken away: it works it out again.
func (w *work) priority() {
	d, has := w.policy.workload, &w.pod.priority
	if d.priorityClass == "" || has.class || !w.pod.Admitted && (has.value || has.preemption) {
		return
	}
	if has.value {
		w.add(Change{Op: Remove, Field: "priority", Why: whyPlaced})
	}
	if has.preemption {
		w.add(Change{Op: Remove, Field: "preemptionPolicy", Why: whyPlaced})
	}
	w.add(Change{Field: "priorityClassName", Value: d.priorityClass, Why: whyPlaced})
}

// spread keeps replicas apart, which are found by the labels that all of them have. It asks, and never holds a pod back.
func (w *work) spread() {
	d, pod := w.policy.workload, w.pod
	replicated := slices.Contains([]string{"Deployment", "ReplicaSet", "ReplicationController", "StatefulSet"}, pod.Owner)
	if !replicated || !d.spread && !d.antiAffinity {
		return
	}
	selector := selectorOf(pod.stable())
	if selector == "" {
		return
	}
	if d.spread && !pod.spread {
		w.add(Change{Field: "topologySpreadConstraints", Value: "[" + spreadOver("kubernetes.io/hostname", selector) + "," + spreadOver("topology.kubernetes.io/zone", selector) + "]", Why: whySpread})
	}
	if d.antiAffinity && !pod.affinity.antiAffinity {
		w.add(Change{Parent: "affinity", Missing: !pod.affinity.there, Field: "podAntiAffinity", Why: whySpread, Value: `{"preferredDuringSchedulingIgnoredDuringExecution":[{"podAffinityTerm":{"labelSelector":` +
			selector + `,"topologyKey":"kubernetes.io/hostname"},"weight":100}]}`})
	}
}

// resolver gives DNS settings, but not to pods in the node's network, which use the node's resolver unless they say so. None needs
// its own servers, so it is given only together with them.
func (w *work) resolver() {
	d, pod := w.policy.workload, w.pod
	if pod.hostNetwork {
		return
	}
	policyFree := pod.dnsPolicy == "" || pod.Admitted && pod.dnsPolicy == "ClusterFirst"
	configFree := !pod.dnsConfig
	if d.dnsPolicy != "" && policyFree && d.dnsPolicy != quoted(pod.dnsPolicy) && (d.dnsPolicy != `"None"` || configFree && d.dnsConfig != "") {
		w.add(Change{Field: "dnsPolicy", Value: d.dnsPolicy, Why: whyPlaced})
	}
	if d.dnsConfig != "" && configFree {
		w.add(Change{Field: "dnsConfig", Value: d.dnsConfig, Why: whyPlaced})
	}
}

func spreadOver(key, selector string) string {
	return `{"labelSelector":` + selector + `,"maxSkew":1,"topologyKey":"` + key + `","whenUnsatisfiable":"ScheduleAnyway"}`
}

// selectorOf finds the pods that share some labels; empty where there are none.
func selectorOf(labels []label) string {
	if len(labels) == 0 {
		return ""
	}
	list := make([]pair, len(labels))
	for i, l := range labels {
		list[i] = pair{l.key, quoted(l.value)}
	}
	return `{"matchLabels":` + object(list) + `}`
}
