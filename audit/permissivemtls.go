package audit

import (
	"fmt"
	"strings"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// permissiveMTLS are workloads in the mesh that take plaintext because nobody said
// otherwise: no PeerAuthentication sets a mode (Istio's default is PERMISSIVE,
// pilot/pkg/security/authn/policy_applier.go), or Linkerd's default inbound policy asks
// for no identity. Where an object says it, a finding is about that object; where
// authorization refuses whoever comes without an identity, nothing is open.
func permissiveMTLS() Kind {
	return Kind{
		Code: "PermissiveMTLS", Severities: []model.Severity{model.Warning, model.Info},
		Says: "workloads in the mesh take plaintext, since nothing demands mTLS",
		Why:  "A client without a proxy reaches them unencrypted and under no name, and nothing shows that the mesh does not protect them.",
		Fix:  "demand mTLS once all clients are in the mesh: a PeerAuthentication with the mode STRICT, or Linkerd's default inbound policy all-authenticated",
		Find: findPermissiveMTLS,
	}
}

// takesPlaintext are the workloads of a namespace that do for one reason.
type takesPlaintext struct {
	subject model.Ref
	field   string
	why     string
	unknown bool
}

func findPermissiveMTLS(e *Evidence) []model.Finding {
	if e.State.Mesh == nil {
		return nil
	}
	var order []takesPlaintext
	groups := map[takesPlaintext][]*model.Workload{}
	e.eachWorkload(func(w *model.Workload) {
		if !w.Facts.Meshed() || isGateway(w) || e.wantsMTLS(w.ID.Namespace) || e.ofMesh(w.ID.Namespace) {
			return
		}
		said := map[takesPlaintext]bool{}
		for _, port := range tcpPorts(w) {
			because, ok := e.plaintextTo(w, port)
			if !ok || said[because] {
				continue
			}
			said[because] = true
			if groups[because] == nil {
				order = append(order, because)
			}
			groups[because] = append(groups[because], w)
		}
	})
	var found []model.Finding
	for _, because := range order {
		severity := model.Warning
		if because.unknown {
			severity = model.Info
		}
		found = append(found, permissiveMTLS().At(severity, because.subject, because.field,
			fmt.Sprintf("%s; clients without an identity reach %s in plaintext", because.why, named(groups[because])), ""))
	}
	return found
}

// plaintextTo tells whether a port takes plaintext, and why, unless an object says so that another finding is about.
func (e *Evidence) plaintextTo(w *model.Workload, port model.Port) (takesPlaintext, bool) {
	told := judged(e.State.Mesh.Filters(w), stranger(), w, port)
	if told.Decision == verdict.Refused {
		return takesPlaintext{}, false
	}
	layer := model.FilterMTLS
	if e.Model.Cluster.Mesh.Kind == model.MeshLinkerd {
		layer = model.FilterAuthorization
		if told.Decision == verdict.Partial {
			return takesPlaintext{}, false // some requests are let in for their own sake, as probes are
		}
	}
	answer := answerOf(&told, layer)
	if answer == nil || len(answer.Causes) == 0 {
		return takesPlaintext{}, false
	}
	home := model.Namespace{Name: w.ID.Namespace}
	cause := answer.Causes[len(answer.Causes)-1]
	because := takesPlaintext{subject: cause.Object, field: cause.Field, why: cause.Message, unknown: strings.HasSuffix(cause.Message, "is not known")}
	if cause.Object == (model.Ref{}) {
		because.subject = home.Ref()
	}
	switch {
	case layer == model.FilterAuthorization:
		if because.unknown {
			because.why += ", and Linkerd's own lets everybody in"
		}
		return because, strings.HasPrefix(cause.Message, "no Server selects the port")
	case cause.Object == (model.Ref{}):
		if root := e.Model.Cluster.Mesh.RootNamespace; root == "" || e.Model.Namespace(root) == nil {
			because.unknown = true
			because.why += "; one of the whole mesh would lie in Istio's root namespace, of which nothing was read"
		}
		return because, answer.NoRule
	case cause.Object.Kind == "PeerAuthentication":
		because.why = "ztunnel does not get this mode for pods that a PeerAuthentication with modes of single ports selects"
		return because, e.saysStrict(cause)
	default:
		return because, false
	}
}

// saysStrict tells whether a PeerAuthentication asks for STRICT, or for nothing, at a field.
func (e *Evidence) saysStrict(cause model.Cause) bool {
	o := e.object(cause.Object)
	if o == nil {
		return false
	}
	mode, _ := o.Map("spec", "mtls")["mode"].(string)
	if port, found := strings.CutPrefix(cause.Field, "spec.portLevelMtls["); found {
		port, _, _ = strings.Cut(port, "]")
		mode, _ = o.Map("spec", "portLevelMtls", port)["mode"].(string)
	}
	return mode != "PERMISSIVE" && mode != "DISABLE"
}
