package verify

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
)

var cart = model.WorkloadID{Namespace: "shop", Kind: "Deployment", Name: "cart"}

// leafAt is a certificate as a mesh makes it, issued at a time.
func leafAt(way Way, serial string, issued time.Time, life time.Duration) Certificate {
	rule, _ := RenewalOf(way)
	return Certificate{Fingerprint: serial, Serial: serial, Names: []string{spiffe + itself}, IssuerKeyID: "issuer", NotBefore: issued.Add(-rule.Backdated), NotAfter: issued.Add(life)}
}

// sighted is one run in which a pod showed a certificate.
func sighted(l Ledger, way Way, at time.Time, c Certificate) Ledger {
	seen := Observed{Target: Target{Workload: cart, Pod: "cart-1", Port: 8080}, Seen: []Observation{{Client: Member, TLS: &Session{Chain: []Certificate{c}, Root: "root"}}}}
	return l.Observe(map[model.WorkloadID]Way{cart: way}, []Observed{seen}, at)
}

// Each mesh renews by its own rule; the figures are those of its source.
func TestLeavesAreDueByTheRuleOfTheirMesh(t *testing.T) {
	const day = 24 * time.Hour
	tests := []struct {
		way         Way
		life        time.Duration
		from, until time.Duration // from issue
	}{
		{Sidecar, day, 11*time.Hour + 45*time.Minute + 36*time.Second, 12*time.Hour + 14*time.Minute + 24*time.Second}, // half, ± 1 %
		{Proxyless, day, 11*time.Hour + 45*time.Minute + 36*time.Second, 12*time.Hour + 14*time.Minute + 24*time.Second},
		{HBONE, day, 12 * time.Hour, 12 * time.Hour},
		{Linkerd, day, 16*time.Hour + 48*time.Minute, 16*time.Hour + 48*time.Minute}, // 70 %
		{LinkerdTransport, 10 * time.Second, 10 * time.Second, 10 * time.Second},     // never sooner
		{Linkerd, 10 * day, day, day},                                                // never later
	}
	for _, test := range tests {
		rule, ok := RenewalOf(test.way)
		require.True(t, ok)
		c := leafAt(test.way, "1", noon, test.life)
		from, until := rule.Window(&c)
		assert.WithinDuration(t, noon.Add(test.from), from, time.Second, "%s %s", test.way, test.life)
		assert.WithinDuration(t, noon.Add(test.until), until, time.Second, "%s %s", test.way, test.life)

		assert.Equal(t, Current, rule.PhaseAt(&c, from.Add(-time.Second)))
		assert.Equal(t, Due, rule.PhaseAt(&c, from))
		if late := rule.Overdue(&c).Add(time.Second); late.Before(c.NotAfter) {
			assert.Equal(t, Overdue, rule.PhaseAt(&c, late))
		}
		assert.Equal(t, Lapsed, rule.PhaseAt(&c, c.NotAfter.Add(time.Second)))
	}
	_, known := RenewalOf(Direct)
	assert.False(t, known, "nobody renews what is not the mesh's")
}

// A minute and more for retries is longer than the rest of a short life.
func TestALeafOfAShortLifeIsOverdueBeforeItExpires(t *testing.T) {
	for _, way := range []Way{Sidecar, Proxyless, HBONE, Linkerd} {
		for _, life := range []time.Duration{20 * time.Second, time.Minute, 10 * time.Minute, time.Hour, 24 * time.Hour} {
			rule, _ := RenewalOf(way)
			c := leafAt(way, "1", noon, life)
			_, due := rule.Window(&c)
			overdue := rule.Overdue(&c)
			assert.True(t, overdue.After(due), "%s %s: it may still be renewed at %s", way, life, overdue)
			assert.False(t, overdue.After(c.NotAfter.Add(-life/10)), "%s %s: overdue only at %s", way, life, overdue)
		}
	}
	rule, _ := RenewalOf(Sidecar)
	c := leafAt(Sidecar, "1", noon, 24*time.Hour)
	_, due := rule.Window(&c)
	assert.WithinDuration(t, due.Add(time.Minute+1730*time.Second), rule.Overdue(&c), 5*time.Second, "a day leaves room for retries")
}

// A ztunnel leaf is half over at half between its own bounds, however it was dated.
func TestZtunnelCountsFromTheCertificatesOwnBeginning(t *testing.T) {
	rule, _ := RenewalOf(HBONE)
	c := Certificate{NotBefore: noon, NotAfter: noon.Add(2 * time.Hour)}
	from, until := rule.Window(&c)
	assert.Equal(t, noon.Add(time.Hour), from)
	assert.Equal(t, from, until)
}

// Features: C4.
func TestRenewalShowsByAnotherSerial(t *testing.T) {
	l := sighted(Ledger{}, Sidecar, noon, leafAt(Sidecar, "1", noon, 24*time.Hour))
	require.Len(t, l.Entries, 1)
	assert.Zero(t, l.Entries[0].Rotated(), "one certificate proves no renewal")

	before := l
	l = sighted(l, Sidecar, noon.Add(time.Hour), leafAt(Sidecar, "1", noon, 24*time.Hour))
	assert.Zero(t, l.Entries[0].Rotated())
	assert.Equal(t, noon, l.Entries[0].Current().FirstSeen)
	assert.Equal(t, noon.Add(time.Hour), l.Entries[0].Current().LastSeen)
	assert.Equal(t, noon, before.Entries[0].Current().LastSeen, "the ledger of before is as it was")

	at := noon.Add(13 * time.Hour)
	l = sighted(l, Sidecar, at, leafAt(Sidecar, "2", noon.Add(12*time.Hour), 24*time.Hour))
	assert.Equal(t, at, l.Entries[0].Rotated())
	assert.Equal(t, "1", l.Entries[0].Previous().Serial)
	assert.Equal(t, "2", l.Entries[0].Current().Serial)

	l = sighted(l, Sidecar, at.Add(time.Minute), leafAt(Sidecar, "1", noon, 24*time.Hour))
	assert.Equal(t, "2", l.Entries[0].Current().Serial, "an old one that shows up again is not the newest")
}

func TestLedgersAreBounded(t *testing.T) {
	l := Ledger{}
	for i := range 20 {
		at := noon.Add(time.Duration(i) * time.Hour)
		l = sighted(l, Sidecar, at, leafAt(Sidecar, fmt.Sprint(i), at, 24*time.Hour))
	}
	assert.Len(t, l.Entries[0].Leaves, keptLeaves)
	assert.Equal(t, "19", l.Entries[0].Current().Serial)

	later := l.Observe(nil, nil, noon.Add(19*time.Hour+24*time.Hour+keptAfterExpiry-time.Minute))
	assert.Len(t, later.Entries, 1, "a pod that is not seen for a while is remembered")
	later = l.Observe(nil, nil, noon.Add(19*time.Hour+24*time.Hour+keptAfterExpiry+time.Minute))
	assert.Empty(t, later.Entries, "and not for ever")
}

// Features: C5.
func TestALeafStallsWhereAReplacedIssuerSignsIt(t *testing.T) {
	replaced := noon
	a := &Authority{Issuer: &Certificate{KeyID: "new", NotBefore: noon.Add(-time.Hour)}, IssuerSince: replaced}
	stalled := func(issued time.Time, issuer string) bool {
		c := leafAt(Linkerd, "1", issued, 24*time.Hour)
		c.IssuerKeyID = issuer
		l := sighted(Ledger{}, Linkerd, issued, c)
		l.judge(a, issued)
		return l.Entries[0].State.Stalled
	}
	assert.False(t, stalled(replaced.Add(-time.Hour), "old"), "it was issued before")
	assert.False(t, stalled(replaced.Add(time.Minute), "old"), "the CA may take a moment to notice")
	assert.True(t, stalled(replaced.Add(time.Hour), "old"))
	assert.False(t, stalled(replaced.Add(time.Hour), "new"))
	a.IssuerSince = time.Time{}
	assert.True(t, stalled(replaced.Add(-30*time.Minute), "old"), "without a date the issuer counts from its own beginning")
	a.Issuer = nil
	assert.False(t, stalled(replaced.Add(time.Hour), "old"), "what is meant to sign is not known")
}

// A CA certificate without a subject key identifier leaves none for its leaves to name.
func TestALeafWithoutTheIdentifierOfItsIssuersKeyIsKnownByWhatIsShownBesideIt(t *testing.T) {
	old := Certificate{Subject: "CN=issuer", KeyID: "old"}
	c := leafAt(Linkerd, "1", noon, 24*time.Hour)
	c.IssuerKeyID, c.Issuer = "", "CN=issuer"
	a := &Authority{Issuer: &Certificate{KeyID: "new", NotBefore: noon.Add(-time.Hour)}}
	for shown, want := range map[*Certificate]bool{&old: true, {Subject: "CN=issuer", KeyID: "new"}: false, {Subject: "CN=another", KeyID: "old"}: false} {
		s := &Session{Chain: []Certificate{c, *shown}}
		seen := Observed{Target: Target{Workload: cart, Pod: "cart-1"}, Seen: []Observation{{TLS: s}}}
		l := Ledger{}.Observe(map[model.WorkloadID]Way{cart: Linkerd}, []Observed{seen}, noon)
		l.judge(a, noon)
		assert.Equal(t, want, l.Entries[0].State.Stalled, "%s %s", shown.Subject, shown.KeyID)
	}
}

func TestALeafThatOutlivesItsIssuerIsFound(t *testing.T) {
	c := leafAt(Sidecar, "1", noon, 24*time.Hour)
	for ends, want := range map[time.Duration]bool{12 * time.Hour: true, 24 * time.Hour: false} {
		s := &Session{Chain: []Certificate{c, {NotAfter: noon.Add(ends)}}}
		seen := Observed{Target: Target{Workload: cart, Pod: "cart-1"}, Seen: []Observation{{TLS: s}}}
		l := Ledger{}.Observe(map[model.WorkloadID]Way{cart: Sidecar}, []Observed{seen}, noon)
		l.judge(&Authority{}, noon)
		assert.Equal(t, want, l.Entries[0].State.OutlivesIssuer)
	}
}

// root is a root certificate; key tells renewed ones from new ones.
func root(name, key string, begins time.Duration) Certificate {
	return Certificate{Fingerprint: name, KeyID: key, Subject: "CN=" + name, NotBefore: noon.Add(begins), NotAfter: noon.Add(10000 * time.Hour)}
}

func issuerOf(root string) *Certificate {
	return &Certificate{Fingerprint: "issuer", KeyID: "i", IssuerKeyID: root}
}

func held(roots ...string) []Bundle { return []Bundle{{Where: "shop/cart-1", Roots: roots}} }

func leavesOf(roots ...string) Ledger {
	var l Ledger
	for i, r := range roots {
		leaf := Leaf{Certificate: leafAt(Linkerd, fmt.Sprint(i), noon, 24*time.Hour), Root: r}
		if r == "foreign" {
			leaf.Root, leaf.Untrusted = "", ErrForeign.Error()
		}
		l.Entries = append(l.Entries, Entry{Workload: cart, Pod: fmt.Sprintf("cart-%d", i), Way: Linkerd, Leaves: []Leaf{leaf}})
	}
	return l
}

// The steps of a rotation in their order, and what goes wrong where one is taken too early.
//
// Features: C6, C3.
func TestTheRotationOfARootHasAStageForEveryStep(t *testing.T) {
	old, fresh := root("old", "k1", -1000*time.Hour), root("new", "k2", -time.Hour)
	renewed := root("renewed", "k1", -time.Hour) // Istio's self-signed root keeps its key
	tests := []struct {
		name      string
		authority Authority
		leaves    Ledger
		want      Stage
		behind    []string
	}{
		{"nothing is known", Authority{}, leavesOf("old"), StageUnknown, nil},
		{"one root", Authority{Roots: []Certificate{old}, Issuer: issuerOf("k1"), Bundles: held("old")}, leavesOf("old"), Steady, nil},
		{"one root, the issuer unknown", Authority{Roots: []Certificate{old}}, leavesOf("old"), Steady, nil},
		{"added, and not everywhere", Authority{Roots: []Certificate{old, fresh}, Issuer: issuerOf("k1"), Bundles: held("old")}, leavesOf("old"), Adding, []string{"shop/cart-1"}},
		{"added everywhere", Authority{Roots: []Certificate{old, fresh}, Issuer: issuerOf("k1"), Bundles: held("old", "new")}, leavesOf("old"), Added, nil},
		{"the issuer is replaced", Authority{Roots: []Certificate{old, fresh}, Issuer: issuerOf("k2"), Bundles: held("new", "old")}, leavesOf("old", "new"), Reissuing, []string{"shop/cart-0"}},
		{"every leaf is new", Authority{Roots: []Certificate{old, fresh}, Issuer: issuerOf("k2"), Bundles: held("new", "old")}, leavesOf("new", "new"), Reissued, nil},
		{"every leaf is new, the issuer unknown", Authority{Roots: []Certificate{old, fresh}, Bundles: held("new", "old")}, leavesOf("new"), Reissued, nil},
		{"dropped, and somebody still trusts it", Authority{Roots: []Certificate{fresh}, Issuer: issuerOf("k2"), Bundles: held("new", "old")}, leavesOf("new"), Dropping, []string{"shop/cart-1"}},
		{"done", Authority{Roots: []Certificate{fresh}, Issuer: issuerOf("k2"), Bundles: held("new")}, leavesOf("new"), Steady, nil},

		{"the issuer came before the root was everywhere", Authority{Roots: []Certificate{old, fresh}, Issuer: issuerOf("k2"), Bundles: held("old")}, leavesOf("new"), Broken, []string{"shop/cart-1"}},
		{"the root was dropped while leaves are of it", Authority{Roots: []Certificate{fresh}, Issuer: issuerOf("k2"), Bundles: held("new")}, leavesOf("foreign", "new"), Broken, []string{"shop/cart-0"}},
		{"the issuer is of no root", Authority{Roots: []Certificate{fresh}, Issuer: issuerOf("k1")}, leavesOf("new"), Broken, nil},
		{"a pod has only the dropped root", Authority{Roots: []Certificate{fresh}, Issuer: issuerOf("k2"), Bundles: held("old")}, leavesOf("new"), Broken, []string{"shop/cart-1"}},

		{"renewed with its key", Authority{Roots: []Certificate{renewed}, Issuer: issuerOf("k1"), Bundles: held("renewed")}, leavesOf("renewed"), Steady, nil},
		{"renewed with its key, both there", Authority{Roots: []Certificate{old, renewed}, Issuer: issuerOf("k1"), Bundles: held("old", "renewed")}, leavesOf("old"), Steady, nil},
		{"by Linkerd's annotation", Authority{Roots: []Certificate{old, fresh}, Issuer: issuerOf("k1"), RootsSHA256: "both", Bundles: []Bundle{{Where: "shop/cart-1", SHA256: "one"}, {Where: "shop/web-1", SHA256: "both"}}}, leavesOf("old"), Adding, []string{"shop/cart-1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := RotationOf(&test.authority, &test.leaves)
			assert.Equal(t, test.want, got.Stage, got.Says)
			assert.Equal(t, test.behind, got.Behind)
			assert.NotEmpty(t, got.Says)
			if test.want != Steady && test.want != StageUnknown {
				assert.NotEmpty(t, got.Next, "it has to say what to do")
			}
		})
	}
}

func TestARotationSaysWhenTheOldLeavesWillBeGone(t *testing.T) {
	old, fresh := root("old", "k1", -1000*time.Hour), root("new", "k2", -time.Hour)
	l := leavesOf("old", "new")
	r := RotationOf(&Authority{Roots: []Certificate{old, fresh}, Issuer: issuerOf("k2"), Bundles: held("old", "new")}, &l)
	assert.WithinDuration(t, noon.Add(16*time.Hour+48*time.Minute), r.Until, time.Second)
}

func TestLongListsOfWhoIsBehindAreCut(t *testing.T) {
	old, fresh := root("old", "k1", -1000*time.Hour), root("new", "k2", -time.Hour)
	a := Authority{Roots: []Certificate{old, fresh}, Issuer: issuerOf("k1")}
	for i := range 500 {
		a.Bundles = append(a.Bundles, Bundle{Where: fmt.Sprintf("shop/pod-%03d", i), Roots: []string{"old"}})
	}
	r := RotationOf(&a, &Ledger{})
	assert.Len(t, r.Behind, shownBehind)
	assert.Equal(t, 480, r.Others)
	assert.Contains(t, r.Says, "and 497 more")
	assert.True(t, slices.IsSorted(r.Behind))
}
