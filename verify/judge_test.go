package verify

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"

	"floe.dev/palisade/model"
)

const (
	itself  = "mesh.example/ns/shop/sa/cart"
	another = "mesh.example/ns/shop/sa/web"
)

// shownBy is a session in which a server proves to be somebody.
func shownBy(identity string) *Session {
	return &Session{Version: "1.3", Chain: []Certificate{{Fingerprint: identity, Names: []string{spiffe + identity}}}, Root: "root"}
}

func expected(way Way, s Standing) Expectation {
	e := Expectation{
		Target: Target{Workload: model.WorkloadID{Namespace: "shop", Kind: "Deployment", Name: "cart"}, Pod: "cart-1", Address: netip.MustParseAddr("10.1.2.3"), Port: 8080},
		Way:    way, Standing: s, Identity: itself, Authorized: true, Callers: []string{another},
	}
	e.choose(credentials{member: another, stranger: "mesh.example/ns/x/sa/y", requests: true})
	return e
}

// What one observation comes to, for each client and way: facts/§7 of the meshes' sources, a row each.
func TestObservationsComeToTheirVerdict(t *testing.T) {
	tests := []struct {
		name   string
		way    Way
		client Client
		saw    Observation
		want   Verdict
		fault  fault
	}{
		{"Envoy closes plaintext", Sidecar, Plaintext, Observation{Outcome: Closed}, Pass, noFault},
		{"plaintext meets a TLS alert", Sidecar, Plaintext, Observation{Outcome: Alerted, Alert: 70}, Pass, noFault},
		{"plaintext is answered", Sidecar, Plaintext, Observation{Outcome: Spoke}, Fail, plaintextTaken},
		{"plaintext meets silence", Sidecar, Plaintext, Observation{Outcome: Silent}, Inconclusive, noFault},
		{"plaintext meets no connection", Sidecar, Plaintext, Observation{Outcome: Unreachable}, Inconclusive, noFault},
		{"ztunnel closes plaintext at once", HBONE, Plaintext, Observation{Outcome: ClosedUnasked}, Pass, noFault},
		{"an ambient application hangs up on nonsense", HBONE, Plaintext, Observation{Outcome: Closed}, Inconclusive, noFault},
		{"Linkerd answers a request with 403", Linkerd, Plaintext, Observation{Outcome: Answered, Status: 403, MeshError: "client not authorized"}, Pass, noFault},
		{"an application answers a request with 403", Linkerd, Plaintext, Observation{Outcome: Answered, Status: 403}, Fail, plaintextTaken},
		{"Linkerd finds no route", Linkerd, Plaintext, Observation{Outcome: Answered, Status: 404, MeshError: "no route"}, Inconclusive, noFault},

		{"certificate_required, late", Sidecar, NoCertificate, Observation{Outcome: Alerted, Alert: 116, TLS: shownBy(itself)}, Pass, noFault},
		{"handshake_failure in TLS 1.2", Sidecar, NoCertificate, Observation{Outcome: Alerted, Alert: 40, TLS: shownBy(itself)}, Pass, noFault},
		{"bad_certificate", Proxyless, NoCertificate, Observation{Outcome: Alerted, Alert: 42, TLS: shownBy(itself)}, Pass, noFault},
		{"handshake_failure before a certificate", Sidecar, NoCertificate, Observation{Outcome: Alerted, Alert: 40}, Inconclusive, noFault},
		{"another alert", Sidecar, NoCertificate, Observation{Outcome: Alerted, Alert: 80, TLS: shownBy(itself)}, Inconclusive, noFault},
		{"no_application_protocol", LinkerdTransport, NoCertificate, Observation{Outcome: Alerted, Alert: 120, TLS: shownBy(itself)}, Inconclusive, noFault},
		{"closed after the certificate", Sidecar, NoCertificate, Observation{Outcome: Closed, TLS: shownBy(itself)}, Pass, noFault},
		{"closed before a certificate", Sidecar, NoCertificate, Observation{Outcome: Closed}, Inconclusive, noFault},
		{"taken without a certificate", Sidecar, NoCertificate, Observation{Outcome: Established, TLS: shownBy(itself)}, Fail, clientUnverified},
		{"Linkerd takes TLS without a certificate and judges later", Linkerd, NoCertificate, Observation{Outcome: Established, TLS: shownBy(itself)}, Inconclusive, noFault},
		{"on 4143 there is no later", LinkerdTransport, NoCertificate, Observation{Outcome: Established, TLS: &Session{Protocol: "transport.l5d.io/v1", Chain: shownBy(itself).Chain}}, Fail, clientUnverified},
		{"TLS meets no TLS", Sidecar, NoCertificate, Observation{Outcome: NotTLS}, Fail, serverUnproven},
		{"TLS meets silence", Sidecar, NoCertificate, Observation{Outcome: Silent, TLS: shownBy(itself)}, Inconclusive, noFault},
		{"TLS meets a flood", Sidecar, NoCertificate, Observation{Outcome: Excessive}, Inconclusive, noFault},

		{"unknown_ca", Sidecar, ForeignCA, Observation{Outcome: Alerted, Alert: 48, TLS: shownBy(itself)}, Pass, noFault},
		{"access_denied", HBONE, ForeignCA, Observation{Outcome: Alerted, Alert: 49, TLS: shownBy(itself)}, Pass, noFault},
		{"a foreign CA is taken", Sidecar, ForeignCA, Observation{Outcome: Established, TLS: shownBy(itself)}, Fail, clientUnverified},
		{"certificate_expired", Sidecar, Expired, Observation{Outcome: Alerted, Alert: 45, TLS: shownBy(itself)}, Pass, noFault},
		{"certificate_unknown", Sidecar, Expired, Observation{Outcome: Alerted, Alert: 46, TLS: shownBy(itself)}, Pass, noFault},
		{"an expired one gets a CONNECT", HBONE, Expired, Observation{Outcome: Answered, Status: 200, TLS: shownBy(itself)}, Fail, clientUnverified},

		{"a member is taken", Sidecar, Member, Observation{Outcome: Established, TLS: shownBy(itself)}, Pass, noFault},
		{"a member hears the application", Sidecar, Member, Observation{Outcome: Spoke, TLS: shownBy(itself)}, Pass, noFault},
		{"a member's CONNECT", HBONE, Member, Observation{Outcome: Answered, Status: 200, TLS: shownBy(itself)}, Pass, noFault},
		{"a member is let in, and nothing listens", HBONE, Member, Observation{Outcome: Answered, Status: 503, TLS: shownBy(itself)}, Pass, noFault},
		{"a member is refused by ztunnel", HBONE, Member, Observation{Outcome: Answered, Status: 401, TLS: shownBy(itself)}, Fail, memberRefused},
		{"a CONNECT that ztunnel does not understand", HBONE, Member, Observation{Outcome: Answered, Status: 400, TLS: shownBy(itself)}, Inconclusive, noFault},
		{"a member is refused by an alert", Sidecar, Member, Observation{Outcome: Alerted, Alert: 46, TLS: shownBy(itself)}, Fail, memberRefused},
		{"a member meets silence", Sidecar, Member, Observation{Outcome: Silent, TLS: shownBy(itself)}, Inconclusive, noFault},
		{"a member could not be played", Sidecar, Member, Observation{Outcome: Skipped}, Inconclusive, noFault},
		{"a member meets a wrong name", Sidecar, Member, Observation{Outcome: Established, TLS: shownBy(another)}, Fail, serverUnproven},
		{"a member meets a foreign server", Sidecar, Member, Observation{Outcome: Established, TLS: &Session{Chain: shownBy(itself).Chain, Trust: ErrForeign.Error()}}, Fail, serverUnproven},

		{"a stranger's CONNECT is refused", HBONE, Stranger, Observation{Outcome: Answered, Status: 401, TLS: shownBy(itself)}, Pass, noFault},
		{"a stranger's CONNECT", HBONE, Stranger, Observation{Outcome: Answered, Status: 200, TLS: shownBy(itself)}, Fail, strangerAdmitted},
		{"a stranger is let in where nothing listens", HBONE, Stranger, Observation{Outcome: Answered, Status: 503, TLS: shownBy(itself)}, Fail, strangerAdmitted},
		{"a stranger is hung up on", LinkerdTransport, Stranger, Observation{Outcome: Closed, TLS: shownBy(itself)}, Pass, noFault},
		{"a stranger is kept", LinkerdTransport, Stranger, Observation{Outcome: Established, TLS: shownBy(itself)}, Fail, strangerAdmitted},
		{"a stranger is kept by Envoy, which judges requests", Sidecar, Stranger, Observation{Outcome: Established, TLS: shownBy(itself)}, Inconclusive, noFault},
		{"a stranger's request is refused by Envoy", Sidecar, Stranger, Observation{Outcome: Answered, Status: 403, MeshError: "RBAC: access denied", TLS: shownBy(itself)}, Pass, noFault},
		{"a stranger's request reaches the application", Sidecar, Stranger, Observation{Outcome: Answered, Status: 403, TLS: shownBy(itself)}, Fail, strangerAdmitted},

		{"TLS of no mesh is ended by the proxy", Sidecar, BareTLS, Observation{Outcome: Alerted, Alert: 116, TLS: shownBy(itself)}, Pass, noFault},
		{"TLS of no mesh is taken by the proxy", Sidecar, BareTLS, Observation{Outcome: Established, TLS: shownBy(itself)}, Fail, clientUnverified},
		{"TLS of no mesh meets the application's own", Sidecar, BareTLS, Observation{Outcome: Established, TLS: &Session{Chain: []Certificate{{Names: []string{"shop.example"}}}}}, Fail, plaintextTaken},
		{"TLS of no mesh meets a proxy of another name", Sidecar, BareTLS, Observation{Outcome: Alerted, Alert: 116, TLS: shownBy(another)}, Fail, serverUnproven},
		{"TLS of no mesh is closed on", Sidecar, BareTLS, Observation{Outcome: Closed}, Inconclusive, noFault},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := expected(test.way, Strict)
			want := Refused
			if test.client == Member {
				want = Admitted
			}
			test.saw.Client = test.client
			got := e.judge(Check{Client: test.client, Want: want}, &test.saw)
			assert.Equal(t, test.want, got.Verdict, got.Reason)
			assert.Equal(t, test.fault, got.fault)
			if got.Verdict != Pass {
				assert.NotEmpty(t, got.Reason)
			}
		})
	}
}

// good is what a sound target shows to each of its clients.
func good(e *Expectation) *Observed {
	seen := &Observed{Target: e.Target}
	for _, c := range e.Checks {
		o := Observation{Client: c.Client, Outcome: Alerted, Alert: 116, TLS: shownBy(itself)}
		switch c.Client {
		case Plaintext:
			o = Observation{Client: c.Client, Outcome: ClosedUnasked}
		case Member:
			o = Observation{Client: c.Client, Outcome: Established, TLS: shownBy(itself)}
		case ForeignCA:
			o.Alert = 48
		case Expired:
			o.Alert = 45
		}
		seen.Seen = append(seen.Seen, o)
	}
	return seen
}

// Any one client that sees nothing takes the pass away, and any one that sees
// what must not be makes a failure: nothing outweighs it.
func TestEveryCheckOfAPortCounts(t *testing.T) {
	for _, way := range []Way{Sidecar, HBONE, Proxyless, Linkerd, LinkerdTransport} {
		e := expected(way, Strict)
		r := Judge(&e, good(&e))
		assert.Equal(t, Pass, r.Verdict, "%s: %s", way, r.Reason)
		for i, c := range e.Checks {
			for _, nothing := range []Outcome{Silent, Unreachable, Excessive, Skipped} {
				seen := good(&e)
				seen.Seen[i] = Observation{Client: c.Client, Outcome: nothing}
				r := Judge(&e, seen)
				if c.Client == BareTLS && nothing == Silent {
					assert.Equal(t, Fail, r.Verdict, "a strict proxy ends any TLS, and this one ended the mesh's alone")
					continue
				}
				assert.Equal(t, Inconclusive, r.Verdict, "%s %s %s", way, c.Client, nothing)
				assert.NotEmpty(t, r.Reason)
			}
			seen := good(&e)
			seen.Seen[i] = Observation{Client: c.Client, Outcome: Spoke, TLS: shownBy(itself)}
			if c.Client == Member {
				seen.Seen[i] = Observation{Client: c.Client, Outcome: Alerted, Alert: 46, TLS: shownBy(itself)}
			}
			assert.Equal(t, Fail, Judge(&e, seen).Verdict, "%s %s", way, c.Client)
		}
		assert.Equal(t, Inconclusive, Judge(&e, &Observed{}).Verdict, "nothing was looked at")
	}
}

func TestAPassNeedsTheWorkloadsOwnCertificate(t *testing.T) {
	e := expected(Sidecar, Strict)
	e.Checks = e.Checks[:1] // plaintext alone
	assert.Equal(t, Inconclusive, Judge(&e, &Observed{Seen: []Observation{{Client: Plaintext, Outcome: Closed}}}).Verdict)

	e = expected(Sidecar, Strict)
	e.Identity = ""
	assert.Equal(t, Inconclusive, Judge(&e, good(&e)).Verdict, "whom it should prove to be is not known")

	e = expected(Sidecar, Strict)
	seen := good(&e)
	for i := range seen.Seen {
		if s := seen.Seen[i].TLS; s != nil {
			s.Trust = ErrNoRoots.Error()
		}
	}
	assert.Equal(t, Inconclusive, Judge(&e, seen).Verdict, "by which roots it should be trusted is not known")
}

func TestPortsThatAreNotMeantToBeStrictHaveVerdictsOfTheirOwn(t *testing.T) {
	for standing, want := range map[Standing]Verdict{ByDesign: Open, Outside: Unprotected, NotCovered: Untested} {
		e := expected(Direct, standing)
		assert.Equal(t, want, Judge(&e, &Observed{Seen: []Observation{{Client: Plaintext, Outcome: Spoke}}}).Verdict)
	}
	e := expected(Sidecar, Permissive)
	seen := good(&e)
	seen.Seen[0] = Observation{Client: Plaintext, Outcome: Spoke}
	assert.Equal(t, Pass, Judge(&e, seen).Verdict, "plaintext may come in there")
	for i := range seen.Seen {
		if seen.Seen[i].Client == ForeignCA {
			seen.Seen[i].Outcome = Established
		}
	}
	assert.Equal(t, Fail, Judge(&e, seen).Verdict, "and a foreign CA may not")
}

func TestLightsGoOutForAnythingThatIsNotKnown(t *testing.T) {
	assert.Equal(t, Unknown, (&Counts{}).Light(), "nothing was seen")
	assert.Equal(t, Unknown, (&Counts{Unprotected: 3}).Light())
	assert.Equal(t, Green, (&Counts{Pass: 1, Unprotected: 1, Plaintext: 1, Untested: 1}).Light())
	assert.Equal(t, Unknown, (&Counts{Pass: 1, Inconclusive: 1}).Light())
	assert.Equal(t, Red, (&Counts{Pass: 1, Inconclusive: 1, Fail: 1}).Light())
}
