package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"floe.dev/palisade/intent"
	"floe.dev/palisade/model"
)

func TestListsAreTakenApart(t *testing.T) {
	s := read(t, `apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Service, metadata: {name: a}}
- apiVersion: v1
  kind: ServiceList
  items:
  - metadata: {name: b}
  - metadata: {name: c}
---
{"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": [
  {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "d"}},
  {"apiVersion": "palisade.floe.dev/v1alpha1", "kind": "SecurityProfileList", "items": [
    {"metadata": {"name": "p"}, "spec": {"namespaceSelector": {}}}]}]}
---
{apiVersion: v1, kind: List, items: []}
---
{apiVersion: example.org/v1, kind: AccessList, metadata: {name: not-a-list}, spec: {items: [1]}}
`)
	assert.Equal(t, []string{"a", "b", "c", "d"}, serviceNames(s))
	assert.Equal(t, []int{4, 8, 9, 12}, []int{s.Services[0].Source.Line, s.Services[1].Source.Line, s.Services[2].Source.Line, s.Services[3].Source.Line})
	assert.Equal(t, 1, s.Services[2].Source.Document)
	require.Len(t, s.Profiles, 1)
	assert.Equal(t, map[string]int{"example.org/v1 AccessList": 1}, s.Unknown)
}

func TestAnEmptyListIsSomethingRead(t *testing.T) {
	assert.Empty(t, read(t, "apiVersion: v1\nkind: List\nitems: []\n").Workloads)
}

func TestNamespacesAreDeclaredOrImplied(t *testing.T) {
	s, err := Read([]string{"-"}, strings.NewReader(`
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: a}, annotations: {note: kept}}}
---
{apiVersion: v1, kind: Service, metadata: {name: a}}
---
{apiVersion: v1, kind: Service, metadata: {name: a, namespace: web}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: a, namespace: roles}}
---
{apiVersion: v1, kind: Node, metadata: {name: node}}
---
{apiVersion: palisade.floe.dev/v1alpha1, kind: TrafficRule, metadata: {name: r, namespace: nowhere}, spec: {to: {}, from: [{pods: {}}], ports: [{port: 1}]}}
---
{apiVersion: palisade.floe.dev/v1alpha1, kind: TrafficRule, metadata: {name: s}, spec: {to: {}, from: [{pods: {}}], ports: [{port: 1}]}}
---
{apiVersion: palisade.floe.dev/v1alpha1, kind: NamespacePosture, metadata: {name: posture, namespace: nowhere}}
`), Options{DefaultNamespace: "home"})
	require.NoError(t, err)
	assert.Equal(t, []model.Namespace{
		{Name: "home", Labels: map[string]string{"kubernetes.io/metadata.name": "home"}},
		{Name: "roles", Labels: map[string]string{"kubernetes.io/metadata.name": "roles"}},
		{
			Name: "shop", Labels: map[string]string{"kubernetes.io/metadata.name": "shop", "team": "a"}, Annotations: map[string]string{"note": "kept"},
			Declared: true, Source: model.Source{File: "-", Document: 1, Line: 2},
		},
		{Name: "web", Labels: map[string]string{"kubernetes.io/metadata.name": "web"}},
	}, s.Namespaces)
	assert.Equal(t, "home", s.Rules[0].Namespace)
	assert.Equal(t, model.Source{File: "-", Document: 6, Line: 12}, s.Sources[model.Ref{APIVersion: "palisade.floe.dev/v1alpha1", Kind: "TrafficRule", Namespace: "nowhere", Name: "r"}])
	assert.Len(t, s.Sources, 8)
}

func TestServicesAreDefaulted(t *testing.T) {
	s := read(t, `apiVersion: v1
kind: Service
metadata: {name: a}
spec: {clusterIP: None, selector: {app: a}, ports: [{port: 80}, {port: 53, protocol: UDP, targetPort: dns}]}
`)
	assert.Equal(t, []model.Service{{
		Namespace: "default", Name: "a", Selector: map[string]string{"app": "a"}, Type: corev1.ServiceTypeClusterIP, ClusterIPs: []string{"None"},
		Ports: []corev1.ServicePort{
			{Port: 80, Protocol: "TCP", TargetPort: intstr.FromInt32(80)},
			{Port: 53, Protocol: "UDP", TargetPort: intstr.FromString("dns")},
		},
		Source: model.Source{File: "-", Document: 1, Line: 1},
	}}, s.Services)
}

// Trap 27: a policy without policyTypes isolates for ingress, even where it has only egress rules.
func TestNetworkPoliciesGetTheTypesThatTheAPIServerGives(t *testing.T) {
	for name, c := range map[string]struct {
		spec string
		want []any
	}{
		"nothing said":       {"{podSelector: {}}", []any{"Ingress"}},
		"only egress rules":  {"{podSelector: {}, egress: [{}]}", []any{"Ingress", "Egress"}},
		"no egress rules":    {"{podSelector: {}, egress: []}", []any{"Ingress"}},
		"said":               {"{podSelector: {}, policyTypes: [Egress]}", []any{"Egress"}},
		"said to be nothing": {"{podSelector: {}, policyTypes: []}", []any{"Ingress"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := read(t, head("networking.k8s.io/v1", "NetworkPolicy")+"spec: "+c.spec+"\n")
			assert.Equal(t, c.want, s.Objects[0].Map("spec")["policyTypes"])
		})
	}
}

func TestNetworkPolicyPortsDefaultToTCP(t *testing.T) {
	s := read(t, head("networking.k8s.io/v1", "NetworkPolicy")+"spec: {podSelector: {}, ingress: [{ports: [{port: 80}, {port: 53, protocol: UDP}, {}]}]}\n")
	rule := s.Objects[0].Map("spec")["ingress"].([]any)[0].(map[string]any)
	assert.Equal(t, []any{
		map[string]any{"port": int64(80), "protocol": "TCP"}, map[string]any{"port": int64(53), "protocol": "UDP"}, map[string]any{"protocol": "TCP"},
	}, rule["ports"])
}

func TestOtherTypedKindsAreDefaulted(t *testing.T) {
	s := read(t, `{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: a}, addressType: IPv4, ports: [{port: 6443}], endpoints: [{addresses: [10.0.0.1]}]}
---
{apiVersion: v1, kind: Endpoints, metadata: {name: kubernetes}, subsets: [{addresses: [{ip: 10.0.0.1}], ports: [{port: 6443}]}]}
---
{apiVersion: v1, kind: Node, metadata: {name: node}, spec: {podCIDR: 10.1.0.0/24}, status: {images: [{names: [x], sizeBytes: 99999999999}]}}
---
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: v}, webhooks: [{name: v.x.y, clientConfig: {service: {name: s, namespace: hooks}}}]}
---
{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingWebhookConfiguration, metadata: {name: m}, webhooks: [{name: m.x.y, clientConfig: {url: "https://x"}, failurePolicy: Ignore}]}
`)
	assert.Equal(t, corev1.ProtocolTCP, *s.EndpointSlices[0].Ports[0].Protocol)
	assert.Equal(t, corev1.ProtocolTCP, s.Endpoints[0].Subsets[0].Ports[0].Protocol)
	assert.Equal(t, "10.1.0.0/24", s.Nodes[0].Spec.PodCIDR)
	assert.Empty(t, s.Nodes[0].Status.Images)
	assert.Equal(t, int32(443), *s.ValidatingWebhooks[0].Webhooks[0].ClientConfig.Service.Port)
	assert.Equal(t, "Fail", string(*s.ValidatingWebhooks[0].Webhooks[0].FailurePolicy))
	assert.Equal(t, "Ignore", string(*s.MutatingWebhooks[0].Webhooks[0].FailurePolicy))
}

func TestSecretsAndConfigMapsOfOthersAreNotKept(t *testing.T) {
	s := read(t, `{apiVersion: v1, kind: Secret, metadata: {name: a, namespace: istio-system}, data: {x: c2VjcmV0}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: app-config}, data: {x: private}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: istio-1-31, namespace: istio-system}, data: {mesh: "trustDomain: x"}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: kubelet-config-1.37, namespace: kube-system}, data: {kubelet: ""}}
`)
	var kept []string
	for _, o := range s.Objects {
		kept = append(kept, o.Ref().String())
	}
	assert.Equal(t, []string{"ConfigMap istio-system/istio-1-31", "ConfigMap kube-system/kubelet-config-1.37"}, kept)
	assert.Equal(t, map[string]int{"v1 Secret": 1, "v1 ConfigMap": 1}, s.Unknown)
}

func TestDefinitionsAreTrimmed(t *testing.T) {
	s := read(t, `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: servers.policy.linkerd.io, annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}"}, managedFields: [{manager: x}]}
spec:
  group: policy.linkerd.io
  scope: Namespaced
  names: {kind: Server, plural: servers}
  versions:
  - {name: v1beta1, served: true, storage: false, schema: {openAPIV3Schema: {type: object}}}
status: {}
`)
	assert.Equal(t, map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": "servers.policy.linkerd.io", "annotations": map[string]any{}},
		"spec": map[string]any{
			"group": "policy.linkerd.io", "scope": "Namespaced", "names": map[string]any{"kind": "Server", "plural": "servers"},
			"versions": []any{map[string]any{"name": "v1beta1", "served": true, "storage": false}},
		},
	}, s.Objects[0].Tree)
}

func TestMeshObjectsAreKeptWithTheNamespaceThatTheirScopeAsksFor(t *testing.T) {
	s := read(t, `{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: a}, spec: {portLevelMtls: {8080: {mode: PERMISSIVE}}}}
---
{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: istio}}
---
{apiVersion: cilium.io/v2, kind: CiliumClusterwideNetworkPolicy, metadata: {name: c}}
---
{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: c}}
---
{apiVersion: crd.projectcalico.org/v1, kind: GlobalNetworkPolicy, metadata: {name: g, namespace: ignored}}
---
{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: b}}
`)
	var got []string
	for _, o := range s.Objects {
		got = append(got, o.Ref().String())
	}
	assert.Equal(t, []string{
		"CiliumClusterwideNetworkPolicy c", "GlobalNetworkPolicy g", "GatewayClass istio",
		"CiliumNetworkPolicy default/c", "PodDisruptionBudget default/b", "PeerAuthentication default/a",
	}, got)
	assert.Equal(t, map[string]any{"8080": map[string]any{"mode": "PERMISSIVE"}}, s.Objects[5].Map("spec", "portLevelMtls"))
	assert.Equal(t, model.Source{File: "-", Document: 1, Line: 1}, s.Objects[5].Source)
}

func TestReadingIsDeterministicWhateverTheParallelism(t *testing.T) {
	var text strings.Builder
	for i := range 40 {
		name := fmt.Sprintf("app-%d", (i*7)%40)
		text.WriteString("---\n" + strings.Replace(deployment("app: a", "app: a", ""), "name: web", "name: "+name, 1) + "---\n" + service(name))
	}
	run := func(processors int) *intent.Snapshot {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
		return read(t, text.String())
	}
	assert.Equal(t, run(1), run(8))
}

func TestRealManifestsAreRead(t *testing.T) {
	for folder, want := range map[string]int{"online-boutique": 12, "bookinfo": 6} {
		path := "../../shared/inputs/" + folder
		s, err := Read([]string{path}, nil, Options{})
		if err != nil && strings.Contains(err.Error(), "no such file") {
			t.Skip("the shared inputs are not here")
		}
		require.NoError(t, err)
		assert.Len(t, s.Workloads, want)
		assert.Empty(t, s.Unknown)
	}
}

func TestLinesOfFieldsAreFoundAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`# a comment
apiVersion: v1
kind: Service
metadata: {name: first}
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata:
    name: second
  spec:
    type: ClusterIP
    ports:
    - port: 1
    - port: 2
`), 0o600))
	s, err := Read([]string{file}, nil, Options{})
	require.NoError(t, err)
	second := model.Ref{APIVersion: "v1", Kind: "Service", Namespace: "default", Name: "second"}
	var lines Lines
	for field, line := range map[string]int{"": 9, "spec.type": 14, "spec.ports[1].port": 17, "spec.ports[1].name": 17, "spec.clusterIP": 13, "status": 9} {
		assert.Equal(t, line, lines.Line(s.Sources[second], second, field), field)
	}
	require.NoError(t, os.Remove(file))
	var gone Lines
	assert.Equal(t, 9, gone.Line(s.Sources[second], second, "spec.type"), "the file is gone by now")
}
