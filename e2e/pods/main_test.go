// Package pods puts palisade's webhook for pods to a real API server, with Pod Security, service accounts and priorities at work.
package pods

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/e2e/embedded"
)

// root is the repository.
const root = "../.."

// One control plane and one webhook serve all tests; each has a namespace of its own.
var (
	client kubernetes.Interface
	own    dynamic.Interface
	told   = &warnings{}
	hook   webhook
)

func TestMain(m *testing.M) {
	embedded.Main(m, embedded.Suite{Name: "e2e/pods", Program: "./admission/testdata/webhook", Options: embedded.Options{Root: root, Meshless: true, Flags: map[string]string{
		"service-cluster-ip-range": "10.96.0.0/16",
		// The embedded server turns ServiceAccount off, and here it must mount its tokens.
		"disable-admission-plugins": "DefaultIngressClass",
	}}}, withWebhook)
}

func withWebhook(plane *embedded.ControlPlane, built string, run func() int) (code int, err error) {
	hook.binary, hook.kubeconfig = built, plane.Kubeconfig
	config := rest.CopyConfig(plane.Config)
	config.QPS, config.WarningHandler = -1, told
	if client, err = kubernetes.NewForConfig(config); err != nil {
		return 0, err
	}
	if own, err = dynamic.NewForConfig(config); err != nil {
		return 0, err
	}
	code = run()
	if hook.command != nil { // it watches, and the server would wait for it
		err = hook.command.Process.Kill()
		_ = hook.command.Wait()
	}
	return code, err
}

// warnings gathers what the server warns of.
type warnings struct {
	lock  sync.Mutex
	texts []string
}

// HandleWarningHeader takes one warning.
func (w *warnings) HandleWarningHeader(_ int, _ string, text string) {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.texts = append(w.texts, text)
}

func (w *warnings) take() []string {
	w.lock.Lock()
	defer w.lock.Unlock()
	texts := w.texts
	w.texts = nil
	return texts
}

// webhook is palisade's, in a process.
type webhook struct {
	binary, kubeconfig string
	port               int
	command            *exec.Cmd
	output             bytes.Buffer
}

// start starts the webhook if it does not run, and waits until the API server trusts it.
func (w *webhook) start(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the webhook said:\n%s", &w.output)
		}
	})
	if w.command != nil {
		return
	}
	if w.port == 0 {
		w.port = freePort(t)
		makeNamespace(t, "palisade-system", nil)
	}
	health := freePort(t)
	w.command = exec.Command(w.binary, "--kubeconfig", w.kubeconfig, "--namespace", "palisade-system", "--pods", "--port", fmt.Sprint(w.port), "--health", fmt.Sprintf("127.0.0.1:%d", health))
	w.command.Stdout, w.command.Stderr = &w.output, &w.output
	require.NoError(t, w.command.Start())
	w.install(t)
	require.Eventually(t, func() bool {
		answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", health))
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		c, err := client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), "palisade", metav1.GetOptions{})
		return err == nil && answer.StatusCode == http.StatusOK && len(c.Webhooks[0].ClientConfig.CABundle) > 0
	}, 60*time.Second, 50*time.Millisecond, "%s", &w.output)
}

func (w *webhook) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, w.command.Process.Kill())
	_ = w.command.Wait()
	w.command = nil
}

// install writes the configuration that the chart renders, with an address in the place of the Service.
func (w *webhook) install(t *testing.T) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "deploy/testdata/chart/pods-hardened.out.yaml"))
	require.NoError(t, err)
	for _, document := range bytes.Split(data, []byte("\n---\n")) {
		var c admissionregistrationv1.MutatingWebhookConfiguration
		require.NoError(t, yaml.Unmarshal(document, &c))
		if c.Kind != "MutatingWebhookConfiguration" {
			continue
		}
		url := fmt.Sprintf("https://localhost:%d/mutate-pods", w.port)
		for i := range c.Webhooks {
			require.Equal(t, "/mutate-pods", *c.Webhooks[i].ClientConfig.Service.Path)
			c.Webhooks[i].ClientConfig = admissionregistrationv1.WebhookClientConfig{URL: &url}
		}
		_, _ = client.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(t.Context(), &c, metav1.CreateOptions{}) // it is there already the second time
		return
	}
	t.Fatal("the chart renders no MutatingWebhookConfiguration")
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	address, ok := l.Addr().(*net.TCPAddr)
	require.True(t, ok)
	return address.Port
}

// makeNamespace makes a namespace with its service account, which a controller would make.
func makeNamespace(t *testing.T, name string, labels map[string]string) {
	t.Helper()
	_, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = client.CoreV1().ServiceAccounts(name).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: name}}, metav1.CreateOptions{})
	require.NoError(t, err)
}

// governed makes a namespace that Pod Security holds to restricted, and the profile that governs it.
func governed(t *testing.T, name string, labels map[string]string) {
	t.Helper()
	all := map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}
	for key, value := range labels {
		all[key] = value
	}
	_, err := client.SchedulingV1().PriorityClasses().Create(t.Context(), &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name + "-tier"}, Value: 1000, PreemptionPolicy: new(corev1.PreemptNever)}, metav1.CreateOptions{})
	require.NoError(t, err)
	makeNamespace(t, name, all)
	apply(t, "securityprofiles", "", fmt.Sprintf(`
apiVersion: palisade.floe.dev/v1alpha1
kind: SecurityProfile
metadata: {name: %[1]s}
spec:
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[1]s}}
  mesh: {mtls: Unmanaged}
  securityContext: {writablePaths: [/tmp, /var/cache/app], allowedCapabilities: [NET_BIND_SERVICE], appArmorProfile: {type: RuntimeDefault}}
  workload:
    priorityClassName: %[1]s-tier
    resources: {limits: {memory: 256Mi}, requests: {cpu: 50m}}
    spread: Enabled
    antiAffinity: Enabled
    dnsPolicy: Default
    dnsConfig: {options: [{name: ndots, value: "2"}]}
`, name))
	require.Eventually(t, func() bool { // the profile is known once it acts
		p, err := client.CoreV1().Pods(name).Create(t.Context(), pod(t, name, "known", "{containers: [{name: c, image: 'c:1.0.0'}]}"), dryRun())
		return err == nil && p.Annotations[record] != ""
	}, 10*time.Second, 20*time.Millisecond, "%s", &hook.output)
	told.take()
}

func apply(t *testing.T, resource, namespace, manifest string) {
	t.Helper()
	var o unstructured.Unstructured
	require.NoError(t, yaml.Unmarshal([]byte(manifest), &o.Object))
	gvr := schema.GroupVersionResource{Group: "palisade.floe.dev", Version: "v1alpha1", Resource: resource}
	_, err := own.Resource(gvr).Namespace(namespace).Create(t.Context(), &o, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	require.NoError(t, err)
}

const record = "palisade.floe.dev/hardened"

func dryRun() metav1.CreateOptions { return metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}} }

func pod(t *testing.T, namespace, name, spec string) *corev1.Pod {
	t.Helper()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": name}}}
	require.NoError(t, yaml.UnmarshalStrict([]byte(spec), &p.Spec))
	return p
}
