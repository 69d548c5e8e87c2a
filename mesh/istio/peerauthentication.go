package istio

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	securityapi "istio.io/api/security/v1beta1"
	typeapi "istio.io/api/type/v1beta1"
	security "istio.io/client-go/pkg/apis/security/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

const peerAuthenticationName = model.NamePrefix + "strict"

var peerAuthenticationType = metav1.TypeMeta{APIVersion: "security.istio.io/v1", Kind: "PeerAuthentication"}

// peerAuthentications writes the mode of a namespace, and what some workloads need otherwise.
func (c *compilation) peerAuthentications(n *model.Namespace) {
	want := n.Posture.Mesh.MTLS
	if want == "" || c.m.IsHeld(n.Name, model.LayerMTLS) {
		return
	}
	if n.Posture.Mesh.KeepStrict && c.existing.strictAnyway(n.Name) || !c.namespaceMode(n, want) {
		return
	}
	if want == model.MTLSStrict {
		c.exceptions(n)
		return
	}
	for _, w := range c.meshed(n.Name) {
		c.permissiveProxyless(n, w)
	}
}

// permissiveProxyless says what a permissive namespace means for proxyless
// gRPC: plaintext for everybody (istio pilot/pkg/networking/grpcgen/lds.go), and
// so no identity that authorization could match.
func (c *compilation) permissiveProxyless(n *model.Namespace, w *model.Workload) {
	if w.Facts.Mode != model.ModeProxyless || w.Labels[tlsModeLabel] == "istio" {
		return
	}
	severity, then := model.Warning, ""
	if n.Posture.Mesh.Authorization {
		severity, then = model.Error, ", and authorization, which goes by identity, refuses all of them"
	}
	c.problem("PermissiveNotHeld", severity, w.Ref(), "metadata.labels["+tlsModeLabel+"]",
		"under a permissive mode a proxyless gRPC server takes plaintext from all of its clients and mTLS from none"+then,
		"label the pods "+tlsModeLabel+"=istio, or set the profile's mesh.mtls to Strict")
}

// modes are the modes of postures in Istio's words.
var modes = map[model.MTLSMode]securityapi.PeerAuthentication_MutualTLS_Mode{
	model.MTLSStrict:     securityapi.PeerAuthentication_MutualTLS_STRICT,
	model.MTLSPermissive: securityapi.PeerAuthentication_MutualTLS_PERMISSIVE,
}

// namespaceMode writes the PeerAuthentication of the namespace, and tells
// whether the namespace gets the mode that is wanted. Among those without
// selector only the oldest counts, so beside an older one of somebody else ours
// would be dead letters: it is not written, and that is said.
func (c *compilation) namespaceMode(n *model.Namespace, want model.MTLSMode) bool {
	mode := modes[want]
	if theirs := c.existing.peerAuthentication(n.Name, nil); theirs != nil && !theirs.Owned() {
		if got := c.existing.effectiveMode(n.Name, nil); got != mode.String() {
			c.problem("PeerAuthenticationShadowed", model.Error, theirs.Ref(), "spec.mtls.mode",
				fmt.Sprintf("the namespace is to be %s, but this older PeerAuthentication makes it %s, and only the oldest counts: ours is not written", mode, got),
				"delete it, or set its mode to "+mode.String())
			return false
		}
		c.problem("PeerAuthenticationShadowed", model.Info, theirs.Ref(), "spec.mtls.mode",
			fmt.Sprintf("this older PeerAuthentication makes the namespace %s already: ours is not written beside it", mode), "")
		return true
	}
	c.write(&security.PeerAuthentication{
		TypeMeta: peerAuthenticationType, ObjectMeta: meta(n, peerAuthenticationName, fromProfile(n)),
		Spec: securityapi.PeerAuthentication{Mtls: &securityapi.PeerAuthentication_MutualTLS{Mode: mode}},
	}, model.PhaseDeny)
	return true
}

// exception is what one workload takes in plaintext beside mTLS.
type exception struct {
	ports map[uint32]bool // everyPort: the whole workload
	from  origins
}

func (e *exception) add(origin model.Origin, ports []uint32) {
	if len(ports) == 0 {
		return
	}
	e.from.add(origin)
	for _, p := range ports {
		e.ports[p] = true
	}
}

func (e *exception) equal(other *exception) bool {
	return other != nil && (e.ports[everyPort] && other.ports[everyPort] || maps.Equal(e.ports, other.ports))
}

// exceptions writes one PeerAuthentication for each workload that must take
// plaintext on some ports: one a workload, since only the oldest counts.
func (c *compilation) exceptions(n *model.Namespace) {
	byWorkload := map[model.WorkloadID]*exception{}
	var needy []*model.Workload
	for _, w := range c.meshed(n.Name) {
		if e := c.exceptionOf(w); len(e.ports) > 0 {
			byWorkload[w.ID] = e
			needy = append(needy, w)
		}
	}
	written := map[string]bool{}
	for _, w := range needy {
		labels := c.exceptionSelector(w, byWorkload)
		if labels == nil {
			continue
		}
		e := byWorkload[w.ID]
		key := model.SelectorKey(&metav1.LabelSelector{MatchLabels: labels})
		if written[key] {
			continue // another workload with the same labels and the same needs
		}
		written[key] = true
		c.write(exceptionFor(n, labels, e), model.PhaseAllow)
	}
}

// exceptionOf gathers what of a workload must take plaintext: flows whose
// clients have no identity, and exemptions. What never passes the proxy needs none.
func (c *compilation) exceptionOf(w *model.Workload) *exception {
	e := &exception{ports: map[uint32]bool{}, from: origins{}}
	if isGateway(w) {
		return e // listeners of gateways are as their Gateway says; PeerAuthentication does not touch them
	}
	for _, f := range c.byServer[w.ID] {
		if !f.Plaintext {
			c.unrewrittenProbes(w, f)
			continue
		}
		ports := c.capturedPorts(w, f, c.numbers(f.Ports, f.Origin.Ref))
		if w.Facts.Mode == model.ModeProxyless {
			c.permissiveNotHeld(w, f.Origin, ports)
			continue
		}
		e.add(f.Origin, ports)
	}
	for _, r := range w.Relaxed {
		if r.Layer != model.LayerMTLS {
			continue
		}
		ports := []uint32{everyPort}
		if r.Ports != nil {
			ports = c.numbers(r.Ports, r.Origin.Ref)
		}
		if w.Facts.Mode == model.ModeProxyless {
			c.permissiveNotHeld(w, r.Origin, ports)
			continue
		}
		e.add(r.Origin, ports)
	}
	return e
}

// capturedPorts leaves out ports that never pass the proxy, and ambient's kubelet
// probes, which redirection lets by (istio cni/pkg/iptables/iptables.go).
func (c *compilation) capturedPorts(w *model.Workload, f *model.Flow, ports []uint32) []uint32 {
	return slices.DeleteFunc(slices.Clone(ports), func(p uint32) bool {
		if uncaptured(w, p) {
			return true
		}
		return w.Facts.Mode == model.ModeAmbient && f.Client.Kind == model.PeerNodes && slices.Contains(w.Facts.ProbePorts, model.TCP(int32(p)))
	})
}

// unrewrittenProbes says that probes which nobody exempted will fail: those of a
// sidecar whose rewriting is switched off.
func (c *compilation) unrewrittenProbes(w *model.Workload, f *model.Flow) {
	if f.Client.Kind != model.PeerNodes || w.Facts.Mode != model.ModeSidecar {
		return
	}
	probes := slices.DeleteFunc(c.capturedPorts(w, f, c.numbers(f.Ports, f.Origin.Ref)), func(p uint32) bool {
		return !slices.Contains(w.Facts.ProbePorts, model.TCP(int32(p)))
	})
	if len(probes) > 0 {
		c.problem("ProbeRefusedByStrict", model.Error, w.Ref(), annotationField(rewriteAnnotation),
			fmt.Sprintf("probes on %s are not rewritten to the proxy's agent, so the kubelet's plaintext will be refused and the pods will not become ready", portList(probes)),
			"remove the annotation (or turn on sidecarInjectorWebhook.rewriteAppHTTPProbe where it is off for the whole mesh), or exempt these ports from MTLS and Authorization")
	}
}

func (c *compilation) permissiveNotHeld(w *model.Workload, origin model.Origin, ports []uint32) {
	if len(ports) == 0 {
		return
	}
	c.problem("PermissiveNotHeld", model.Warning, w.Ref(), "",
		fmt.Sprintf("%s asks for plaintext beside mTLS on %s, but a proxyless gRPC server takes either the one or the other: "+
			"what it serves over xDS stays strict, what it serves itself takes plaintext anyway", origin, portList(ports)), "")
}

// exceptionSelector finds labels that choose this workload, or is nil after saying why there are none.
func (c *compilation) exceptionSelector(w *model.Workload, all map[model.WorkloadID]*exception) map[string]string {
	if theirs := c.existing.peerAuthentication(w.ID.Namespace, w.Labels); theirs != nil && !theirs.Owned() {
		c.problem("PeerAuthenticationShadowed", model.Error, theirs.Ref(), "spec.selector",
			fmt.Sprintf("%s must take plaintext on %s, but this older PeerAuthentication selects it, and only the oldest counts: ours is not written", w.ID, portList(slices.Sorted(maps.Keys(all[w.ID].ports)))),
			"move the exception into an Exemption and delete this PeerAuthentication")
		return nil
	}
	others := c.m.WorkloadsIn(w.ID.Namespace)
	var spills []string
	for _, labels := range []map[string]string{selectorLabels(w), w.Labels} {
		if len(labels) == 0 {
			continue
		}
		spills = nil
		for i := range others {
			if o := &others[i]; o.ID != w.ID && o.Facts.Meshed() && selects(labels, o.Labels) && !all[w.ID].equal(all[o.ID]) {
				spills = append(spills, o.ID.String())
			}
		}
		if len(spills) == 0 {
			return labels
		}
	}
	message := "the pods have no labels that an Istio selector could choose them by: its plaintext exception is not written"
	if len(spills) > 0 {
		message = "every selector of its pods also chooses those of " + strings.Join(spills, ", ") + ", which need no such exception: its plaintext exception is not written"
	}
	c.problem("WorkloadNotSelectable", model.Error, w.Ref(), "spec.selector", message, "give the pods a label of their own")
	return nil
}

// selectorLabels are the labels that a workload's controller selects by; nil
// where it uses expressions, which Istio's selectors do not have.
func selectorLabels(w *model.Workload) map[string]string {
	if len(w.Selector.MatchExpressions) > 0 {
		return nil
	}
	return w.Selector.MatchLabels
}

func exceptionFor(n *model.Namespace, labels map[string]string, e *exception) *security.PeerAuthentication {
	selector := &metav1.LabelSelector{MatchLabels: labels}
	pa := &security.PeerAuthentication{
		TypeMeta: peerAuthenticationType, ObjectMeta: meta(n, model.NameForSelector(selector), e.from),
	}
	pa.Spec.Selector = &typeapi.WorkloadSelector{MatchLabels: labels}
	permissive := &securityapi.PeerAuthentication_MutualTLS{Mode: securityapi.PeerAuthentication_MutualTLS_PERMISSIVE}
	if e.ports[everyPort] {
		pa.Spec.Mtls = permissive
		return pa
	}
	// STRICT is spelled out: with it unset, ambient forgets some exceptions
	// (istio pilot/pkg/serviceregistry/ambient/authorization.go).
	pa.Spec.Mtls = &securityapi.PeerAuthentication_MutualTLS{Mode: securityapi.PeerAuthentication_MutualTLS_STRICT}
	pa.Spec.PortLevelMtls = map[uint32]*securityapi.PeerAuthentication_MutualTLS{}
	for p := range e.ports {
		pa.Spec.PortLevelMtls[p] = permissive
	}
	return pa
}

func portList(ports []uint32) string {
	if slices.Contains(ports, everyPort) {
		return "every port"
	}
	texts := make([]string, len(ports))
	for i, p := range ports {
		texts[i] = fmt.Sprint(p)
	}
	return "port " + strings.Join(texts, ", ")
}
