package linkerd

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// world is a random cluster with random objects of somebody's. The objects are
// kept in the words of the test, by which the oracle judges; trees are made of them.
type world struct {
	*rand.Rand
	m          *model.Model
	servers    []aServer
	identities []anIdentityList
	networks   []aNetworkList
	policies   []aPolicy
	legacy     []aServerAuthorization
	routes     []aRoute
	// only tells what the network lets into pods: "" everything, "4143", or "others" that port left out.
	only string
}

// named is what all objects have.
type named struct {
	ns, name string
	// broken objects cannot be read.
	broken bool
}

type aServer struct {
	named
	version, born          string
	ours, external         bool
	labels                 map[string]string
	selector               metav1.LabelSelector
	port                   intstr.IntOrString
	protocol, accessPolicy string
}

type anIdentityList struct {
	named
	literal []string
	// accounts are "namespace/name", and spaces namespaces.
	accounts, spaces []string
	// odd tells that it refers to a kind that Linkerd does not take.
	odd bool
}

type aNetworkList struct {
	named
	blocks []aBlock
}

type aBlock struct {
	cidr   string
	except []string
}

type aPolicy struct {
	named
	targetGroup, targetKind, targetName string
	refs                                []aRef
}

type aRef struct{ group, kind, ns, name string }

type aServerAuthorization struct {
	named
	server            string
	selector          *metav1.LabelSelector
	blocks            []aBlock
	open, mesh, bare  bool
	literal, accounts []string
}

type aRoute struct {
	named
	group, kind, server string
	// rules are "all", "some", "none" or "" where they are left out.
	rules string
	// parent is "" for the Server as it should be named, or what is wrong with it: "port", "elsewhere", "other".
	parent string
}

const principals = ".serviceaccount.identity.linkerd.td.example"

func pick[T any](w *world, list ...T) T { return list[w.IntN(len(list))] }

// one tells of one in n.
func (w *world) one(n int) bool { return w.IntN(n) == 0 }

func newWorld(seed uint64) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 4191)), m: &model.Model{}} //nolint:gosec // a fixed seed makes the test repeatable
	mesh := &w.m.Cluster.Mesh
	*mesh = model.Mesh{Kind: model.MeshLinkerd, Namespace: "linkerd", TrustDomain: "td.example"}
	if w.one(8) {
		mesh.TrustDomain = ""
	}
	mesh.Linkerd.Transport = pick(w, transportHeader, transportHeader, transportTransparent, "")
	mesh.Linkerd.DefaultInboundPolicy = pick(w, "deny", "deny", "all-unauthenticated", "all-authenticated", "cluster-unauthenticated", "cluster-authenticated", "audit", "")
	if w.one(2) {
		mesh.Linkerd.ClusterNetworks = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}
	}
	if w.one(6) {
		mesh.Linkerd.SkipInboundPorts = []model.Port{model.TCP(7000), model.TCP(8080)}
	}
	if w.one(2) {
		w.m.Cluster.PodCIDRs = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/24")}
	}
	w.only = pick(w, "", "", "4143", "others")
	for _, ns := range []string{"east", "west"} {
		w.namespace(ns)
	}
	for range w.IntN(3) {
		w.m.Services = append(w.m.Services, w.service())
	}
	w.workloads()
	w.objects()
	return w
}

func (w *world) namespace(name string) {
	annotations := map[string]string{injectAnnotation: "enabled"}
	w.annotate(annotations, 14)
	w.m.Namespaces = append(w.m.Namespaces, model.Namespace{Name: name, Annotations: annotations, Declared: true})
}

// annotate sets annotations, each in one of so many cases.
func (w *world) annotate(annotations map[string]string, rarity int) {
	for _, a := range []struct {
		key    string
		values []string
	}{
		{inboundPolicy, []string{"deny", "all-authenticated", "all-unauthenticated", "cluster-authenticated", "cluster-unauthenticated", "audit", "nonsense"}},
		{requireIdentity, []string{"8080", "8000-9000", "80,web"}},
		{skipInbound, []string{"8080", "9000-9100", "web", ""}},
		{skipOutbound, []string{"8080", "80", "7000-9000"}},
		{opaqueAnnotation, []string{"9000", "raw", ""}},
	} {
		if w.one(rarity) {
			annotations[a.key] = pick(w, a.values...)
		}
	}
	if w.one(12 * rarity) {
		annotations[skipSubnets] = "10.9.0.0/16"
	}
}

func (w *world) service() model.Service {
	s := model.Service{Namespace: pick(w, "east", "west"), Name: "s", Selector: map[string]string{"app": pick(w, "a", "b")}}
	if w.one(4) {
		s.ClusterIPs = []string{"None"}
	}
	if w.one(4) {
		s.Annotations = map[string]string{opaqueAnnotation: "80"}
	}
	for i := range 1 + w.IntN(2) {
		p := corev1.ServicePort{Name: fmt.Sprint("p", i), Port: pick(w, int32(80), 8080), Protocol: corev1.ProtocolTCP}
		p.TargetPort = pick(w, intstr.FromInt32(8080), intstr.FromInt32(9000), intstr.FromString("web"), intstr.IntOrString{})
		s.Ports = append(s.Ports, p)
	}
	return s
}

func (w *world) workloads() {
	for _, n := range w.m.Namespaces {
		for i := range 1 + w.IntN(3) {
			w.m.Workloads = append(w.m.Workloads, w.workload(n, i))
		}
	}
}

func (w *world) workload(n model.Namespace, i int) model.Workload {
	load := model.Workload{
		ID: model.WorkloadID{Namespace: n.Name, Kind: "Deployment", Name: fmt.Sprint("w", i)}, APIVersion: "apps/v1",
		Labels: w.labels(), Annotations: map[string]string{}, NamespaceAnnotations: n.Annotations, ServiceAccount: pick(w, "x", "y"),
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Ports: []corev1.ContainerPort{
			{Name: "web", ContainerPort: pick(w, int32(8080), 80), Protocol: corev1.ProtocolTCP}, {Name: "raw", ContainerPort: 9000, Protocol: corev1.ProtocolTCP},
		}}, {Name: "d", Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 9000, Protocol: pick(w, corev1.ProtocolTCP, corev1.ProtocolUDP)}}}}},
	}
	w.annotate(load.Annotations, 9)
	if w.one(2) {
		get := &corev1.HTTPGetAction{Path: pick(w, "/live", "/live", "live"), Port: intstr.FromInt32(pick(w, int32(8080), 9000))}
		load.Spec.Containers[0].LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: get}}
	}
	if w.one(6) {
		load.Annotations[injectAnnotation] = "disabled"
	} else if w.one(3) {
		load.ID.Kind, load.Running = "Pod", true
		load.Labels[controlPlaneLabel] = "linkerd"
		load.Spec.Containers = append(load.Spec.Containers, corev1.Container{Name: proxyContainer})
	}
	if load.Running || w.one(2) {
		load.Addresses = []netip.Addr{netip.MustParseAddr(pick(w, "10.1.0.1", "10.1.0.200", "10.2.0.1"))}
	}
	for j := range w.m.Services {
		if s := &w.m.Services[j]; s.Namespace == n.Name && s.Selector["app"] == load.Labels["app"] {
			load.Services = append(load.Services, s)
		}
	}
	load.Facts = New(w.m.Cluster.Mesh).Facts(&load)
	return load
}

func (w *world) labels() map[string]string {
	labels := map[string]string{"app": pick(w, "a", "b")}
	if w.one(2) {
		labels["tier"] = pick(w, "1", "2")
	}
	return labels
}

func (w *world) selector() metav1.LabelSelector {
	switch w.IntN(4) {
	case 0:
		return metav1.LabelSelector{}
	case 1:
		return metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "tier", Operator: pick(w, metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist)}}}
	default:
		return metav1.LabelSelector{MatchLabels: map[string]string{"app": pick(w, "a", "b")}}
	}
}

// named puts an object somewhere; one in so many is broken.
func (w *world) named(broken int) named {
	return named{ns: pick(w, "east", "west"), broken: w.one(broken)}
}

// near puts an object beside another, mostly.
func (w *world) near(other *named, broken int) named {
	n := w.named(broken)
	if !w.one(8) {
		n.ns = other.ns
	}
	return n
}

func (w *world) objects() {
	for i := range 1 + w.IntN(5) {
		s := aServer{
			named: w.named(40), version: pick(w, "v1alpha1", "v1beta1", "v1beta2", "v1beta3", "v1beta3", "v1beta3"),
			born: pick(w, "", "2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"), ours: w.one(3), external: w.one(10), labels: w.labels(), selector: w.selector(),
			port:     pick(w, intstr.FromInt32(8080), intstr.FromInt32(8080), intstr.FromInt32(9000), intstr.FromString("web"), intstr.FromString("raw")),
			protocol: pick(w, "", "", "unknown", "HTTP/1", "HTTP/2", "gRPC", "opaque", "TLS"),
		}
		s.name = fmt.Sprint("s", (i+w.IntN(5))%5, i)
		if w.one(2) {
			s.accessPolicy = pick(w, "deny", "all-authenticated", "all-unauthenticated", "cluster-authenticated", "cluster-unauthenticated", "audit", "nonsense")
		}
		w.servers = append(w.servers, s)
	}
	for i := range 1 + w.IntN(3) {
		l := anIdentityList{named: w.named(30), literal: w.literal(), odd: w.one(20)}
		l.name = fmt.Sprint("i", i)
		if w.one(2) {
			l.literal, l.accounts, l.spaces = nil, w.accounts(), pick(w, nil, []string{"east"}, []string{"west", "none"})
		}
		w.identities = append(w.identities, l)
	}
	for i := range 1 + w.IntN(3) {
		l := aNetworkList{named: w.named(30), blocks: w.blocks()}
		l.name = fmt.Sprint("n", i)
		w.networks = append(w.networks, l)
	}
	for i := range w.IntN(5) {
		at := pick(w, w.servers...)
		r := aRoute{named: w.near(&at.named, 20), group: pick(w, policyGroup, gatewayGroup), kind: "HTTPRoute", server: at.name, rules: pick(w, "all", "some", "some", "none", "")}
		if r.name = fmt.Sprint("r", i); w.one(4) {
			r.group, r.kind = gatewayGroup, "GRPCRoute"
		}
		if w.one(6) {
			r.parent = pick(w, "port", "elsewhere", "other")
		}
		w.routes = append(w.routes, r)
	}
	for i := range w.IntN(9) {
		w.policies = append(w.policies, w.policy(i))
	}
	if w.one(3) {
		w.legacy = append(w.legacy, w.serverAuthorization())
	}
}

func (w *world) literal() []string {
	all := []string{"x.east" + principals, "y.east" + principals, "x.west" + principals, "*", "*.east" + principals, "*.x.east" + principals, "*.td.example", "spiffe://td.example/x", "x.*", "*ast" + principals}
	var some []string
	for range 1 + w.IntN(2) {
		some = append(some, pick(w, all...))
	}
	return some
}

func (w *world) accounts() []string {
	return pick(w, nil, []string{"east/x"}, []string{"/y"}, []string{"west/x", "/x"})
}

func (w *world) blocks() []aBlock {
	all := []aBlock{
		{cidr: "10.1.0.0/16"}, {cidr: "10.1.0.0/25"}, {cidr: "10.2.0.0/16"}, {cidr: "0.0.0.0/0"}, {cidr: "::/0"}, {cidr: "10.1.0.1"},
		{cidr: "10.0.0.0/8", except: []string{"10.1.0.0/25"}}, {cidr: "1.2.3.0/24"},
	}
	var some []aBlock
	for range w.IntN(3) + w.IntN(2) {
		some = append(some, pick(w, all...))
	}
	return some
}

func (w *world) policy(i int) aPolicy {
	at := pick(w, w.servers...)
	p := aPolicy{named: w.near(&at.named, 40), targetGroup: policyGroup, targetKind: "Server", targetName: at.name}
	p.name = fmt.Sprint("p", i)
	switch w.IntN(5) {
	case 0:
		p.targetGroup, p.targetKind, p.targetName = pick(w, "", "core"), "Namespace", p.ns
	case 1, 2:
		if len(w.routes) > 0 {
			r := pick(w, w.routes...)
			p.ns, p.targetGroup, p.targetKind, p.targetName = r.ns, r.group, r.kind, r.name
		}
	}
	if w.one(20) {
		p.targetKind = "EgressNetwork"
	}
	for range w.IntN(3) {
		switch w.IntN(6) {
		case 0, 1:
			l := pick(w, w.identities...)
			p.refs = append(p.refs, aRef{policyGroup, "MeshTLSAuthentication", pick(w, l.ns, l.ns, ""), l.name})
		case 2, 3:
			l := pick(w, w.networks...)
			p.refs = append(p.refs, aRef{policyGroup, "NetworkAuthentication", pick(w, l.ns, l.ns, ""), l.name})
		case 4:
			p.refs = append(p.refs, aRef{pick(w, "", "core"), "ServiceAccount", pick(w, "", "east"), pick(w, "x", "y")})
		default:
			if w.one(4) {
				p.refs = append(p.refs, aRef{"example.com", "Other", "", "o"})
			}
		}
	}
	return p
}

func (w *world) serverAuthorization() aServerAuthorization {
	z := aServerAuthorization{named: w.named(20), blocks: w.blocks(), open: w.one(3), mesh: !w.one(5), bare: w.one(4)}
	z.name = "z"
	if w.one(2) {
		z.server = pick(w, w.servers...).name
	} else {
		selector := w.selector()
		z.selector = &selector
	}
	if w.one(2) {
		z.literal = w.literal()
	}
	if w.one(2) {
		z.accounts = w.accounts()
	}
	return z
}

// ends are all workloads and some addresses.
func (w *world) ends() []verdict.End {
	var list []verdict.End
	for i := range w.m.Workloads {
		list = append(list, verdict.End{Workload: &w.m.Workloads[i]})
	}
	for _, a := range []string{"1.2.3.4", "10.1.0.1"} {
		list = append(list, verdict.End{Address: netip.MustParseAddr(a)})
	}
	return list
}

// Trees

type tree = map[string]any

func (n *named) tree(apiVersion, kind string, spec tree) model.Object {
	o := model.Object{Tree: tree{"apiVersion": apiVersion, "kind": kind, "metadata": tree{"namespace": n.ns, "name": n.name}, "spec": spec}}
	if n.broken {
		o.Tree["spec"] = []any{"broken"}
	}
	return o
}

func (w *world) trees() []model.Object {
	var list []model.Object
	for _, s := range w.servers {
		list = append(list, s.tree())
	}
	for _, l := range w.identities {
		spec := tree{}
		if l.literal != nil {
			spec["identities"] = texts(l.literal)
		}
		var refs []any
		for _, a := range l.accounts {
			refs = append(refs, account(a))
		}
		for _, s := range l.spaces {
			refs = append(refs, tree{"kind": "Namespace", "name": s})
		}
		if l.odd {
			refs = append(refs, tree{"kind": "Pod", "name": "p"})
		}
		if refs != nil {
			spec["identityRefs"] = refs
		}
		list = append(list, l.tree(authVersion, "MeshTLSAuthentication", spec))
	}
	for _, l := range w.networks {
		list = append(list, l.tree(authVersion, "NetworkAuthentication", tree{"networks": blockTrees(l.blocks)}))
	}
	for _, p := range w.policies {
		refs := []any{}
		for _, r := range p.refs {
			refs = append(refs, without0(tree{"group": r.group, "kind": r.kind, "namespace": r.ns, "name": r.name}))
		}
		target := without0(tree{"group": p.targetGroup, "kind": p.targetKind, "name": p.targetName})
		list = append(list, p.tree(authVersion, "AuthorizationPolicy", tree{"targetRef": target, "requiredAuthenticationRefs": refs}))
	}
	for _, z := range w.legacy {
		list = append(list, z.tree())
	}
	for _, r := range w.routes {
		list = append(list, r.tree())
	}
	w.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

func (s *aServer) tree() model.Object {
	port := any(int64(s.port.IntVal))
	if s.port.Type == intstr.String {
		port = s.port.StrVal
	}
	selects := "podSelector"
	if s.external {
		selects = "externalWorkloadSelector"
	}
	o := s.named.tree(policyGroup+"/"+s.version, "Server", without0(tree{
		selects: selectorTree(&s.selector), "port": port, "proxyProtocol": s.protocol, "accessPolicy": s.accessPolicy,
	}))
	meta, labels := o.Map("metadata"), tree{}
	for key, value := range s.labels {
		labels[key] = value
	}
	if s.ours {
		labels[model.ManagedByLabel] = model.ManagedByValue
	}
	if meta["labels"] = labels; s.born != "" {
		meta["creationTimestamp"] = s.born
	}
	return o
}

func (z *aServerAuthorization) tree() model.Object {
	server, client := tree{}, tree{}
	if z.server != "" {
		server["name"] = z.server
	} else {
		server["selector"] = selectorTree(z.selector)
	}
	if len(z.blocks) > 0 {
		client["networks"] = blockTrees(z.blocks)
	}
	if z.open {
		client["unauthenticated"] = true
	}
	if z.mesh {
		tls := tree{}
		if z.bare {
			tls["unauthenticatedTLS"] = true
		}
		if z.literal != nil {
			tls["identities"] = texts(z.literal)
		}
		var accounts []any
		for _, a := range z.accounts {
			accounts = append(accounts, account(a))
		}
		if accounts != nil {
			tls["serviceAccounts"] = accounts
		}
		client["meshTLS"] = tls
	}
	return z.named.tree(policyGroup+"/v1beta1", "ServerAuthorization", tree{"server": server, "client": client})
}

func (r *aRoute) tree() model.Object {
	parent := tree{"group": policyGroup, "kind": "Server", "name": r.server}
	switch r.parent {
	case "port":
		parent["port"] = int64(80)
	case "elsewhere":
		parent["namespace"] = "north"
	case "other":
		parent["kind"] = "Service"
	}
	spec := tree{"parentRefs": []any{parent}}
	switch r.rules {
	case "all":
		spec["rules"] = []any{tree{"matches": []any{tree{"path": tree{"type": "Exact", "value": "/x"}}, tree{}}}}
	case "some":
		spec["rules"] = []any{tree{"matches": []any{tree{"headers": []any{tree{"name": "a", "value": "b"}}}}}}
	case "none":
		spec["rules"] = []any{}
	}
	return r.named.tree(r.group+"/v1", r.kind, spec)
}

func texts(list []string) []any {
	out := []any{}
	for _, text := range list {
		out = append(out, text)
	}
	return out
}

func account(text string) tree {
	ns, name, _ := strings.Cut(text, "/")
	return without0(tree{"kind": "ServiceAccount", "name": name, "namespace": ns})
}

// without0 leaves out fields that are empty.
func without0(t tree) tree {
	for key, value := range t {
		if value == "" {
			delete(t, key)
		}
	}
	return t
}

func blockTrees(blocks []aBlock) []any {
	out := []any{}
	for _, b := range blocks {
		one := tree{"cidr": b.cidr}
		if b.except != nil {
			one["except"] = texts(b.except)
		}
		out = append(out, one)
	}
	return out
}

func selectorTree(s *metav1.LabelSelector) tree {
	t := tree{}
	if s.MatchLabels != nil {
		labels := tree{}
		for key, value := range s.MatchLabels {
			labels[key] = value
		}
		t["matchLabels"] = labels
	}
	for _, e := range s.MatchExpressions {
		t["matchExpressions"] = []any{tree{"key": e.Key, "operator": string(e.Operator)}}
	}
	return t
}

func (w *world) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "cluster %+v\nnetwork %q\n", w.m.Cluster, w.only)
	for _, n := range w.m.Namespaces {
		fmt.Fprintln(&b, n.Name, n.Annotations)
	}
	for _, s := range w.m.Services {
		fmt.Fprintln(&b, "Service", s.Namespace, s.Selector, s.ClusterIPs, s.Annotations, s.Ports)
	}
	for _, load := range w.m.Workloads {
		fmt.Fprintln(&b, load.ID, load.Facts.Mode, load.ServiceAccount, load.Labels, load.Annotations, load.Addresses, "running", load.Running, load.Spec.Containers[0].Ports, load.Spec.Containers[0].LivenessProbe)
	}
	for _, o := range w.trees() {
		fmt.Fprintln(&b, o.Ref(), o.Ref().APIVersion, o.Tree["metadata"], o.Tree["spec"])
	}
	return b.String()
}
