package controller

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	istiov1alpha1 "istio.io/api/security/v1alpha1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verify"
	meshlab "floe.dev/palisade/verify/lab"
)

var podKind = schema.GroupVersionResource{Version: "v1", Resource: "pods"}

// istiod stands in for the CA of Istio: it certifies whom the API server says that a token is of (TokenReview), by the lab's CA.
type istiod struct {
	istiov1alpha1.UnimplementedIstioCertificateServiceServer
	l  *lab
	ca *meshlab.CA
}

func (s *istiod) CreateCertificate(ctx context.Context, r *istiov1alpha1.IstioCertificateRequest) (*istiov1alpha1.IstioCertificateResponse, error) {
	given, _ := metadata.FromIncomingContext(ctx)
	token, bearer := strings.CutPrefix(strings.Join(given.Get("authorization"), ","), "Bearer ")
	review, err := s.l.kubernetes.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{"istio-ca"}},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	part := strings.Split(review.Status.User.Username, ":") // system:serviceaccount:namespace:name
	if !bearer || !review.Status.Authenticated || len(part) != 4 {
		return nil, status.Error(codes.Unauthenticated, "request authenticate failure")
	}
	block, _ := pem.Decode([]byte(r.Csr))
	if block == nil {
		return nil, status.Error(codes.InvalidArgument, "the CSR is no PEM")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	life := 24 * time.Hour
	if r.ValidityDuration > 0 {
		life = time.Duration(r.ValidityDuration) * time.Second
	}
	chain, err := s.ca.Sign(s.ca.TrustDomain+"/ns/"+part[2]+"/sa/"+part[3], csr.PublicKey.(*ecdsa.PublicKey), time.Now(), life)
	if err != nil {
		return nil, err
	}
	answer := &istiov1alpha1.IstioCertificateResponse{}
	for _, der := range append(chain, s.ca.Root().Raw) {
		answer.CertChain = append(answer.CertChain, string(meshlab.PEM(der)))
	}
	return answer, nil
}

// serve answers on port 15012 of a loopback address, which it returns.
func (s *istiod) serve() string {
	own, err := s.ca.Serving("istiod.istio-system.svc")
	require.NoError(s.l, err)
	listener, err := net.Listen("tcp", "127.77.0.12:15012")
	require.NoError(s.l, err)
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{*own}, MinVersion: tls.VersionTLS12})))
	istiov1alpha1.RegisterIstioCertificateServiceServer(server, s)
	go func() { _ = server.Serve(listener) }()
	s.l.Cleanup(server.Stop)
	return "127.77.0.12"
}

const istioPlane = `
apiVersion: v1
kind: Namespace
metadata: {name: istio-system}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "{rootNamespace: istio-system, trustDomain: lab.example}"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: istiod, namespace: istio-system, labels: {app: istiod, istio.io/rev: default}}
spec:
  selector: {matchLabels: {app: istiod}}
  template:
    metadata: {labels: {app: istiod, istio.io/rev: default}}
    spec: {serviceAccountName: istiod, containers: [{name: discovery, image: "istio/pilot:1.31.1"}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: istio-cni-node, namespace: istio-system, labels: {k8s-app: istio-cni-node}}
spec:
  selector: {matchLabels: {k8s-app: istio-cni-node}}
  template:
    metadata: {labels: {k8s-app: istio-cni-node}}
    spec: {containers: [{name: install-cni, image: "istio/install-cni:1.31.1"}]}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: LAB-prober, namespace: istio-system}
`

const meshedShop = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: cart, namespace: LAB-home}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: LAB-home}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: LAB-home}
spec:
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart}}
    spec: {serviceAccountName: cart, containers: [{name: cart, image: "registry.example/cart:1", ports: [{containerPort: 7070}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: LAB-home}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {serviceAccountName: web, containers: [{name: web, image: "registry.example/web:1"}]}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: LAB-home}
spec: {selector: {app: cart}, ports: [{name: http, port: 7070}]}
---
apiVersion: palisade.floe.dev/v1alpha1
kind: TrafficRule
metadata: {name: cart, namespace: LAB-home}
spec:
  to: {matchLabels: {app: cart}}
  from: [{pods: {podSelector: {matchLabels: {app: web}}}}]
  ports: [{port: 7070}]
`

// pod runs a pod of a Deployment with Istio's sidecar, at an address; no kubelet is asked.
func (l *lab) pod(namespace, name, address string) {
	l.Helper()
	there := l.get(deployments, namespace, name)
	require.NotNil(l, there)
	l.apply(fmt.Sprintf(`
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: %[2]s-1
  namespace: %[1]s
  ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: %[2]s, uid: %[3]s, controller: true}]
spec:
  selector: {matchLabels: {app: %[2]s}}
  template: {metadata: {labels: {app: %[2]s}}, spec: {containers: [{name: %[2]s, image: "registry.example/%[2]s:1"}]}}
`, namespace, name, there.GetUID()))
	set := l.get(schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "replicasets"}, namespace, name+"-1")
	l.apply(fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata:
  name: %[2]s-1-a
  namespace: %[1]s
  labels: {app: %[2]s, security.istio.io/tlsMode: istio, service.istio.io/canonical-name: %[2]s}
  annotations: {sidecar.istio.io/status: '{"revision":"default"}'}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: %[2]s-1, uid: %[3]s, controller: true}]
spec:
  serviceAccountName: %[4]s
  nodeName: node
  containers:
  - {name: %[2]s, image: "registry.example/%[2]s:1"}
  - {name: istio-proxy, image: "istio/proxyv2:1.31.1", args: [proxy, sidecar]}
`, namespace, name, set.GetUID(), name))
	l.patch(podKind, namespace, name+"-1-a", fmt.Sprintf(
		`{"status": {"phase": "Running", "podIP": %[1]q, "podIPs": [{"ip": %[1]q}], "conditions": [{"type": "Ready", "status": "True"}]}}`, address), "status")
}

// meshed makes a mesh of stand-ins, with a shop in it, and returns them.
func (l *lab) meshed() (home string, mesh *meshlab.Lab) {
	l.Helper()
	home = l.name + "-home"
	specs := []meshlab.Spec{{Namespace: home, Name: "cart", Pod: "cart-1-a", Port: 7070, Way: verify.Sidecar, Mode: meshlab.Strict}}
	mesh, err := meshlab.Start(model.MeshIstio, specs)
	require.NoError(l, err)
	l.Cleanup(func() { _ = mesh.Close() })
	ca := &istiod{l: l, ca: mesh.CA}
	address := ca.serve()
	l.apply(istioPlane)
	l.Cleanup(func() {
		for _, r := range []schema.GroupVersionResource{podKind, deployments, {Group: "apps", Version: "v1", Resource: "daemonsets"}} {
			for _, o := range l.list(r, "istio-system") {
				l.delete(r, "istio-system", o.GetName())
			}
		}
		l.delete(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, "istio-system", "istio")
	})
	l.available("istio-system", true, "istiod")
	l.pod("istio-system", "istiod", address)
	l.namespace("home", "istio-injection: enabled")
	for _, namespace := range []string{"istio-system", home} {
		l.apply(fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio-ca-root-cert, namespace: %s}\ndata: {root-cert.pem: %q}", namespace, meshlab.PEM(mesh.CA.Root().Raw)))
	}
	l.apply(meshedShop)
	l.available(home, true, "cart", "web")
	l.pod(home, "cart", mesh.Target(0).Address.String())
	l.pod(home, "web", "127.77.0.99")
	return home, mesh
}

// verifies runs palisade verify, and returns its report and its exit code.
func (l *lab) verifies(args ...string) (*verify.Report, int) {
	l.Helper()
	all := append([]string{"verify", "--direct", "--kubeconfig", plane.Kubeconfig, "--mesh", "istio", "-o", "json", "--timeout", "1s", "--attempts", "1"}, args...)
	command := exec.Command(binary, all...)
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		require.NoError(l, err)
	}
	var r verify.Report
	require.NoError(l, json.Unmarshal(out, &r), "%s%s", out, &stderr)
	return &r, command.ProcessState.ExitCode()
}

// told is what a report says of each port.
func told(r *verify.Report) string {
	var lines []string
	for i := range r.Results {
		lines = append(lines, fmt.Sprintf("%s:%d %s %s: %s", r.Results[i].Pod, r.Results[i].Port, r.Results[i].Standing, r.Results[i].Verdict, r.Results[i].Reason))
	}
	return fmt.Sprintf("%s\n%+v %+v", strings.Join(lines, "\n"), r.Summary, r.Findings)
}

func TestAVerificationThatIsStoredTakesTheRolloutFurtherAndOneThatFailsTakesItBack(t *testing.T) {
	l := newLab(t)
	home, mesh := l.meshed()
	l.apply(strings.Replace(plain, "podSecurity: {enforce: baseline}", "podSecurity: {enforce: baseline}\n  mesh: {mtls: Strict, authorization: Disabled}", 1))
	c := l.controller("--mesh=istio", "--cluster-domain=cluster.local")
	l.eventually(30*time.Second, l.stage(home, "MTLS", "Permissive"))
	l.eventually(30*time.Second, func() string {
		held := conditionOf(l.get(postures, home, "posture"), "Held")
		if text := fmt.Sprint(held["message"]); held["status"] != "True" || !strings.Contains(text, "nothing was verified on the wire") {
			return "it is not held for want of a verification: " + text
		}
		return ""
	})
	prober := "istio-system/" + l.name + "-prober"
	r, code := l.verifies("--prober", prober, "--store", "--only", home)
	require.Zero(t, code, "%s", told(r))
	cart := &r.Results[0]
	require.EqualValues(t, 7070, cart.Port, told(r))
	assert.Equal(t, verify.Permissive, cart.Standing, "what is expected is what the namespace is at, not what its profile wants in the end")
	assert.Equal(t, 1, r.Summary.Pass)
	for _, c := range cart.Checks {
		if c.Client == verify.Member {
			assert.Equal(t, "lab.example/ns/istio-system/sa/"+l.name+"-prober", c.Identity)
			assert.Equal(t, verify.Pass, c.Verdict)
		}
	}
	stored := l.get(reports, home, "wire")
	require.NotNil(t, stored)
	assert.Equal(t, "True", conditionOf(stored, "Verified")["status"])
	// What was written in the same second is newer: it counts from the next one on.
	l.eventually(time.Minute, func() string {
		l.verifies("--prober", prober, "--store", "--only", home)
		time.Sleep(time.Second)
		return l.stage(home, "MTLS", "Enforce")()
	})

	assert.Equal(t, 1, mesh.Relax(home, "cart")) // a downgrade: plaintext gets in
	time.Sleep(3 * time.Second)
	r, code = l.verifies("--prober", prober, "--store", "--only", home)
	assert.Equal(t, 1, code)
	assert.Equal(t, verify.Strict, r.Results[0].Standing, told(r))
	l.eventually(30*time.Second, l.stage(home, "MTLS", "Permissive"))
	assert.Contains(t, c.log.String(), "failed (Deployment "+home+"/cart) (VerificationRed); MTLS is Permissive again")
}

// Features: D4, D7.
func TestTheControllerVerifiesWhatWaitsForIt(t *testing.T) {
	l := newLab(t)
	home, mesh := l.meshed()
	l.apply(strings.Replace(plain, "podSecurity: {enforce: baseline}", "mesh: {mtls: Strict, authorization: Disabled}", 1))
	c := l.controller("--mesh=istio", "--cluster-domain=cluster.local", "--metrics-bind-address=127.0.0.1:18099",
		"--verify-every=1m", "--prober=istio-system/"+l.name+"-prober")
	took := l.eventually(time.Minute, l.stage(home, "MTLS", "Enforce"))
	t.Logf("enforced after %s", took)
	metrics := func() string {
		answer, err := http.Get("http://127.0.0.1:18099/metrics")
		require.NoError(t, err)
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return string(text)
	}
	for _, line := range []string{
		`palisade_verification_ports{namespace="` + home + `",result="pass"} 1`,
		`palisade_certificate_not_after_timestamp_seconds{namespace="` + home + `",workload="Deployment/cart"} `,
		`palisade_ca_not_after_timestamp_seconds{ca="root CN=root.lab.example"} `,
	} {
		assert.Contains(t, metrics(), line)
	}
	mesh.Relax(home, "cart")
	l.eventually(90*time.Second, func() string {
		if !strings.Contains(metrics(), `palisade_verification_ports{namespace="`+home+`",result="fail"} 1`) {
			return "nothing is said to fail"
		}
		return ""
	})
	l.eventually(10*time.Second, l.condition(reports, home, "wire", "Verified", "False"))
	l.delete(profiles, "", l.name)
	l.eventually(90*time.Second, func() string {
		if l.get(reports, home, "wire") != nil {
			return "the report of a namespace that is governed no more is still there: " + c.log.String()
		}
		return ""
	})
}

// Features: D5.
func TestAListenerThatNothingDeclaresIsFound(t *testing.T) {
	l := newLab(t)
	home, mesh := l.meshed()
	l.apply(strings.Replace(plain, "podSecurity: {enforce: baseline}", "mesh: {mtls: Strict}", 1))
	prober := "istio-system/" + l.name + "-prober"
	listener, err := net.Listen("tcp", mesh.Target(0).Address.String()+":7123") // as one does that the proxy does not capture
	require.NoError(t, err)
	server := &http.Server{ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	_, code := l.verifies("--prober", prober, "--only", home)
	assert.Zero(t, code, "it is not looked for unasked")
	r, code := l.verifies("--prober", prober, "--only", home, "--ports", "7000-7200")
	assert.Equal(t, 1, code)
	var found []string
	for i := range r.Results {
		if r.Results[i].Undeclared {
			found = append(found, fmt.Sprintf("%s:%d %s", r.Results[i].Pod, r.Results[i].Port, r.Results[i].Verdict))
		}
	}
	assert.Equal(t, []string{"cart-1-a:7123 fail"}, found, told(r))
}

func TestAProberMayPlayNobodyElse(t *testing.T) {
	l := newLab(t)
	home, _ := l.meshed()
	l.apply(strings.Replace(plain, "podSecurity: {enforce: baseline}", "mesh: {mtls: Strict}", 1))
	r, code := l.verifies("--prober", "istio-system/"+l.name+"-prober", "--only", home)
	require.Zero(t, code, "%s", told(r))
	untested := strings.Join(r.Results[0].Untested, "\n")
	assert.Contains(t, untested, "a client that is let in: no certificate of lab.example/ns/"+home+"/sa/web is at hand")
	assert.Nil(t, l.get(reports, home, "wire"), "nothing is stored unasked")

	r, code = l.verifies("--prober", "istio-system/"+l.name+"-prober", "--only", home, "--callers")
	require.Zero(t, code, "%s", told(r))
	assert.NotContains(t, strings.Join(r.Results[0].Untested, "\n"), "a client that is let in")

	r, code = l.verifies("--only", home)
	require.Zero(t, code, "%s", told(r))
	assert.Contains(t, strings.Join(r.Results[0].Untested, "\n"), "probes have no service account")
}

// node stands in for the Job controller and a kubelet: of every Job it makes a pod, runs its arguments as a process of
// this machine, and shows its log to the API server.
type node struct {
	l    *lab
	lock sync.Mutex
	logs map[string]*lockedBuffer
	args [][]string
}

var jobKind = schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}

func (l *lab) node(namespace string) *node {
	l.Helper()
	n := &node{l: l, logs: map[string]*lockedBuffer{}}
	kubelet := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.lock.Lock()
		log := n.logs[strings.Split(r.URL.Path, "/")[3]] // /containerLogs/namespace/pod/container
		n.lock.Unlock()
		_, _ = io.WriteString(w, log.String())
	}))
	l.Cleanup(kubelet.Close)
	_, port, err := net.SplitHostPort(kubelet.Listener.Addr().String())
	require.NoError(l, err)
	l.apply("apiVersion: v1\nkind: Node\nmetadata: {name: node}")
	nodes := schema.GroupVersionResource{Version: "v1", Resource: "nodes"}
	l.patch(nodes, "", "node", `{"status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}], "daemonEndpoints": {"kubeletEndpoint": {"Port": `+port+`}}}}`, "status")
	l.Cleanup(func() { l.delete(nodes, "", "node") })
	jobs, err := l.client.Resource(jobKind).Namespace(namespace).Watch(context.Background(), metav1.ListOptions{})
	require.NoError(l, err)
	l.Cleanup(jobs.Stop)
	go func() {
		for e := range jobs.ResultChan() {
			if o, ok := e.Object.(*object); ok && e.Type == watch.Added {
				n.run(o)
			}
		}
	}()
	return n
}

func (n *node) run(job *object) {
	name := job.GetName() + "-pod"
	template, _, _ := unstructured.NestedMap(job.Object, "spec", "template")
	spec := template["spec"].(map[string]any)
	spec["nodeName"] = "node"
	delete(spec, "serviceAccountName")
	pod := &object{Object: map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{
		"name": name, "namespace": job.GetNamespace(), "labels": map[string]any{"batch.kubernetes.io/job-name": job.GetName()},
	}, "spec": spec}}
	containers := spec["containers"].([]any)
	args, _, _ := unstructured.NestedStringSlice(containers[0].(map[string]any), "args")
	log := &lockedBuffer{}
	n.lock.Lock()
	n.logs[name], n.args = log, append(n.args, args)
	n.lock.Unlock()
	command := exec.Command(binary, args...)
	command.Env = append(os.Environ(), "KUBECONFIG="+plane.Kubeconfig)
	command.Stdout, command.Stderr = log, log
	_ = command.Run() // how it ended is in its log
	if _, err := n.l.client.Resource(podKind).Namespace(job.GetNamespace()).Create(context.Background(), pod, metav1.CreateOptions{}); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "the stand-in of a kubelet:", err)
		return
	}
	status := []byte(`{"status": {"phase": "Succeeded", "containerStatuses": [{"name": "palisade", "image": "i", "imageID": "i", "containerID": "c://1", "state": {"terminated": {"exitCode": 0, "containerID": "c://1"}}}]}}`)
	_, _ = n.l.client.Resource(podKind).Namespace(job.GetNamespace()).Patch(context.Background(), name, types.MergePatchType, status, metav1.PatchOptions{}, "status")
}

// Features: D7.
func TestALaptopVerifiesByAJobThatIsGoneAfterwards(t *testing.T) {
	l := newLab(t)
	home, _ := l.meshed()
	l.apply(strings.Replace(plain, "podSecurity: {enforce: baseline}", "mesh: {mtls: Strict}", 1))
	system := l.namespace("system")
	n := l.node(system)
	job := []string{"verify", "--job", "--kubeconfig", plane.Kubeconfig, "--palisade-namespace", system, "--mesh", "istio", "-o", "json", "--timeout", "1s", "--attempts", "1",
		"--prober", "istio-system/" + l.name + "-prober", "--only", home}
	run := func(args ...string) (string, string, int) {
		command := exec.Command(binary, append(slices.Clone(job), args...)...)
		var out, problems strings.Builder
		command.Stdout, command.Stderr = &out, &problems
		_ = command.Run() // its exit code tells
		return out.String(), problems.String(), command.ProcessState.ExitCode()
	}
	_, problems, code := run()
	assert.Equal(t, 2, code)
	assert.Contains(t, problems, "give it as --image")

	out, problems, code := run("--image", "registry.example/palisade:1")
	require.Zero(t, code, problems)
	var r verify.Report
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	assert.Equal(t, 1, r.Summary.Pass, told(&r))
	assert.Contains(t, n.args[0], "--relay")
	assert.Empty(t, l.names(jobKind, system), "the Job is removed")

	_, problems, code = run("--image", "registry.example/palisade:1", "--trust-domain", "Not A Domain")
	assert.Equal(t, 2, code)
	assert.Contains(t, problems, "trust-domain")
}
