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
	// selector is nil for one of a whole namespace, or of the mesh.
	selector map[string]string
	// mode is empty where it is UNSET.
	mode  string
	ports map[int32]string
}

func (r *Reader) addPeerAuthentication(o *model.Object) {
	ref := o.Ref()
	p := peerAuthentication{number: len(r.peers[ref.Namespace]), ref: ref, selector: matchLabels(o, "selector", "matchLabels"), mode: mtlsMode(o), ports: map[int32]string{}}
	for port, value := range o.Map("spec", "portLevelMtls") {
		number, err := strconv.ParseInt(port, 10, 32)
		fields, ok := value.(map[string]any)
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

// scoped finds the PeerAuthentication that counts in each scope, or nil: the
// oldest of the mesh, of the namespace, and of those that select the pod. One with
// a selector in the root namespace counts nowhere.
func (r *Reader) scoped(w *model.Workload) [3]*peerAuthentication {
	var found [3]*peerAuthentication
	in := func(namespace string, scope int, counts func(*peerAuthentication) bool) {
		list := r.peers[namespace]
		if i := slices.IndexFunc(list, func(p peerAuthentication) bool { return counts(&p) }); i >= 0 {
			found[scope] = &list[i]
		}
	}
	whole := func(p *peerAuthentication) bool { return p.selector == nil }
	in(r.root, 0, whole)
	if w.ID.Namespace != r.root {
		in(w.ID.Namespace, 1, whole)
		in(w.ID.Namespace, 2, func(p *peerAuthentication) bool { return p.selector != nil && selects(p.selector, w.Labels) })
	}
	return found
}

// modesOf resolves the portModes of a workload: the mesh's, the namespace's, the
// workload's own, each where it is set, and those of single ports last. Sidecars
// and ztunnel differ for ports (istio pilot/pkg/security/authn/policy_applier.go,
// pilot/pkg/serviceregistry/ambient/authorization.go).
func (r *Reader) modesOf(w *model.Workload) *portModes {
	scopes := r.scoped(w)
	key := w.ID.Namespace
	for _, p := range scopes {
		if p != nil {
			key += fmt.Sprint("/", p.number)
		} else {
			key += "/"
		}
	}
	ztunnel := w.Facts.Mode == model.ModeAmbient
	if ztunnel {
		key += "z"
	}
	known := r.modes[key]
	if known == nil {
		known = resolve(scopes, ztunnel)
		known.key = key
		r.modes[key] = known
	}
	return known
}

func resolve(scopes [3]*peerAuthentication, ztunnel bool) *portModes {
	m := &portModes{rest: portMode{mode: permissive, cause: model.Cause{Message: "no PeerAuthentication sets a mode, and Istio's default is PERMISSIVE"}}}
	parent := ""
	for i, p := range scopes {
		if p != nil && p.mode != "" {
			m.rest = portMode{mode: p.mode, cause: model.Cause{Object: p.ref, Field: "spec.mtls.mode"}}
		}
		if i < 2 {
			m.home, parent = m.rest.mode, m.rest.mode
		}
	}
	own := scopes[2]
	if own == nil {
		return m
	}
	exempt := slices.ContainsFunc(slices.Collect(maps.Values(own.ports)), func(mode string) bool { return mode == permissive })
	for _, port := range slices.Sorted(maps.Keys(own.ports)) {
		mode := cmp.Or(own.ports[port], m.rest.mode)
		if ztunnel && own.mode == "" && parent == strict && mode == disable && !exempt {
			continue // ztunnel makes no exception of it: only PERMISSIVE calls for one
		}
		m.ports = append(m.ports, portMode{port, mode, model.Cause{Object: own.ref, Field: fmt.Sprintf("spec.portLevelMtls[%d].mode", port)}})
	}
	return m
}

// mtls is the filter of a workload's portModes: STRICT refuses whoever comes without
// identity. What else a mode means shows in the ways of clients.
func (r *Reader) mtls(w *model.Workload) *model.Filter {
	m, g := r.modesOf(w), r.gapsOf(w)
	return r.remembered("mtls "+m.key+g.key+string(w.Facts.Mode), func() *model.Filter {
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
