package apiserver

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"
)

// systemNamespace is palisade's own in these tests.
const systemNamespace = "palisade-system"

// webhookBinary is the program with package admission in it, built once.
var webhookBinary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(binary), "webhook")
	if out, err := exec.Command("go", "-C", root, "build", "-o", path, "./admission/testdata/webhook").CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the webhook: %w\n%s", err, out)
	}
	return path, nil
})

// webhook is palisade's webhook with some replicas behind a balancer, as a Service has it.
type webhook struct {
	client   kubernetes.Interface
	replicas []*replica
	balancer net.Listener
	next     atomic.Int64
}

// replica is one process.
type replica struct {
	command               *exec.Cmd
	port, health, metrics int
	output                *lockedBuffer
	ready, out            atomic.Bool
	ended                 chan struct{}
}

type lockedBuffer struct {
	lock sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.text.String()
}

// startWebhook starts replicas, and sends palisade's configuration to them. Everything is gone at the end of the test.
func startWebhook(t *testing.T, s *server, replicas int, args ...string) *webhook {
	t.Helper()
	program, err := webhookBinary()
	require.NoError(t, err)
	w := &webhook{client: s.namespaces}
	if _, err := s.apply(t, "helm", namespace(systemNamespace), false); err != nil {
		require.NoError(t, err)
	}
	w.balancer, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.balancer.Close() })
	go w.balance()
	as := ""
	if slices.Contains(args, "--blind") { // then it needs no more than its own rights
		as = "system:serviceaccount:" + systemNamespace + ":palisade"
		for _, o := range read(t, []string{filepath.Join(root, "admission/testdata/rbac.yaml")}) {
			_, err := s.apply(t, "helm", o, false)
			require.NoError(t, err)
		}
	}
	kubeconfig := writeKubeconfig(t, as)
	for range replicas {
		r := &replica{port: freePort(t), health: freePort(t), metrics: freePort(t), output: &lockedBuffer{}, ended: make(chan struct{})}
		r.command = exec.Command(program, append([]string{
			"--kubeconfig", kubeconfig, "--namespace", systemNamespace, "--port", fmt.Sprint(r.port),
			"--health", fmt.Sprintf("127.0.0.1:%d", r.health), "--metrics", fmt.Sprintf("127.0.0.1:%d", r.metrics),
			fmt.Sprintf("--elect=%t", replicas > 1),
		}, args...)...)
		r.command.Stdout, r.command.Stderr = r.output, r.output
		require.NoError(t, r.command.Start())
		go func() { _ = r.command.Wait(); close(r.ended) }()
		go r.watch()
		w.replicas = append(w.replicas, r)
	}
	t.Cleanup(func() { w.stop(t) })
	w.install(t)
	for _, r := range w.replicas {
		require.Eventually(t, func() bool { return r.ready.Load() || r.hasEnded() }, 60*time.Second, 50*time.Millisecond, "a replica does not become ready")
		require.False(t, r.hasEnded(), "a replica has ended")
	}
	return w
}

func (w *webhook) stop(t *testing.T) {
	t.Helper()
	for _, r := range w.replicas {
		_ = r.command.Process.Kill()
		<-r.ended
		if t.Failed() {
			t.Logf("replica at %d:\n%s", r.port, r.output)
		}
	}
	background := metav1.DeleteOptions{}
	_ = w.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(afterwards(t), "palisade", background)
	_ = w.client.CoreV1().Secrets(systemNamespace).Delete(afterwards(t), "palisade-webhook", background)
}

// install writes the configuration, with the address of the balancer in the place of the Service.
func (w *webhook) install(t *testing.T) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "admission/testdata/webhook.yaml"))
	require.NoError(t, err)
	var c admissionregistrationv1.ValidatingWebhookConfiguration
	require.NoError(t, yaml.UnmarshalStrict(data, &c))
	url := fmt.Sprintf("https://localhost:%d/validate", w.balancer.Addr().(*net.TCPAddr).Port)
	for i := range c.Webhooks {
		c.Webhooks[i].ClientConfig = admissionregistrationv1.WebhookClientConfig{URL: &url}
	}
	_, err = w.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(t.Context(), &c, metav1.CreateOptions{})
	require.NoError(t, err)
}

// trusted waits until the API server asks the webhook: a rule that can never be right is refused.
func (w *webhook) trusted(t *testing.T, s *server, namespace string) {
	t.Helper()
	probe := manifest(t, strings.Replace(neverRightRule, "NAMESPACE", namespace, 1))
	require.Eventually(t, func() bool {
		_, err := s.resource(t, probe).Create(t.Context(), probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err != nil && strings.Contains(err.Error(), "spec.from[0].except[0]")
	}, 30*time.Second, 100*time.Millisecond)
	s.warnings.take()
}

// reads waits until the webhook has read the cluster.
func (w *webhook) reads(t *testing.T, s *server, namespace string) {
	t.Helper()
	probe := manifest(t, strings.Replace(ruleToNobody, "NAMESPACE", namespace, 1))
	require.Eventually(t, func() bool {
		told, err := s.tryCreate(t, probe)
		return err == nil && !strings.Contains(strings.Join(told, "\n"), "has not read the whole cluster")
	}, 30*time.Second, 100*time.Millisecond)
}

// balance takes connections to replicas that are ready, in turn.
func (w *webhook) balance() {
	for {
		in, err := w.balancer.Accept()
		if err != nil {
			return
		}
		go w.carry(in)
	}
}

func (w *webhook) carry(in net.Conn) {
	defer in.Close()
	for range w.replicas {
		r := w.replicas[int(w.next.Add(1))%len(w.replicas)]
		if !r.ready.Load() || r.out.Load() {
			continue
		}
		out, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.port))
		if err != nil {
			continue
		}
		defer out.Close()
		go func() { _, _ = io.Copy(out, in); _ = out.(*net.TCPConn).CloseWrite() }()
		_, _ = io.Copy(in, out)
		return
	}
}

// watch asks a replica whether it is ready, as a kubelet does.
func (r *replica) watch() {
	client := http.Client{Timeout: time.Second}
	for {
		select {
		case <-r.ended:
			r.ready.Store(false)
			return
		case <-time.After(50 * time.Millisecond):
		}
		answer, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", r.health))
		r.ready.Store(err == nil && answer.StatusCode == http.StatusOK)
		if err == nil {
			_ = answer.Body.Close()
		}
	}
}

func (r *replica) hasEnded() bool {
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}

// retire takes a replica out of the balance, lets it finish, and ends it.
func (r *replica) retire(t *testing.T) {
	t.Helper()
	r.out.Store(true)
	time.Sleep(500 * time.Millisecond)
	require.NoError(t, r.command.Process.Signal(syscall.SIGTERM))
	select {
	case <-r.ended:
	case <-time.After(40 * time.Second):
		t.Fatal("a replica does not end")
	}
}

func (r *replica) scrape(t *testing.T) string {
	t.Helper()
	answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", r.metrics))
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return string(text)
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// writeKubeconfig writes one for the administrator, or for somebody that he acts as.
func writeKubeconfig(t *testing.T, as string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	c := clientcmdapi.NewConfig()
	c.Clusters["test"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	c.AuthInfos["test"] = &clientcmdapi.AuthInfo{ClientCertificateData: config.CertData, ClientKeyData: config.KeyData, Impersonate: as}
	c.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test"}
	c.CurrentContext = "test"
	require.NoError(t, clientcmd.WriteToFile(*c, path))
	return path
}

func manifest(t *testing.T, text string) *object {
	t.Helper()
	o := &object{}
	require.NoError(t, yaml.UnmarshalStrict([]byte(text), &o.Object))
	return o
}

func labelled(name, key, value string) *object {
	o := namespace(name)
	o.SetLabels(map[string]string{key: value, corev1.LabelMetadataName: name})
	return o
}

func assertOneContains(t *testing.T, list []string, text string) {
	t.Helper()
	for _, each := range list {
		if strings.Contains(each, text) {
			return
		}
	}
	assert.Fail(t, "nothing says it", "%q is in none of %q", text, list)
}
