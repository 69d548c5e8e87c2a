package istio

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

func TestGatewaysOfIstioctlAreGateways(t *testing.T) {
	w := model.Workload{ID: model.WorkloadID{Namespace: "istio-system", Kind: "Deployment", Name: "istio-ingressgateway"}, Labels: map[string]string{injectLabel: "false", "istio": "ingressgateway"}}
	w.Spec.Containers = []corev1.Container{{Name: proxyContainer, Args: []string{"proxy", "router", "--domain", "$(POD_NAMESPACE).svc.cluster.local"}}}
	require.Equal(t, model.ModeSidecar, New(model.Mesh{TrustDomain: "td.example"}, "").Facts(&w).Mode)
	w.Spec.Containers[0].Args[1] = "sidecar"
	require.Equal(t, model.ModeNone, New(model.Mesh{TrustDomain: "td.example"}, "").Facts(&w).Mode)
}

func TestEnrolmentOfTemplates(t *testing.T) {
	type labels = map[string]string
	cases := map[string]struct {
		mesh           model.Mesh
		name           string
		namespace, pod labels
		annotations    labels
		want           model.MeshMode
		outside        string
	}{
		"nothing said":                        {outside: "has no label"},
		"injected namespace":                  {namespace: labels{injectionLabel: "enabled"}, want: model.ModeSidecar},
		"disabled wins over the pod":          {namespace: labels{injectionLabel: "disabled"}, pod: labels{injectLabel: "true"}, outside: "istio-injection=disabled"},
		"istio-injection wins over revision":  {mesh: model.Mesh{Revision: "b"}, namespace: labels{injectionLabel: "disabled", revisionLabel: "b"}, outside: "istio-injection=disabled"},
		"revision":                            {mesh: model.Mesh{Revision: "b"}, namespace: labels{revisionLabel: "b"}, want: model.ModeSidecar},
		"another revision":                    {mesh: model.Mesh{Revision: "b", Revisions: []string{"b", "prod"}}, namespace: labels{revisionLabel: "a"}, outside: "revision a"},
		"a tag":                               {mesh: model.Mesh{Revision: "b", Revisions: []string{"b", "prod"}}, namespace: labels{revisionLabel: "prod"}, want: model.ModeSidecar},
		"what may be a tag":                   {mesh: model.Mesh{Revision: "b"}, namespace: labels{revisionLabel: "a"}, want: model.ModeSidecar},
		"no default revision":                 {mesh: model.Mesh{Revision: "b", Revisions: []string{"b", "prod"}}, namespace: labels{injectionLabel: "enabled"}, outside: "none has the tag default"},
		"the tag default":                     {mesh: model.Mesh{Revision: "b", Revisions: []string{"b", "default"}}, namespace: labels{injectionLabel: "enabled"}, want: model.ModeSidecar},
		"by the pod without a default":        {mesh: model.Mesh{Revision: "b", Revisions: []string{"b"}}, pod: labels{injectLabel: "true"}, outside: "none has the tag default"},
		"pod's revision":                      {mesh: model.Mesh{Revision: "b"}, pod: labels{revisionLabel: "b"}, want: model.ModeSidecar},
		"pod opts in":                         {pod: labels{injectLabel: "true"}, want: model.ModeSidecar},
		"pod opts out":                        {namespace: labels{injectionLabel: "enabled"}, pod: labels{injectLabel: "false"}, outside: "opts out"},
		"label wins over annotation":          {namespace: labels{injectionLabel: "enabled"}, pod: labels{injectLabel: "true"}, annotations: labels{injectLabel: "false"}, want: model.ModeSidecar},
		"annotation opts out":                 {namespace: labels{injectionLabel: "enabled"}, annotations: labels{injectLabel: "false"}, outside: "opts out"},
		"injected by default":                 {mesh: model.Mesh{InjectByDefault: true}, want: model.ModeSidecar},
		"system namespace":                    {name: "kube-system", namespace: labels{injectionLabel: "enabled"}, outside: "never injected"},
		"ambient namespace":                   {namespace: labels{dataplaneLabel: "ambient"}, want: model.ModeAmbient},
		"ambient pod":                         {pod: labels{dataplaneLabel: "ambient"}, want: model.ModeAmbient},
		"pod leaves ambient":                  {namespace: labels{dataplaneLabel: "ambient"}, pod: labels{dataplaneLabel: "none"}, outside: "out of ambient"},
		"both planes: the sidecar wins":       {namespace: labels{injectionLabel: "enabled", dataplaneLabel: "ambient"}, want: model.ModeSidecar},
		"out of the sidecar, left to ambient": {namespace: labels{injectionLabel: "enabled", dataplaneLabel: "ambient"}, pod: labels{injectLabel: "false"}, want: model.ModeAmbient},
		"proxyless":                           {namespace: labels{injectionLabel: "enabled"}, annotations: labels{templatesAnnotation: "grpc-agent"}, want: model.ModeProxyless},
		"assumed":                             {mesh: model.Mesh{AssumedMode: model.ModeAmbient}, want: model.ModeAmbient},
		"assumed, but the pod says no":        {mesh: model.Mesh{AssumedMode: model.ModeSidecar}, pod: labels{injectLabel: "false"}, outside: "opts out"},
		"assumed, but the namespace says no":  {mesh: model.Mesh{AssumedMode: model.ModeSidecar}, namespace: labels{injectionLabel: "disabled"}, outside: "disabled"},
		"nothing is assumed of kube-system":   {mesh: model.Mesh{AssumedMode: model.ModeSidecar}, name: "kube-system", outside: "has no label"},
		"gateway of Istio":                    {pod: labels{gatewayNameLabel: "gw", gatewayClassLabel: "istio", injectLabel: "false"}, want: model.ModeSidecar},
		"gateway of somebody else":            {pod: labels{gatewayNameLabel: "gw", gatewayClassLabel: "nginx"}, outside: "has no label"},
		"by hand":                             {annotations: labels{redirectionAnnotation: "enabled"}, want: model.ModeAmbient},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if c.name == "" {
				c.name = "shop"
			}
			c.mesh.TrustDomain = "td.example"
			facts := New(c.mesh, "").Facts(&model.Workload{
				ID: model.WorkloadID{Namespace: c.name, Kind: "Deployment", Name: "cart"}, ServiceAccount: "cart-sa",
				NamespaceLabels: c.namespace, Labels: c.pod, Annotations: c.annotations,
			})
			require.Equal(t, c.want, facts.Mode)
			require.Contains(t, facts.Outside, c.outside)
			if facts.Meshed() {
				require.Equal(t, "td.example/ns/"+c.name+"/sa/cart-sa", facts.Identity)
			} else {
				require.Empty(t, facts.Identity)
				require.NotEmpty(t, facts.Outside)
			}
		})
	}
}

func TestRunningPodsNeedProof(t *testing.T) {
	pod := func(namespace, annotations map[string]string, containers ...string) *model.Workload {
		w := &model.Workload{
			ID: model.WorkloadID{Namespace: "shop", Kind: "Pod", Name: "cart"}, Running: true,
			NamespaceLabels: namespace, Annotations: annotations, ServiceAccount: "cart",
		}
		for _, name := range containers {
			w.Spec.Containers = append(w.Spec.Containers, corev1.Container{Name: name})
		}
		return w
	}
	injected := map[string]string{injectionLabel: "enabled"}
	d := New(model.Mesh{AssumedMode: model.ModeSidecar, TrustDomain: "td.example"}, "")

	require.Equal(t, model.ModeSidecar, d.Facts(pod(nil, map[string]string{statusAnnotation: "{}"}, "app", proxyContainer)).Mode)
	facts := d.Facts(pod(injected, nil, "app"))
	require.Equal(t, model.ModeNone, facts.Mode, "a label is no proof")
	require.Contains(t, facts.Outside, "restart")
	facts = d.Facts(pod(injected, map[string]string{statusAnnotation: "{}"}, "app"))
	require.Equal(t, model.ModeNone, facts.Mode, "neither is the annotation alone")
	facts = d.Facts(pod(map[string]string{dataplaneLabel: "ambient"}, map[string]string{redirectionAnnotation: "pending"}, "app"))
	require.Equal(t, model.ModeNone, facts.Mode)
	require.Contains(t, facts.Outside, "partly")
}

func TestProbePortsOfSidecars(t *testing.T) {
	text := shopSidecar + `
workloads:
- name: shop/cart
  annotations: %s
  spec: {containers: [{name: app, ports: [{name: web, containerPort: 8080}], livenessProbe: {httpGet: {port: web}}, readinessProbe: {tcpSocket: {port: 9000}}}]}
`
	_, m := parseFixture(t, replaceMode(text, "{}"))
	require.Equal(t, []model.Port{model.TCP(15020), model.TCP(15021)}, m.Workloads[0].Facts.ProbePorts)

	_, m = parseFixture(t, replaceMode(text, `{sidecar.istio.io/rewriteAppHTTPProbers: "false"}`))
	require.Equal(t, []model.Port{model.TCP(8080), model.TCP(9000), model.TCP(15021)}, m.Workloads[0].Facts.ProbePorts)

	_, problems := compile(t, replaceMode(text, `{sidecar.istio.io/rewriteAppHTTPProbers: "false"}`)+`
flows: [{rule: shop/probes, from: [Nodes], to: shop, ports: ["8080", "9000", "15021"]}]
`)
	require.Equal(t, []string{"ProbeRefusedByStrict"}, codes(problems))
}

func TestControlPlaneFlows(t *testing.T) {
	_, m := parseFixture(t, shopSidecar+"\nworkloads: [{name: shop/cart}]\n")
	flows := m.Workloads[0].Facts.ControlPlane
	require.Len(t, flows, 1)
	require.Equal(t, "istio-system", flows[0].To.Namespace)
	require.Equal(t, []model.Port{model.TCP(15012)}, flows[0].Ports)

	_, m = parseFixture(t, shopAmbient+"\nworkloads: [{name: shop/cart}]\n")
	require.Empty(t, m.Workloads[0].Facts.ControlPlane, "ztunnel speaks to istiod for ambient pods")
}

func TestWaypointIsThatOfTheServicesElseOfTheNamespace(t *testing.T) {
	text := `
mesh: {trustDomain: td.example, ambient: true}
namespaces: [{name: shop, labels: {istio.io/dataplane-mode: ambient, istio.io/use-waypoint: common}}]
workloads: [{name: shop/cart}]
services:
- {name: shop/cart, labels: %s, selector: {app: cart}}
`
	waypoint := func(text string) model.Waypoint {
		_, m := parseFixture(t, text)
		require.Equal(t, m.Workloads[0].Facts.Waypoint.Bound, m.Workloads[0].Facts.HoldsHTTP)
		return m.Workloads[0].Facts.Waypoint
	}
	require.Equal(t, model.Waypoint{Namespace: "shop", Name: "common", ServiceAccount: "common", Bound: true}, waypoint(replaceMode(text, "{}")))
	require.Equal(t, model.Waypoint{Namespace: "infra", Name: "own", ServiceAccount: "own", Bound: true},
		waypoint(replaceMode(text, "{istio.io/use-waypoint: own, istio.io/use-waypoint-namespace: infra}")))
	require.Equal(t, model.Waypoint{}, waypoint(replaceMode(text, "{istio.io/use-waypoint: none}")))

	two := waypoint(replaceMode(text, "{}") + "- {name: shop/cart-direct, labels: {istio.io/use-waypoint: none}, selector: {app: cart}}\n")
	require.False(t, two.Bound, "calls to the other Service go past the waypoint")
}

// What the mesh sets for all pods holds where a pod says nothing.
func TestTheMeshDecidesOnProbesAndMetricsWhereThePodDoesNot(t *testing.T) {
	_, mesh, _ := Detect([]model.Object{
		configMap("mesh", "istio", "mesh", "enablePrometheusMerge: false\n"),
		configMap("mesh", "istio-sidecar-injector", "values", `{"sidecarInjectorWebhook": {"rewriteAppHTTPProbe": false}}`),
	}, []model.Workload{istiod("mesh", "istiod", "default")})
	require.True(t, mesh.KeepsProbes)
	require.True(t, mesh.KeepsMetrics)
	for said, want := range map[string]bool{"": false, "true": true, "false": false, "True": true} {
		w := &model.Workload{
			ID: model.WorkloadID{Namespace: "shop", Kind: "Deployment", Name: "cart"}, NamespaceLabels: map[string]string{injectionLabel: "enabled"},
			Annotations: map[string]string{rewriteAnnotation: said, mergeMetricsAnnotation: said},
			Spec:        corev1.PodSpec{Containers: []corev1.Container{{Name: "app", ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: 9000}}}}}},
		}
		facts := New(mesh, "").Facts(w)
		require.Equal(t, want, facts.MergesMetrics, said)
		require.Equal(t, want, facts.ProbePorts[0] == model.TCP(portStatus), said)
	}
}
