package difftest

import (
	"fmt"
	"testing"

	clusterpb "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointpb "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerpb "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"
	meshapi "istio.io/api/mesh/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	gatewayapi "sigs.k8s.io/gateway-api/apis/v1"

	"istio.io/istio/pilot/pkg/features"
	pilot "istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/networking/grpcgen"
	"istio.io/istio/pilot/test/xds"
	"istio.io/istio/pkg/cluster"
	"istio.io/istio/pkg/config"
	istiomesh "istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/config/schema/gvk"
	"istio.io/istio/pkg/log"
	"istio.io/istio/pkg/test"
)

// istiod is a control plane in memory that was given a world.
type istiod struct {
	*xds.FakeDiscoveryServer
	t *testing.T
	w *world
	// proxies, listeners and senders are made when first asked for, by pod.
	proxies   map[*pod]*pilot.Proxy
	listeners map[*pod][]*listenerpb.Listener
	clusters  map[*pod]map[string]*clusterpb.Cluster
	endpoints map[*pod]map[string]*endpointpb.ClusterLoadAssignment
	// tunnels are what ztunnels are told; nil without ambient mode.
	tunnels *tunnels
}

// silence keeps istiod's logs out of the test's.
func silence() {
	for _, scope := range log.Scopes() {
		scope.SetOutputLevel(log.NoneLevel)
	}
}

func start(t *testing.T, w *world) *istiod {
	t.Helper()
	for _, feature := range []*bool{&features.EnableAmbient, &features.EnableAmbientWaypoints, &features.EnableHBONESend, &features.EnableSidecarHBONEListening, &features.EnableIngressWaypointRouting} {
		test.SetForTest(t, feature, w.ambient)
	}
	s := xds.NewFakeDiscoveryServer(t, xds.FakeOptions{KubernetesObjects: w.kubernetes(), Configs: w.configs(), MeshConfig: w.meshConfig()})
	i := &istiod{
		FakeDiscoveryServer: s, t: t, w: w, proxies: map[*pod]*pilot.Proxy{}, listeners: map[*pod][]*listenerpb.Listener{},
		clusters: map[*pod]map[string]*clusterpb.Cluster{}, endpoints: map[*pod]map[string]*endpointpb.ClusterLoadAssignment{},
	}
	if w.ambient {
		i.tunnels = i.tell()
	}
	return i
}

func (w *world) meshConfig() *meshapi.MeshConfig {
	m := istiomesh.DefaultMeshConfig()
	m.RootNamespace, m.TrustDomain, m.TrustDomainAliases = rootNamespace, trustDomain, []string{aliasDomain}
	m.EnableAutoMtls = wrapperspb.Bool(w.autoMTLS)
	if w.registryOnly {
		m.OutboundTrafficPolicy = &meshapi.MeshConfig_OutboundTrafficPolicy{Mode: meshapi.MeshConfig_OutboundTrafficPolicy_REGISTRY_ONLY}
	}
	m.ExtensionProviders = []*meshapi.MeshConfig_ExtensionProvider{
		{Name: "ext-grpc", Provider: &meshapi.MeshConfig_ExtensionProvider_EnvoyExtAuthzGrpc{
			EnvoyExtAuthzGrpc: &meshapi.MeshConfig_ExtensionProvider_EnvoyExternalAuthorizationGrpcProvider{Service: "a.north.svc.cluster.local", Port: 80},
		}},
		{Name: "ext-http", Provider: &meshapi.MeshConfig_ExtensionProvider_EnvoyExtAuthzHttp{
			EnvoyExtAuthzHttp: &meshapi.MeshConfig_ExtensionProvider_EnvoyExternalAuthorizationHttpProvider{Service: "a.north.svc.cluster.local", Port: 80},
		}},
	}
	return m
}

// kubernetes are the objects that istiod watches in the API; its ambient index reads policies there too.
func (w *world) kubernetes() []runtime.Object {
	var all []runtime.Object
	for _, n := range w.namespaces {
		all = append(all, n)
	}
	for _, p := range w.pods {
		all = append(all, p.Pod)
	}
	for _, s := range w.services {
		all = append(all, s)
	}
	for _, e := range w.endpointSlices() {
		all = append(all, e)
	}
	for _, p := range w.peers {
		all = append(all, p)
	}
	for _, p := range w.policies {
		all = append(all, p)
	}
	for _, g := range w.gateways {
		all = append(all, g)
	}
	class := &gatewayapi.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: "istio-waypoint"}}
	class.Spec.ControllerName = "istio.io/mesh-controller"
	return append(all, class)
}

// configs are Istio's objects as the rest of istiod reads them.
func (w *world) configs() []config.Config {
	var all []config.Config
	add := func(kind config.GroupVersionKind, m metav1.ObjectMeta, spec config.Spec) {
		all = append(all, config.Config{Spec: config.DeepCopy(spec).(config.Spec), Meta: config.Meta{
			GroupVersionKind: kind, Namespace: m.Namespace, Name: m.Name, Annotations: m.Annotations, Domain: "cluster.local",
			CreationTimestamp: m.CreationTimestamp.Time, ResourceVersion: m.ResourceVersion,
		}})
	}
	for _, p := range w.peers {
		add(gvk.PeerAuthentication, p.ObjectMeta, &p.Spec)
	}
	for _, p := range w.policies {
		add(gvk.AuthorizationPolicy, p.ObjectMeta, &p.Spec)
	}
	for _, d := range w.rules {
		add(gvk.DestinationRule, d.ObjectMeta, &d.Spec)
	}
	for _, s := range w.sidecars {
		add(gvk.Sidecar, s.ObjectMeta, &s.Spec)
	}
	return all
}

// proxy is a pod's proxy as it would announce itself.
func (i *istiod) proxy(p *pod) *pilot.Proxy {
	if known := i.proxies[p]; known != nil {
		return known
	}
	proxy := &pilot.Proxy{
		Type: pilot.SidecarProxy, ID: p.Name + "." + p.Namespace, IPAddresses: []string{p.Status.PodIP}, ConfigNamespace: p.Namespace, Labels: p.Labels,
		Metadata: &pilot.NodeMetadata{Namespace: p.Namespace, Labels: p.Labels, ClusterID: cluster.ID("Kubernetes"), IstioVersion: "1.31.0"},
	}
	switch p.kind {
	case router:
		proxy.Type = pilot.Router
	case waypoint:
		proxy.Type = pilot.Waypoint
	case proxyless:
		proxy.Metadata.Generator = "grpc"
	}
	proxy.Metadata.EnableHBONE = p.Labels["networking.istio.io/tunnel"] == "http"
	i.proxies[p] = i.SetupProxy(proxy)
	return i.proxies[p]
}

func (i *istiod) listenersOf(p *pod) []*listenerpb.Listener {
	if _, known := i.listeners[p]; !known {
		i.listeners[p] = i.Listeners(i.proxy(p))
	}
	return i.listeners[p]
}

// grpcListener is that of a proxyless server for a port, or nil where istiod gives it none.
func (i *istiod) grpcListener(p *pod, port int32) *listenerpb.Listener {
	generator := &grpcgen.GrpcConfigGenerator{}
	resources := generator.BuildListeners(i.proxy(p), i.PushContext(), []string{fmt.Sprintf("xds.istio.io/grpc/lds/inbound/0.0.0.0:%d", port)})
	if len(resources) == 0 {
		return nil
	}
	l := &listenerpb.Listener{}
	require.NoError(i.t, resources[0].Resource.UnmarshalTo(l))
	return l
}

// clustersOf are the clusters that a proxy knows, by name, with their endpoints.
func (i *istiod) clustersOf(p *pod) (map[string]*clusterpb.Cluster, map[string]*endpointpb.ClusterLoadAssignment) {
	if i.clusters[p] == nil {
		i.clusters[p], i.endpoints[p] = map[string]*clusterpb.Cluster{}, map[string]*endpointpb.ClusterLoadAssignment{}
		for _, c := range i.Clusters(i.proxy(p)) {
			i.clusters[p][c.Name] = c
		}
		for _, e := range i.Endpoints(i.proxy(p)) {
			i.endpoints[p][e.ClusterName] = e
		}
	}
	return i.clusters[p], i.endpoints[p]
}

// grpcCluster is what gRPC's own client is told of a port of a Service, or nil.
func (i *istiod) grpcCluster(p *pod, name string) *clusterpb.Cluster {
	generator := &grpcgen.GrpcConfigGenerator{}
	resources := generator.BuildClusters(i.proxy(p), i.PushContext(), []string{name})
	if len(resources) == 0 {
		return nil
	}
	c := &clusterpb.Cluster{}
	require.NoError(i.t, resources[0].Resource.UnmarshalTo(c))
	return c
}

func hostname(s *corev1.Service) string { return s.Name + "." + s.Namespace + ".svc.cluster.local" }

func clusterName(s *corev1.Service, port int32) string {
	return fmt.Sprintf("outbound|%d||%s", port, hostname(s))
}
