package verify

import (
	"cmp"
	"slices"
	"time"

	"floe.dev/palisade/model"
)

// APIVersion and ReportKind are those of the document that a Report is.
const (
	APIVersion = "palisade.floe.dev/v1alpha1"
	ReportKind = "VerificationReport"
)

// Report is what a verification came to, as it is saved: docs/schemas/verification-report.json.
type Report struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Started and Finished bound the run.
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	// Mesh is istio or linkerd.
	Mesh        model.MeshKind `json:"mesh,omitempty"`
	TrustDomain string         `json:"trustDomain,omitempty"`
	Summary     Counts         `json:"summary"`
	// Namespaces are in order of their names.
	Namespaces []Summary `json:"namespaces"`
	// Crypto counts what handshakes agreed on.
	Crypto Crypto `json:"crypto"`
	// Rotation is the state of the root's rotation.
	Rotation Rotation `json:"rotation"`
	// Authorities are the CA certificates that were seen or are known, by their end.
	Authorities []CA `json:"authorities"`
	// Issuer is what the CA was meant to sign with, as far as any run was told; nil where none was.
	Issuer   *Placed         `json:"issuer,omitempty"`
	Findings []model.Finding `json:"findings"`
	// Changes is what changed since an earlier report; nil where there was none to compare with.
	Changes *Changes `json:"changes,omitempty"`
	// Results are in order of their targets.
	Results []Result `json:"results"`
	Ledger  Ledger   `json:"ledger"`
}

// Counts counts ports of pods by their verdicts.
type Counts struct {
	Pass         int `json:"pass"`
	Fail         int `json:"fail"`
	Inconclusive int `json:"inconclusive"`
	Unprotected  int `json:"unprotected"`
	Plaintext    int `json:"plaintext"`
	Untested     int `json:"untested"`
}

// Add counts one more.
func (c *Counts) Add(v Verdict) { *c.of(v)++ }

// Of is how many have a verdict.
func (c *Counts) Of(v Verdict) int { return *c.of(v) }

func (c *Counts) of(v Verdict) *int {
	switch v {
	case Pass:
		return &c.Pass
	case Fail:
		return &c.Fail
	case Unprotected:
		return &c.Unprotected
	case Open:
		return &c.Plaintext
	case Untested:
		return &c.Untested
	default:
		return &c.Inconclusive
	}
}

// Total is how many ports there are.
func (c *Counts) Total() int {
	return c.Pass + c.Fail + c.Inconclusive + c.Unprotected + c.Plaintext + c.Untested
}

// Light is what a verification comes to as a whole.
func (c *Counts) Light() Light {
	switch {
	case c.Fail > 0:
		return Red
	case c.Inconclusive > 0 || c.Pass == 0:
		return Unknown
	default:
		return Green
	}
}

// Crypto counts sessions by what they agreed on.
type Crypto struct {
	Versions    map[string]int `json:"versions,omitempty"`
	Suites      map[string]int `json:"suites,omitempty"`
	Groups      map[string]int `json:"groups,omitempty"`
	Keys        map[string]int `json:"keys,omitempty"`
	Signatures  map[string]int `json:"signatures,omitempty"`
	PostQuantum int            `json:"postQuantum"`
	Sessions    int            `json:"sessions"`
	// Choice is what the mesh chooses where a client offers all that it can, post-quantum key exchange among it; empty where it was not learnt.
	Choice string `json:"choice,omitempty"`
}

// CA is a certificate that signs others, and where it stands in its life.
type CA struct {
	Certificate
	// Role is "root", "issuer" (what is meant to sign), or "shown" (what servers showed beside their leaves).
	Role string `json:"role"`
	// Leaves counts the current leaves that it signed.
	Leaves int `json:"leaves"`
}

// Placed is an issuer in its place.
type Placed struct {
	Fingerprint string `json:"fingerprint"`
	// Since is when it was put there: as was told, or the beginning of the run that first saw it in place of another.
	// Zero is not known.
	Since time.Time `json:"since,omitzero"`
}

// Run is one verification, to be made a Report.
type Run struct {
	Started, Finished time.Time
	Mesh              model.MeshKind
	TrustDomain       string
	Expectations      []Expectation
	// Namespaces have a summary even where nothing was expected of them.
	Namespaces []string
	// Seen has what was seen at each expectation, in the same order.
	Seen      []Observed
	Authority Authority
	// Choice is what key exchange the mesh chose where it could choose freely; empty where that was not learnt.
	Choice string
	// Before is the report of an earlier run, or nil.
	Before *Report
}

// NewReport judges a run.
func NewReport(run *Run) *Report {
	run = run.dated()
	r := &Report{
		APIVersion: APIVersion, Kind: ReportKind, Started: run.Started.UTC(), Finished: run.Finished.UTC(),
		Mesh: run.Mesh, TrustDomain: run.TrustDomain, Crypto: Crypto{Choice: run.Choice}, Issuer: run.placed(),
	}
	ways := map[model.WorkloadID]Way{}
	for i := range run.Expectations {
		e := &run.Expectations[i]
		seen := &Observed{Target: e.Target}
		if i < len(run.Seen) {
			seen = &run.Seen[i]
		}
		if e.vacant(seen) {
			continue
		}
		r.Results = append(r.Results, Judge(e, seen))
		if e.Meshed() {
			ways[e.Workload] = e.Way
		}
	}
	var ledger Ledger
	if run.Before != nil {
		ledger = run.Before.Ledger
	}
	r.Ledger = ledger.Observe(ways, run.Seen, r.Finished)
	r.Ledger.judge(&run.Authority, r.Finished)
	r.Rotation = RotationOf(&run.Authority, &r.Ledger)
	r.Authorities = authorities(run, &r.Ledger)
	r.Namespaces = summaries(r.Results, run.Namespaces, r.Started, r.Finished)
	for i := range r.Results {
		r.Summary.Add(r.Results[i].Verdict)
		r.Crypto.add(&r.Results[i])
	}
	r.Findings = findings(r, run)
	if run.Before != nil {
		changes := Compare(run.Before, r)
		r.Changes = &changes
	}
	r.slim()
	r.fill()
	return r
}

// dated is the run with what earlier runs tell of when the issuer was put in place.
// Its own beginning would be too early for one that was made long before.
func (run *Run) dated() *Run {
	a := &run.Authority
	if a.Issuer == nil || !a.IssuerSince.IsZero() || run.Before == nil || run.Before.Issuer == nil {
		return run
	}
	dated := *run
	if before := run.Before.Issuer; before.Fingerprint == a.Issuer.Fingerprint {
		dated.Authority.IssuerSince = before.Since
	} else {
		dated.Authority.IssuerSince = run.Started.UTC()
	}
	return &dated
}

// placed is the issuer for the report: this run's, or the one that was known before.
func (run *Run) placed() *Placed {
	switch {
	case run.Authority.Issuer != nil:
		return &Placed{Fingerprint: run.Authority.Issuer.Fingerprint, Since: run.Authority.IssuerSince}
	case run.Before != nil:
		return run.Before.Issuer
	default:
		return nil
	}
}

// fill makes lists empty rather than absent, for those who read the JSON form.
func (r *Report) fill() {
	r.Namespaces = append([]Summary{}, r.Namespaces...)
	r.Authorities = append([]CA{}, r.Authorities...)
	r.Findings = append([]model.Finding{}, r.Findings...)
	r.Results = append([]Result{}, r.Results...)
	r.Ledger.Entries = append([]Entry{}, r.Ledger.Entries...)
}

// slim takes out of the results what the ledger has.
func (r *Report) slim() {
	for i := range r.Results {
		if s := r.Results[i].Session; s != nil {
			less := *s
			less.Chain, less.Root = nil, ""
			r.Results[i].Session = &less
		}
	}
	slices.SortStableFunc(r.Results, func(a, b Result) int { return CompareTargets(&a.Target, &b.Target) })
}

// add counts the session that is kept of a result.
func (c *Crypto) add(r *Result) {
	s := r.Session
	if s == nil || !s.Meshed(r) {
		return
	}
	c.Sessions++
	if s.PostQuantum {
		c.PostQuantum++
	}
	leaf := s.Leaf()
	tally(&c.Versions, "TLS "+s.Version)
	tally(&c.Suites, s.Suite)
	tally(&c.Groups, s.Group)
	tally(&c.Keys, leaf.Key)
	tally(&c.Signatures, leaf.Signature)
}

// Meshed tells whether a session was with the workload itself.
func (s *Session) Meshed(r *Result) bool {
	return s.Trust == "" && r.Identity != "" && s.Leaf() != nil && s.Leaf().Proves(r.Identity)
}

func tally(counts *map[string]int, what string) {
	if what == "" {
		return
	}
	if *counts == nil {
		*counts = map[string]int{}
	}
	(*counts)[what]++
}

// authorities lists CA certificates, each once: what is known, and what servers showed.
func authorities(run *Run, l *Ledger) []CA {
	var list []CA
	seen := map[string]bool{}
	add := func(c Certificate, role string) {
		if !seen[c.Fingerprint] {
			seen[c.Fingerprint] = true
			list = append(list, CA{Certificate: c, Role: role})
		}
	}
	for _, c := range run.Authority.Roots {
		add(c, "root")
	}
	if run.Authority.Issuer != nil {
		add(*run.Authority.Issuer, "issuer")
	}
	for i := range run.Seen {
		for j := range run.Seen[i].Seen {
			if s := run.Seen[i].Seen[j].TLS; s != nil && s.Trust == "" && len(s.Chain) > 1 && len(list) < maxAuthorities {
				for _, c := range s.Chain[1:] {
					add(c, "shown")
				}
			}
		}
	}
	signed := map[string]int{}
	for i := range l.Entries {
		signed[l.Entries[i].Current().IssuerKeyID]++
	}
	for i := range list {
		if list[i].KeyID != "" {
			list[i].Leaves = signed[list[i].KeyID]
		}
	}
	slices.SortStableFunc(list, func(a, b CA) int {
		return cmp.Or(a.NotAfter.Compare(b.NotAfter), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	return list
}

// maxAuthorities bounds the CA certificates of a report: servers may show anything.
const maxAuthorities = 64
