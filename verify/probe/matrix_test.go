package probe_test

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verify"
	"floe.dev/palisade/verify/lab"
	"floe.dev/palisade/verify/probe"
)

// start starts a lab that ends with the test.
func start(t testing.TB, mesh model.MeshKind, specs ...lab.Spec) *lab.Lab {
	t.Helper()
	for i := range specs {
		if specs[i].Name == "" {
			specs[i].Namespace, specs[i].Name = "lab", fmt.Sprintf("server-%03d", i)
		}
		if specs[i].Detect == 0 {
			specs[i].Detect = 400 * time.Millisecond
		}
	}
	l, err := lab.Start(mesh, specs)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, l.Close()) })
	return l
}

// hurried are options for loopback, where everything is near.
func hurried(l *lab.Lab) probe.Options {
	return probe.Options{
		Mesh: l.CA.Mesh, Trust: verify.NewTrust([]*x509.Certificate{l.CA.Root()}), Credentials: l.CA,
		Timeout: 4 * time.Second, Listen: 500 * time.Millisecond, Settle: 60 * time.Millisecond, Patience: 1200 * time.Millisecond,
		Attempts: 2, Pause: time.Millisecond, Concurrency: 128,
	}
}

// caller and stranger are identities of a mesh; the first is let in by the labs.
func caller(mesh model.MeshKind) string   { return identity(mesh, "caller") }
func stranger(mesh model.MeshKind) string { return identity(mesh, "stranger") }

func identity(mesh model.MeshKind, name string) string {
	if mesh == model.MeshLinkerd {
		return name + ".lab.serviceaccount.identity.linkerd." + lab.TrustDomain
	}
	return lab.TrustDomain + "/ns/lab/sa/" + name
}

// expectations are those of a lab's targets, with certificates for caller and stranger, in the order of the lab.
func expectations(l *lab.Lab) []verify.Expectation { return withIdentities(l).Expectations() }

// withIdentities are a lab's targets, and certificates for caller and stranger.
func withIdentities(l *lab.Lab) *verify.Targets {
	targets := l.Targets()
	for _, identity := range []string{caller(l.CA.Mesh), stranger(l.CA.Mesh)} {
		targets.Identities = append(targets.Identities,
			verify.HeldIdentity{Identity: identity, Certificate: "-", Key: "-"}, verify.HeldIdentity{Identity: identity, Certificate: "-", Key: "-", Expired: true})
	}
	return targets
}

// tried runs all probes against a lab and judges.
func tried(t testing.TB, l *lab.Lab, o probe.Options) []verify.Result {
	t.Helper()
	expected := expectations(l)
	sweep := probe.Run(t.Context(), expected, o)
	results := make([]verify.Result, len(expected))
	for i := range expected {
		results[i] = verify.Judge(&expected[i], &sweep.Seen[i])
		for j := range sweep.Seen[i].Seen {
			assertShown(t, &results[i], &sweep.Seen[i].Seen[j])
		}
	}
	return results
}

// shows are the outcomes that show something. Silence is not among them.
var shows = []verify.Outcome{verify.Closed, verify.ClosedUnasked, verify.Alerted, verify.Answered, verify.Spoke, verify.Established}

// assertShown demands that no check passes for want of an answer.
func assertShown(t testing.TB, r *verify.Result, o *verify.Observation) {
	t.Helper()
	for _, c := range r.Checks {
		if c.Client == o.Client && c.Verdict == verify.Pass {
			assert.Contains(t, shows, o.Outcome, "%s passed by %s", c.Client, o.Outcome)
			if o.Outcome == verify.Established {
				assert.NotEmpty(t, o.Detail, "a connection that was kept is no proof by itself")
			}
		}
	}
}

// checkOf is what a client came to.
func checkOf(r *verify.Result, c verify.Client) *verify.Checked {
	for i := range r.Checks {
		if r.Checks[i].Client == c {
			return &r.Checks[i]
		}
	}
	return nil
}

// failing are the clients whose checks fail, as a text.
func failing(r *verify.Result) string {
	var clients []string
	for _, c := range r.Checks {
		if c.Verdict == verify.Fail {
			clients = append(clients, string(c.Client))
		}
	}
	return strings.Join(clients, " ")
}

// cell is what a stand-in comes to that is meant to be strict.
type cell struct {
	verdict verify.Verdict
	// failing are the clients whose checks fail.
	failing string
}

// everyTLS are the clients of a way that see the server's certificate.
var everyTLS = map[verify.Way]string{
	verify.Sidecar:          "bareTLS noCertificate member foreignCA expired",
	verify.HBONE:            "noCertificate member stranger foreignCA expired",
	verify.Proxyless:        "noCertificate member foreignCA expired",
	verify.Linkerd:          "noCertificate member stranger foreignCA expired",
	verify.LinkerdTransport: "noCertificate member stranger foreignCA expired",
}

// strict are the cells of strict stand-ins, by fault; those of a single way after its name.
var strict = map[string]cell{
	"":                             {verify.Pass, ""},
	"never-rotating":               {verify.Pass, ""},
	"expired":                      {verify.Fail, "everyTLS"},
	"wrong-name":                   {verify.Fail, "everyTLS"},
	"foreign-ca":                   {verify.Fail, "everyTLS"},
	"hanging":                      {verify.Inconclusive, ""},
	"resetting":                    {verify.Inconclusive, ""},
	"any-ca":                       {verify.Fail, "foreignCA"},
	"any-time":                     {verify.Fail, "expired"},
	"no-member":                    {verify.Fail, "member"},
	"no-member linkerd":            {verify.Inconclusive, ""}, // as if nothing listened behind it
	"no-member linkerdTransport":   {verify.Inconclusive, ""},
	"access-denied":                {verify.Fail, "member"},
	"unverified sidecar":           {verify.Fail, "bareTLS noCertificate foreignCA expired"},
	"unverified proxyless":         {verify.Fail, "noCertificate foreignCA expired"},
	"unverified hbone":             {verify.Fail, "noCertificate stranger foreignCA expired"},
	"unverified linkerd":           {verify.Fail, "plaintext foreignCA expired"},
	"unverified linkerdTransport":  {verify.Fail, "plaintext noCertificate stranger foreignCA expired"},
	"any-member sidecar":           {verify.Pass, ""}, // it shows on a request only: see TestRequestsShowAuthorization
	"any-member proxyless":         {verify.Pass, ""},
	"any-member hbone":             {verify.Fail, "stranger"},
	"any-member linkerd":           {verify.Inconclusive, ""},
	"any-member linkerdTransport":  {verify.Fail, "stranger"},
	"slow-loris":                   {verify.Fail, "plaintext"},
	"slow-loris hbone":             {verify.Inconclusive, ""},
	"huge-record":                  {verify.Fail, "plaintext"},
	"huge-record hbone":            {verify.Inconclusive, ""},
	"endless-chain":                {verify.Inconclusive, ""},
	"garbage sidecar":              {verify.Fail, "plaintext noCertificate member foreignCA expired"},
	"garbage proxyless":            {verify.Fail, "plaintext everyTLS"},
	"garbage hbone":                {verify.Fail, "everyTLS"},
	"garbage linkerd":              {verify.Fail, "plaintext everyTLS"},
	"garbage linkerdTransport":     {verify.Fail, "plaintext everyTLS"},
	"flood sidecar":                {verify.Fail, "plaintext noCertificate member foreignCA expired"},
	"flood":                        {verify.Fail, "plaintext everyTLS"},
	"frame-flood sidecar":          {verify.Fail, "bareTLS noCertificate foreignCA expired"},
	"frame-flood proxyless":        {verify.Fail, "noCertificate foreignCA expired"},
	"frame-flood hbone":            {verify.Inconclusive, ""},
	"frame-flood linkerd":          {verify.Fail, "noCertificate stranger foreignCA expired"},
	"frame-flood linkerdTransport": {verify.Fail, "noCertificate stranger foreignCA expired"},
}

// wanted is the cell of a stand-in. What is wrong with a strict one is wrong with
// one that also takes plaintext; the application behind answers requests.
func wanted(t *testing.T, s *lab.Spec) cell {
	t.Helper()
	c, ok := strict[string(s.Fault)+" "+string(s.Way)]
	if !ok {
		c, ok = strict[string(s.Fault)]
	}
	require.True(t, ok, "the matrix has no cell for %s", s)
	c.failing = strings.Replace(c.failing, "everyTLS", everyTLS[s.Way], 1)
	if s.Mode == lab.Strict || slices.Contains([]lab.Fault{lab.Hanging, lab.Resetting}, s.Fault) {
		return c
	}
	switch {
	case slices.Contains(lab.Hostile(), s.Fault) && (s.Way != verify.HBONE || s.Fault == lab.Flood):
		return c // it takes over before there is a mode
	case s.Mode == lab.Disabled && s.Way == verify.HBONE && !slices.Contains(lab.Hostile(), s.Fault):
		return cell{verify.Fail, "plaintext"} // nothing answers on the tunnel
	case s.Mode == lab.Disabled && s.Way != verify.HBONE, s.Mode == lab.Permissive && s.Way == verify.Proxyless:
		// The application answers a ClientHello as it answers nonsense.
		return cell{verify.Fail, "plaintext " + strings.TrimPrefix(everyTLS[s.Way], "bareTLS ")}
	}
	clients := []string{"plaintext"}
	named := !slices.Contains([]lab.Fault{lab.ExpiredCertificate, lab.WrongName, lab.ForeignCertificate, lab.FrameFlood}, s.Fault)
	for _, client := range strings.Fields(everyTLS[s.Way]) {
		switch {
		case client == "bareTLS" && named, // left to the application
			client == "stranger" && s.Way == verify.LinkerdTransport && named && s.Fault != lab.LateAlert, // let in beside plaintext
			client != "bareTLS" && slices.Contains(strings.Fields(c.failing), client) && (client != "member" || s.Fault != lab.NoMember || s.Mode != lab.Permissive || mesh(s.Way) != model.MeshLinkerd):
			clients = append(clients, client)
		}
	}
	return cell{verify.Fail, strings.Join(clients, " ")}
}

func mesh(way verify.Way) model.MeshKind {
	if slices.Contains(waysOf[model.MeshLinkerd], way) {
		return model.MeshLinkerd
	}
	return model.MeshIstio
}

var waysOf = map[model.MeshKind][]verify.Way{
	model.MeshIstio:   {verify.Sidecar, verify.HBONE, verify.Proxyless},
	model.MeshLinkerd: {verify.Linkerd, verify.LinkerdTransport},
}

// Every probe against every mode with every fault: what it must come to, and by which clients.
//
// Features: D1, D2, D3, D4.
func TestEveryModeAndFaultComesToItsVerdict(t *testing.T) {
	t.Parallel()
	for mesh, ways := range waysOf {
		t.Run(string(mesh), func(t *testing.T) {
			t.Parallel()
			var list []lab.Spec
			for _, way := range ways {
				for _, mode := range []lab.Mode{lab.Strict, lab.Permissive, lab.Disabled} {
					for _, fault := range lab.Faults() {
						list = append(list, lab.Spec{Way: way, Mode: mode, Fault: fault, App: lab.HTTP, Callers: []string{caller(mesh)}})
					}
				}
			}
			assertCells(t, mesh, list)
		})
	}
}

// slow are the faults that use all the time there is.
var slow = []lab.Fault{lab.Hanging, lab.SlowLoris}

// assertCells tries all stand-ins: those that use all the time there is with little
// of it, and the others with enough for a busy machine.
func assertCells(t *testing.T, mesh model.MeshKind, list []lab.Spec) {
	t.Helper()
	for _, hanging := range []bool{true, false} {
		var specs []lab.Spec
		for i := range list {
			if slices.Contains(slow, list[i].Fault) == hanging {
				specs = append(specs, list[i])
			}
		}
		l := start(t, mesh, specs...)
		o := hurried(l)
		if hanging {
			o.Timeout = 400 * time.Millisecond
		}
		for i, r := range tried(t, l, o) {
			want := wanted(t, &specs[i])
			assert.Equal(t, want.verdict, r.Verdict, "%s: %s", &specs[i], r.Reason)
			assert.Equal(t, want.failing, failing(&r), "%s: %+v", &specs[i], r.Checks)
		}
	}
}

// A peer that means harm ends within its limits, and never passes.
func TestHostilePeersAreBoundedAndNeverPass(t *testing.T) {
	t.Parallel()
	for mesh, ways := range waysOf {
		t.Run(string(mesh), func(t *testing.T) {
			t.Parallel()
			var list []lab.Spec
			for _, way := range ways {
				for _, fault := range lab.Hostile() {
					list = append(list, lab.Spec{Way: way, Mode: lab.Strict, Fault: fault, App: lab.HTTP, Callers: []string{caller(mesh)}})
				}
			}
			assertCells(t, mesh, list)
		})
	}
}
