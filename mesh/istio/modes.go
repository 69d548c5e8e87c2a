package istio

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"floe.dev/palisade/model"
)

// The portModes of PeerAuthentication.
const (
	strict     = "STRICT"
	permissive = "PERMISSIVE"
	disable    = "DISABLE"
)

// peerAuthentication is a PeerAuthentication as far as portModes go.
type peerAuthentication struct {
	number int
	ref    model.Ref
	// selector is nil for one of a whole namespace, or of the mesh; empty tells that it has one that says nothing.
	selector map[string]string
	empty    bool
	// mode is empty where it is UNSET.
	mode  string
	ports map[int32]string
}

func (r *Reader) addPeerAuthentication(o *model.Object) {
	ref := o.Ref()
	p := peerAuthentication{number: len(r.peers[ref.Namespace]), ref: ref, selector: matchLabels(o, "selector", "matchLabels"), mode: mtlsMode(o), ports: map[int32]string{}}
	p.empty = p.selector == nil && o.Map("spec", "selector") != nil
	levels := o.Map("spec", "portLevelMtls")
	for _, port := range slices.Sorted(maps.Keys(levels)) {
		number, err := strconv.ParseInt(port, 10, 32)
		fields, ok := levels[port].(map[string]any)
		if err != nil || !ok {
			r.unreadable(o, fmt.Errorf("spec.portLevelMtls[%s] is no port with a mode", port))
			continue
		}
		mode, _ := fields["mode"].(string)
		if mode = strings.ToUpper(mode); mode == "UNSET" {
			mode = ""
		}
		p.ports[int32(number)] = mode
	}
	r.peers[ref.Namespace] = append(r.peers[ref.Namespace], p)
}

// portModes are what a workload's proxy demands, by its ports.
type portModes struct {
	key string
	// rest is the mode of all ports but those of ports.
	rest  portMode
	ports []portMode
	// home is the mode of the namespace, without regard to workloads.
	home string
}

type portMode struct {
	port  int32
	mode  string
	cause model.Cause
}

// of is the mode of one port.
func (m *portModes) of(port int32) portMode {
	for _, p := range m.ports {
		if p.port == port {
			return p
		}
	}
	return m.rest
}

// scopes are the PeerAuthentications that count for a workload, or nil: that of
// the mesh, that of its namespace, and its own.
type scopes struct {
	mesh, home, own *peerAuthentication
	// converted are the first two in the eyes of those who turn the third into rules for ztunnel.
	converted [2]*peerAuthentication
}

// scoped finds the oldest PeerAuthentication in each scope. One with a selector
// in the root namespace counts nowhere. ztunnel knows none of the mesh that has an
// empty selector (pilot/pkg/serviceregistry/ambient/workloads.go, fetchPeerAuthentications).
func (r *Reader) scoped(w *model.Workload) scopes {
	in := func(namespace string, counts func(*peerAuthentication) bool) *peerAuthentication {
		list := r.peers[namespace]
		if i := slices.IndexFunc(list, func(p peerAuthentication) bool { return counts(&p) }); i >= 0 {
			return &list[i]
		}
		return nil
	}
	whole := func(p *peerAuthentication) bool { return p.selector == nil }
	bare := func(p *peerAuthentication) bool { return p.selector == nil && !p.empty }
	if w.ID.Namespace == r.root {
		return scopes{mesh: in(r.root, whole)}
	}
	s := scopes{mesh: in(r.root, whole), home: in(w.ID.Namespace, whole)}
	s.own = in(w.ID.Namespace, func(p *peerAuthentication) bool { return p.selector != nil && selects(p.selector, w.Labels) })
	if w.Facts.Mode == model.ModeAmbient {
		s.mesh = in(r.root, bare)
		s.converted = [2]*peerAuthentication{s.mesh, in(w.ID.Namespace, bare)}
	}
	return s
}

// modesOf resolves the modes of a workload: the mesh's, the namespace's, the
// workload's own, each where it is set, and those of single ports last
// (istio pilot/pkg/security/authn/policy_applier.go).
func (r *Reader) modesOf(w *model.Workload) *portModes {
	s := r.scoped(w)
	k := key{}.of(w.ID.Namespace).flags(w.Facts.Mode == model.ModeAmbient)
	for _, p := range [...]*peerAuthentication{s.mesh, s.home, s.own} {
		if p == nil {
			k = k.of("")
			continue
		}
		k = k.number(p.number)
	}
	known := r.modes[string(k)]
	if known == nil {
		known = s.resolve()
		if w.Facts.Mode == model.ModeAmbient {
			s.throughZtunnel(known)
		}
		known.key = string(k)
		r.modes[known.key] = known
	}
	return known
}

func (s *scopes) resolve() *portModes {
	m := &portModes{rest: portMode{mode: permissive, cause: model.Cause{Message: "no PeerAuthentication sets a mode, and Istio's default is PERMISSIVE"}}}
	set := func(p *peerAuthentication) {
		if p != nil && p.mode != "" {
			m.rest = portMode{mode: p.mode, cause: model.Cause{Object: p.ref, Field: "spec.mtls.mode"}}
		}
	}
	set(s.mesh)
	set(s.home)
	m.home = m.rest.mode
	set(s.own)
	if s.own == nil {
		return m
	}
	for _, port := range slices.Sorted(maps.Keys(s.own.ports)) {
		m.ports = append(m.ports, portMode{port, cmp.Or(s.own.ports[port], m.rest.mode), model.Cause{Object: s.own.ref, Field: fmt.Sprintf("spec.portLevelMtls[%d].mode", port)}})
	}
	return m
}

// throughZtunnel makes of resolved modes what ztunnel is told: a workload is
// STRICT as a whole, or heeds rules that stand for its ports. Where both are
// due and which rules there are is decided in two places that do not always agree, so
// that some ports are not what they should be, and all of them where the
// namespace's mode is UNSET under a STRICT mesh (pilot/pkg/serviceregistry/ambient/authorization.go,
// convertedSelectorPeerAuthentications and convertPeerAuthentication).
func (s *scopes) throughZtunnel(m *portModes) {
	if s.own == nil || len(s.own.ports) == 0 {
		return
	}
	whole, heeds := s.heeded(m.rest.mode == strict)
	rules := s.converter()
	told := func(p *portMode) {
		denies := whole || heeds && rules.denies(p.port)
		if denies {
			p.mode = strict
		} else if p.mode == strict {
			p.mode = permissive
		}
	}
	told(&m.rest)
	for i := range m.ports {
		told(&m.ports[i])
	}
}

func (p *peerAuthentication) is(mode string) bool { return p != nil && p.mode == mode }

// has tells whether some port of the workload's own policy has one of two modes.
func (p *peerAuthentication) has(mode, other string) bool {
	for _, m := range p.ports {
		if m == mode || m == other {
			return true
		}
	}
	return false
}

// heeded tells whether a workload is STRICT as a whole, and whether it heeds the rules of its ports.
func (s *scopes) heeded(isStrict bool) (whole, heeds bool) {
	switch {
	case s.own.mode == strict:
		heeds = s.own.has(permissive, disable)
	case s.own.mode == "" && isStrict:
		heeds = s.own.has(permissive, permissive) // DISABLE is forgotten
	default:
		heeds = s.own.has(strict, strict)
	}
	return isStrict && !heeds, heeds
}

// tunnelRules are what is left of a policy for ports: the ports that deny who has no
// identity, those that are exempt, and whether every other port denies.
type tunnelRules struct {
	deny, exempt map[int32]bool
	rest         bool
}

func (r *tunnelRules) denies(port int32) bool { return r.deny[port] || r.rest && !r.exempt[port] }

func (s *scopes) converter() tunnelRules {
	mesh, home, own := s.converted[0], s.converted[1], s.own
	homeStrict, inherits := home.is(strict), own.mode == ""
	meshStrict := mesh.is(strict) && (home == nil || home.mode == "")
	// A STRICT mesh is taken to cover a port, even where the workload itself is not STRICT.
	covered := own.mode == strict || inherits && homeStrict || meshStrict
	exempts := own.mode == strict || inherits && (homeStrict || home == nil && mesh.is(strict))
	rules := tunnelRules{deny: map[int32]bool{}, exempt: map[int32]bool{}}
	for port, mode := range own.ports {
		switch mode {
		case strict:
			rules.deny[port] = !covered
		case permissive, disable:
			rules.exempt[port] = exempts
		}
	}
	rules.rest = exempts && own.has(permissive, disable)
	return rules
}

// mtls is the filter of a workload's portModes: STRICT refuses whoever comes without
// identity. What else a mode means shows in the ways of clients.
func (r *Reader) mtls(w *model.Workload) *model.Filter {
	m, g := r.modesOf(w), r.gapsOf(w)
	k := key{}.of("mtls", m.key, g.key, string(w.Facts.Mode)).flags(r.refuses(w, permissive))
	return r.remembered(k, func() *model.Filter {
		f := &model.Filter{Layer: model.FilterMTLS, Otherwise: model.Allow, Rules: slices.Clone(g.rules)}
		for _, p := range m.ports {
			ports := []model.PortTerm{{Port: model.TCP(p.port)}}
			if r.refuses(w, p.mode) {
				f.Rules = append(f.Rules, model.FilterRule{Effect: model.Deny, Peers: nameless(), Ports: ports, Cause: p.cause})
			}
			f.Rules = append(f.Rules, passes(ports, p.cause))
		}
		if r.refuses(w, m.rest.mode) {
			f.Rules = append(f.Rules, model.FilterRule{Effect: model.Deny, Peers: nameless(), Cause: m.rest.cause})
		}
		f.Because = []model.Cause{m.rest.cause}
		return f
	})
}

// refuses tells whether a mode keeps out clients without identity. A proxyless
// server has no permissive mode: it speaks mTLS where clients will find it so by
// its label, and plaintext otherwise (pilot/pkg/networking/grpcgen/lds.go).
func (r *Reader) refuses(w *model.Workload, mode string) bool {
	return mode == strict || mode == permissive && w.Facts.Mode == model.ModeProxyless && w.Labels[tlsModeLabel] == "istio"
}
