package verify

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/model"
)

// TargetsKind is the kind of the file that names targets and what is expected of them.
const TargetsKind = "VerificationTargets"

// Targets is a file of targets, for a verification of what can be reached from
// here: docs/schemas/verification-targets.json. Paths in it are relative to the file.
type Targets struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Mesh       model.MeshKind `json:"mesh"`
	// TrustDomain of the mesh, for the report.
	TrustDomain string `json:"trustDomain,omitempty"`
	// Roots are PEM files with the roots that the mesh trusts.
	Roots []string `json:"roots,omitempty"`
	// Issuer is a PEM file with the certificate that the CA is meant to sign with, IssuerSince when it was put in place.
	Issuer      string    `json:"issuer,omitempty"`
	IssuerSince time.Time `json:"issuerSince,omitzero"`
	// Bundles are the trust bundles that are held, and where.
	Bundles []Bundle `json:"bundles,omitempty"`
	// Identities are those that probes can have.
	Identities []HeldIdentity `json:"identities,omitempty"`
	// Stranger is the identity that no rule lets in; where it is empty, one that is no caller is taken from Identities.
	Stranger string `json:"stranger,omitempty"`
	// Requests tells that probes may send an OPTIONS * request.
	Requests bool            `json:"requests,omitempty"`
	Targets  []TargetOfAFile `json:"targets"`
}

// HeldIdentity is an identity with files for its certificate (and what signed it) and key.
type HeldIdentity struct {
	Identity    string `json:"identity"`
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
	// Expired tells that the certificate has expired, and is for the client that must be refused for it.
	Expired bool `json:"expired,omitempty"`
}

// TargetOfAFile is one target with what is expected of it.
type TargetOfAFile struct {
	// Workload is "Deployment shop/cart".
	Workload string          `json:"workload"`
	Pod      string          `json:"pod,omitempty"`
	Address  netip.Addr      `json:"address,omitzero"`
	Port     int32           `json:"port"`
	Protocol corev1.Protocol `json:"protocol,omitempty"`
	Way      Way             `json:"way"`
	// Standing is strict where it is empty.
	Standing   Standing `json:"standing,omitempty"`
	Why        string   `json:"why,omitempty"`
	Identity   string   `json:"identity,omitempty"`
	Opaque     bool     `json:"opaque,omitempty"`
	Authorized bool     `json:"authorized,omitempty"`
	Callers    []string `json:"callers,omitempty"`
	Undeclared bool     `json:"undeclared,omitempty"`
}

// TargetsOf writes expectations as a file, without roots and identities.
func TargetsOf(mesh model.Mesh, o Options, expectations []Expectation) *Targets {
	t := &Targets{APIVersion: APIVersion, Kind: TargetsKind, Mesh: mesh.Kind, TrustDomain: mesh.TrustDomain, Stranger: o.Prober, Requests: o.Requests}
	for i := range expectations {
		e := &expectations[i]
		t.Targets = append(t.Targets, TargetOfAFile{
			Workload: e.Workload.String(), Pod: e.Pod, Address: e.Address, Port: e.Port, Protocol: e.Protocol, Way: e.Way,
			Standing: e.Standing, Why: e.Why, Identity: e.Identity, Opaque: e.Opaque, Authorized: e.Authorized, Callers: e.Callers,
			Undeclared: e.Undeclared,
		})
	}
	return t
}

// ParseTargets reads a file of targets. Its error has a line for each fault.
func ParseTargets(data []byte) (*Targets, error) {
	var t Targets
	if err := yaml.UnmarshalStrict(data, &t); err != nil {
		return nil, err
	}
	var faults []error
	fault := func(format string, values ...any) { faults = append(faults, fmt.Errorf(format, values...)) }
	if t.APIVersion != APIVersion || t.Kind != TargetsKind {
		fault("apiVersion and kind must be %s and %s", APIVersion, TargetsKind)
	}
	if t.Mesh != model.MeshIstio && t.Mesh != model.MeshLinkerd {
		fault("mesh must be istio or linkerd")
	}
	for i := range t.Identities {
		if h := &t.Identities[i]; h.Identity == "" || h.Certificate == "" || h.Key == "" {
			fault("identities[%d] needs identity, certificate and key", i)
		}
	}
	if len(t.Targets) == 0 {
		fault("targets: there is none")
	}
	for i := range t.Targets {
		if err := t.Targets[i].check(t.Mesh); err != nil {
			fault("targets[%d].%w", i, err)
		}
	}
	return &t, errors.Join(faults...)
}

// Only keeps the targets of some namespaces.
func (t *Targets) Only(namespaces []string) {
	t.Targets = slices.DeleteFunc(t.Targets, func(of TargetOfAFile) bool {
		workload, _ := parseWorkload(of.Workload)
		return !slices.Contains(namespaces, workload.Namespace)
	})
}

func (t *TargetOfAFile) check(mesh model.MeshKind) error {
	ways := []Way{Sidecar, HBONE, Proxyless, Direct}
	if mesh == model.MeshLinkerd {
		ways = []Way{Linkerd, LinkerdTransport, Direct}
	}
	_, named := parseWorkload(t.Workload)
	switch {
	case !named:
		return fmt.Errorf("workload: %q is not \"Kind namespace/name\"", t.Workload)
	case t.Port < 1 || t.Port > 65535:
		return fmt.Errorf("port: %d is no port", t.Port)
	case t.Address.Zone() != "":
		return fmt.Errorf("address: %s has a zone", t.Address)
	case !slices.Contains(ways, t.Way):
		return fmt.Errorf("way: %q is none of %s", t.Way, joinTexts(ways))
	case t.Standing != "" && !slices.Contains([]Standing{Strict, Permissive, ByDesign, Outside, NotCovered}, t.Standing):
		return fmt.Errorf("standing: %q is not known", t.Standing)
	case t.meshed() && t.Way == Direct:
		return fmt.Errorf("way: a port that is to be %s has a proxy before it", cmp.Or(t.Standing, Strict))
	default:
		return nil
	}
}

func (t *TargetOfAFile) meshed() bool {
	return t.Standing == "" || t.Standing == Strict || t.Standing == Permissive
}

func joinTexts[T ~string](list []T) string {
	texts := make([]string, len(list))
	for i, text := range list {
		texts[i] = string(text)
	}
	return strings.Join(texts, ", ")
}

func parseWorkload(text string) (model.WorkloadID, bool) {
	kind, path, ok := strings.Cut(text, " ")
	namespace, name, both := strings.Cut(path, "/")
	return model.WorkloadID{Kind: kind, Namespace: namespace, Name: name}, ok && both && kind != "" && namespace != "" && name != ""
}

// Expectations are those of the file, with the checks that the identities at hand allow, sorted by CompareTargets.
func (t *Targets) Expectations() []Expectation {
	list := make([]Expectation, 0, len(t.Targets))
	for i := range t.Targets {
		list = append(list, t.expectation(&t.Targets[i]))
	}
	slices.SortStableFunc(list, func(a, b Expectation) int { return CompareTargets(&a.Target, &b.Target) })
	return list
}

func (t *Targets) expectation(of *TargetOfAFile) Expectation {
	workload, _ := parseWorkload(of.Workload)
	e := Expectation{
		Target: Target{Workload: workload, Pod: of.Pod, Address: of.Address.Unmap(), Port: of.Port, Protocol: of.Protocol},
		Way:    of.Way, Standing: cmp.Or(of.Standing, Strict), Why: of.Why, Identity: of.Identity, Opaque: of.Opaque,
		Authorized: of.Authorized, Callers: slices.Sorted(slices.Values(of.Callers)),
	}
	c := credentials{requests: t.Requests}
	if i := slices.IndexFunc(e.Callers, func(name string) bool { return t.holds(name, false) }); i >= 0 {
		c.member = e.Callers[i]
	} else if len(e.Callers) > 0 {
		c.member = e.Callers[0]
	}
	if e.Authorized {
		c.stranger = t.strangerTo(&e)
	} else if c.member == "" && len(t.Identities) > 0 {
		c.member = t.Identities[0].Identity
	}
	e.choose(c)
	e.leaveOut(func(c Check) string {
		switch {
		case (c.Client == Member || c.Client == Stranger) && !t.holds(c.Identity, false):
			return "no certificate of " + c.Identity + " is at hand"
		case c.Client == Expired && !t.holds(c.Identity, true):
			return "no expired certificate of " + c.Identity + " is at hand"
		default:
			return ""
		}
	})
	if of.Undeclared {
		e.undeclared()
	}
	return e
}

// strangerTo is an identity that is no caller of a target: the file's, or one that is at hand.
func (t *Targets) strangerTo(e *Expectation) string {
	if t.Stranger != "" && !slices.Contains(e.Callers, t.Stranger) {
		return t.Stranger
	}
	for i := range t.Identities {
		if h := &t.Identities[i]; !h.Expired && !slices.Contains(e.Callers, h.Identity) {
			return h.Identity
		}
	}
	return ""
}

func (t *Targets) holds(identity string, expired bool) bool {
	return slices.ContainsFunc(t.Identities, func(h HeldIdentity) bool { return h.Identity == identity && h.Expired == expired })
}

// LeaveOut takes out the checks of a client that cannot be played, and says why: the
// port is judged by the others, and tells what was not tried.
func (e *Expectation) LeaveOut(client Client, why string) {
	e.leaveOut(func(c Check) string {
		if c.Client == client {
			return why
		}
		return ""
	})
}

// leaveOut takes out checks that cannot be made, and says of each why.
func (e *Expectation) leaveOut(why func(Check) string) {
	e.Checks = slices.DeleteFunc(e.Checks, func(c Check) bool {
		reason := why(c)
		if reason != "" {
			e.Untested = append(e.Untested, c.Client.Describe()+": "+reason)
		}
		return reason != ""
	})
}
