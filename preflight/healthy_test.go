package preflight

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// now is when everything is judged.
var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// ca is a certificate with its key.
type ca struct {
	pem         []byte
	certificate *x509.Certificate
	key         crypto.Signer
}

// issue makes a certificate of a CA, signed by another, or by itself where signer is nil.
func issue(t testing.TB, name string, key crypto.Signer, signer *ca, change func(*x509.Certificate)) *ca {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(name))), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-300 * day), NotAfter: now.Add(300 * day),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if change != nil {
		change(template)
	}
	parent, by := template, key
	if signer != nil {
		parent, by = signer.certificate, signer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &ca{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), certificate, key}
}

func p256(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

// authorities are made once: keys take time.
type authorities struct {
	root, issuer, expiring, expired, another, weak, future, leaf *ca
}

var made = sync.OnceValue(func() *authorities {
	t := &testing.T{}
	a := &authorities{}
	a.root = issue(t, "root", p256(t), nil, nil)
	a.issuer = issue(t, "issuer", p256(t), a.root, nil)
	a.expiring = issue(t, "expiring", p256(t), nil, func(c *x509.Certificate) { c.NotAfter = now.Add(10 * day) })
	a.expired = issue(t, "expired", p256(t), nil, func(c *x509.Certificate) { c.NotAfter = now.Add(-day) })
	a.future = issue(t, "future", p256(t), nil, func(c *x509.Certificate) { c.NotBefore = now.Add(day) })
	a.another = issue(t, "another", p256(t), nil, nil)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		panic(err)
	}
	a.weak = issue(t, "weak", small, nil, nil)
	a.leaf = issue(t, "leaf", p256(t), a.root, func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature })
	return a
})

func workload(kind, namespace, name string, labels map[string]string, image string, pods int32) model.Workload {
	return model.Workload{
		ID: model.WorkloadID{Namespace: namespace, Kind: kind, Name: name}, Labels: labels, Replicas: pods,
		Spec:   corev1.PodSpec{Containers: []corev1.Container{{Name: name, Image: image}}},
		Health: &model.Health{Desired: pods, Ready: pods},
	}
}

func meshed(name, container, image string) model.Workload {
	w := workload("Pod", "shop", name, nil, "shop:1", 1)
	w.Spec.Containers = append(w.Spec.Containers, corev1.Container{Name: container, Image: image})
	w.Running, w.Facts.Mode = true, model.ModeSidecar
	return w
}

func node(name string) corev1.Node {
	return corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}}}
}

func tree(apiVersion, kind, namespace, name string, fields map[string]any) model.Object {
	fields["apiVersion"], fields["kind"] = apiVersion, kind
	fields["metadata"] = map[string]any{"name": name, "namespace": namespace}
	return model.Object{Tree: fields}
}

func rootsMap(namespace, name, key string, of ...*ca) model.Object {
	text := ""
	for _, c := range of {
		text += string(c.pem)
	}
	return tree("v1", "ConfigMap", namespace, name, map[string]any{"data": map[string]any{key: text}})
}

func backend(namespace, service string, ready bool) Backend {
	return Backend{Namespace: namespace, Service: service, Slices: []discoveryv1.EndpointSlice{{
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}},
	}}}
}

func webhook(name, namespace, service string, bundle []byte, resources ...string) admissionregistrationv1.MutatingWebhook {
	return admissionregistrationv1.MutatingWebhook{
		Name:         name,
		ClientConfig: admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: namespace, Name: service}, CABundle: bundle},
		Rules: []admissionregistrationv1.RuleWithOperations{{
			Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
			Rule:       admissionregistrationv1.Rule{APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: resources},
		}},
	}
}

// apiService is the one of metrics.k8s.io.
func apiService(bundle []byte, status string) model.Object {
	o := tree("apiregistration.k8s.io/v1", "APIService", "", "v1beta1.metrics.k8s.io", map[string]any{
		"spec":   map[string]any{"service": map[string]any{"namespace": "kube-system", "name": "metrics"}, "caBundle": base64.StdEncoding.EncodeToString(bundle)},
		"status": map[string]any{"conditions": []any{map[string]any{"type": "Available", "status": status, "message": "no answer"}}},
	})
	return o
}

// healthy is a running cluster with Istio in which every check passes, the controller's included.
func healthy() *Input {
	a := made()
	in := common(model.Mesh{Kind: model.MeshIstio, Why: "Deployment istio-system/istiod", Namespace: "istio-system", TrustDomain: "cluster.local", Version: "1.31.1"})
	in.Model.Workloads = append(in.Model.Workloads,
		workload("Deployment", "istio-system", "istiod", map[string]string{"app": "istiod"}, "istio/pilot:1.31.1", 2),
		workload("DaemonSet", "istio-system", "istio-cni-node", map[string]string{"k8s-app": "istio-cni-node"}, "istio/install-cni:1.31.1", 2))
	in.Model.Pods = []model.Workload{meshed("a", "istio-proxy", "istio/proxyv2:1.31.1-distroless"), meshed("b", "istio-proxy", "registry:5000/istio/proxyv2:1.31.1")}
	in.Model.Existing = append(in.Model.Existing, rootsMap("istio-system", "istio-ca-root-cert", "root-cert.pem", a.root), rootsMap("shop", "istio-ca-root-cert", "root-cert.pem", a.root))
	in.Mutating = []admissionregistrationv1.MutatingWebhookConfiguration{{
		ObjectMeta: metav1.ObjectMeta{Name: "istio-sidecar-injector", Labels: map[string]string{"app": "sidecar-injector"}},
		Webhooks:   []admissionregistrationv1.MutatingWebhook{webhook("rev.namespace.sidecar-injector.istio.io", "istio-system", "istiod", a.root.pem, "pods")},
	}}
	in.Survey.Backends = append(in.Survey.Backends, backend("istio-system", "istiod", true))
	in.Survey.Bundles = []Bundle{
		{Ref: model.Ref{Kind: "Secret", Namespace: "istio-system", Name: "cacerts"}, Found: true, Certificates: map[string][]byte{"ca-cert.pem": a.issuer.pem, "root-cert.pem": a.root.pem}},
		{Ref: model.Ref{Kind: "Secret", Namespace: "istio-system", Name: "istio-ca-secret"}},
	}
	return in.serve()
}

// healthyLinkerd is the same with Linkerd.
func healthyLinkerd() *Input {
	a := made()
	in := common(model.Mesh{Kind: model.MeshLinkerd, Why: "control plane", Namespace: "linkerd", TrustDomain: "cluster.local", Version: "edge-25.4.4"})
	for _, component := range linkerdComponents {
		in.Model.Workloads = append(in.Model.Workloads, workload("Deployment", "linkerd", "linkerd-"+component, map[string]string{linkerdComponent: component}, "l5d:1", 3))
	}
	in.Model.Workloads = append(in.Model.Workloads, workload("DaemonSet", "linkerd-cni", "linkerd-cni", map[string]string{"k8s-app": "linkerd-cni"}, "l5d-cni:1", 2))
	pod := meshed("a", "linkerd-proxy", "l5d/proxy:edge-25.4.4")
	pod.Annotations = map[string]string{"linkerd.io/proxy-version": "edge-25.4.4"}
	in.Model.Pods = []model.Workload{pod}
	in.Model.Existing = append(in.Model.Existing, rootsMap("linkerd", "linkerd-identity-trust-roots", "ca-bundle.crt", a.root))
	in.Mutating = []admissionregistrationv1.MutatingWebhookConfiguration{{
		ObjectMeta: metav1.ObjectMeta{Name: "linkerd-proxy-injector-webhook-config"},
		Webhooks:   []admissionregistrationv1.MutatingWebhook{webhook("linkerd-proxy-injector.linkerd.io", "linkerd", "linkerd-proxy-injector", a.another.pem, "pods")},
	}}
	in.Survey.Backends = append(in.Survey.Backends, backend("linkerd", "linkerd-proxy-injector", true))
	secret := func(name string, certificates map[string][]byte) Bundle {
		return Bundle{Ref: model.Ref{Kind: "Secret", Namespace: "linkerd", Name: name}, Found: true, Certificates: certificates}
	}
	in.Survey.Bundles = []Bundle{
		secret("linkerd-identity-issuer", map[string][]byte{"crt.pem": a.issuer.pem}),
		secret(linkerdInjectorSecret, map[string][]byte{"tls.crt": a.another.pem}),
	}
	return in.serve()
}

// common is what both have.
func common(mesh model.Mesh) *Input {
	prefix := netip.MustParsePrefix
	in := &Input{
		Model: &model.Model{
			Cluster: model.Cluster{
				Mesh: mesh, CNI: "cilium",
				PodCIDRs: []netip.Prefix{prefix("10.244.0.0/16")}, ServiceCIDRs: []netip.Prefix{prefix("10.96.0.0/16")},
				DNS:       model.DNS{Namespace: "kube-system", ServiceIPs: []netip.Addr{netip.MustParseAddr("10.96.0.10")}},
				APIServer: model.APIServer{Endpoints: []netip.Addr{netip.MustParseAddr("10.0.0.2")}, Ports: []model.Port{model.TCP(6443)}, ServiceIPs: []netip.Addr{netip.MustParseAddr("10.96.0.1")}},
			},
			Existing: []model.Object{apiService(made().root.pem, "True")},
		},
		Nodes: []corev1.Node{node("one"), node("two")}, Profiles: []string{"production"},
		For: Controller, Home: "palisade-system", Now: now,
		Survey: &Survey{
			Host: "https://10.0.0.2:6443", User: "admin", Version: "v1.37.2", Date: now, Clock: now.Add(400 * time.Millisecond), Trip: 20 * time.Millisecond,
			Definitions: []Definition{{Name: "trafficrules.palisade.floe.dev", Found: true, Established: true}},
			Leases:      []Lease{{Namespace: "palisade-system", Name: LeaseName, Holder: "palisade-0", Renewed: now.Add(-3 * time.Second), Duration: 15 * time.Second}},
			Backends:    []Backend{backend("kube-system", "metrics", true), backend("policy", "policy", true)},
		},
	}
	in.Validating = []admissionregistrationv1.ValidatingWebhookConfiguration{{
		ObjectMeta: metav1.ObjectMeta{Name: "policy"},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "policy.example.org", ClientConfig: webhook("", "policy", "policy", made().root.pem).ClientConfig,
			Rules: webhook("", "", "", nil, "networkpolicies").Rules,
		}},
	}}
	return in
}

// serve lets the server serve all kinds, and allow all that is needed.
func (in *Input) serve() *Input {
	for _, w := range Writes(&in.Model.Cluster) {
		in.Survey.Served = append(in.Survey.Served, w.Served)
		in.Survey.Access = append(in.Survey.Access, Access{Permission: Permission{Verb: "list", Group: w.Group, Resource: w.Resource}, Allowed: true})
	}
	for _, p := range NeedsOf(in).Access {
		in.Survey.Access = append(in.Survey.Access, Access{Permission: p, Allowed: true})
	}
	return in
}

// folder is a cluster of which files were read.
func folder(in *Input) *Input {
	in.Survey = nil
	return in
}
