package verify

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
)

// run is a verification of three pods, each as change leaves it.
func run(at time.Time, before *Report, change func(pod int, e *Expectation, seen *Observed)) *Report {
	r := Run{Started: at.Add(-time.Minute), Finished: at, Mesh: model.MeshIstio, TrustDomain: "mesh.example", Before: before}
	for pod := range 3 {
		e := expected(Sidecar, Strict)
		e.Pod, e.Address = fmt.Sprintf("cart-%d", pod), netip.AddrFrom4([4]byte{10, 0, 0, byte(pod)})
		seen := good(&e)
		seen.Target = e.Target
		for i := range seen.Seen {
			if s := seen.Seen[i].TLS; s != nil {
				leaf := leafAt(Sidecar, fmt.Sprintf("%064d", pod), noon, 24*time.Hour)
				s.Chain = []Certificate{leaf, {Fingerprint: strings.Repeat("c", 64), KeyID: "issuer", Subject: "CN=issuer", NotBefore: noon, NotAfter: noon.Add(1000 * 24 * time.Hour)}}
			}
		}
		if change != nil {
			change(pod, &e, seen)
		}
		r.Expectations, r.Seen = append(r.Expectations, e), append(r.Seen, *seen)
	}
	return NewReport(&r)
}

func codes(r *Report) []string {
	var list []string
	for _, f := range r.Findings {
		list = append(list, string(f.Severity)+" "+f.Code)
	}
	return list
}

func TestASoundRunIsGreenAndFindsNothing(t *testing.T) {
	r := run(noon, nil, nil)
	assert.Equal(t, Counts{Pass: 3}, r.Summary)
	assert.Empty(t, r.Findings)
	require.Len(t, r.Namespaces, 1)
	assert.Equal(t, Summary{Namespace: "shop", Light: Green, Began: noon.Add(-time.Minute), At: noon, Counts: Counts{Pass: 3}, Holding: []model.WorkloadID{cart}}, r.Namespaces[0])
	assert.Len(t, r.Ledger.Entries, 3)
	assert.Equal(t, 3, r.Crypto.Sessions)
	assert.Equal(t, map[string]int{"TLS 1.3": 3}, r.Crypto.Versions)
}

// Each fault is a finding of its own, said once for a port, with the pods that show it.
func TestFaultsBecomeFindings(t *testing.T) {
	set := func(c Client, o Observation) func(int, *Expectation, *Observed) {
		return func(pod int, _ *Expectation, seen *Observed) {
			for i := range seen.Seen {
				if pod == 1 && seen.Seen[i].Client == c {
					if o.TLS == nil && c != Plaintext {
						o.TLS = seen.Seen[i].TLS
					}
					o.Client = c
					seen.Seen[i] = o
				}
			}
		}
	}
	tests := []struct {
		name    string
		change  func(int, *Expectation, *Observed)
		finding string
		said    string
	}{
		{"plaintext", set(Plaintext, Observation{Outcome: Spoke}), "error PlaintextOnStrictPort", "port 8080 of cart-1 (1 of 3 pods): plaintext: answered; it must be refused, and was let in"},
		{"a foreign CA", set(ForeignCA, Observation{Outcome: Established}), "error ClientNotVerified", "cart-1 (1 of 3 pods)"},
		{"a member", set(Member, Observation{Outcome: Alerted, Alert: 46}), "error MemberRefused", "alert 46 certificate_unknown"},
		{"a stranger", set(Stranger, Observation{Outcome: Spoke}), "error StrangerAdmitted", "was let in"},
		{"a server", set(Member, Observation{Outcome: Established, TLS: shownBy(another)}), "error ServerUnproven", "the server proves to be " + another},
		{"silence", set(Plaintext, Observation{Outcome: Silent}), "warning PortNotVerified", "cart-1 (1 of 3 pods): it is not known whether it holds: plaintext: silence"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := run(noon, nil, test.change)
			require.Equal(t, []string{test.finding}, codes(r))
			assert.Contains(t, r.Findings[0].Message, test.said)
			assert.Equal(t, model.Ref{Kind: "Deployment", Namespace: "shop", Name: "cart"}, r.Findings[0].Subject)
			assert.NotEmpty(t, r.Findings[0].Fix)
			assert.NotEqual(t, Green, r.Namespaces[0].Light)
		})
	}
}

func TestCertificatesOutOfTheirTimeBecomeFindings(t *testing.T) {
	r := run(noon.Add(13*time.Hour), nil, nil)
	assert.Equal(t, []string{"warning CertificateOverdue"}, codes(r), "due by half past twelve hours, and a little")
	assert.Contains(t, r.Findings[0].Message, "shop/cart-0, shop/cart-1, shop/cart-2")
	assert.Equal(t, Green, r.Namespaces[0].Light, "it still holds")

	authority := Authority{
		Roots:       []Certificate{{Fingerprint: strings.Repeat("r", 64), KeyID: "k", Subject: "CN=root", NotBefore: noon, NotAfter: noon.Add(59 * 24 * time.Hour)}},
		Issuer:      &Certificate{Fingerprint: strings.Repeat("i", 64), KeyID: "next", IssuerKeyID: "k", Subject: "CN=issuer", NotBefore: noon.Add(-48 * time.Hour), NotAfter: noon.Add(-time.Hour)},
		IssuerSince: noon.Add(-24 * time.Hour),
	}
	e := expected(Sidecar, Strict)
	seen := good(&e)
	seen.Target = e.Target
	for i := range seen.Seen {
		if s := seen.Seen[i].TLS; s != nil {
			s.Chain = []Certificate{leafAt(Sidecar, "1", noon, 24*time.Hour)}
		}
	}
	r = NewReport(&Run{Finished: noon, Mesh: model.MeshIstio, Expectations: []Expectation{e}, Seen: []Observed{*seen}, Authority: authority})
	assert.Equal(t, []string{
		"error CertificateExpiring", // the issuer has ended
		"error TrustBundleSkew",     // leaves are of a root that is not there
		"error RotationStalled",     // and another signs
		"warning CertificateExpiring",
	}, codes(r))
}

func TestChangesAreToldByWorkload(t *testing.T) {
	before := run(noon, nil, nil)
	after := run(noon.Add(time.Hour), before, func(pod int, e *Expectation, seen *Observed) {
		e.Pod += "-b" // a rollout: other pods
		seen.Pod = e.Pod
		if pod == 0 {
			seen.Seen[0] = Observation{Client: Plaintext, Outcome: Spoke}
		}
	})
	require.NotNil(t, after.Changes)
	assert.Equal(t, []Change{{Workload: cart, Port: 8080, Before: Pass, After: Fail, Reason: "plaintext: answered (it must be refused, and was let in)"}}, after.Changes.Worse)
	assert.Empty(t, after.Changes.Better)
	assert.Empty(t, after.Changes.Added)
	assert.Equal(t, noon, after.Changes.Since)

	back := run(noon.Add(2*time.Hour), after, nil)
	require.Len(t, back.Changes.Better, 1)
	assert.Equal(t, Fail, back.Changes.Better[0].Before)

	same := Compare(before, before)
	assert.True(t, same.Empty())
	gone := *before
	gone.Results = nil
	c := Compare(before, &gone)
	assert.Len(t, c.Gone, 1)
	c = Compare(&gone, after)
	assert.Len(t, c.Added, 1)
	assert.Len(t, c.Worse, 1, "what comes as a failure is worse than what was")
}

func TestRenewedCertificatesAreCounted(t *testing.T) {
	before := run(noon, nil, nil)
	after := run(noon.Add(13*time.Hour), before, func(pod int, _ *Expectation, seen *Observed) {
		for i := range seen.Seen {
			if s := seen.Seen[i].TLS; s != nil && pod < 2 {
				s.Chain = []Certificate{leafAt(Sidecar, fmt.Sprintf("%064d", 10+pod), noon.Add(12*time.Hour), 24*time.Hour)}
			}
		}
	})
	assert.Equal(t, []RotatedPods{{cart, 2}}, after.Changes.Rotated)
	assert.Equal(t, []string{"warning CertificateOverdue"}, codes(after), "the third was not")
	assert.Contains(t, after.Findings[0].Message, "shop/cart-2")
	for _, e := range after.Ledger.Entries[:2] {
		assert.Equal(t, noon.Add(13*time.Hour), e.State.Rotated)
		assert.Equal(t, Current, e.State.Phase)
	}
}

func TestReportsAreReadBackAsTheyWere(t *testing.T) {
	r := run(noon.Add(time.Hour), run(noon, nil, nil), func(pod int, _ *Expectation, seen *Observed) {
		if pod == 1 {
			seen.Seen[0] = Observation{Client: Plaintext, Outcome: Spoke, First: "silence"}
		}
	})
	data, err := json.Marshal(r)
	require.NoError(t, err)
	again, err := ParseReport(data)
	require.NoError(t, err)
	second, err := json.Marshal(again)
	require.NoError(t, err)
	assert.Equal(t, string(data), string(second))
	for _, broken := range []string{"", "{}", "[]", `{"apiVersion":"palisade.floe.dev/v1alpha1","kind":"Plan"}`,
		strings.Replace(string(data), `"verdict":"fail"`, `"verdict":"fine"`, 1)} {
		_, err := ParseReport([]byte(broken))
		assert.Error(t, err)
	}
}

func FuzzParseReport(f *testing.F) {
	data, err := json.Marshal(run(noon, nil, nil))
	require.NoError(f, err)
	f.Add(data)
	f.Add([]byte(`{"apiVersion":"palisade.floe.dev/v1alpha1","kind":"VerificationReport","results":[{"verdict":"pass"}],"ledger":{"entries":[{"leaves":[{}]}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseReport(data)
		if err != nil {
			return
		}
		// Whatever was read can be compared, judged and added to.
		Compare(r, r)
		r.Ledger.judge(&Authority{}, noon)
		RotationOf(&Authority{Roots: []Certificate{{}}}, &r.Ledger)
		r.Ledger.Observe(nil, nil, noon)
	})
}
