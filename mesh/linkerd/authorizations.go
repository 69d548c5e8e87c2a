package linkerd

import (
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// authorization is one AuthorizationPolicy or ServerAuthorization.
type authorization struct {
	// rule is what it lets in, on whatever it is for.
	rule model.FilterRule
	// One of these says what it is for: a Server by name, Servers by their labels, or a route.
	server   string
	selector *metav1.LabelSelector
	route    routeKey
}

// everyServer selects all Servers of a namespace.
func everyServer() *metav1.LabelSelector { return &metav1.LabelSelector{} }

func (r *Reader) addPolicy(o *model.Object) {
	ref := o.Ref()
	var spec struct {
		TargetRef reference    `json:"targetRef"`
		Required  *[]reference `json:"requiredAuthenticationRefs"`
	}
	err := readSpec(o, &spec, func() error {
		switch {
		case spec.TargetRef.Kind == "":
			return errors.New("spec.targetRef has no kind")
		case spec.Required == nil:
			return errors.New("spec.requiredAuthenticationRefs is missing")
		}
		return nil
	})
	if err != nil {
		r.doubt(o, err)
		return
	}
	var a authorization
	switch t := &spec.TargetRef; {
	case t.is(policyGroup, "Server"):
		a.server = t.Name
	case t.is(coreGroup, "Namespace"):
		a.selector = everyServer() // Linkerd takes it for the policy's own namespace, whatever the name
	case t.is(policyGroup, "HTTPRoute"), t.is(gatewayGroup, "HTTPRoute"), t.is(gatewayGroup, "GRPCRoute"):
		a.route = newRouteKey(t.Group, t.Kind, t.Name)
	default:
		return
	}
	var counts bool
	if a.rule, counts = r.required(ref.Namespace, *spec.Required); counts {
		a.rule.Cause.Object, a.rule.Cause.Field = ref, "spec.requiredAuthenticationRefs"
		r.authorizations[ref.Namespace] = append(r.authorizations[ref.Namespace], a)
	}
}

// doubt notes an authorization that cannot be read: it may let anybody in at any Server of its namespace.
func (r *Reader) doubt(o *model.Object, err error) {
	r.unreadable(o, err)
	ref := o.Ref()
	r.authorizations[ref.Namespace] = append(r.authorizations[ref.Namespace], authorization{
		selector: everyServer(),
		rule:     model.FilterRule{Effect: model.Allow, Unknown: "the policy cannot be read", Cause: model.Cause{Object: ref, Field: "spec"}},
	})
}

// required is a rule for clients that pass all of some authentications. Linkerd
// ignores a policy with one that is missing, with one of another kind, and with two
// about identities or two about networks (linkerd2
// policy-controller/k8s/index/src/inbound/index.rs, policy_client_authz).
func (r *Reader) required(home string, refs []reference) (rule model.FilterRule, counts bool) {
	var identities *identityList
	var networks *networkList
	for i := range refs {
		t := &refs[i]
		key := [2]string{t.in(home), t.Name}
		switch {
		case t.is(policyGroup, "MeshTLSAuthentication") && identities == nil:
			if identities = r.identities[key]; identities == nil {
				return rule, false
			}
		case t.is(coreGroup, "ServiceAccount") && identities == nil:
			identities = &identityList{names: names(nil, []string{key[0] + "/" + key[1]}, nil)}
		case t.is(policyGroup, "NetworkAuthentication") && networks == nil:
			if networks = r.networks[key]; networks == nil {
				return rule, false
			}
		default:
			return rule, false
		}
	}
	return clientsOf(identities, networks), true
}

// clientsOf joins identities and networks: a client must be of both. nil demands nothing.
func clientsOf(identities *identityList, networks *networkList) model.FilterRule {
	rule := model.FilterRule{Effect: model.Allow}
	var in []model.AddressBlock
	switch {
	case networks == nil:
	case networks.unreadable:
		rule.Unknown = "the NetworkAuthentication cannot be read"
	default:
		in = networks.blocks
		rule.Peers = []model.Term{{In: in}}
	}
	switch {
	case identities == nil && networks == nil:
		rule.Cause.Message = "it demands nothing, so everybody is let in"
	case identities == nil:
	case identities.unreadable:
		rule.Unknown = "the MeshTLSAuthentication cannot be read"
	default:
		rule.Peers = []model.Term{}
		for _, n := range identities.names {
			rule.Peers = append(rule.Peers, model.Term{Names: []model.NameTerm{n}, In: in})
		}
	}
	return rule
}

// existingClient is who a ServerAuthorization is for (linkerd2
// policy-controller/k8s/index/src/inbound/server_authorization.rs).
type existingClient struct {
	Networks        []network `json:"networks"`
	Unauthenticated bool      `json:"unauthenticated"`
	MeshTLS         *struct {
		UnauthenticatedTLS bool        `json:"unauthenticatedTLS"`
		Identities         []string    `json:"identities"`
		ServiceAccounts    []reference `json:"serviceAccounts"`
	} `json:"meshTLS"`
}

func (r *Reader) addServerAuthorization(o *model.Object) {
	var spec struct {
		Server struct {
			Name     string                `json:"name"`
			Selector *metav1.LabelSelector `json:"selector"`
		} `json:"server"`
		Client existingClient `json:"client"`
	}
	networks := &networkList{}
	err := readSpec(o, &spec, func() (err error) {
		networks.blocks, err = blocksOf(spec.Client.Networks)
		return err
	})
	if err != nil {
		r.doubt(o, err)
		return
	}
	if len(networks.blocks) == 0 {
		networks.blocks = r.cluster // not everywhere: linkerd2 policy-controller/grpc/src/inbound.rs, to_authz
	}
	ref := o.Ref()
	a := authorization{server: spec.Server.Name, selector: spec.Server.Selector}
	if a.server != "" {
		a.selector = nil
	} else if a.selector == nil {
		a.selector = everyServer()
	}
	var counts bool
	if a.rule, counts = spec.Client.rule(ref.Namespace, networks); counts {
		a.rule.Cause.Object = ref
		r.authorizations[ref.Namespace] = append(r.authorizations[ref.Namespace], a)
	}
}

// bareTLS is what a client without an identity must speak where TLS alone is demanded.
const bareTLS = "TLS with the proxy, without a client certificate"

// rule is whom a ServerAuthorization lets in; it counts for nothing where it names nobody.
func (c *existingClient) rule(home string, networks *networkList) (model.FilterRule, bool) {
	var rule model.FilterRule
	switch tls := c.MeshTLS; {
	case c.Unauthenticated:
		rule = clientsOf(nil, networks)
		rule.Cause.Field = "spec.client.unauthenticated"
	case tls == nil:
		return rule, false
	case tls.UnauthenticatedTLS:
		rule = clientsOf(&identityList{names: names([]string{"*"}, nil, nil)}, networks)
		rule.Peers = append(rule.Peers, model.Term{In: networks.blocks, Requests: bareTLS})
		rule.Cause.Field = "spec.client.meshTLS.unauthenticatedTLS"
	case len(tls.Identities)+len(tls.ServiceAccounts) == 0:
		return rule, false
	default:
		var accounts []string
		for i := range tls.ServiceAccounts {
			accounts = append(accounts, tls.ServiceAccounts[i].in(home)+"/"+tls.ServiceAccounts[i].Name)
		}
		rule = clientsOf(&identityList{names: names(tls.Identities, accounts, nil)}, networks)
		rule.Cause.Field = "spec.client.meshTLS"
	}
	return rule, true
}

// authorizedOn is what is authorized on a Server as a whole.
func (r *Reader) authorizedOn(s *serverEntry) []model.FilterRule {
	var rules []model.FilterRule
	list := r.authorizations[s.ref.Namespace]
	for i := range list {
		if a := &list[i]; a.server != "" && a.server == s.ref.Name || a.selector != nil && model.Matches(a.selector, s.labels) {
			rules = append(rules, a.rule)
		}
	}
	return rules
}

// authorizedBy is what is authorized on routes of a Server, for the requests that they match.
func (r *Reader) authorizedBy(routes routeList) []model.FilterRule {
	var rules []model.FilterRule
	for _, route := range routes {
		list := r.authorizations[route.ref.Namespace]
		for i := range list {
			if list[i].route != route.key {
				continue
			}
			rule := list[i].rule
			rule.Requests = fmt.Sprintf("what %s matches", route.ref)
			if route.unreadable {
				rule.Unknown = "the route cannot be read"
			}
			rules = append(rules, rule)
		}
	}
	return rules
}
