package preflight

import (
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"floe.dev/palisade/model"
)

func TestAHealthyClusterPassesEveryCheck(t *testing.T) {
	for name, in := range map[string]*Input{"istio": healthy(), "linkerd": healthyLinkerd()} {
		t.Run(name, func(t *testing.T) {
			r := Run(in, Choice{})
			require.Len(t, r.Results, len(Catalogue()))
			for _, result := range r.Results {
				assert.Equal(t, Passed, result.Status, "%+v", result)
			}
			assert.False(t, r.Incomplete())
		})
	}
}

// change is a cluster with something at fault.
type change struct {
	name string
	// of is healthy where it is nil.
	of     func() *Input
	do     func(*Input)
	status Status
	// says is in the message, the details or the fix.
	says string
}

func (in *Input) deployment() *model.Workload { return &in.Model.Workloads[0] }

func (in *Input) problem(code, message string) {
	in.Problems = append(in.Problems, model.Problem{Code: code, Severity: model.Error, Message: message})
}

func (in *Input) finding(code string, severity model.Severity) {
	in.Findings = append(in.Findings, model.Finding{Code: code, Severity: severity, Subject: model.Ref{Kind: "Deployment", Namespace: "shop", Name: "web"}, Message: "is at fault"})
}

func (in *Input) setRoots(of ...*ca) {
	for i := range in.Model.Existing {
		if ref := in.Model.Existing[i].Ref(); ref.Kind == "ConfigMap" {
			name, key := RootBundle(in.Model.Cluster.Mesh.Kind)
			in.Model.Existing[i] = rootsMap(ref.Namespace, name, key, of...)
		}
	}
	for i := range in.Survey.Bundles {
		delete(in.Survey.Bundles[i].Certificates, "root-cert.pem")
	}
}

func (in *Input) setIssuer(key string, of *ca) {
	in.Survey.Bundles[0].Certificates[key] = of.pem
}

func (in *Input) daemonSet(name, container, image string, args ...string) {
	w := workload("DaemonSet", "kube-system", name, nil, image, 1)
	w.Spec.Containers[0].Name, w.Spec.Containers[0].Args = container, args
	in.Model.Workloads = append(in.Model.Workloads, w)
}

func (in *Input) apiServerArgs(image string, args ...string) {
	w := workload("Pod", "kube-system", "kube-apiserver", map[string]string{"component": "kube-apiserver"}, image, 1)
	w.Spec.Containers[0].Command = append([]string{"kube-apiserver"}, args...)
	in.Model.Workloads = append(in.Model.Workloads, w)
}

// failOpen is the policy by which a webhook that is down is passed by.
func failOpen() *admissionregistrationv1.FailurePolicyType {
	ignore := admissionregistrationv1.Ignore
	return &ignore
}

var changes = map[string][]change{
	"ServerAnswers": {
		{name: "an aggregated API is silent", do: func(in *Input) { in.Survey.Silent = []string{"metrics.k8s.io/v1 could not be read"} }, status: Unknown, says: "metrics.k8s.io"},
		{name: "files", do: func(in *Input) { folder(in) }, status: Skipped, says: "running cluster"},
	},
	"ServerVersion": {
		{name: "older", do: func(in *Input) { in.Survey.Version = "v1.27.16-eks-abc" }, status: Failed, says: "older than 1.28"},
		{name: "the oldest", do: func(in *Input) { in.Survey.Version = "v1.28.0+k3s1" }, status: Passed},
		{name: "newer", do: func(in *Input) { in.Survey.Version = "v1.38.0-alpha.1" }, status: Warning, says: "newer than 1.37"},
		{name: "no version", do: func(in *Input) { in.Survey.Version = "$Format" }, status: Unknown, says: "$Format"},
	},
	"ClockSkew": {
		{name: "ahead", do: func(in *Input) { in.Survey.Clock = now.Add(time.Minute) }, status: Failed, says: "ahead of"},
		{name: "behind", do: func(in *Input) { in.Survey.Clock = now.Add(-time.Minute) }, status: Failed, says: "behind"},
		{name: "ten seconds", do: func(in *Input) { in.Survey.Clock = now.Add(10 * time.Second) }, status: Warning},
		{name: "a slow answer proves nothing", do: func(in *Input) { in.Survey.Clock, in.Survey.Trip = now.Add(10*time.Second), 30*time.Second }, status: Passed},
		{name: "no Date", do: func(in *Input) { in.Survey.Date = time.Time{} }, status: Unknown},
	},
	"EverythingRead": {
		{name: "a kind", do: func(in *Input) { in.problem("KindUnreadable", "apps/deployments could not be read") }, status: Unknown, says: "apps/deployments"},
		{name: "an invalid object", do: func(in *Input) { in.problem("ObjectInvalid", "it is not valid") }, status: Unknown},
	},
	"KindsServed": {
		{name: "a policy of the mesh", do: func(in *Input) {
			in.Survey.Served = slices.DeleteFunc(in.Survey.Served, func(s Served) bool { return s.Kind == "AuthorizationPolicy" })
		}, status: Failed, says: "security.istio.io/v1 AuthorizationPolicy is not served"},
		{name: "no Gateway API, and nobody needs it", do: func(in *Input) {
			in.Survey.Served = slices.DeleteFunc(in.Survey.Served, func(s Served) bool { return s.Kind == "Gateway" })
		}, status: Passed},
		{name: "no Gateway API", do: func(in *Input) {
			in.Model.Cluster.Mesh.Ambient = true
			in.Survey.Served = slices.DeleteFunc(in.Survey.Served, func(s Served) bool { return s.Kind == "Gateway" })
		}, status: Warning, says: "methods and paths"},
		{name: "its server is silent", do: func(in *Input) {
			in.Survey.Silent = []string{"security.istio.io/v1 could not be read"}
		}, status: Unknown},
		{name: "Linkerd's older Server", of: healthyLinkerd, do: func(in *Input) { in.Model.Cluster.Mesh.Linkerd.ServerVersion = "v1beta3" }, status: Failed, says: "policy.linkerd.io/v1beta3 Server"},
		{name: "files without definitions", do: func(in *Input) { folder(in) }, status: Skipped},
		{name: "files with an old definition", do: func(in *Input) {
			folder(in)
			in.Model.Existing = append(in.Model.Existing, tree("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "sidecars", map[string]any{"spec": map[string]any{
				"group": "networking.istio.io", "names": map[string]any{"kind": "Sidecar"}, "versions": []any{map[string]any{"name": "v1beta1", "served": true}},
			}}))
		}, status: Failed, says: "networking.istio.io/v1 Sidecar"},
	},
	"PermissionsToRead": {
		{name: "one is missing", do: func(in *Input) { in.refuse("list", "networkpolicies") }, status: Failed, says: "list networkpolicies.networking.k8s.io: may not"},
		{name: "a secret", do: func(in *Input) { in.refuse("get", "secrets") }, status: Warning, says: "only palisade check"},
		{name: "no answer", do: func(in *Input) { in.Survey.Access[0].Unread = "timeout" }, status: Unknown, says: "timeout"},
		{name: "nothing asked", do: func(in *Input) { in.Survey.Access = nil }, status: Unknown},
	},
	"PermissionsToWrite": {
		{name: "one is missing", do: func(in *Input) { in.refuse("patch", "peerauthentications") }, status: Failed, says: "patch peerauthentications.security.istio.io: may not"},
		{name: "the command line", do: func(in *Input) { in.For = CLI }, status: Skipped},
		{name: "its own Secret", do: func(in *Input) { in.refuse("update", "secrets") }, status: Failed, says: "update secrets palisade-webhook in palisade-system"},
	},
	"MeshFound": {
		{name: "none", do: func(in *Input) { in.Model.Cluster.Mesh = model.Mesh{Why: "nothing was read"} }, status: Warning, says: "nothing was read"},
		{name: "none, as asked", do: func(in *Input) { in.Model.Cluster.Mesh, in.NoMesh = model.Mesh{}, true }, status: Passed},
		{name: "two", do: func(in *Input) {
			in.Model.Cluster.Mesh = model.Mesh{Why: "Istio and Linkerd both show"}
			in.problem("MeshAmbiguous", "Istio and Linkerd both show")
		}, status: Failed, says: "both show"},
		{name: "no trust domain", do: func(in *Input) { in.Model.Cluster.Mesh.TrustDomain = "" }, status: Failed, says: "--trust-domain"},
		{name: "nobody knows where", do: func(in *Input) { in.Model.Cluster.Mesh.Namespace = "" }, status: Unknown, says: "--mesh-namespace"},
		{name: "its control plane was not read", do: func(in *Input) { in.problem("ControlPlaneNotSeen", "not seen") }, status: Unknown},
		{name: "Deployments were not read", do: func(in *Input) { in.problem("KindUnreadable", "apps/deployments could not be read") }, status: Unknown, says: "apps/deployments"},
	},
	"MeshVersion": {
		{name: "too old", do: func(in *Input) { in.Model.Cluster.Mesh.Version = "1.21.3" }, status: Failed},
		{name: "old", do: func(in *Input) { in.Model.Cluster.Mesh.Version = "1.26.0" }, status: Warning},
		{name: "new", do: func(in *Input) { in.Model.Cluster.Mesh.Version = "1.32.0-alpha.0" }, status: Warning},
		{name: "none", do: func(in *Input) { in.Model.Cluster.Mesh.Version = "" }, status: Unknown},
		{name: "Linkerd, stable", of: healthyLinkerd, do: func(in *Input) { in.Model.Cluster.Mesh.Version = "stable-2.14.10" }, status: Passed},
		{name: "Linkerd, older", of: healthyLinkerd, do: func(in *Input) { in.Model.Cluster.Mesh.Version = "2.13.7" }, status: Failed},
		{name: "Linkerd, an old edge", of: healthyLinkerd, do: func(in *Input) { in.Model.Cluster.Mesh.Version = "edge-22.12.1" }, status: Failed},
		{name: "Linkerd, a new edge", of: healthyLinkerd, do: func(in *Input) { in.Model.Cluster.Mesh.Version = "edge-27.1.1" }, status: Warning},
		{name: "no mesh", do: func(in *Input) { in.Model.Cluster.Mesh = model.Mesh{} }, status: Skipped},
		{name: "two meshes", do: func(in *Input) {
			in.Model.Cluster.Mesh = model.Mesh{}
			in.problem("MeshAmbiguous", "both show")
		}, status: Unknown, says: "--mesh istio"},
	},
	"ControlPlaneReady": {
		{name: "none ready", do: func(in *Input) { in.deployment().Health.Ready = 0 }, status: Failed, says: "none of 2 pods ready"},
		{name: "some ready", do: func(in *Input) { in.deployment().Health.Ready = 1 }, status: Warning, says: "1 of 2 pods ready"},
		{name: "scaled down", do: func(in *Input) { in.deployment().Health = &model.Health{} }, status: Failed, says: "meant to run no pods"},
		{name: "no status", do: func(in *Input) { in.deployment().Health = nil }, status: Unknown},
		{name: "elsewhere, or gone", do: func(in *Input) { in.Model.Workloads = nil }, status: Unknown, says: "another cluster"},
		{name: "Linkerd's is gone", of: healthyLinkerd, do: func(in *Input) { in.Model.Workloads = nil }, status: Failed},
		{name: "files with half of it", of: healthyLinkerd, do: func(in *Input) { folder(in).deployment().Health = nil }, status: Skipped},
		{name: "a component is missing", of: healthyLinkerd, do: func(in *Input) { in.Model.Workloads = in.Model.Workloads[1:] }, status: Failed, says: "linkerd-destination: there is no such Deployment"},
		{name: "files without a status", do: func(in *Input) { folder(in).deployment().Health = nil }, status: Skipped},
		{name: "files with one", do: func(in *Input) { folder(in).deployment().Health.Ready = 0 }, status: Failed},
	},
	"ControlPlaneRedundant": {
		{name: "one replica", do: func(in *Input) { in.deployment().Health = &model.Health{Desired: 1, Ready: 1} }, status: Warning},
		{name: "one declared, two wanted by now", do: func(in *Input) { in.deployment().Replicas = 1 }, status: Passed},
		{name: "files", do: func(in *Input) { folder(in).Model.Workloads = nil }, status: Skipped},
	},
	"MeshRevisions": {
		{name: "two", do: func(in *Input) {
			in.Model.Workloads = append(in.Model.Workloads, workload("Deployment", "istio-system", "istiod-1-30", map[string]string{"app": "istiod", "istio.io/rev": "1-30"}, "", 1))
		}, status: Warning, says: "1-30, default"},
		{name: "Linkerd in two namespaces", of: healthyLinkerd, do: func(in *Input) { in.problem("LinkerdNamespaceAmbiguous", "in several namespaces") }, status: Failed},
	},
	"InjectorPresent": {
		{name: "none", do: func(in *Input) { in.Mutating = nil }, status: Failed},
		{name: "none, with ambient mode", do: func(in *Input) { in.Mutating, in.Model.Cluster.Mesh.Ambient = nil, true }, status: Passed},
		{name: "fails open", do: func(in *Input) { in.Mutating[0].Webhooks[0].FailurePolicy = failOpen() }, status: Warning, says: "failurePolicy Ignore"},
		{name: "nobody behind it", do: func(in *Input) { in.Survey.Backends = []Backend{backend("istio-system", "istiod", false)} }, status: Failed, says: "no ready endpoint"},
		{name: "no slices at all", do: func(in *Input) { in.Survey.Backends = []Backend{{Namespace: "istio-system", Service: "istiod"}} }, status: Failed},
		{name: "what is behind is not known", do: func(in *Input) {
			in.Survey.Backends = []Backend{{Namespace: "istio-system", Service: "istiod", Unread: "forbidden"}}
		}, status: Unknown},
		{name: "files", do: func(in *Input) { folder(in).Mutating = nil }, status: Skipped},
		{name: "configurations were not read", do: func(in *Input) {
			in.Mutating = nil
			in.problem("KindUnreadable", "admissionregistration.k8s.io/mutatingwebhookconfigurations could not be read")
		}, status: Unknown},
	},
	"NodeAgentsComplete": {
		{name: "one node lacks it", do: func(in *Input) { in.Model.Workloads[1].Health.Ready = 1 }, status: Warning, says: "1 of 2 pods ready"},
		{name: "meant for fewer nodes", do: func(in *Input) { in.Model.Workloads[1].Health = &model.Health{Desired: 1, Ready: 1} }, status: Warning, says: "meant for 1 of 2 nodes"},
		{name: "ambient without ztunnel", do: func(in *Input) { in.Model.Cluster.Mesh.Ambient = true }, status: Failed, says: "ztunnel"},
		{name: "none, and none needed", do: func(in *Input) { in.Model.Workloads = in.Model.Workloads[:1] }, status: Passed},
		{name: "no status", do: func(in *Input) { in.Model.Workloads[1].Health = nil }, status: Unknown},
	},
	"PodsCaptured": {
		{name: "around the proxy", do: func(in *Input) { in.finding("InboundNotCaptured", model.Error) }, status: Failed, says: "Deployment shop/web"},
		{name: "outside", do: func(in *Input) { in.finding("PodOutsideMesh", model.Warning) }, status: Warning},
		{name: "nobody enrolled it", do: func(in *Input) { in.finding("PodOutsideMesh", model.Info) }, status: Passed},
		{name: "pods were not read", do: func(in *Input) { in.problem("KindUnreadable", "pods could not be read") }, status: Unknown},
		{name: "files without pods", do: func(in *Input) { folder(in).Model.Pods = nil }, status: Skipped},
	},
	"ProxiesCurrent": {
		{name: "one lags", do: func(in *Input) { in.Model.Pods[0] = meshed("a", "istio-proxy", "istio/proxyv2:1.30.2") }, status: Warning, says: "1 proxy container of 1.30.2, such as that of Pod shop/a"},
		{name: "another flavour of the same", do: func(in *Input) {
			in.Model.Pods[0] = meshed("a", "istio-proxy", "istio/proxyv2:1.31.1-distroless-fips")
		}, status: Passed},
		{name: "a candidate for a release", do: func(in *Input) {
			in.Model.Pods[0] = meshed("a", "istio-proxy", "istio/proxyv2:1.31.1-rc.0")
		}, status: Warning},
		{name: "one is far behind", do: func(in *Input) { in.Model.Pods[0] = meshed("a", "istio-proxy", "istio/proxyv2:1.27.2") }, status: Failed},
		{name: "one is ahead", do: func(in *Input) { in.Model.Pods[0] = meshed("a", "istio-proxy", "istio/proxyv2:1.32.0") }, status: Failed},
		{name: "no tag", do: func(in *Input) {
			in.Model.Pods[0] = meshed("a", "istio-proxy", "istio/proxyv2@sha256:"+strings.Repeat("a", 64))
		}, status: Unknown},
		{name: "a native sidecar", do: func(in *Input) {
			in.Model.Pods[0].Spec.InitContainers = []corev1.Container{{Name: "istio-proxy", Image: "istio/proxyv2:1.29.0"}}
			in.Model.Pods[0].Spec.Containers = in.Model.Pods[0].Spec.Containers[:1]
		}, status: Warning},
		{name: "Linkerd", of: healthyLinkerd, do: func(in *Input) { in.Model.Pods[0].Annotations["linkerd.io/proxy-version"] = "edge-24.8.2" }, status: Warning},
	},
	"RootsValid": {
		{name: "ends soon", do: func(in *Input) { in.setRoots(made().expiring) }, status: Warning, says: "expires in 10 days"},
		{name: "has ended", do: func(in *Input) { in.setRoots(made().root, made().expired) }, status: Failed, says: "expired"},
		{name: "has not begun", do: func(in *Input) { in.setRoots(made().future) }, status: Failed, says: "not valid before"},
		{name: "is no certificate", do: func(in *Input) { in.setRoots(&ca{pem: []byte("nonsense")}) }, status: Failed, says: "no PEM"},
		{name: "is broken", do: func(in *Input) {
			in.setRoots(&ca{pem: []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")})
		}, status: Failed, says: "cannot be read"},
		{name: "files hold it", do: func(in *Input) { in.setRoots(made().expired); folder(in) }, status: Failed},
		{name: "ConfigMaps were not read", do: func(in *Input) { in.problem("KindUnreadable", "configmaps could not be read") }, status: Unknown},
		{name: "not known where", do: func(in *Input) { in.Model.Cluster.Mesh.Namespace = "" }, status: Unknown},
	},
	"IssuerValid": {
		{name: "ends soon", do: func(in *Input) { in.setIssuer("ca-cert.pem", made().expiring) }, status: Warning},
		{name: "has ended", of: healthyLinkerd, do: func(in *Input) { in.setIssuer("crt.pem", made().expired) }, status: Failed},
		{name: "may not be read", do: func(in *Input) { in.Survey.Bundles[0] = Bundle{Ref: in.Survey.Bundles[0].Ref, Unread: "forbidden"} }, status: Unknown, says: "forbidden"},
		{name: "is elsewhere", do: func(in *Input) { in.Survey.Bundles = nil }, status: Skipped, says: "elsewhere"},
		{name: "holds none", do: func(in *Input) { in.Survey.Bundles[0].Certificates = nil }, status: Failed, says: "ca-cert.pem"},
		{name: "in the form of cert-manager", do: func(in *Input) {
			in.Survey.Bundles[0].Certificates = map[string][]byte{"tls.crt": made().expired.pem, "ca.crt": made().root.pem}
		}, status: Failed},
		{name: "of old days, and not used", do: func(in *Input) {
			in.Survey.Bundles[0].Found = false
			in.Survey.Bundles[1].Found, in.Survey.Bundles[1].Certificates = true, map[string][]byte{"ca-cert.pem": made().expired.pem}
			in.deployment().Spec.Containers[0].Env = []corev1.EnvVar{{Name: "ENABLE_CA_SERVER", Value: "false"}}
		}, status: Skipped},
		{name: "files", do: func(in *Input) { folder(in) }, status: Skipped},
		{name: "files that hold it", do: func(in *Input) {
			folder(in).Model.Existing = append(in.Model.Existing, secretIn("istio-system", "cacerts", "ca-cert.pem", made().expired))
		}, status: Failed, says: "Secret istio-system/cacerts"},
	},
	"IssuerTrusted": {
		{name: "one of old days, and the one in use may not be read", do: func(in *Input) {
			in.Survey.Bundles[0] = Bundle{Ref: in.Survey.Bundles[0].Ref, Unread: "forbidden"}
			in.Survey.Bundles[1].Found, in.Survey.Bundles[1].Certificates = true, map[string][]byte{"ca-cert.pem": made().root.pem}
		}, status: Unknown, says: "forbidden"},
		{name: "files that hold it", do: func(in *Input) {
			folder(in).Model.Existing = append(in.Model.Existing, secretIn("istio-system", "cacerts", "ca-cert.pem", made().issuer))
		}, status: Passed},
		{name: "of another root", do: func(in *Input) { in.setRoots(made().another) }, status: Failed},
		{name: "is its own root", do: func(in *Input) { in.setIssuer("ca-cert.pem", made().root) }, status: Passed},
		{name: "expired, and of the root", do: func(in *Input) {
			in.setIssuer("ca-cert.pem", issue(t0, "old", p256(t0), made().root, expire))
		}, status: Passed},
		{name: "proxies are given none", do: func(in *Input) { in.Model.Existing = nil }, status: Unknown},
		{name: "by way of a chain", of: healthyLinkerd, do: func(in *Input) {
			between := issue(t0, "between", p256(t0), made().issuer, nil)
			in.Survey.Bundles[0].Certificates["crt.pem"] = append(slices.Clone(between.pem), made().issuer.pem...)
		}, status: Passed},
		{name: "with a gap in its chain", of: healthyLinkerd, do: func(in *Input) {
			in.setIssuer("crt.pem", issue(t0, "between", p256(t0), made().issuer, nil))
		}, status: Failed},
	},
	"AuthorityStrong": {
		{name: "of which the issuer may not be read", do: func(in *Input) {
			in.Survey.Bundles[0] = Bundle{Ref: in.Survey.Bundles[0].Ref, Unread: "forbidden"}
		}, status: Unknown, says: "forbidden"},
		{name: "a small key", do: func(in *Input) { in.setRoots(made().weak) }, status: Failed, says: "RSA key of 1024 bits"},
		{name: "no CA", do: func(in *Input) { in.setIssuer("ca-cert.pem", made().leaf) }, status: Failed, says: "is not a CA's"},
		{name: "RSA for Linkerd's issuer", of: healthyLinkerd, do: func(in *Input) { in.setIssuer("crt.pem", made().weak) }, status: Failed, says: "P-256"},
	},
	"RootsAlike": {
		{name: "two", do: func(in *Input) { in.setRoots(made().root, made().another) }, status: Warning, says: "2 roots"},
		{name: "a namespace was given another", do: func(in *Input) {
			in.Model.Existing[2] = rootsMap("shop", "istio-ca-root-cert", "root-cert.pem", made().another)
		}, status: Failed, says: "ConfigMap shop/istio-ca-root-cert: differs"},
	},
	"WebhooksAnswer": {
		{name: "nobody behind it", do: func(in *Input) { in.Survey.Backends[1] = backend("policy", "policy", false) }, status: Failed, says: "Service policy/policy has no ready endpoint"},
		{name: "nobody behind it, and it fails open", do: func(in *Input) {
			in.Survey.Backends[1] = backend("policy", "policy", false)
			in.Validating[0].Webhooks[0].FailurePolicy = failOpen()
		}, status: Passed},
		{name: "not known", do: func(in *Input) { in.Survey.Backends = nil }, status: Unknown},
		{name: "somebody outside", do: func(in *Input) {
			in.Survey.Backends[1] = backend("policy", "policy", false)
			in.Model.Services = append(in.Model.Services, model.Service{Namespace: "policy", Name: "policy", Type: corev1.ServiceTypeExternalName})
		}, status: Passed},
		{name: "none", do: func(in *Input) { in.Validating, in.Mutating = nil, nil }, status: Passed},
		{name: "files without endpoints", do: func(in *Input) { folder(in) }, status: Skipped},
		{name: "files without those of one", do: func(in *Input) {
			folder(in).Validating[0].Webhooks[0].FailurePolicy = failOpen()
		}, status: Skipped},
		{name: "files with slices", do: func(in *Input) {
			folder(in)
			off := false
			slice := discoveryv1.EndpointSlice{Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: &off}}}}
			slice.Namespace, slice.Labels = "policy", map[string]string{discoveryv1.LabelServiceName: "policy"}
			in.Slices = append(in.Slices, slice)
		}, status: Failed},
		{name: "files with endpoints", do: func(in *Input) {
			folder(in)
			e := corev1.Endpoints{}
			e.Namespace, e.Name = "policy", "policy"
			in.Endpoints = append(in.Endpoints, e)
		}, status: Failed},
	},
	"WebhooksOnWrites": {
		{name: "nobody behind it", do: func(in *Input) { in.Survey.Backends[1] = backend("policy", "policy", false) }, status: Failed, says: "it judges NetworkPolicy"},
		{name: "palisade's own", do: func(in *Input) {
			in.Survey.Backends[1] = backend("policy", "policy", false)
			in.Validating[0].Name = "palisade"
		}, status: Passed},
		{name: "about everything", do: func(in *Input) {
			in.Survey.Backends[1] = backend("policy", "policy", false)
			in.Validating[0].Webhooks[0].Rules[0].Resources = []string{"*/*"}
			in.Validating[0].Webhooks[0].Rules[0].Operations = []admissionregistrationv1.OperationType{"*"}
		}, status: Failed, says: "Namespace, NetworkPolicy, PodDisruptionBudget, CiliumNetworkPolicy, PeerAuthentication"},
		{name: "about deletions only", do: func(in *Input) {
			in.Survey.Backends[1] = backend("policy", "policy", false)
			in.Validating[0].Webhooks[0].Rules[0].Operations = []admissionregistrationv1.OperationType{admissionregistrationv1.Delete}
		}, status: Passed},
		{name: "not read", do: func(in *Input) {
			in.problem("KindUnreadable", "admissionregistration.k8s.io/validatingwebhookconfigurations could not be read")
		}, status: Unknown},
	},
	"WebhookCertificates": {
		{name: "ends soon", do: func(in *Input) { in.Validating[0].Webhooks[0].ClientConfig.CABundle = made().expiring.pem }, status: Warning, says: "policy.example.org"},
		{name: "has ended", do: func(in *Input) { in.Validating[0].Webhooks[0].ClientConfig.CABundle = made().expired.pem }, status: Failed},
		{name: "has ended, and fails open", do: func(in *Input) {
			in.Validating[0].Webhooks[0].ClientConfig.CABundle = made().expired.pem
			in.Validating[0].Webhooks[0].FailurePolicy = failOpen()
		}, status: Warning},
		{name: "one of two has ended", do: func(in *Input) {
			in.Validating[0].Webhooks[0].ClientConfig.CABundle = slices.Concat(made().expired.pem, made().root.pem)
		}, status: Passed},
		{name: "none", do: func(in *Input) { in.Validating[0].Webhooks[0].ClientConfig.CABundle = nil }, status: Failed, says: "no caBundle"},
		{name: "none in files, which whoever injects it adds", do: func(in *Input) {
			folder(in).Model.Existing, in.Mutating = nil, nil
			in.Validating[0].Webhooks[0].ClientConfig.CABundle = nil
		}, status: Skipped},
		{name: "a placeholder in files", do: func(in *Input) {
			folder(in).Model.Existing, in.Mutating = nil, nil
			in.Validating[0].Webhooks[0].ClientConfig.CABundle = []byte("\n")
		}, status: Skipped},
		{name: "a placeholder that is still there", do: func(in *Input) { in.Validating[0].Webhooks[0].ClientConfig.CABundle = []byte("\n") }, status: Failed},
		{name: "no certificate", do: func(in *Input) { in.Validating[0].Webhooks[0].ClientConfig.CABundle = []byte("x") }, status: Failed},
		{name: "of an aggregated API", do: func(in *Input) { in.Model.Existing[0] = apiService(made().expired.pem, "True") }, status: Failed, says: "APIService v1beta1.metrics.k8s.io"},
	},
	"InjectorCertificate": {
		{name: "of somebody else", do: func(in *Input) {
			in.Mutating[0].Webhooks[0].ClientConfig.CABundle = made().another.pem
			in.deployment().Spec.Containers[0].Env = []corev1.EnvVar{{Name: "PILOT_CERT_PROVIDER", Value: "kubernetes"}}
		}, status: Skipped},
		{name: "of another root", do: func(in *Input) { in.Mutating[0].Webhooks[0].ClientConfig.CABundle = made().another.pem }, status: Failed},
		{name: "none", do: func(in *Input) { in.Mutating[0].Webhooks[0].ClientConfig.CABundle = nil }, status: Failed},
		{name: "of what Linkerd's Secret holds no more", of: healthyLinkerd, do: func(in *Input) { in.Survey.Bundles[1].Certificates["tls.crt"] = made().root.pem }, status: Failed},
		{name: "Linkerd's Secret may not be read", of: healthyLinkerd, do: func(in *Input) { in.Survey.Bundles[1].Unread = "forbidden" }, status: Unknown},
		{name: "what it comes from was not read", of: healthyLinkerd, do: func(in *Input) { in.Survey.Bundles = nil }, status: Skipped},
	},
	"APIsAvailable": {
		{name: "one is not", do: func(in *Input) { in.Model.Existing[0] = apiService(nil, "False") }, status: Warning, says: "no answer"},
		{name: "no word of it", do: func(in *Input) { delete(in.Model.Existing[0].Tree, "status") }, status: Unknown},
	},
	"NetworkPolicyEnforced": {
		{name: "no CNI", do: func(in *Input) { in.Model.Cluster.CNI = "" }, status: Warning, says: "palisade verify"},
		{name: "k3s", do: func(in *Input) {
			in.Model.Cluster.CNI = ""
			in.Nodes[0].Status.NodeInfo.KubeletVersion = "v1.33.4+k3s1"
		}, status: Warning, says: "--disable-network-policy"},
		{name: "an engine by itself", do: func(in *Input) {
			in.Model.Cluster.CNI = ""
			in.daemonSet("anetd", "cilium-agent", "x")
		}, status: Passed, says: "GKE Dataplane V2"},
		{name: "another CNI", do: func(in *Input) { in.Model.Cluster.CNI = "homegrown" }, status: Warning},
		{name: "Cilium, off", do: func(in *Input) {
			in.Model.Existing = append(in.Model.Existing, tree("v1", "ConfigMap", "kube-system", "cilium-config", map[string]any{"data": map[string]any{"enable-policy": "never"}}))
		}, status: Failed, says: "enable-policy: never"},
		{name: "flannel", do: func(in *Input) {
			in.Model.Cluster.CNI = "flannel"
			in.finding("NetworkPolicyNotEnforced", model.Error)
		}, status: Failed},
		{name: "flannel with an engine", do: func(in *Input) { in.Model.Cluster.CNI = "flannel" }, status: Passed, says: "engine"},
		{name: "the VPC CNI, off", do: func(in *Input) {
			in.Model.Cluster.CNI = "aws"
			in.daemonSet("aws-node", "aws-eks-nodeagent", "x", "--enable-network-policy=false")
		}, status: Failed},
		{name: "the VPC CNI, on", do: func(in *Input) {
			in.Model.Cluster.CNI = "aws"
			in.daemonSet("aws-node", "aws-eks-nodeagent", "x", "--enable-ipv6=false", "--enable-network-policy=true")
		}, status: Passed},
		{name: "kindnet, new", do: func(in *Input) {
			in.Model.Cluster.CNI = "kindnet"
			in.daemonSet("kindnet", "kindnet-cni", "docker.io/kindest/kindnetd:v20250512-df8de77b")
		}, status: Passed},
		{name: "kindnet, old", do: func(in *Input) {
			in.Model.Cluster.CNI = "kindnet"
			in.daemonSet("kindnet", "kindnet-cni", "docker.io/kindest/kindnetd:v20240202-8f1494ea")
		}, status: Failed},
		{name: "kindnet, of an unknown day", do: func(in *Input) {
			in.Model.Cluster.CNI = "kindnet"
			in.daemonSet("kindnet", "kindnet-cni", "example.org/kindnetd:latest")
		}, status: Warning},
		{name: "DaemonSets were not read", do: func(in *Input) { in.problem("KindUnreadable", "apps/daemonsets could not be read") }, status: Unknown},
	},
	"NodesReady": {
		{name: "one is not", do: func(in *Input) {
			in.Nodes[0].Status.Conditions[0].Status, in.Nodes[0].Status.Conditions[0].Message = corev1.ConditionFalse, "cni plugin not initialized"
		}, status: Warning, says: "one: cni plugin not initialized"},
		{name: "no word of it", do: func(in *Input) { in.Nodes[0].Status.Conditions = nil }, status: Unknown},
		{name: "none", do: func(in *Input) { in.Nodes = nil }, status: Unknown},
		{name: "files", do: func(in *Input) { folder(in).Nodes = nil }, status: Skipped},
	},
	"DNSFound": {
		{name: "files without it", do: func(in *Input) { folder(in).Model.Cluster.DNS = model.DNS{} }, status: Unknown},
		{name: "none", do: func(in *Input) { in.Model.Cluster.DNS = model.DNS{} }, status: Failed},
		{name: "closed already", do: func(in *Input) { in.finding("DNSClosed", model.Error) }, status: Warning},
		{name: "Services were not read", do: func(in *Input) { in.problem("KindUnreadable", "services could not be read") }, status: Unknown},
	},
	"APIServerFound": {
		{name: "none", do: func(in *Input) { in.Model.Cluster.APIServer = model.APIServer{} }, status: Failed, says: "--api-server"},
		{name: "not read", do: func(in *Input) { in.problem("KindUnreadable", "discovery.k8s.io/endpointslices could not be read") }, status: Unknown},
	},
	"RangesFound": {
		{name: "none", do: func(in *Input) { in.Model.Cluster.PodCIDRs, in.Model.Cluster.ServiceCIDRs = nil, nil }, status: Warning, says: "pods and of Services"},
	},
	"OtherPolicies": {
		{name: "not read", do: func(in *Input) { in.problem("KindUnreadable", "cilium.io/ciliumnetworkpolicies could not be read") }, status: Unknown, says: "cilium.io/ciliumnetworkpolicies"},
		{name: "some", do: func(in *Input) { in.problem("PolicyNotJudged", "3 objects of kind cilium.io CiliumNetworkPolicy") }, status: Warning, says: "CiliumNetworkPolicy"},
	},
	"MeshSeesTraffic": {
		{name: "at the socket", do: func(in *Input) { in.finding("SocketLoadBalancingBypassesMesh", model.Error) }, status: Failed},
	},
	"PodSecurityOn": {
		{name: "off", do: func(in *Input) {
			in.apiServerArgs("kube-apiserver:v1.37.2", "--disable-admission-plugins=Foo,PodSecurity")
		}, status: Failed},
		{name: "another is off", do: func(in *Input) {
			in.apiServerArgs("kube-apiserver:v1.37.2", "--disable-admission-plugins", "PodSecurityPolicy")
		}, status: Passed, says: "without exemptions"},
		{name: "with a configuration", do: func(in *Input) {
			in.apiServerArgs("kube-apiserver:v1.37.2", "--admission-control-config-file=/etc/admission.yaml")
		}, status: Warning, says: "/etc/admission.yaml"},
		{name: "too early", do: func(in *Input) { in.Survey.Version = "v1.24.1" }, status: Failed},
		{name: "no version", do: func(in *Input) { in.Survey.Version = "" }, status: Unknown},
		{name: "files", do: func(in *Input) { folder(in) }, status: Skipped},
		{name: "files that show it", do: func(in *Input) { folder(in).apiServerArgs("registry.k8s.io/kube-apiserver:v1.37.2") }, status: Passed},
	},
	"DefinitionsCurrent": {
		{name: "missing", do: func(in *Input) { in.Survey.Definitions[0].Found = false }, status: Failed, says: "not installed"},
		{name: "missing, for the command line", do: func(in *Input) { in.For, in.Survey.Definitions[0].Found = CLI, false }, status: Warning},
		{name: "not established", do: func(in *Input) { in.Survey.Definitions[0].Established = false }, status: Failed},
		{name: "another schema", do: func(in *Input) { in.Survey.Definitions[0].Difference = "has another schema" }, status: Failed, says: "another schema"},
		{name: "may not be read", do: func(in *Input) { in.Survey.Definitions[0] = Definition{Name: "x", Unread: "forbidden"} }, status: Unknown},
		{name: "nothing asked", do: func(in *Input) { in.Survey.Definitions = nil }, status: Unknown},
	},
	"ControllerLeads": {
		{name: "nobody renews it", do: func(in *Input) { in.Survey.Leases[0].Renewed = now.Add(-time.Hour) }, status: Warning, says: "renewed 1h0m0s ago"},
		{name: "nobody holds it", do: func(in *Input) { in.Survey.Leases[0].Holder = "" }, status: Warning},
		{name: "never renewed", do: func(in *Input) { in.Survey.Leases[0].Renewed = time.Time{} }, status: Warning},
		{name: "two", do: func(in *Input) {
			second := in.Survey.Leases[0]
			second.Namespace = "elsewhere"
			in.Survey.Leases = append(in.Survey.Leases, second)
		}, status: Failed, says: "2 controllers lead at once"},
		{name: "one, and one of old days", do: func(in *Input) {
			in.Survey.Leases = append(in.Survey.Leases, Lease{Namespace: "elsewhere", Name: LeaseName, Holder: "old", Renewed: now.Add(-day), Duration: 15 * time.Second})
		}, status: Passed},
		{name: "none", do: func(in *Input) { in.Survey.Leases = nil }, status: Skipped},
		{name: "may not be read", do: func(in *Input) { in.Survey.LeasesUnread = "forbidden" }, status: Unknown},
	},
	"Leftovers": {
		{name: "of a profile that is gone", do: func(in *Input) { in.own("gone") }, status: Warning, says: `profile "gone": NetworkPolicy in shop: 1`},
		{name: "of one that is there", do: func(in *Input) { in.own("production") }, status: Passed},
		{name: "of one with a long name", do: func(in *Input) {
			in.Profiles = append(in.Profiles, strings.Repeat("long", 20))
			in.own(model.LabelValue(strings.Repeat("long", 20)))
		}, status: Passed},
		{name: "profiles were not read", do: func(in *Input) {
			in.own("gone")
			in.problem("KindUnreadable", "palisade.floe.dev/securityprofiles could not be read")
		}, status: Unknown},
	},
	"ProfilesAgree": {
		{name: "two for a namespace", do: func(in *Input) { in.problem("ProfileConflict", "a and b") }, status: Failed},
		{name: "one for none", do: func(in *Input) { in.problem("ProfileGovernsNothing", "none") }, status: Warning},
		{name: "none", do: func(in *Input) { in.Profiles = nil }, status: Passed},
		{name: "none in files", do: func(in *Input) { folder(in).Profiles = nil }, status: Skipped},
	},
	"ExemptionsLast": {
		{name: "one ends", do: func(in *Input) { in.finding("ExemptionExpiring", model.Warning) }, status: Warning},
		{name: "one has ended", do: func(in *Input) { in.finding("ExemptionExpired", model.Warning) }, status: Warning},
		{name: "one is in force", do: func(in *Input) { in.finding("ExemptionInForce", model.Info) }, status: Passed, says: "1 exemption"},
	},
	"AuditClean": {
		{name: "something was not read", do: func(in *Input) { in.problem("KindUnreadable", "policy/poddisruptionbudgets could not be read") }, status: Unknown},
		{name: "an error", do: func(in *Input) { in.finding("NotIsolated", model.Error) }, status: Warning, says: "NotIsolated: 1"},
		{name: "a warning", do: func(in *Input) { in.finding("NotIsolated", model.Warning) }, status: Passed, says: "1 warning"},
	},
}

// secretIn is a Secret as it is read of files: its certificates alone.
func secretIn(namespace, name, key string, of *ca) model.Object {
	return tree("v1", "Secret", namespace, name, map[string]any{"data": map[string]any{key: base64.StdEncoding.EncodeToString(of.pem)}})
}

func (in *Input) refuse(verb, resource string) {
	for i := range in.Survey.Access {
		if a := &in.Survey.Access[i]; a.Verb == verb && a.Resource == resource {
			a.Allowed = false
		}
	}
}

// own adds an object of palisade's for a profile.
func (in *Input) own(profile string) {
	o := tree("networking.k8s.io/v1", "NetworkPolicy", "shop", model.NamePrefix+"x", map[string]any{})
	o.Tree["metadata"].(map[string]any)["labels"] = map[string]any{model.ManagedByLabel: model.ManagedByValue, model.ProfileLabel: profile}
	in.Model.Existing = append(in.Model.Existing, o)
}

func TestEachCheckFindsItsFaults(t *testing.T) {
	for _, k := range Catalogue() {
		cases := changes[k.ID]
		ill := false
		for _, c := range cases {
			t.Run(k.ID+"/"+c.name, func(t *testing.T) {
				of := c.of
				if of == nil {
					of = healthy
				}
				in := of()
				c.do(in)
				r := k.result(in)
				assert.Equal(t, c.status, r.Status, "%+v", r)
				assert.Contains(t, fmt.Sprint(r.Message, r.Details, r.Fix), c.says)
				assert.Equal(t, c.status == Unknown || r.Incomplete, r.Incomplete, "what is not known makes the report incomplete")
				coherent(t, r)
			})
			ill = ill || c.status != Passed && c.status != Skipped
		}
		assert.True(t, ill, "%s has no case in which it does not pass", k.ID)
	}
	for id := range changes {
		assert.True(t, slices.ContainsFunc(Catalogue(), func(k Check) bool { return k.ID == id }), "there is no check %s", id)
	}
}

// coherent holds of every result.
func coherent(t *testing.T, r Result) {
	t.Helper()
	well := r.Status == Passed || r.Status == Skipped
	require.GreaterOrEqual(t, r.Status.rank(), 0, "%+v", r)
	require.NotEmpty(t, r.Message, "%+v", r)
	require.Equal(t, well, r.Why == "", "%+v", r)
	require.Equal(t, well, r.Fix == "", "%+v", r)
	require.False(t, r.Status == Passed && r.Incomplete, "what could not be looked at does not pass: %+v", r)
	for _, d := range r.Details {
		require.NotEmpty(t, d, "%+v", r)
	}
}

// t0 fails loudly where a table makes certificates before its test runs.
var t0 testing.TB = &testing.T{}

func expire(c *x509.Certificate) { c.NotAfter = now.Add(-day) }
