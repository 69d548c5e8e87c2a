package linkerd

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"floe.dev/palisade/model"
)

// serverEntry is a Server as far as judging goes (linkerd2
// policy-controller/k8s/index/src/inbound/server.rs).
type serverEntry struct {
	number int
	ref    model.Ref
	labels map[string]string
	spec   existingServerSpec
	// access is where the access policy stands, for causes.
	access string
	// unreadable tells that the object could not be read; then nothing of spec counts.
	unreadable bool
}

type existingServerSpec struct {
	PodSelector              *metav1.LabelSelector `json:"podSelector"`
	ExternalWorkloadSelector *metav1.LabelSelector `json:"externalWorkloadSelector"`
	Port                     intstr.IntOrString    `json:"port"`
	ProxyProtocol            string                `json:"proxyProtocol"`
	AccessPolicy             string                `json:"accessPolicy"`
}

func (r *Reader) addServer(o *model.Object) {
	ref := o.Ref()
	s := serverEntry{number: len(r.servers[ref.Namespace]), ref: ref, labels: o.Labels(), access: "spec"}
	if err := readSpec(o, &s.spec, s.spec.fault); err != nil {
		r.unreadable(o, err)
		s.unreadable = true
	}
	switch version := strings.TrimPrefix(ref.APIVersion, policyGroup+"/"); {
	case version == "v1alpha1", version == "v1beta1", version == "v1beta2": // they have no such field
		s.spec.AccessPolicy = ""
	case s.spec.AccessPolicy != "":
		s.access = "spec.accessPolicy"
	}
	r.servers[ref.Namespace] = append(r.servers[ref.Namespace], s)
}

// fault says what an API server would refuse.
func (s *existingServerSpec) fault() error {
	switch {
	case s.PodSelector == nil && s.ExternalWorkloadSelector == nil:
		return errors.New("spec selects neither pods nor external workloads")
	case s.Port.Type == intstr.Int && (s.Port.IntVal < 1 || s.Port.IntVal > 65535), s.Port.Type == intstr.String && s.Port.StrVal == "":
		return fmt.Errorf("spec.port is no port: %s", s.Port.String())
	default:
		return nil
	}
}

// readSpec reads the spec of an object, which has to be there and without fault.
func readSpec(o *model.Object, into any, fault func() error) error {
	spec := o.Map("spec")
	if spec == nil {
		return errors.New("there is no spec")
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(spec, into); err != nil {
		return err
	}
	return fault()
}

// selects tells whether a Server is for the pods of a workload. One for external
// workloads has no selector of pods, and is for none.
func (s *serverEntry) selects(w *model.Workload) bool {
	return s.unreadable || model.Matches(s.spec.PodSelector, w.Labels)
}

// numbers are the ports of a workload that a Server is for. A name stands for every port that bears it.
func (s *serverEntry) numbers(w *model.Workload) []int32 {
	if s.spec.Port.Type == intstr.Int {
		return []int32{s.spec.Port.IntVal}
	}
	var numbers []int32
	for _, p := range w.ContainerPorts() {
		if p.Name == s.spec.Port.StrVal && p.Protocol == corev1.ProtocolTCP {
			numbers = append(numbers, p.Number)
		}
	}
	return numbers
}

// claim is one port of a workload and the Server that holds it.
type claim struct {
	server *serverEntry
	// port is 0 where the Server cannot be read: it may hold any.
	port int32
	// paths are those of HTTP probes of the port.
	paths []string
}

// claims are the ports of a workload that Servers hold. Of several for one port
// the oldest holds it alone, and nothing is merged (linkerd2
// policy-controller/k8s/index/src/inbound/index.rs, reindex_servers).
func (r *Reader) claims(w *model.Workload) []claim {
	var claims []claim
	list := r.servers[w.ID.Namespace]
	for i := range list {
		s := &list[i]
		switch {
		case !s.selects(w):
		case s.unreadable:
			claims = append(claims, claim{server: s})
		default:
			for _, number := range s.numbers(w) {
				if !slices.ContainsFunc(claims, func(c claim) bool { return c.port == number }) {
					claims = append(claims, claim{s, number, probePaths(w, number)})
				}
			}
		}
	}
	return claims
}

// claimsKey is equal for claims that lead to the same rules.
func claimsKey(claims []claim) string {
	var b strings.Builder
	for _, c := range claims {
		fmt.Fprintf(&b, " %s/%d:%d%q", c.server.ref.Namespace, c.server.number, c.port, c.paths)
	}
	return b.String()
}

// probePaths are the paths of a port that Linkerd permits everybody to GET,
// because the kubelet does (linkerd2 policy-controller/k8s/index/src/inbound/workload.rs,
// pod_http_probes): whatever the scheme, without the query, and not where the
// leading slash is missing.
func probePaths(w *model.Workload, number int32) []string {
	var paths []string
	for _, p := range probes(w) {
		if p.port == number && p.path != "" && !p.hook && !p.rootless {
			paths = append(paths, p.pathOnly())
		}
	}
	return sorted(paths)
}

// probeRule permits the probes of a port. Their networks are everywhere, unless the installation says otherwise (policyController.probeNetworks).
func probeRule(paths []string, number int32) model.FilterRule {
	return model.FilterRule{
		Effect: model.Allow, Ports: portTerms([]model.Port{model.TCP(number)}), Requests: "GET " + strings.Join(paths, ", "),
		Cause: model.Cause{Message: "the kubelet probes these paths, so Linkerd permits everybody to GET them"},
	}
}

// claimRules are what a Server lets through on one port: what is authorized on
// it, or on a route for some requests; else what its access policy says.
func (r *Reader) claimRules(c *claim) []model.FilterRule {
	s := c.server
	if s.unreadable {
		doubt := model.FilterRule{
			Effect: model.Allow, Ports: []model.PortTerm{{Port: model.AllTCP()}},
			Unknown: "the Server cannot be read", Cause: model.Cause{Object: s.ref, Field: "spec"},
		}
		either := []model.FilterRule{doubt, doubt}
		either[1].Effect = model.Deny
		return either
	}
	routes := r.attached(s)
	access := model.Cause{Object: s.ref, Field: s.access, Message: fmt.Sprintf("where nothing authorizes a client, the Server's access policy %q counts", s.accessPolicy())}
	byAccess, otherwise := r.byPolicy(s.accessPolicy(), access)
	if otherwise == model.Allow {
		byAccess = []model.FilterRule{{Effect: model.Allow, Cause: access}}
	}
	rules := slices.Concat(
		routes.narrow(r.authorizedOn(s)), r.authorizedBy(routes),
		routes.narrow(byAccess), []model.FilterRule{{Effect: model.Deny, Cause: access}},
	)
	if s.spec.ProxyProtocol == protocolOpaque {
		withoutTLS(rules)
	}
	for i := range rules {
		rules[i].Ports = portTerms([]model.Port{model.TCP(c.port)})
	}
	if len(c.paths) > 0 && len(routes) == 0 && s.showsRequests() {
		rules = slices.Insert(rules, 0, probeRule(c.paths, c.port))
	}
	return rules
}

// accessPolicy is what counts where nothing is authorized: deny, unless the Server
// says something that Linkerd knows.
func (s *serverEntry) accessPolicy() string {
	if isPolicy(s.spec.AccessPolicy) {
		return s.spec.AccessPolicy
	}
	return policyDeny
}

// withoutTLS takes out clients that speak TLS without an identity: the proxy ends
// no TLS on an opaque port that is dialled itself (linkerd2-proxy linkerd/app/inbound/src/detect.rs).
func withoutTLS(rules []model.FilterRule) {
	for i := range rules {
		rules[i].Peers = slices.DeleteFunc(slices.Clone(rules[i].Peers), func(t model.Term) bool { return t.Requests == bareTLS })
	}
}
