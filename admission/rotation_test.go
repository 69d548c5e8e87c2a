package admission

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	mathrand "math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var testNames = []string{"palisade-webhook.palisade-system.svc"}

// quickPair is as mint, but by elliptic curves, which take a hundredth of the time.
func quickPair(names []string, now time.Time, lifetime time.Duration) (*pair, *x509.Certificate, error) {
	template := func(name string) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-skew), NotAfter: now.Add(lifetime), BasicConstraintsValid: true}
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	root := template(fmt.Sprintf("ca %d", now.UnixNano()))
	root.IsCA, root.KeyUsage = true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, root, root, caKey.Public(), caKey)
	if err != nil {
		return nil, nil, err
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	leaf := template(names[0])
	leaf.DNSNames, leaf.ExtKeyUsage = names, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if der, err = x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey); err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	p, err := newPair(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	return p, ca, err
}

// world is a cluster in which the certificate is kept: the Secret, two configurations, API
// servers that learn late of changes, replicas that do too, and a keeper that may fail anywhere.
type world struct {
	t         *testing.T
	random    *mathrand.Rand
	lifetimes lifetimes
	now       time.Time
	secret    map[string][]byte
	bundles   [][]byte
	// heard is what each API server holds as the bundle of each configuration, with what it has yet to hear.
	servers  [][]heard
	replicas []follows
	// keeper is what the keeper remembers.
	keeper material
	// established tells that clients and replicas have met once.
	established bool
	// verified is what was found of a bundle and a certificate.
	verified map[string]error
	served   map[string]bool
	story    []string
}

// heard is a value with its news that are on the way.
type heard struct {
	value []byte
	news  []news
}

type news struct {
	at    time.Time
	value []byte
}

func (h *heard) tell(at time.Time, value []byte) { h.news = append(h.news, news{at, value}) }

func (h *heard) listen(now time.Time) {
	for len(h.news) > 0 && !h.news[0].at.After(now) {
		h.value, h.news = h.news[0].value, h.news[1:]
	}
}

// follows is a replica.
type follows struct {
	serving *pair
	news    []secretNews
}

type secretNews struct {
	at   time.Time
	data map[string][]byte
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, random: mathrand.New(mathrand.NewPCG(seed, 1)), now: noon, served: map[string]bool{}, verified: map[string]error{},
		lifetimes: lifetimes{lifetime: 120 * time.Second, renewBefore: 80 * time.Second, propagation: 10 * time.Second, retire: 20 * time.Second},
		bundles:   make([][]byte, 2), servers: make([][]heard, 3), replicas: make([]follows, 3),
	}
	for i := range w.servers {
		w.servers[i] = make([]heard, len(w.bundles))
	}
	return w
}

func (w *world) seconds(n int) time.Duration { return time.Duration(w.random.IntN(n+1)) * time.Second }

func (w *world) note(format string, args ...any) {
	w.story = append(w.story, w.now.Format("15:04:05 ")+fmt.Sprintf(format, args...))
}

func (w *world) writeSecret(data map[string][]byte) {
	w.secret = data
	for i := range w.replicas {
		r := &w.replicas[i]
		at := w.now.Add(w.seconds(8))
		if n := len(r.news); n > 0 && at.Before(r.news[n-1].at) {
			at = r.news[n-1].at // a watch keeps the order
		}
		r.news = append(r.news, secretNews{at, data})
	}
}

func (w *world) writeBundle(config int, bundle []byte) {
	w.bundles[config] = bundle
	for i := range w.servers {
		h := &w.servers[i][config]
		at := w.now.Add(w.seconds(9)) // below the time that is allowed for it
		if n := len(h.news); n > 0 && at.Before(h.news[n-1].at) {
			at = h.news[n-1].at
		}
		h.tell(at, bundle)
	}
}

// tend is a turn of the keeper, which may be ended before any of its writes.
func (w *world) tend() {
	dies := func() bool { return w.random.IntN(12) == 0 }
	d, err := decide(w.lifetimes, sight{now: w.now, names: testNames, secret: w.secret, bundles: w.bundles}, w.keeper, func() (*pair, *x509.Certificate, error) {
		if w.random.IntN(10) == 0 {
			return nil, nil, errors.New("no randomness left")
		}
		return quickPair(testNames, w.now, w.lifetimes.lifetime)
	})
	if err != nil {
		return
	}
	if d.write {
		if dies() {
			w.note("the keeper ends before it writes the Secret")
			w.keeper = material{}
			return
		}
		w.note("the Secret: serving %s, next %s, %d trusted", nameOf(d.material.serving), nameOf(d.material.next), len(d.material.trusted))
		w.writeSecret(d.material.data())
	}
	w.keeper = d.material
	bundle := bundleOf(d.material.trusted)
	for i := range w.bundles {
		if slices.Equal(w.bundles[i], bundle) {
			continue
		}
		if dies() {
			w.note("the keeper ends before it writes configuration %d", i)
			w.keeper = material{}
			return
		}
		w.writeBundle(i, bundle)
	}
}

func nameOf(p *pair) string {
	if p == nil {
		return "none"
	}
	return p.leaf().Issuer.CommonName
}

// mishap is what people and machines do meanwhile.
func (w *world) mishap() {
	switch w.random.IntN(60) {
	case 0:
		w.note("the Secret is deleted")
		w.secret = nil // followers keep what they have
	case 1:
		w.note("the Secret is spoilt")
		data := maps.Clone(w.secret)
		for key := range data {
			if w.random.IntN(2) == 0 {
				data[key] = []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
			}
		}
		w.writeSecret(data)
	case 2:
		w.note("another keeper takes over")
		w.keeper = material{}
	case 3:
		i := w.random.IntN(len(w.replicas))
		w.note("replica %d starts anew", i)
		w.replicas[i] = follows{}
		if w.secret != nil {
			w.replicas[i].news = []secretNews{{w.now, w.secret}}
		}
	}
}

func (w *world) deliver() {
	for i := range w.replicas {
		r := &w.replicas[i]
		for len(r.news) > 0 && !r.news[0].at.After(w.now) {
			if m, _ := readMaterial(r.news[0].data); m.serving != nil {
				r.serving = m.serving
			}
			r.news = r.news[1:]
		}
	}
	for i := range w.servers {
		for k := range w.servers[i] {
			w.servers[i][k].listen(w.now)
		}
	}
}

// check has every API server ask every replica that is ready.
func (w *world) check() {
	met := true
	for i := range w.servers {
		for k := range w.servers[i] {
			for r := range w.replicas {
				p := w.replicas[r].serving
				if p == nil {
					continue
				}
				w.served[nameOf(p)] = true
				err := w.verify(w.servers[i][k].value, p)
				met = met && err == nil
				if w.established && err != nil {
					require.NoError(w.t, err, "at %s API server %d, configuration %d and replica %d (%s)\n%s",
						w.now.Format("15:04:05"), i, k, r, nameOf(p), strings.Join(w.story[max(0, len(w.story)-15):], "\n"))
				}
			}
		}
	}
	w.established = w.established || met && w.replicas[0].serving != nil
}

// verify is what a client does; signatures are checked once.
func (w *world) verify(bundle []byte, p *pair) error {
	if !w.now.Before(p.leaf().NotAfter) {
		return errors.New("the certificate has expired")
	}
	key := string(bundle) + nameOf(p)
	err, known := w.verified[key]
	if !known {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(bundle)
		_, err = p.leaf().Verify(x509.VerifyOptions{DNSName: testNames[0], Roots: roots, CurrentTime: w.now})
		w.verified[key] = err
	}
	return err
}

// roundsVariable says how many worlds are made, in place of the sample.
const roundsVariable = "PALISADE_ROTATION_WORLDS"

// Features: C7.
func TestNoRequestFailsWhateverHappensWhileTheCertificateIsRenewed(t *testing.T) {
	rounds := 12
	if text := os.Getenv(roundsVariable); text != "" {
		n, err := strconv.Atoi(text)
		require.NoError(t, err)
		rounds = n
	}
	renewed := 0
	for seed := range rounds {
		w := newWorld(t, uint64(seed))
		for range 900 {
			if w.random.IntN(3) > 0 {
				w.tend()
			}
			w.deliver()
			w.check()
			w.now = w.now.Add(time.Second)
			if w.established {
				w.mishap()
			}
		}
		require.True(t, w.established, "seed %d", seed)
		assert.GreaterOrEqual(t, len(w.served), 10, "seed %d: it must have been renewed again and again", seed)
		m, _ := readMaterial(w.secret)
		assert.LessOrEqual(t, len(m.trusted), maxTrusted)
		renewed += len(w.served)
	}
	t.Logf("%d certificates served in %d worlds of 15 minutes", renewed, rounds)
}

// The order of cert-controller's own rotation, in the same world: it must fail, or the world proves nothing.
func TestTheSimulationFindsARotationWithoutOverlap(t *testing.T) {
	w := newWorld(t, 1)
	failed := false
	for range 300 {
		m, _ := readMaterial(w.secret)
		if m.serving == nil || m.serving.leaf().NotAfter.Sub(w.now) < w.lifetimes.renewBefore {
			p, ca, err := quickPair(testNames, w.now, w.lifetimes.lifetime)
			require.NoError(t, err)
			m = material{serving: p, trusted: []*x509.Certificate{ca}}
			w.writeSecret(m.data())
			w.writeBundle(0, bundleOf(m.trusted))
			w.writeBundle(1, bundleOf(m.trusted))
		}
		w.deliver()
		for i := range w.servers {
			roots := x509.NewCertPool()
			roots.AppendCertsFromPEM(w.servers[i][0].value)
			if p := w.replicas[0].serving; p != nil && w.now.Sub(noon) > 30*time.Second {
				_, err := p.leaf().Verify(x509.VerifyOptions{Roots: roots, CurrentTime: w.now})
				failed = failed || err != nil
			}
		}
		w.now = w.now.Add(time.Second)
	}
	assert.True(t, failed)
}

func TestACertificateOfTheLibraryServesItsNamesAndHasNoKeyOfItsCA(t *testing.T) {
	names := append([]string{"palisade-webhook.palisade-system"}, testNames...)
	p, ca, err := mint(names, noon, time.Hour)
	require.NoError(t, err)
	m := material{serving: p, trusted: []*x509.Certificate{ca}}
	assert.True(t, m.usable(p, names, noon))
	assert.True(t, m.usable(p, names, noon.Add(-skew)), "an API server whose clock is behind")
	assert.False(t, m.usable(p, names, noon.Add(time.Hour+time.Second)))
	assert.False(t, m.usable(p, []string{"another.svc"}, noon))
	assert.Equal(t, []string{trustKey, servingCertKey, servingKeyKey}, slices.Sorted(maps.Keys(m.data())))
	again, other, err := mint(names, noon.Add(time.Nanosecond), time.Hour)
	require.NoError(t, err)
	assert.NotEqual(t, p.leaf().Issuer.String(), again.leaf().Issuer.String(), "issuer and serial number tell certificates apart")
	assert.False(t, signs(other, p))
	back, err := readMaterial(m.data())
	require.NoError(t, err)
	assert.True(t, back.serving.same(p))
}

func TestTheFirstCertificateServesAtOnceAndALostOneWaitsForItsCA(t *testing.T) {
	l := lifetimes{lifetime: time.Hour, renewBefore: 20 * time.Minute, propagation: time.Minute, retire: time.Hour}
	create := func() (*pair, *x509.Certificate, error) { return quickPair(testNames, noon, time.Hour) }
	var last material
	first, err := decide(l, sight{now: noon, names: testNames, bundles: [][]byte{nil}}, last, create)
	require.NoError(t, err)
	assert.True(t, first.write)
	require.NotNil(t, first.material.serving)
	assert.Nil(t, first.material.next)

	// A new leader, the Secret is gone, and configurations still trust what replicas serve
	lost, err := decide(l, sight{now: noon.Add(time.Minute), names: testNames, bundles: [][]byte{bundleOf(first.material.trusted)}}, last, create)
	require.NoError(t, err)
	assert.Nil(t, lost.material.serving, "a replica may still answer under the lost one")
	require.NotNil(t, lost.material.next)
	assert.Len(t, lost.material.trusted, 2)

	held, stored := bundleOf(lost.material.trusted), lost.material.data()
	for after, serves := range map[time.Duration]bool{2 * time.Minute: false, 3*time.Minute - time.Second: false, 3 * time.Minute: true} {
		now := noon.Add(2 * time.Minute) // when all configurations were first seen to trust it
		d, err := decide(l, sight{now: now, names: testNames, secret: stored, bundles: [][]byte{held}}, last, create)
		require.NoError(t, err)
		assert.Nil(t, d.material.serving)
		assert.Equal(t, noon.Add(3*time.Minute), d.due)
		d, err = decide(l, sight{now: noon.Add(after), names: testNames, secret: d.material.data(), bundles: [][]byte{held}}, last, create)
		require.NoError(t, err)
		assert.Equal(t, serves, d.material.serving.same(lost.material.next), "%s", after)
	}
}

func TestRenewalDoesNotWaitForAConfigurationPastTheEndOfTheOldCertificate(t *testing.T) {
	l := lifetimes{lifetime: time.Hour, renewBefore: 20 * time.Minute, propagation: time.Minute, retire: time.Hour}
	now := noon
	create := func() (*pair, *x509.Certificate, error) { return quickPair(testNames, now, time.Hour) }
	var last material
	d, err := decide(l, sight{now: now, names: testNames}, last, create)
	require.NoError(t, err)
	now = noon.Add(45 * time.Minute)
	foreign := [][]byte{[]byte("not ours to write")}
	d, err = decide(l, sight{now: now, names: testNames, secret: d.material.data(), bundles: foreign}, last, create)
	require.NoError(t, err)
	require.NotNil(t, d.material.next)
	waiting := d.material
	now = noon.Add(59 * time.Minute)
	d, err = decide(l, sight{now: now, names: testNames, secret: waiting.data(), bundles: foreign}, last, create)
	require.NoError(t, err)
	assert.False(t, d.write, "it is not trusted")
	now = noon.Add(61 * time.Minute)
	d, err = decide(l, sight{now: now, names: testNames, secret: waiting.data(), bundles: foreign}, last, create)
	require.NoError(t, err)
	assert.True(t, d.material.serving.same(waiting.next))
}

func FuzzSecret(f *testing.F) {
	p, ca, err := quickPair(testNames, noon, time.Hour)
	require.NoError(f, err)
	f.Add(p.cert, p.key, bundleOf([]*x509.Certificate{ca}), p.cert, p.key)
	f.Add([]byte("x"), []byte{}, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), p.cert, []byte("y"))
	l := lifetimes{lifetime: time.Hour, renewBefore: 20 * time.Minute, propagation: time.Minute, retire: time.Hour}
	f.Fuzz(func(t *testing.T, cert, key, trust, nextCert, nextKey []byte) {
		data := map[string][]byte{servingCertKey: cert, servingKeyKey: key, trustKey: trust, nextCertKey: nextCert, nextKeyKey: nextKey}
		var last material
		d, err := decide(l, sight{now: noon, names: testNames, secret: data, bundles: [][]byte{trust}}, last, func() (*pair, *x509.Certificate, error) { return p, ca, nil })
		require.NoError(t, err)
		serves := d.material.usable(d.material.serving, testNames, noon)
		require.True(t, serves || d.material.usable(d.material.next, testNames, noon), "whatever the Secret holds, something is to be served")
		require.LessOrEqual(t, len(d.material.trusted), maxTrusted)
	})
}
