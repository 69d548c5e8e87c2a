package engine

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/model"
	"floe.dev/palisade/verify"
)

// StatusLimit bounds the JSON of a status, in bytes, however many pods there are.
const StatusLimit = 16 << 10

const (
	// roomForConditions is kept free below StatusLimit.
	roomForConditions = 2 << 10
	// mostNamed is how many names or ports a list of a status has at most.
	mostNamed = 64
	// mostObserved is how many characters PortVerification.observed has at most.
	mostObserved = 256
)

// MTLSReportStatus is what a report says of one namespace, as it is kept in the
// cluster: within StatusLimit. Conditions go on from those of before, which may be nil.
func MTLSReportStatus(r *verify.Report, namespace string, before []metav1.Condition) v1alpha1.MTLSReportStatus {
	s := v1alpha1.MTLSReportStatus{Started: timeOf(r.Started), Time: timeOf(r.Finished), Light: v1alpha1.VerificationUnknown}
	i := slices.IndexFunc(r.Namespaces, func(s verify.Summary) bool { return s.Namespace == namespace })
	var of verify.Summary
	if i >= 0 {
		of = r.Namespaces[i]
		s.Light = lights[of.Light]
		s.Passed, s.Failed, s.Inconclusive = int32(of.Counts.Pass), int32(of.Counts.Fail), int32(of.Counts.Inconclusive)
		s.Unprotected, s.Plaintext, s.NotCovered = int32(of.Counts.Unprotected), int32(of.Counts.Plaintext), int32(of.Counts.Untested)
	}
	s.Certificates = countCertificates(&r.Ledger, namespace)
	s.Conditions = slices.Clone(before)
	meta.SetStatusCondition(&s.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionVerified, Status: conditionOf[s.Light], Reason: string(s.Light), LastTransitionTime: metav1.NewTime(r.Finished),
		Message: fmt.Sprintf("%d ports hold, %d are broken, %d could not be judged", s.Passed, s.Failed, s.Inconclusive),
	})
	fit(&s, &of, portRows(r, namespace))
	return s
}

// MTLSReportStatuses is what a report says, by namespace. Conditions go on from those of the reports that are stored.
func MTLSReportStatuses(r *verify.Report, stored []v1alpha1.MTLSReport) map[string]*v1alpha1.MTLSReportStatus {
	before := map[string][]metav1.Condition{}
	for i := range stored {
		before[stored[i].Namespace] = stored[i].Status.Conditions
	}
	statuses := map[string]*v1alpha1.MTLSReportStatus{}
	for i := range r.Namespaces {
		name := r.Namespaces[i].Namespace
		s := MTLSReportStatus(r, name, before[name])
		statuses[name] = &s
	}
	return statuses
}

var (
	lights      = map[verify.Light]v1alpha1.VerificationLight{verify.Green: v1alpha1.VerificationGreen, verify.Red: v1alpha1.VerificationRed, verify.Unknown: v1alpha1.VerificationUnknown}
	conditionOf = map[v1alpha1.VerificationLight]metav1.ConditionStatus{
		v1alpha1.VerificationGreen: metav1.ConditionTrue, v1alpha1.VerificationRed: metav1.ConditionFalse, v1alpha1.VerificationUnknown: metav1.ConditionUnknown,
	}
	resultOf = map[verify.Verdict]v1alpha1.VerificationResult{
		verify.Pass: v1alpha1.VerificationPass, verify.Fail: v1alpha1.VerificationFail, verify.Inconclusive: v1alpha1.VerificationInconclusive,
		verify.Unprotected: v1alpha1.VerificationUnprotected, verify.Open: v1alpha1.VerificationPlaintext, verify.Untested: v1alpha1.VerificationNotCovered,
	}
)

// fit fills in names and ports, and as many of them as there is room for: names go first, since a rollout acts on them.
func fit(s *v1alpha1.MTLSReportStatus, of *verify.Summary, rows []v1alpha1.PortVerification) {
	total := len(of.Failing) + len(of.Unclear) + len(of.Unprotected)
	for names, ports := mostNamed, min(mostNamed, len(rows)); ; {
		w := v1alpha1.VerifiedWorkloads{Failing: namesOf(of.Failing, names), Unclear: namesOf(of.Unclear, names), Unprotected: namesOf(of.Unprotected, names)}
		w.Others = int32(total - len(w.Failing) - len(w.Unclear) - len(w.Unprotected))
		s.Workloads, s.Ports = w, rows[:ports]
		data, err := json.Marshal(s)
		switch {
		case err != nil, len(data) <= StatusLimit-roomForConditions:
			return
		case ports > 8:
			ports--
		case names > 0:
			names--
		case ports > 0:
			ports--
		default:
			return
		}
	}
}

func namesOf(ids []model.WorkloadID, most int) []string {
	var names []string
	for _, id := range ids[:min(most, len(ids))] {
		names = append(names, id.Kind+"/"+id.Name)
	}
	return names
}

// portRows are the ports of a namespace, the worst first, at most mostNamed.
func portRows(r *verify.Report, namespace string) []v1alpha1.PortVerification {
	ports := slices.DeleteFunc(verify.Ports(r.Results), func(p verify.PortSummary) bool { return p.Workload.Namespace != namespace })
	slices.SortStableFunc(ports, func(a, b verify.PortSummary) int { return cmp.Compare(a.Verdict.Rank(), b.Verdict.Rank()) })
	ports = ports[:min(mostNamed, len(ports))]
	first := firstToExpire(&r.Ledger, ports)
	rows := make([]v1alpha1.PortVerification, len(ports))
	for i := range ports {
		rows[i] = portRow(&ports[i], first[ports[i].Workload])
	}
	return rows
}

func portRow(p *verify.PortSummary, e *verify.Entry) v1alpha1.PortVerification {
	row := v1alpha1.PortVerification{
		Workload: p.Workload.Kind + "/" + p.Workload.Name, Port: p.Port, Protocol: string(p.Protocol),
		Expected: string(p.Standing), Observed: cut(observed(p)), Result: resultOf[p.Verdict],
		Pods: int32(len(p.Results)), Affected: int32(p.Counts.Of(p.Verdict)),
	}
	if e == nil || p.Standing != verify.Strict && p.Standing != verify.Permissive {
		return row
	}
	leaf := e.Current()
	row.Certificate = &v1alpha1.CertificateSummary{Serial: leaf.Serial, Issuer: cut(leaf.Issuer), NotAfter: metav1.NewTime(leaf.NotAfter)}
	if e.State != nil {
		row.Certificate.LastRotation, row.Certificate.NextRotation = timeOf(e.State.Rotated), timeOf(e.State.DueUntil)
	}
	return row
}

// observed is why a port does not hold, or what its handshake agreed on.
func observed(p *verify.PortSummary) string {
	if p.Reason != "" {
		return p.Reason
	}
	for _, r := range p.Results {
		if s := r.Session; s != nil {
			return strings.TrimSpace("TLS " + s.Version + " " + s.Suite + " " + s.Group)
		}
	}
	return p.Verdict.Describe()
}

// cut bounds a text to what the kind allows.
func cut(text string) string {
	letters := []rune(text)
	if len(letters) <= mostObserved {
		return text
	}
	return string(letters[:mostObserved-1]) + "…"
}

// firstToExpire finds, for each workload of some ports, the entry whose leaf ends first.
func firstToExpire(l *verify.Ledger, ports []verify.PortSummary) map[model.WorkloadID]*verify.Entry {
	first := map[model.WorkloadID]*verify.Entry{}
	for i := range ports {
		first[ports[i].Workload] = nil
	}
	for i := range l.Entries {
		e := &l.Entries[i]
		known, wanted := first[e.Workload]
		if wanted && (known == nil || e.Current().NotAfter.Before(known.Current().NotAfter)) {
			first[e.Workload] = e
		}
	}
	return first
}

func countCertificates(l *verify.Ledger, namespace string) v1alpha1.CertificateCounts {
	var c v1alpha1.CertificateCounts
	var first time.Time
	for i := range l.Entries {
		e := &l.Entries[i]
		if e.Workload.Namespace != namespace {
			continue
		}
		c.Leaves++
		if end := e.Current().NotAfter; first.IsZero() || end.Before(first) {
			first = end
		}
		if e.State == nil {
			continue
		}
		switch e.State.Phase {
		case verify.Due:
			c.Due++
		case verify.Overdue:
			c.Overdue++
		case verify.Lapsed:
			c.Expired++
		}
		if e.State.Stalled {
			c.Stalled++
		}
	}
	c.FirstExpiry = timeOf(first)
	return c
}

func timeOf(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	stored := metav1.NewTime(t)
	return &stored
}

// StoredSummary is the evidence that a stored report gives of its namespace; false
// where it holds none. Times are in whole seconds, rounded down, as the API server
// keeps them. What is not understood counts as unknown.
func StoredSummary(r *v1alpha1.MTLSReport) (verify.Summary, bool) {
	s := &r.Status
	if s.Time == nil || s.Started == nil {
		return verify.Summary{}, false
	}
	of := verify.Summary{
		Namespace: r.Namespace, Light: verify.Unknown, Began: s.Started.UTC(), At: s.Time.UTC(),
		Counts: verify.Counts{
			Pass: int(s.Passed), Fail: int(s.Failed), Inconclusive: int(s.Inconclusive),
			Unprotected: int(s.Unprotected), Plaintext: int(s.Plaintext), Untested: int(s.NotCovered),
		},
		Failing: idsOf(r.Namespace, s.Workloads.Failing), Unclear: idsOf(r.Namespace, s.Workloads.Unclear),
		Unprotected: idsOf(r.Namespace, s.Workloads.Unprotected), Unnamed: int(s.Workloads.Others),
	}
	for light, stored := range lights {
		// A light that its own counts contradict was not written by palisade.
		if s.Light == stored && of.Counts.Light() == light {
			of.Light = light
		}
	}
	return of, true
}

func idsOf(namespace string, names []string) []model.WorkloadID {
	var ids []model.WorkloadID
	for _, text := range names {
		if kind, name, ok := strings.Cut(text, "/"); ok {
			ids = append(ids, model.WorkloadID{Namespace: namespace, Kind: kind, Name: name})
		}
	}
	return ids
}
