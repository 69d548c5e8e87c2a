package engine_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/cluster"
	"floe.dev/palisade/engine"
	"floe.dev/palisade/model"
	"floe.dev/palisade/verify"
)

// verification is a report on pods of several workloads of one namespace, each
// with a certificate; what each check saw is chosen by see.
func verification(workloads, pods int, name string, see func(workload, pod int, c verify.Client) verify.Observation) *verify.Report {
	run := verify.Run{Started: noon.Add(-90 * time.Second), Finished: noon, Mesh: model.MeshIstio}
	for w := range workloads {
		for p := range pods {
			e := verify.Expectation{
				Target: verify.Target{
					Workload: model.WorkloadID{Kind: "Deployment", Namespace: "shop", Name: fmt.Sprintf(name, w)}, Pod: fmt.Sprintf(name+"-%d", w, p),
					Address: netip.AddrFrom4([4]byte{10, byte(w >> 8), byte(w), byte(p)}), Port: 8080,
				},
				Way: verify.Sidecar, Standing: verify.Strict, Identity: "mesh.example/ns/shop/sa/a",
				Checks: []verify.Check{{Client: verify.Plaintext, Want: verify.Refused}, {Client: verify.Member, Want: verify.Admitted}},
			}
			seen := verify.Observed{Target: e.Target}
			for _, c := range e.Checks {
				o := see(w, p, c.Client)
				o.Client = c.Client
				seen.Seen = append(seen.Seen, o)
			}
			run.Expectations, run.Seen = append(run.Expectations, e), append(run.Seen, seen)
		}
	}
	return verify.NewReport(&run)
}

// holds is what is seen of a port that holds.
func holds(_, pod int, c verify.Client) verify.Observation {
	if c == verify.Plaintext {
		return verify.Observation{Outcome: verify.Closed}
	}
	leaf := verify.Certificate{
		Fingerprint: fmt.Sprintf("%064d", pod), Serial: fmt.Sprintf("%040d", pod), Issuer: strings.Repeat("O=mesh.example,", 16), Names: []string{"spiffe://mesh.example/ns/shop/sa/a"},
		NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(23*time.Hour + time.Duration(pod)*time.Minute),
	}
	return verify.Observation{Outcome: verify.Established, TLS: &verify.Session{Version: "1.3", Suite: "TLS_AES_128_GCM_SHA256", Group: "X25519", Chain: []verify.Certificate{leaf}}}
}

func stored(t *testing.T, s v1alpha1.MTLSReportStatus) *v1alpha1.MTLSReport {
	t.Helper()
	r := v1alpha1.MTLSReport{
		TypeMeta: metav1.TypeMeta{APIVersion: "palisade.floe.dev/v1alpha1", Kind: "MTLSReport"}, ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "report"}, Status: s,
	}
	text, err := yaml.Marshal(&r)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "report.yaml")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	_, err = cluster.Read([]string{file}, nil, cluster.Options{})
	require.NoError(t, err, "the kind's schema must take it")
	var again v1alpha1.MTLSReport
	require.NoError(t, yaml.UnmarshalStrict(text, &again))
	return &again
}

// What a rollout needs to know of a verification comes back from the cluster as it was.
func TestEvidenceSurvivesTheCluster(t *testing.T) {
	tests := map[string]struct {
		light verify.Light
		see   func(workload, pod int, c verify.Client) verify.Observation
	}{
		"green": {verify.Green, holds},
		"red": {verify.Red, func(w, p int, c verify.Client) verify.Observation {
			if w == 1 && p == 1 && c == verify.Plaintext {
				return verify.Observation{Outcome: verify.Spoke}
			}
			return holds(w, p, c)
		}},
		"unknown": {verify.Unknown, func(w, p int, c verify.Client) verify.Observation {
			if w == 2 && c == verify.Plaintext {
				return verify.Observation{Outcome: verify.Silent}
			}
			return holds(w, p, c)
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := verification(3, 2, "app-%d", test.see)
			back, ok := engine.StoredSummary(stored(t, engine.MTLSReportStatus(r, "shop", nil)))
			require.True(t, ok)
			want := r.Namespaces[0]
			assert.Equal(t, test.light, want.Light)
			want.Holding = nil // it is not kept
			assert.Equal(t, want, back)
		})
	}
}

func TestNoVerificationIsNoEvidence(t *testing.T) {
	_, ok := engine.StoredSummary(&v1alpha1.MTLSReport{})
	assert.False(t, ok)
	s := engine.MTLSReportStatus(verification(1, 1, "app-%d", holds), "elsewhere", nil)
	of, ok := engine.StoredSummary(stored(t, s))
	assert.True(t, ok)
	assert.Equal(t, verify.Unknown, of.Light, "nothing of the namespace was looked at")
	assert.False(t, of.Applies())
	s = engine.MTLSReportStatus(verification(1, 1, "app-%d", holds), "shop", nil)
	s.Passed = 0
	of, _ = engine.StoredSummary(stored(t, s))
	assert.Equal(t, verify.Unknown, of.Light, "a light that its counts contradict is not believed")
}

// A status stays within its bound at ten thousand pods, whatever is wrong with
// them and however long their names are, and tells how much it leaves out.
func TestStatusIsBoundedAtTenThousandPods(t *testing.T) {
	long := strings.Repeat("n", 240) + "-%d"
	open := func(w, p int, c verify.Client) verify.Observation {
		if c == verify.Plaintext {
			return verify.Observation{Outcome: verify.Spoke, Detail: strings.Repeat("é", 300)}
		}
		return holds(w, p, c)
	}
	for name, test := range map[string]struct {
		workloads, pods int
		name            string
		see             func(int, int, verify.Client) verify.Observation
	}{
		"all hold":                 {1000, 10, "app-%d", holds},
		"all fail":                 {1000, 10, "app-%d", open},
		"all fail with long names": {2000, 5, long, open},
		"one workload":             {1, 250, "app-%d", open},
	} {
		t.Run(name, func(t *testing.T) {
			r := verification(test.workloads, test.pods, test.name, test.see)
			s := engine.MTLSReportStatus(r, "shop", nil)
			data, err := json.Marshal(s)
			require.NoError(t, err)
			assert.LessOrEqual(t, len(data), engine.StatusLimit)
			assert.NotEmpty(t, s.Ports)
			assert.Equal(t, len(r.Namespaces[0].Failing), len(s.Workloads.Failing)+int(s.Workloads.Others))
			assert.Equal(t, int32(test.workloads*test.pods), s.Certificates.Leaves)
			assert.Equal(t, s.Passed+s.Failed, s.Certificates.Leaves)
			stored(t, s)
			t.Logf("%d bytes, %d ports, %d names", len(data), len(s.Ports), len(s.Workloads.Failing))
		})
	}
}

// The condition changes its time only where it changes.
func TestConditionKeepsItsTime(t *testing.T) {
	first := engine.MTLSReportStatus(verification(1, 1, "app-%d", holds), "shop", nil)
	require.Len(t, first.Conditions, 1)
	assert.Equal(t, metav1.ConditionTrue, first.Conditions[0].Status)
	first.Conditions[0].LastTransitionTime = metav1.NewTime(noon.Add(-time.Hour))
	again := engine.MTLSReportStatus(verification(1, 1, "app-%d", holds), "shop", first.Conditions)
	assert.Equal(t, first.Conditions, again.Conditions)
}
