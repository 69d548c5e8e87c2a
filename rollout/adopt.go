package rollout

import (
	"fmt"
	"strconv"
	"strings"

	"floe.dev/palisade/model"
)

// traces is what palisade's objects in a namespace tell of the stages of its layers.
type traces struct {
	layers [len(layers)]model.Stage
	// level is the Pod Security label that palisade set, as Layer.Level has it.
	level string
	// anyIdentity are authentications of Linkerd's that let in the whole mesh; named those that policies refer to.
	anyIdentity, named map[string]bool
	// deny, audit, open and rules count AuthorizationPolicies, NetworkPolicies and Servers by what they do.
	network, authorization, servers marks
}

// marks is which kinds of objects of a layer are there.
type marks struct{ open, audit, rules bool }

// stage is the stage at which such objects are written. Rules beside an open object refuse nothing.
func (m marks) stage() model.Stage {
	switch {
	case m.rules && m.open:
		return model.StagePermissive
	case m.rules:
		return model.StageEnforce
	case m.audit:
		return model.StageAudit
	case m.open:
		return model.StagePrepare
	default:
		return model.StageObserve
	}
}

// adopt goes by the objects that palisade owns, where nothing is remembered: what
// is enforced stays so, and counts as proven.
func (w *work) adopt() {
	found := w.p.traces(w.name)
	if found == nil {
		return
	}
	w.to = stateOf(Namespace{Profile: w.was.Profile, Released: w.was.Released, BreakGlass: w.was.BreakGlass, Transitions: w.was.Transitions})
	var parts []string
	for i, stage := range found.layers {
		if stage == model.StageObserve {
			continue
		}
		w.to.layers[i].Stage = stage // since when, heed will say
		parts = append(parts, string(layers[i])+" "+string(stage))
	}
	w.to.layers[podSecurity].Level = found.level
	if len(parts) == 0 {
		return
	}
	w.note(Note{Kind: Said, Code: Adopted, New: true, Message: fmt.Sprintf(
		"nothing is remembered of the namespace, but objects of palisade's are there: it is taken to be at %s", strings.Join(parts, ", "))})
}

// left tells whether objects of palisade's are in a namespace.
func (p *planner) left(namespace string) bool { return p.traces(namespace) != nil }

// traces is what is there of palisade's in a namespace, or nil.
func (p *planner) traces(namespace string) *traces {
	if p.owned == nil {
		p.owned = map[string]*traces{}
		for i := range p.m.Existing {
			p.trace(&p.m.Existing[i])
		}
		for _, t := range p.owned {
			t.conclude()
		}
	}
	return p.owned[namespace]
}

func (p *planner) trace(o *model.Object) {
	ref := o.Ref()
	if ref.Kind == "Namespace" && ref.Group() == "" {
		p.traceLabels(ref.Name, o)
		return
	}
	if !o.Owned() || !strings.HasPrefix(ref.Name, model.NamePrefix) || ref.Namespace == "" {
		return
	}
	p.tracesIn(ref.Namespace).object(ref, o)
}

func (t *traces) object(ref model.Ref, o *model.Object) {
	switch ref.Group() + " " + ref.Kind {
	case "networking.k8s.io NetworkPolicy":
		t.network.note(ref, false)
	case "security.istio.io AuthorizationPolicy":
		dry, _ := strconv.ParseBool(o.Annotations()["istio.io/dry-run"])
		t.authorization.note(ref, dry)
	case "gateway.networking.k8s.io Gateway":
		t.raise(authorization, model.StagePrepare)
	case "security.istio.io PeerAuthentication":
		t.peerAuthentication(ref, o)
	case "networking.istio.io DestinationRule":
		t.raise(mtls, model.StagePermissive)
	case "policy.linkerd.io Server":
		access, _ := o.Map("spec")["accessPolicy"].(string)
		t.servers.note(ref, access == "audit")
	case "policy.linkerd.io MeshTLSAuthentication":
		if ids, _ := o.Map("spec")["identities"].([]any); len(ids) == 1 && ids[0] == "*" {
			t.anyIdentity[ref.Name] = true
		}
	case "policy.linkerd.io AuthorizationPolicy":
		t.references(o)
	}
}

func (p *planner) tracesIn(namespace string) *traces {
	t := p.owned[namespace]
	if t == nil {
		t = &traces{anyIdentity: map[string]bool{}, named: map[string]bool{}}
		for i := range t.layers {
			t.layers[i] = model.StageObserve
		}
		p.owned[namespace] = t
	}
	return t
}

func (m *marks) note(ref model.Ref, audit bool) {
	switch {
	case ref.Name == model.OpenName:
		m.open = true
	case audit:
		m.audit = true
	default:
		m.rules = true
	}
}

func (t *traces) raise(layer int, to model.Stage) {
	if to.Rank() > t.layers[layer].Rank() {
		t.layers[layer] = to
	}
}

// peerAuthentication: the exceptions of workloads are written where the namespace is strict.
func (t *traces) peerAuthentication(ref model.Ref, o *model.Object) {
	mode, _ := o.Map("spec", "mtls")["mode"].(string)
	if ref.Name == model.NamePrefix+"strict" && mode == "PERMISSIVE" {
		t.raise(mtls, model.StagePermissive)
		return
	}
	t.raise(mtls, model.StageEnforce)
}

func (t *traces) references(o *model.Object) {
	refs, _ := o.Map("spec")["requiredAuthenticationRefs"].([]any)
	for _, r := range refs {
		tree, _ := r.(map[string]any)
		if kind, _ := tree["kind"].(string); kind == "MeshTLSAuthentication" {
			name, _ := tree["name"].(string)
			t.named[name] = true
		}
	}
}

const podSecurityLabel = "pod-security.kubernetes.io/"

func (p *planner) traceLabels(namespace string, o *model.Object) {
	for _, mode := range []string{"warn", "audit", "enforce"} {
		key := podSecurityLabel + mode
		level := o.Labels()[key]
		if level == "" || !o.Manages(model.FieldManager, "f:labels", key) {
			continue
		}
		t := p.tracesIn(namespace)
		t.raise(podSecurity, model.StageAudit)
		if mode == "enforce" {
			t.raise(podSecurity, model.StageEnforce)
			p := model.PodSecurityPosture{Enforce: level, EnforceVersion: o.Labels()[key+"-version"]}
			t.level = levelOf(&p)
		}
	}
}

// conclude puts together what single objects do not tell.
func (t *traces) conclude() {
	t.raise(network, t.network.stage())
	t.raise(authorization, t.authorization.stage())
	switch t.servers.stage() {
	case model.StageAudit:
		t.raise(authorization, model.StageAudit)
		t.raise(mtls, model.StagePermissive)
	case model.StageEnforce:
		t.raise(mtls, model.StageEnforce)
		if !t.wholeMesh() {
			t.raise(authorization, model.StageEnforce)
		}
	}
}

// wholeMesh tells whether Servers let in every identity of the mesh: mTLS is enforced, and authorization is not.
func (t *traces) wholeMesh() bool {
	for name := range t.named {
		if !t.anyIdentity[name] {
			return false
		}
	}
	return len(t.named) > 0
}
