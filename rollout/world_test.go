package rollout_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
	"floe.dev/palisade/rollout"
)

// epoch is when every simulation begins.
var epoch = time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)

// world is a cluster in little: namespaces with workloads, the objects that
// palisade wrote, and what goes wrong. It is its own judge: what breaks follows
// from the objects that are there, not from what the planner believes.
type world struct {
	mesh     model.MeshKind
	audits   bool
	profiles map[string]*profile
	spaces   map[string]*space
	now      time.Time
	// deaf are namespaces of which nothing is seen.
	deaf map[string]bool
	// onWrite is called after each single write or deletion.
	onWrite func(namespace string)
}

// profile is a SecurityProfile in little.
type profile struct {
	observe bool
	posture model.Posture
}

// space is a namespace.
type space struct {
	name        string
	profile     string
	annotations map[string]string
	workloads   []string
	// outside are workloads that are not in the mesh, loose those whose pods it does not hold.
	outside, loose map[string]bool
	// ambient are workloads whose proxies cannot audit.
	ambient bool
	// callers are namespaces whose workloads are declared to call this one.
	callers []string
	// objects that palisade wrote, by name; the value is their content.
	objects map[string]string
	// unready are workloads that are down of themselves.
	unready map[string]bool
	// fragile is a layer whose enforcement really breaks a workload, though nothing foresees it.
	fragile model.Layer
	// breaks, problems and refused are what is foreseen, by layer.
	breaks, problems map[model.Layer]int
	refused          int
	// violations that an audit notes, while there is one.
	violations int
	// verification is a result that overrides what the objects come to, and its age when it is stale.
	verification rollout.Result
	stale        bool
	// held are layers that intent could not work out.
	held []model.Layer
	// written is when the last write was.
	written time.Time
}

// strict is the posture of most profiles here.
func strict(maxNamespaces, maxFailed int, soak time.Duration) model.Posture {
	return model.Posture{
		Enforcement: model.Enforce,
		Mesh:        model.MeshPosture{MTLS: model.MTLSStrict, Authorization: true, SidecarScope: true},
		Network:     model.NetworkPosture{DefaultDeny: true},
		PodSecurity: model.PodSecurityPosture{
			Enforce: "baseline", EnforceVersion: "latest", Audit: "restricted", AuditVersion: "latest", Warn: "restricted", WarnVersion: "latest",
		},
		Rollout: model.RolloutPosture{MaxNamespaces: maxNamespaces, MaxFailed: maxFailed, Soak: soak},
	}
}

func newWorld(mesh model.MeshKind, p model.Posture) *world {
	return &world{mesh: mesh, audits: true, now: epoch, profiles: map[string]*profile{"prod": {posture: p}}, spaces: map[string]*space{}, deaf: map[string]bool{}}
}

// add makes a namespace with some workloads, governed by the profile prod.
func (w *world) add(name string, workloads int, callers ...string) *space {
	s := &space{
		name: name, profile: "prod", annotations: map[string]string{}, callers: callers,
		outside: map[string]bool{}, loose: map[string]bool{}, objects: map[string]string{}, unready: map[string]bool{},
		breaks: map[model.Layer]int{}, problems: map[model.Layer]int{},
	}
	for i := range workloads {
		s.workloads = append(s.workloads, fmt.Sprintf("app-%d", i))
	}
	w.spaces[name] = s
	return s
}

func (w *world) names() []string { return slices.Sorted(maps.Keys(w.spaces)) }

// model is the world as intent would resolve it.
func (w *world) model() *model.Model {
	m := &model.Model{Cluster: model.Cluster{Mesh: model.Mesh{Kind: w.mesh}}}
	for _, name := range w.names() {
		s := w.spaces[name]
		n := model.Namespace{Name: name, Annotations: s.annotations, Declared: true}
		if p := w.profiles[s.profile]; p != nil {
			posture := p.posture
			posture.Profile = s.profile
			if p.observe {
				posture.Enforcement = model.Observe
			}
			n.Posture = &posture
		}
		m.Namespaces = append(m.Namespaces, n)
		for _, app := range s.workloads {
			m.Workloads = append(m.Workloads, w.workload(s, app))
		}
		for _, l := range s.held {
			m.Held = append(m.Held, model.Hold{Namespace: name, Layer: l})
		}
		for _, object := range slices.Sorted(maps.Keys(s.objects)) {
			m.Existing = append(m.Existing, existing(name, object, s.objects[object]))
		}
	}
	slices.SortFunc(m.Workloads, func(a, b model.Workload) int { return model.CompareWorkloadIDs(a.ID, b.ID) })
	for _, name := range w.names() {
		if f, some := w.flow(m, w.spaces[name]); some {
			m.Flows = append(m.Flows, f)
		}
	}
	return m
}

func (w *world) workload(s *space, app string) model.Workload {
	workload := model.Workload{ID: model.WorkloadID{Namespace: s.name, Kind: "Deployment", Name: app}, ServiceAccount: app}
	if w.mesh == model.MeshNone || s.outside[app] {
		return workload
	}
	workload.Facts = model.Facts{Mode: model.ModeSidecar, Identity: s.name + "/" + app}
	if w.mesh == model.MeshLinkerd {
		workload.Facts.Mode = model.ModeLinkerd
	}
	if s.ambient {
		workload.Facts.Mode, workload.Facts.NoAudit = model.ModeAmbient, "ztunnel may enforce a dry run"
	}
	return workload
}

// flow is what the namespace's servers are declared to be called by.
func (w *world) flow(m *model.Model, s *space) (model.Flow, bool) {
	f := model.Flow{
		Origin: model.Origin{Ref: model.Ref{Kind: "TrafficRule", Namespace: s.name, Name: "apps"}}, Ports: []model.Port{model.TCP(8080)},
		Client: model.Peer{Kind: model.PeerPods, NamespaceSelector: &metav1.LabelSelector{}}, Server: model.Peer{Kind: model.PeerPods, Namespace: s.name},
	}
	for i := range m.Workloads {
		id := m.Workloads[i].ID
		if id.Namespace == s.name {
			f.Server.Workloads = append(f.Server.Workloads, id)
		}
		if slices.Contains(s.callers, id.Namespace) {
			f.Client.Workloads = append(f.Client.Workloads, id)
		}
	}
	return f, len(f.Server.Workloads) > 0 && len(f.Client.Workloads) > 0
}

// compile is what a posture comes to as objects: the names that the real
// compilers give, in the order in which they are written, with what tells their content apart.
func (w *world) compile(p *model.Posture) (names []string, contents map[string]string) {
	contents = map[string]string{}
	add := func(name, content string) {
		names = append(names, name)
		contents[name] = content
	}
	if p == nil || p.Enforcement == model.Observe {
		return nil, contents
	}
	stages := func(enforced bool, stage model.Stage) (open, rules bool) {
		return !enforced && stage != "", enforced || stage == model.StagePermissive
	}
	netOpen, netRules := stages(p.Network.DefaultDeny, p.Network.Stage)
	istio := w.mesh == model.MeshIstio
	azOpen, azRules := stages(p.Mesh.Authorization, p.Mesh.Stage)
	audit := !p.Mesh.Authorization && p.Mesh.Stage == model.StageAudit
	if netOpen {
		add("NetworkPolicy/palisade-open", "")
	}
	if istio && azOpen {
		add("AuthorizationPolicy/palisade-open", "")
	}
	if netRules {
		add("NetworkPolicy/palisade-a", "")
		add("NetworkPolicy/palisade-b", "")
	}
	if istio && (azRules || audit) {
		add("AuthorizationPolicy/palisade-a", dry(audit))
		add("AuthorizationPolicy/palisade-b", dry(audit))
	}
	if w.mesh == model.MeshLinkerd && (p.Mesh.Authorization || p.Mesh.MTLS == model.MTLSStrict || audit) {
		clients := "*"
		if p.Mesh.Authorization || audit && p.Mesh.MTLS != model.MTLSStrict {
			clients = "named"
		}
		add("MeshTLSAuthentication/palisade-"+strings.ReplaceAll(clients, "*", "any"), clients)
		add("AuthorizationPolicy.policy.linkerd.io/palisade-a", clients)
	}
	w.compileDenies(p, add, netRules, azRules, audit)
	return names, contents
}

func (w *world) compileDenies(p *model.Posture, add func(name, content string), netRules, azRules, audit bool) {
	if netRules {
		add("NetworkPolicy/palisade-default", "")
	}
	switch w.mesh {
	case model.MeshIstio:
		if azRules || audit {
			add("AuthorizationPolicy/palisade-deny-all", dry(audit))
		}
		if p.Mesh.MTLS != "" {
			add("PeerAuthentication/palisade-strict", strings.ToUpper(string(p.Mesh.MTLS)))
		}
	case model.MeshLinkerd:
		strict := p.Mesh.Authorization || p.Mesh.MTLS == model.MTLSStrict
		if strict {
			add("Server/palisade-a", "deny")
		} else if audit {
			add("Server/palisade-a", "audit")
		}
	}
	if ps := p.PodSecurity; ps.Enforce != "" || ps.Warn != "" || ps.Audit != "" {
		add("Namespace/", strings.Join([]string{ps.Enforce + "/" + ps.EnforceVersion, ps.Warn, ps.Audit}, " "))
	}
}

func dry(audit bool) string {
	if audit {
		return "dry-run"
	}
	return ""
}

// existing is an object of palisade's as a server returns it, as far as the planner looks.
func existing(namespace, name, content string) model.Object {
	kind, name, _ := strings.Cut(name, "/")
	meta := map[string]any{"name": name, "namespace": namespace, "labels": map[string]any{model.ManagedByLabel: model.ManagedByValue}}
	tree := map[string]any{"apiVersion": "networking.k8s.io/v1", "kind": kind, "metadata": meta}
	switch kind {
	case "AuthorizationPolicy":
		tree["apiVersion"] = "security.istio.io/v1"
		if content == "dry-run" {
			meta["annotations"] = map[string]any{"istio.io/dry-run": "true"}
		}
	case "PeerAuthentication":
		tree["apiVersion"] = "security.istio.io/v1"
		tree["spec"] = map[string]any{"mtls": map[string]any{"mode": content}}
	case "Server":
		tree["apiVersion"] = "policy.linkerd.io/v1beta3"
		tree["spec"] = map[string]any{"accessPolicy": content}
	case "MeshTLSAuthentication":
		tree["apiVersion"] = "policy.linkerd.io/v1alpha1"
		tree["spec"] = map[string]any{"identities": []any{content}}
	case "AuthorizationPolicy.policy.linkerd.io":
		tree["apiVersion"], tree["kind"] = "policy.linkerd.io/v1alpha1", "AuthorizationPolicy"
		ref := map[string]any{"kind": "MeshTLSAuthentication", "name": "palisade-" + strings.ReplaceAll(content, "*", "any")}
		tree["spec"] = map[string]any{"requiredAuthenticationRefs": []any{ref}}
	case "Namespace":
		enforce, rest, _ := strings.Cut(content, " ")
		level, version, _ := strings.Cut(enforce, "/")
		warn, audit, _ := strings.Cut(rest, " ")
		labels, owned := map[string]any{}, map[string]any{}
		for key, value := range map[string]string{"enforce": level, "enforce-version": version, "warn": warn, "audit": audit} {
			if value != "" {
				labels["pod-security.kubernetes.io/"+key] = value
				owned["f:pod-security.kubernetes.io/"+key] = map[string]any{}
			}
		}
		tree["apiVersion"] = "v1"
		tree["metadata"] = map[string]any{"name": namespace, "labels": labels, "managedFields": []any{map[string]any{
			"manager": model.FieldManager, "fieldsV1": map[string]any{"f:metadata": map[string]any{"f:labels": owned}},
		}}}
	}
	return model.Object{Tree: tree}
}

// write carries a model out in one namespace, one object after the other, as a
// plan orders them. It stops before the write that stop says, and tells whether all was done.
func (w *world) write(s *space, p *model.Posture, stop func() bool) bool {
	if p != nil && p.Enforcement == model.Observe {
		return true
	}
	names, contents := w.compile(p)
	put := func(change func()) bool {
		if stop != nil && stop() {
			return false
		}
		change()
		s.written = w.now
		if w.onWrite != nil {
			w.onWrite(s.name)
		}
		return true
	}
	for _, name := range names {
		if have, there := s.objects[name]; there && have == contents[name] {
			continue
		}
		if !put(func() { s.objects[name] = contents[name] }) {
			return false
		}
	}
	var gone []string
	for name := range s.objects {
		if _, wanted := contents[name]; !wanted {
			gone = append(gone, name)
		}
	}
	slices.SortFunc(gone, func(a, b string) int {
		x, y := existing(s.name, a, "").Ref(), existing(s.name, b, "").Ref()
		if d := model.RemovalRank(x) - model.RemovalRank(y); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	for _, name := range gone {
		if !put(func() { delete(s.objects, name) }) {
			return false
		}
	}
	return true
}

// holds tells whether the objects that are there are those of a posture.
func (w *world) holds(s *space, p *model.Posture) bool {
	if p != nil && p.Enforcement == model.Observe {
		return true
	}
	_, contents := w.compile(p)
	return maps.Equal(contents, s.objects)
}

// refuses tells whether a layer refuses anything now, by the objects alone.
func (s *space) refuses(l model.Layer) bool {
	has := func(name string) bool { _, there := s.objects[name]; return there }
	rules := func(kind string) bool {
		for _, name := range []string{"palisade-a", "palisade-b", "palisade-default", "palisade-deny-all"} {
			if content, there := s.objects[kind+"/"+name]; there && content != "dry-run" {
				return true
			}
		}
		return false
	}
	switch l {
	case model.LayerNetwork:
		return rules("NetworkPolicy") && !has("NetworkPolicy/palisade-open")
	case model.LayerAuthorization:
		return rules("AuthorizationPolicy") && !has("AuthorizationPolicy/palisade-open") ||
			s.objects["Server/palisade-a"] == "deny" && s.objects["AuthorizationPolicy.policy.linkerd.io/palisade-a"] != "*"
	case model.LayerMTLS:
		return s.objects["PeerAuthentication/palisade-strict"] == "STRICT" || s.objects["Server/palisade-a"] == "deny"
	default:
		return s.objects["Namespace/"] != "" && !strings.HasPrefix(s.objects["Namespace/"], "/")
	}
}

// torn says of a layer that refuses something that not all of its allows are there.
func (s *space) torn() string {
	for kind, l := range map[string]model.Layer{"NetworkPolicy": model.LayerNetwork, "AuthorizationPolicy": model.LayerAuthorization} {
		if !s.refuses(l) {
			continue
		}
		for _, name := range []string{"palisade-a", "palisade-b"} {
			content, there := s.objects[kind+"/"+name]
			if kind == "AuthorizationPolicy" && s.objects["Server/palisade-a"] == "deny" {
				continue
			}
			if !there || content == "dry-run" {
				return fmt.Sprintf("%s is refused by %v, and the allows of %s are not there", l, slices.Sorted(maps.Keys(s.objects)), name)
			}
		}
	}
	if s.objects["Server/palisade-a"] == "deny" {
		clients, there := s.objects["AuthorizationPolicy.policy.linkerd.io/palisade-a"]
		_, known := s.objects["MeshTLSAuthentication/palisade-"+strings.ReplaceAll(clients, "*", "any")]
		if !there || !known {
			return "a Server denies, and nothing authorizes its clients"
		}
	}
	return ""
}

// evidence is what is seen of the world now.
func (w *world) evidence(m *model.Model, memory rollout.Memory) rollout.Evidence {
	e := rollout.Evidence{Audits: w.audits, Namespaces: map[string]rollout.Observed{}}
	lowered := rollout.Lower(m, memory)
	for name, s := range w.spaces {
		if !w.deaf[name] {
			e.Namespaces[name] = w.observe(s, lowered.Namespace(name).Posture)
		}
	}
	return e
}

func (w *world) observe(s *space, p *model.Posture) rollout.Observed {
	ready := &rollout.Readiness{Workloads: len(s.workloads)}
	for i, app := range s.workloads {
		if s.unready[app] || i == 0 && s.fragile != "" && s.refuses(s.fragile) {
			ready.Unready = append(ready.Unready, model.WorkloadID{Namespace: s.name, Kind: "Deployment", Name: app})
		}
	}
	capture := &rollout.Capture{}
	for _, app := range s.workloads {
		if s.loose[app] {
			capture.Missing = append(capture.Missing, model.WorkloadID{Namespace: s.name, Kind: "Deployment", Name: app})
		}
	}
	o := rollout.Observed{
		Settled: w.holds(s, p), Ready: ready, Capture: capture, Foreseen: map[model.Layer]rollout.Foresight{},
		Verification: &rollout.Verification{Result: rollout.Green, Began: w.now},
		Audit:        &rollout.Audit{From: w.now.Add(-24 * time.Hour)},
	}
	for _, l := range []model.Layer{model.LayerMTLS, model.LayerAuthorization, model.LayerNetwork} {
		o.Foreseen[l] = rollout.Foresight{Breaks: s.breaks[l], Problems: s.problems[l], Names: []string{"Deployment " + s.name + "/app-0"}[:min(s.breaks[l]+s.problems[l], 1)]}
	}
	if profile := w.profiles[s.profile]; profile != nil {
		ps := profile.posture.PodSecurity
		o.PodSecurity = &rollout.DryRun{Level: ps.Enforce, Version: ps.EnforceVersion, Refused: s.refused}
	}
	switch {
	case s.verification != "":
		o.Verification.Result = s.verification
	case w.mesh == model.MeshNone:
		o.Verification.Result = rollout.NotApplicable
	}
	if o.Verification.Result == rollout.Red {
		o.Verification.Failed = []string{"app-0:8080 answers in plaintext"}
	}
	if s.stale {
		o.Verification.Began = w.now.Add(-2 * time.Hour)
	}
	if s.violations > 0 {
		o.Audit.Violations, o.Audit.Names = s.violations, []string{"legacy/batch calls app-0:8080"}
	}
	return o
}
