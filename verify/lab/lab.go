package lab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verify"
)

// Lab is a number of stand-ins that listen.
type Lab struct {
	CA *CA
	// Other is a CA of which the mesh knows nothing.
	Other     *CA
	standins  []*standin
	listeners []net.Listener
	serving   sync.WaitGroup
}

// Identity is what a workload of the lab proves to be.
func (l *Lab) Identity(namespace, name string) string {
	return identityOf(l.CA.Mesh, l.CA.TrustDomain, namespace, name)
}

func identityOf(mesh model.MeshKind, domain, namespace, name string) string {
	return verify.IdentityOf(&model.Mesh{Kind: mesh, Namespace: "linkerd", TrustDomain: domain}, namespace, name)
}

// TrustDomain is that of every lab.
const TrustDomain = "lab.example"

// Start makes a CA and listens for every stand-in, each on an address of its own.
func Start(mesh model.MeshKind, specs []Spec) (*Lab, error) {
	l := &Lab{}
	var err error
	if l.CA, err = NewCA(mesh, TrustDomain); err != nil {
		return nil, fmt.Errorf("making the lab's CA: %w", err)
	}
	if l.Other, err = NewCA(mesh, TrustDomain); err != nil {
		return nil, fmt.Errorf("making a foreign CA: %w", err)
	}
	for _, spec := range specs {
		if err := l.add(spec); err != nil {
			return nil, errors.Join(fmt.Errorf("starting %s/%s: %w", spec.Namespace, spec.Name, err), l.Close())
		}
	}
	return l, nil
}

func (l *Lab) add(spec Spec) error {
	s := &standin{Spec: spec, ca: l.CA, identity: l.Identity(spec.Namespace, spec.Name), open: map[net.Conn]bool{}}
	if err := l.certify(s, time.Now()); err != nil {
		return err
	}
	own, err := l.Other.Leaf("application.example/"+spec.Name, time.Now())
	if err != nil {
		return err
	}
	s.own = own
	port, err := l.listen(s)
	if err != nil {
		return err
	}
	s.address, s.port = port.Addr(), port.Port()
	l.standins = append(l.standins, s)
	return nil
}

// certify gives a stand-in the certificate that its fault wants, where it has no other source.
func (l *Lab) certify(s *standin, now time.Time) error {
	if s.Source != nil {
		return nil
	}
	ca, identity, issued := l.CA, s.identity, now
	switch s.Fault {
	case ExpiredCertificate:
		issued = now.Add(-leafLifetime - time.Hour)
	case NeverRotating:
		issued = now.Add(-leafLifetime * 95 / 100)
	case WrongName:
		identity = l.Identity(s.Namespace, "somebody-else")
	case ForeignCertificate:
		ca = l.Other
	}
	made, err := ca.Leaf(identity, issued)
	if err == nil {
		s.shown.Store(made)
	}
	return err
}

// Rotate renews the certificates of all stand-ins but those that never do.
func (l *Lab) Rotate() error {
	for _, s := range l.standins {
		if s.Fault == NeverRotating {
			continue
		}
		if err := l.certify(s, time.Now()); err != nil {
			return err
		}
	}
	return nil
}

// Relax makes the stand-ins of a workload permissive, as a downgrade of its mTLS
// does, and returns how many there are.
func (l *Lab) Relax(namespace, name string) int {
	count := 0
	for _, s := range l.standins {
		if s.Namespace == namespace && s.Name == name {
			s.relaxed.Store(true)
			count++
		}
	}
	return count
}

// listen finds an address on which all ports of a stand-in are free.
func (l *Lab) listen(s *standin) (netip.AddrPort, error) {
	const attempts = 50
	var failed error
	for range attempts {
		address := netip.AddrFrom4([4]byte{127, byte(1 + rand.IntN(250)), byte(rand.IntN(256)), byte(1 + rand.IntN(250))})
		if s.IPv6 {
			address = netip.IPv6Loopback()
		}
		app, err := net.Listen("tcp", netip.AddrPortFrom(address, s.Port).String())
		if err != nil {
			failed = err
			continue
		}
		if s.tunnel() == 0 {
			l.serve(s, app, false)
			return app.Addr().(*net.TCPAddr).AddrPort(), nil
		}
		tunnel, err := net.Listen("tcp", netip.AddrPortFrom(address, s.tunnel()).String())
		if err != nil {
			failed = errors.Join(err, app.Close())
			continue
		}
		l.serve(s, app, false)
		l.serve(s, tunnel, true)
		return app.Addr().(*net.TCPAddr).AddrPort(), nil
	}
	return netip.AddrPort{}, failed
}

func (l *Lab) serve(s *standin, listener net.Listener, tunnelled bool) {
	l.listeners = append(l.listeners, listener)
	l.serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			l.serving.Go(func() { s.take(conn, tunnelled) })
		}
	})
}

// Close ends all stand-ins and their connections.
func (l *Lab) Close() error {
	var errs []error
	for _, listener := range l.listeners {
		errs = append(errs, listener.Close())
	}
	for _, s := range l.standins {
		s.end()
	}
	l.serving.Wait()
	return errors.Join(errs...)
}

// Received is how many bytes reached the application of a stand-in.
func (l *Lab) Received(i int) int64 { return l.standins[i].received.Load() }

// Accepted is how many connections a stand-in was opened.
func (l *Lab) Accepted(i int) int64 { return l.standins[i].accepted.Load() }

// Target is what a file of targets says of a stand-in that is meant to be strict.
func (l *Lab) Target(i int) verify.TargetOfAFile {
	s := l.standins[i]
	t := verify.TargetOfAFile{
		Workload: "Deployment " + s.Namespace + "/" + s.Name, Pod: s.Pod, Address: s.address, Port: int32(s.port), Way: s.Way,
		Standing: verify.Strict, Identity: s.identity, Opaque: s.Opaque, Authorized: s.Callers != nil, Callers: s.Callers,
	}
	if s.Way == verify.Direct {
		t.Standing, t.Identity, t.Why = verify.Outside, "", "the pods have no proxy"
	}
	return t
}

// Targets is a file of targets for all stand-ins, each meant to be strict, without the files of certificates.
func (l *Lab) Targets() *verify.Targets {
	t := &verify.Targets{APIVersion: verify.APIVersion, Kind: verify.TargetsKind, Mesh: l.CA.Mesh, TrustDomain: l.CA.TrustDomain}
	for i := range l.standins {
		t.Targets = append(t.Targets, l.Target(i))
	}
	return t
}

// String names a stand-in by what it is: "sidecar strict http expired".
func (s *Spec) String() string {
	text := string(s.Way) + " " + string(s.Mode) + " " + string(s.App)
	if s.Fault != NoFault {
		text += " " + string(s.Fault)
	}
	if s.TLS12 {
		text += " TLS 1.2"
	}
	if s.Opaque {
		text += " opaque"
	}
	return text
}

// PortOf is the port of a stand-in.
func (l *Lab) PortOf(i int) string { return strconv.Itoa(int(l.standins[i].port)) }
