package apiserver

import (
	"context"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestControllerRunsWithTheRightsOfTheChart runs the controller as the account
// of the chart until it has governed namespaces, and looks for what it was refused.
func TestControllerRunsWithTheRightsOfTheChart(t *testing.T) {
	s := newServer(t)
	s.install(t, "ValidatingWebhookConfiguration")
	s.given(t, read(t, []string{filepath.Join(root, "examples/floe")}))
	log := &lockedBuffer{}
	c := exec.Command(binary, "controller", "--kubeconfig", kubeconfig(t, account), "--namespace", home, "--mesh", "istio",
		"--log-format=json", "--log-level=debug", "--metrics-bind-address=127.0.0.1:18080", "--health-probe-bind-address=127.0.0.1:18081")
	c.Stdout, c.Stderr = log, log
	require.NoError(t, c.Start())
	defer func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		_ = c.Wait()
		// The certificate of its webhook, which no test wrote.
		err := s.namespaces.CoreV1().Secrets(home).Delete(context.WithoutCancel(t.Context()), "palisade-webhook", metav1.DeleteOptions{})
		assert.NoError(t, err, "it made its certificate")
	}()
	posture := &object{}
	posture.SetAPIVersion("palisade.floe.dev/v1alpha1")
	posture.SetKind("NamespacePosture")
	policy := &object{}
	policy.SetAPIVersion("networking.k8s.io/v1")
	policy.SetKind("NetworkPolicy")
	count := func(like *object) int {
		o := like.DeepCopy()
		o.SetNamespace("floe-crm-domain")
		list, err := s.resource(t, o).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/managed-by=palisade"})
		require.NoError(t, err)
		return len(list.Items)
	}
	assert.Eventually(t, func() bool { return count(policy) > 0 }, 60*time.Second, time.Second, "it writes")
	time.Sleep(10 * time.Second)
	t.Log("postures", count(posture), "policies", count(policy))
	response, err := http.Get("http://127.0.0.1:18080/metrics")
	require.NoError(t, err)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "palisade_") || strings.HasPrefix(line, "leader_election") {
			t.Log(line)
		}
	}
	for _, line := range strings.Split(log.String(), "\n") {
		if strings.Contains(strings.ToLower(line), "forbidden") {
			t.Errorf("refused: %.400s", line)
		}
	}
	if t.Failed() {
		t.Logf("%.6000s", log.String())
	}
}
