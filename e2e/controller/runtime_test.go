package controller

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
	meshlab "floe.dev/palisade/verify/lab"
)

// Features: REQ-461.
func TestFalcosEventsAreToldOfTheirNamespace(t *testing.T) {
	l := newLab(t)
	home := l.shop()
	l.apply(plain)
	ca, err := meshlab.NewCA(model.MeshIstio, "lab.example")
	require.NoError(t, err)
	serving, err := ca.Serving("palisade-events.palisade-system.svc")
	require.NoError(t, err)
	folder := t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(serving.PrivateKey)
	require.NoError(t, err)
	for name, text := range map[string][]byte{
		"tls.crt": meshlab.PEM(serving.Certificate...), "tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), "token": []byte("a-secret\n"),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), text, 0o600))
	}
	l.controller("--falco-bind-address=127.0.0.1:19444", "--falco-folder="+folder)
	l.eventually(30*time.Second, l.governed(home))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Roots(), ServerName: "palisade-events.palisade-system.svc", MinVersion: tls.VersionTLS12}}}
	send := func(token, namespace string) int {
		body := `{"output": "Shell in a pod (user=root)", "priority": "Critical", "rule": "Terminal shell in container", "time": "` + time.Now().UTC().Format(time.RFC3339Nano) +
			`", "output_fields": {"k8s.ns.name": "` + namespace + `", "k8s.pod.name": "api-1"}}`
		r, err := http.NewRequest(http.MethodPost, "https://127.0.0.1:19444/falco", strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := client.Do(r)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		return answer.StatusCode
	}
	assert.Equal(t, http.StatusUnauthorized, send("another", home))
	assert.Equal(t, http.StatusAccepted, send("a-secret", home))
	assert.Equal(t, http.StatusAccepted, send("a-secret", "kube-system"))
	l.eventually(20*time.Second, func() string {
		for _, e := range l.list(eventKind, home) {
			if e.Object["reason"] == "RuntimeEvent" && strings.Contains(e.Object["note"].(string), "Pod api-1: Shell in a pod") && e.Object["type"] == "Warning" {
				return ""
			}
		}
		return "there is no Event RuntimeEvent"
	})
	for _, e := range l.list(eventKind, "kube-system") {
		assert.NotEqual(t, "RuntimeEvent", e.Object["reason"], "nobody governs it")
	}
	require.NoError(t, os.WriteFile(filepath.Join(folder, "token"), []byte("renewed"), 0o600))
	assert.Equal(t, http.StatusUnauthorized, send("a-secret", home), "a token may be renewed at any time")
	assert.Equal(t, http.StatusAccepted, send("renewed", home))
}
