package admission

import (
	"crypto/x509"
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
//	  steady  B                  b                            when A has expired
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
}

// standing is what is known beside the Secret when the next step is chosen.
type standing struct {
	now time.Time
	// trustedSince is since when all configurations have held the CAs of the material; zero where they do not.
	trustedSince time.Time
	// elsewhere are the CAs that configurations hold now. Where there are some and
	// nothing is served by this Secret, a replica may still answer with a certificate that was lost here.
	elsewhere []*x509.Certificate
	// renew asks for a new certificate, whatever is left of the old.
	renew bool
}

// step takes the material one step further, and tells whether it is to be written.
// create makes a pair and its CA.
func (m material) step(l lifetimes, s standing, names []string, create func() (*pair, *x509.Certificate, error)) (material, bool, error) {
	was := m.data()
	m.trusted = slices.Clone(m.trusted)
	if !m.usable(m.next, names, s.now) {
		m.next = nil
	}
	serves := m.usable(m.serving, names, s.now)
	trusted := !s.trustedSince.IsZero() && s.now.Sub(s.trustedSince) >= l.propagation
	switch {
	case m.next != nil && (trusted || m.serving != nil && !serves):
		m.serving, m.next = m.next, nil
	case m.next == nil && (!serves || s.renew || m.serving.leaf().NotAfter.Sub(s.now) <= l.renewBefore):
		made, ca, err := create()
		if err != nil {
			return m, false, err
		}
		m.add(made, ca, serves, s)
	}
	m.prune(s.now)
	return m, !sameData(was, m.data()), nil
}

// add takes a new pair, to serve it later where somebody may be answered under another now.
func (m *material) add(made *pair, ca *x509.Certificate, serves bool, s standing) {
	lost := m.serving == nil && anyValid(s.elsewhere, s.now)
	if lost {
		m.trusted = append(m.trusted, s.elsewhere...)
	}
	m.trusted = append(m.trusted, ca)
	if serves || lost {
		m.next = made
	} else {
		m.serving = made
	}
}

// due is when the next step is, at the latest.
func (m *material) due(l lifetimes, s standing) time.Time {
	at := s.now.Add(l.lifetime)
	earlier := func(t time.Time) {
		if t.Before(at) {
			at = t
		}
	}
	if m.next != nil && !s.trustedSince.IsZero() {
		earlier(s.trustedSince.Add(l.propagation))
	}
	if m.serving != nil && m.next == nil {
		earlier(m.serving.leaf().NotAfter.Add(-l.renewBefore))
	}
	for _, ca := range m.trusted {
		earlier(ca.NotAfter)
	}
	return at
}

func anyValid(list []*x509.Certificate, now time.Time) bool {
	return slices.ContainsFunc(list, func(c *x509.Certificate) bool { return now.Before(c.NotAfter) })
}

func sameData(a, b map[string][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for key, value := range a {
		if other, ok := b[key]; !ok || string(other) != string(value) {
			return false
		}
	}
	return true
}
