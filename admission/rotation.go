package admission

import (
	"bytes"
	"crypto/x509"
	"maps"
	"slices"
	"time"
)

// The certificate is renewed in three steps, each of which leaves every client able
// to verify every replica:
//
//	          ca.crt (trusted)   tls.crt (served)   next.crt
//	  steady  A                  a
//	  1       A B                a                  b         B is trusted before anybody serves b
//	  2       A B                b                            once all configurations have had B for a while
//	  steady  B                  b                            when nobody has served a for long enough
//
// cert-controller, which makes the certificates, has a controller as well. It puts
// the new CA in the old one's place at once: until every replica has the new
// certificate, requests fail. So the order of the steps is here.

// lifetimes say when to renew.
type lifetimes struct {
	// lifetime of a certificate and of its CA; the next is made when no more than renewBefore is left.
	lifetime, renewBefore time.Duration
	// propagation is how long API servers may take to learn of a changed configuration.
	propagation time.Duration
	// retire is how long a CA stays trusted after a certificate by another has come into the place of its own.
	retire time.Duration
}

// step takes the material one step further. renew asks for a new certificate, whatever is left of the
// old; create makes a pair and its CA.
func (m material) step(l lifetimes, seen sight, renew bool, create func() (*pair, *x509.Certificate, error)) (material, error) {
	m.trusted = slices.Clone(m.trusted)
	serves, answered := m.usable(m.serving, seen.names, seen.now), false
	if !serves {
		// A replica may still answer under what is lost here, and what configurations trust stays trusted.
		answered = m.recover(seen)
		serves = m.usable(m.serving, seen.names, seen.now)
	}
	if !m.usable(m.next, seen.names, seen.now) {
		m.next = nil
	}
	m.heed(seen)
	trusted := !m.since.IsZero() && seen.now.Sub(m.since) >= l.propagation
	switch {
	case m.next != nil && (trusted || !serves && !answered):
		m.serving, m.next, m.since = m.next, nil, seen.now
	case m.next == nil && (!serves || renew || m.serving.leaf().NotAfter.Sub(seen.now) <= l.renewBefore):
		made, ca, err := create()
		if err != nil {
			return m, err
		}
		m.trusted = append(m.trusted, ca)
		if serves || answered {
			m.next, m.since = made, time.Time{}
		} else {
			m.serving = made
		}
	}
	m.prune(seen.now, l.retire)
	return m, nil
}

// heed notes since when all configurations have trusted the CA of next. The time is forgotten
// when one of them does not, and when it lies ahead: a clock was set back.
func (m *material) heed(seen sight) {
	if m.since.After(seen.now) {
		m.since = seen.now
	}
	if m.next == nil {
		return
	}
	everywhere := !slices.ContainsFunc(seen.bundles, func(bundle []byte) bool {
		held, _ := certificatesOf(bundle) // what cannot be read trusts nobody
		return !slices.ContainsFunc(held, func(ca *x509.Certificate) bool { return signs(ca, m.next) })
	})
	switch {
	case !everywhere:
		m.since = time.Time{}
	case m.since.IsZero():
		m.since = seen.now
	}
}

// recover trusts what configurations trust, and tells whether somebody may be answered
// under any of that: the CA of next is not among these.
func (m *material) recover(seen sight) bool {
	valid := false
	for _, bundle := range seen.bundles {
		held, _ := certificatesOf(bundle)
		for _, ca := range held {
			if seen.now.Before(ca.NotAfter) {
				m.trusted = append(m.trusted, ca)
				valid = valid || !signs(ca, m.next)
			}
		}
	}
	return valid
}

// due is when the next step is, at the latest.
func (m *material) due(l lifetimes, now time.Time) time.Time {
	at := now.Add(l.lifetime)
	earlier := func(t time.Time) {
		if t.Before(at) {
			at = t
		}
	}
	if m.next != nil && !m.since.IsZero() {
		earlier(m.since.Add(l.propagation))
	}
	if m.serving != nil && m.next == nil {
		earlier(m.serving.leaf().NotAfter.Add(-l.renewBefore))
	}
	if m.serving != nil && m.next == nil && !m.since.IsZero() && len(m.trusted) > 1 {
		earlier(m.since.Add(l.retire))
	}
	for _, ca := range m.trusted {
		earlier(ca.NotAfter)
	}
	return at
}

func sameData(a, b map[string][]byte) bool {
	return maps.EqualFunc(a, b, bytes.Equal)
}

// sight is what the keeper sees when it decides.
type sight struct {
	now   time.Time
	names []string
	// secret is what the Secret holds, nil where there is none.
	secret map[string][]byte
	// bundles are the CAs in each webhook of each configuration.
	bundles [][]byte
}

// decision is what the keeper is to do: first to write the material where it says so, then to have all webhooks trust its CAs.
type decision struct {
	material material
	write    bool
	// due is when the next decision is due, at the latest.
	due time.Time
	// spoilt is what of the Secret cannot be read.
	spoilt error
}

// decide takes the next step. Where the Secret is lost or spoilt, what was last seen whole is taken up again and
// renewed: to delete the Secret is to ask for a new certificate.
func decide(l lifetimes, seen sight, last material, create func() (*pair, *x509.Certificate, error)) (decision, error) {
	var d decision
	m, spoilt := readMaterial(seen.secret)
	d.spoilt = spoilt
	lost := !m.usable(m.serving, seen.names, seen.now) && last.usable(last.serving, seen.names, seen.now)
	if lost {
		m = last
	}
	next, err := m.step(l, seen, lost && m.next == nil, create)
	if err != nil {
		return d, err
	}
	d.material, d.write, d.due = next, seen.secret == nil || !sameData(ours(seen.secret), next.data()), next.due(l, seen.now)
	return d, nil
}

// ours are the keys of a Secret that palisade writes.
func ours(data map[string][]byte) map[string][]byte {
	kept := map[string][]byte{}
	for _, key := range secretKeys {
		if value, ok := data[key]; ok {
			kept[key] = value
		}
	}
	return kept
}
