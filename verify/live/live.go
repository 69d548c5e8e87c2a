// Package live verifies a running mesh: what is expected comes from its Model, the
// certificates of probes from its own CA, and the rest is package verify/probe's.
//
// A prober has a service account of its own, which no rule names. What only another
// account can show is left out and said, unless the prober may play it.
package live

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verify"
	"floe.dev/palisade/verify/issue"
	"floe.dev/palisade/verify/probe"
)

// Given is what a verification starts from.
type Given struct {
	Model *model.Model
	// Looked is when what the Model tells was looked at, at the earliest: the report tells of nothing that was written later.
	Looked time.Time
	// Roots are those that proxies trust, Authority what else is known of the CA.
	Roots     []*x509.Certificate
	Authority verify.Authority
	// Namespaces limits it to some; empty is all that are governed.
	Namespaces []string
	// Prober is the identity that probes have of their own, as model.Facts has it; empty is none.
	Prober string
	// Tokens gets the tokens for which the CA certifies identities; nil leaves what needs one out.
	Tokens issue.Tokens
	// Callers allows to play the identities of callers as well, and not the prober's alone.
	Callers bool
	// CA is host:port of the CA; empty is looked for among the pods of the control plane.
	CA string
	// Held are certificates at hand, which come before those of the CA; nil is none.
	Held *probe.Held
	// Ports are tried beside those that something names.
	Ports []model.Port
	// Requests allows an OPTIONS * request, Before is the report of an earlier run or nil.
	Requests bool
	Before   *verify.Report
	// Probing says how the sweep is made; what is said here already does not count there.
	Probing probe.Options
	// Within is how long the sweep should take at most: it is made wider and faster than Probing says where it would take longer. 0 does not matter.
	Within time.Duration
	// Gone tells whether a pod is there no longer, or is going: what was seen of it then tells nothing. It may be nil.
	Gone func(namespace, pod string) bool
	// Planned is told how many ports will be tried; it may be nil.
	Planned func(ports int)
}

// Run verifies. What could not be had is said in the report, of each port that it concerns.
func Run(ctx context.Context, g *Given) *verify.Report {
	mesh := &g.Model.Cluster.Mesh
	w := newWardrobe(ctx, g)
	expectations := verify.Expect(g.Model, verify.Options{Prober: g.Prober, Requests: g.Requests, Ports: g.Ports, Lacks: w.lacks})
	namespaces := verify.Governed(g.Model)
	if len(g.Namespaces) > 0 {
		expectations = slices.DeleteFunc(expectations, func(e verify.Expectation) bool { return !slices.Contains(g.Namespaces, e.Workload.Namespace) })
		namespaces = slices.DeleteFunc(namespaces, func(name string) bool { return !slices.Contains(g.Namespaces, name) })
	}
	if g.Planned != nil {
		g.Planned(len(expectations))
	}
	o := g.Probing
	o.Mesh, o.Trust, o.Credentials, o.Requests = mesh.Kind, verify.NewTrust(g.Roots), w, g.Requests
	hurry(&o, expectations, g.Within)
	sweep := probe.Run(ctx, expectations, o)
	seen := sweep.Seen
	if g.Gone != nil {
		expectations, seen = remaining(expectations, seen, g.Gone)
	}
	return verify.NewReport(&verify.Run{
		Started: g.Looked, Finished: time.Now(), Mesh: mesh.Kind, TrustDomain: mesh.TrustDomain,
		Expectations: expectations, Namespaces: namespaces, Seen: seen, Choice: sweep.Choice, Authority: g.Authority, Before: g.Before,
	})
}

const (
	// widest is how many ports are tried at the same time at most, and perPort what one takes, with all clients.
	widest  = 512
	perPort = 2 * time.Second
)

// hurry makes a sweep wider and faster where it would not end in time.
func hurry(o *probe.Options, expectations []verify.Expectation, within time.Duration) {
	if within <= 0 {
		return
	}
	checks := 0
	for i := range expectations {
		checks += len(expectations[i].Checks)
	}
	if o.Rate > 0 {
		o.Rate = max(o.Rate, float64(checks)/within.Seconds())
	}
	o.Concurrency = max(o.Concurrency, min(widest, int(time.Duration(len(expectations))*perPort/within)))
}

// remaining leaves out what did not pass of pods that are gone by now.
func remaining(expectations []verify.Expectation, seen []verify.Observed, gone func(namespace, pod string) bool) ([]verify.Expectation, []verify.Observed) {
	var kept []verify.Expectation
	var left []verify.Observed
	known := map[[2]string]bool{}
	for i := range expectations {
		e := &expectations[i]
		if e.Pod != "" {
			if r := verify.Judge(e, &seen[i]); r.Verdict == verify.Inconclusive || r.Verdict == verify.Fail {
				pod := [2]string{e.Workload.Namespace, e.Pod}
				is, asked := known[pod]
				if !asked {
					is = gone(pod[0], pod[1])
					known[pod] = is
				}
				if is {
					continue
				}
			}
		}
		kept, left = append(kept, *e), append(left, seen[i])
	}
	return kept, left
}

// wardrobe holds the certificates that probes wear, each got once.
type wardrobe struct {
	ctx context.Context
	g   *Given
	// from is the mesh's CA; nil where none is asked, and why says why.
	from probe.Credentials
	why  string

	lock sync.Mutex
	worn map[worn]dress
	// refused are the namespaces of whose accounts no token is to be had: one refusal stands for all.
	refused map[string]error
}

type worn struct {
	identity string
	expired  bool
}

type dress struct {
	certificate *tls.Certificate
	err         error
}

func newWardrobe(ctx context.Context, g *Given) *wardrobe {
	w := &wardrobe{ctx: ctx, g: g, worn: map[worn]dress{}, refused: map[string]error{}}
	mesh := &g.Model.Cluster.Mesh
	addresses := []string{g.CA}
	if g.CA == "" {
		addresses = caAddresses(g.Model)
	}
	switch {
	case g.Tokens == nil:
		w.why = "probes have no service account whose identity they may have"
	case len(g.Roots) == 0:
		w.why = "the mesh's roots are not known, and no token is sent to whoever answers"
	case len(addresses) == 0:
		w.why = "no running pod of the mesh's CA was found"
	default:
		w.from = newCA(g, mesh, addresses)
	}
	return w
}

// lacks says why a certificate cannot be had.
func (w *wardrobe) lacks(identity string, expired bool) string {
	if identity == "" {
		return "nobody's identity is at hand"
	}
	if _, err := w.wear(w.ctx, worn{identity, expired}); err != nil {
		kind := "certificate"
		if expired {
			kind = "expired certificate"
		}
		return fmt.Sprintf("no %s of %s is at hand: %v", kind, identity, err)
	}
	return ""
}

// Certificate implements probe.Credentials.
func (w *wardrobe) Certificate(ctx context.Context, identity string) (*tls.Certificate, error) {
	return w.wear(ctx, worn{identity, false})
}

// Expired implements probe.Expirer.
func (w *wardrobe) Expired(ctx context.Context, identity string) (*tls.Certificate, error) {
	return w.wear(ctx, worn{identity, true})
}

func (w *wardrobe) wear(ctx context.Context, what worn) (*tls.Certificate, error) {
	w.lock.Lock()
	defer w.lock.Unlock()
	d, there := w.worn[what]
	if !there {
		d.certificate, d.err = w.get(ctx, what)
		w.worn[what] = d
	}
	return d.certificate, d.err
}

var (
	errOthers   = errors.New("it is another's, and probes play their own account only")
	errNoExpiry = errors.New("the mesh's CA issues none that expires at once")
)

func (w *wardrobe) get(ctx context.Context, what worn) (*tls.Certificate, error) {
	if c := w.atHand(what); c != nil {
		return c, nil
	}
	expirer, expires := w.from.(probe.Expirer)
	switch {
	case w.from == nil:
		return nil, errors.New(w.why)
	case what.identity != w.g.Prober && !w.g.Callers:
		return nil, errOthers
	case what.expired && !expires:
		return nil, errNoExpiry
	}
	home := homeOf(w.g.Model, what.identity)
	if err := w.refused[home]; err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var c *tls.Certificate
	var err error
	if what.expired {
		c, err = expirer.Expired(ctx, what.identity)
	} else {
		c, err = w.from.Certificate(ctx, what.identity)
	}
	if err != nil && !what.expired && what.identity != w.g.Prober {
		w.refused[home] = err
	}
	return c, err
}

// patience is how long a certificate is waited for, one that expires among them.
const patience = 75 * time.Second

// atHand finds a certificate that was given.
func (w *wardrobe) atHand(what worn) *tls.Certificate {
	if w.g.Held == nil {
		return nil
	}
	if what.expired {
		return w.g.Held.Lapsed[what.identity]
	}
	return w.g.Held.Valid[what.identity]
}

// homeOf is the namespace of some workload with an identity, or the identity itself.
func homeOf(m *model.Model, identity string) string {
	for i := range m.Workloads {
		if w := &m.Workloads[i]; w.Facts.Identity == identity {
			return w.ID.Namespace
		}
	}
	return identity
}

// istioPort and linkerdPort are those on which the CAs answer (istiod's secure XDS port, linkerd-identity's gRPC).
const (
	istioPort   = 15012
	linkerdPort = 8080
)

// caAddresses are those of the running pods of the mesh's CA.
func caAddresses(m *model.Model) []string {
	mesh := &m.Cluster.Mesh
	label, value, port := "app", "istiod", istioPort
	if mesh.Kind == model.MeshLinkerd {
		label, value, port = "linkerd.io/control-plane-component", "identity", linkerdPort
	}
	var list []string
	for i := range m.Pods {
		p := &m.Pods[i]
		if p.ID.Namespace == mesh.Namespace && p.Labels[label] == value && p.Running && len(p.Addresses) > 0 {
			list = append(list, net.JoinHostPort(p.Addresses[0].Unmap().String(), strconv.Itoa(port)))
		}
	}
	return list
}
