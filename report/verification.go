package report

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verify"
)

// shownPorts is how many ports of one verdict a person is shown; -o json has all.
const shownPorts = 12

// verdictWords say what a verification comes to as a whole.
var verdictWords = map[verify.Light]string{verify.Green: "holds", verify.Red: "broken", verify.Unknown: "not shown"}

// lightPaint is what a light is coloured as.
var lightPaint = map[verify.Light]string{verify.Green: "add", verify.Red: "error", verify.Unknown: "warning"}

// Wire is a verification's findings as SARIF and JUnit have them.
func Wire(r *verify.Report) *Audited {
	a := &Audited{OnWire: true, Mesh: model.Mesh{Kind: r.Mesh, TrustDomain: r.TrustDomain}, Namespaces: len(r.Namespaces)}
	workloads := map[model.WorkloadID]bool{}
	for i := range r.Results {
		workloads[r.Results[i].Workload] = true
	}
	a.Workloads = len(workloads)
	for i := range r.Findings {
		a.Findings = append(a.Findings, LocatedFinding{Finding: r.Findings[i]})
	}
	return a
}

// VerificationText is a verification for people: the verdict first, what is at
// fault, then namespaces, ports, TLS, certificates, and what changed.
func VerificationText(r *verify.Report, paint Paint) []byte {
	v := &verificationText{r: r, paint: paint}
	v.verdict()
	v.out.Write(Findings(r.Findings, paint))
	v.namespaces()
	v.ports()
	v.crypto()
	v.certificates()
	v.changes()
	return v.out.Bytes()
}

type verificationText struct {
	r     *verify.Report
	out   bytes.Buffer
	paint Paint
}

func (v *verificationText) line(format string, values ...any) {
	fmt.Fprintf(&v.out, format+"\n", values...)
}

func (v *verificationText) title(text string) { v.line("%s", painted(v.paint, "title", text)) }

func (v *verificationText) verdict() {
	light := v.r.Summary.Light()
	v.line("%s %s", painted(v.paint, "title", "Verification:"), painted(v.paint, lightPaint[light], strings.ToUpper(verdictWords[light])))
	v.line("%s", about(v.r))
	v.line("%s\n", countsText(&v.r.Summary))
}

// about says what was verified, and when.
func about(r *verify.Report) string {
	pods := map[string]bool{}
	for i := range r.Results {
		t := &r.Results[i].Target
		pods[t.Workload.String()+" "+t.Pod+t.Address.String()] = true
	}
	text := fmt.Sprintf("%s of %s in %s", count(len(r.Results), "port"), count(len(pods), "pod"), count(len(r.Namespaces), "namespace"))
	if r.Mesh != "" {
		text = string(r.Mesh) + ", trust domain " + cmp.Or(r.TrustDomain, "not known") + "; " + text
	}
	return fmt.Sprintf("%s; from %s to %s", text, stampOf(r.Started), stampOf(r.Finished))
}

// countsText is "8 hold · 2 broken · 1 not shown", in the order of gravity, less what there is none of.
func countsText(c *verify.Counts) string {
	var parts []string
	for _, verdict := range shownOrder {
		n, word := c.Of(verdict), verdict.Describe()
		if verdict == verify.Pass && n > 1 {
			word = "hold"
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, word))
		}
	}
	if len(parts) == 0 {
		return "nothing was looked at"
	}
	return strings.Join(parts, " · ")
}

// shownOrder is the order in which counts are told.
var shownOrder = []verify.Verdict{verify.Pass, verify.Fail, verify.Inconclusive, verify.Unprotected, verify.Open, verify.Untested}

func (v *verificationText) namespaces() {
	if len(v.r.Namespaces) == 0 {
		return
	}
	v.title("Namespaces")
	width := 0
	for i := range v.r.Namespaces {
		width = max(width, len(v.r.Namespaces[i].Namespace))
	}
	for i := range v.r.Namespaces {
		n := &v.r.Namespaces[i]
		word := painted(v.paint, lightPaint[n.Light], fmt.Sprintf("%-9s", verdictWords[n.Light]))
		v.line("  %-*s  %s  %s", width, n.Namespace, word, countsText(&n.Counts))
	}
	v.line("")
}

// ports lists those that do not hold, by verdict, and what no check shows of the others.
func (v *verificationText) ports() {
	ports := verify.Ports(v.r.Results)
	for _, verdict := range []verify.Verdict{verify.Fail, verify.Inconclusive, verify.Unprotected} {
		var of []*verify.PortSummary
		for i := range ports {
			if ports[i].Verdict == verdict {
				of = append(of, &ports[i])
			}
		}
		if len(of) == 0 {
			continue
		}
		v.title(fmt.Sprintf("Ports: %s (%d)", verdict.Describe(), len(of)))
		for i, p := range of {
			if i == shownPorts && len(of) > shownPorts+1 {
				v.line("  … and %d more; -o json has them all", len(of)-i)
				break
			}
			v.port(p)
		}
		v.line("")
	}
	v.untested()
}

func (v *verificationText) port(p *verify.PortSummary) {
	v.line("  %s %s, %s at %d of %s: %s", p.Workload, portOf(p), p.Way, p.Counts.Of(p.Verdict), count(len(p.Results), "pod"), cmp.Or(p.Reason, p.Verdict.Describe()))
}

func portOf(p *verify.PortSummary) string {
	t := verify.Target{Port: p.Port, Protocol: p.Protocol}
	return "port " + t.PortText()
}

// untested says what no check showed, each sentence once.
func (v *verificationText) untested() {
	said := map[string]int{}
	for i := range v.r.Results {
		for _, text := range v.r.Results[i].Untested {
			said[text]++
		}
	}
	if len(said) == 0 {
		return
	}
	v.title("Not shown by any handshake")
	for _, text := range slices.Sorted(mapKeys(said)) {
		v.line("  %s: %s", count(said[text], "port"), text)
	}
	v.line("")
}

func mapKeys[V any](m map[string]V) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for key := range m {
			if !yield(key) {
				return
			}
		}
	}
}

func (v *verificationText) crypto() {
	c := &v.r.Crypto
	if c.Sessions == 0 {
		return
	}
	v.title("TLS")
	for _, row := range cryptoRows(c) {
		v.line("  %-13s %s", row[0], row[1])
	}
	v.line("")
}

// cryptoRows are what handshakes agreed on, as a heading and a text.
func cryptoRows(c *verify.Crypto) [][2]string {
	rows := [][2]string{
		{"versions", tallyText(c.Versions)}, {"suites", tallyText(c.Suites)}, {"key exchange", tallyText(c.Groups)},
		{"keys", tallyText(c.Keys)}, {"signatures", tallyText(c.Signatures)},
	}
	switch {
	case c.Choice == "":
		rows = append(rows, [2]string{"post-quantum", "not learnt"})
	case strings.Contains(c.Choice, "MLKEM"):
		rows = append(rows, [2]string{"post-quantum", "yes: where it may choose, the mesh chooses " + c.Choice})
	default:
		rows = append(rows, [2]string{"post-quantum", "no: where it may choose, the mesh chooses " + c.Choice})
	}
	return rows
}

// tallyText is "TLS 1.3 ×10, TLS 1.2 ×1", the most frequent first.
func tallyText(counts map[string]int) string {
	names := slices.Sorted(mapKeys(counts))
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(counts[b], counts[a]) })
	for i, name := range names {
		names[i] = fmt.Sprintf("%s ×%d", name, counts[name])
	}
	return cmp.Or(strings.Join(names, ", "), "none seen")
}

func (v *verificationText) certificates() {
	v.title("Certificates")
	for i := range v.r.Authorities {
		ca := &v.r.Authorities[i]
		v.line("  %-6s %s: until %s (%s)", ca.Role, ca.Subject, stampOf(ca.NotAfter), leftText(ca.NotAfter, v.r.Finished))
	}
	v.line("  leaves %s", leavesText(v.r))
	v.line("  root's rotation: %s: %s", v.r.Rotation.Stage, v.r.Rotation.Says)
	if v.r.Rotation.Next != "" {
		v.line("  next: %s", v.r.Rotation.Next)
	}
	v.line("")
}

// leavesText counts leaves by their phases.
func leavesText(r *verify.Report) string {
	phases, unknown := map[verify.Phase]int{}, 0
	var first time.Time
	for i := range r.Ledger.Entries {
		e := &r.Ledger.Entries[i]
		if e.State == nil {
			unknown++
			continue
		}
		phases[e.State.Phase]++
		if end := e.Current().NotAfter; first.IsZero() || end.Before(first) {
			first = end
		}
	}
	var parts []string
	for _, phase := range []verify.Phase{verify.Current, verify.Due, verify.Overdue, verify.Lapsed} {
		if n := phases[phase]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, phase))
		}
	}
	if unknown > 0 {
		parts = append(parts, fmt.Sprintf("%d without a known rule of renewal", unknown))
	}
	if len(parts) == 0 {
		return "none was seen"
	}
	text := strings.Join(parts, " · ")
	if !first.IsZero() {
		text += "; the first ends " + stampOf(first)
	}
	return text
}

// leftText is "in 59 days", "in 3 hours" or "ended".
func leftText(end, now time.Time) string {
	left := end.Sub(now)
	switch {
	case left <= 0:
		return "ended"
	case left < 48*time.Hour:
		return fmt.Sprintf("in %d hours", int(left.Hours()))
	default:
		return fmt.Sprintf("in %d days", int(left.Hours()/24))
	}
}

func stampOf(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func (v *verificationText) changes() {
	if c := v.r.Changes; c != nil {
		v.out.Write(ChangesText(c, v.paint))
	}
}

// ChangesText is what changed between two verifications, for people.
func ChangesText(c *verify.Changes, paint Paint) []byte {
	v := &verificationText{paint: paint}
	v.title("Changes since " + stampOf(c.Since))
	if c.Empty() {
		v.line("  none: every port comes to what it came to")
	}
	for _, part := range changeParts(c) {
		for i := range part.list {
			if i == shownPorts && len(part.list) > shownPorts+1 {
				v.line("  %s … and %d more; -o json has them all", part.sign, len(part.list)-i)
				break
			}
			v.line("  %s", painted(paint, part.paint, part.sign+" "+changeText(&part.list[i])))
		}
	}
	if c.Stage != "" {
		v.line("  the root's rotation was: %s", c.Stage)
	}
	if text := renewedText(c); text != "" {
		v.line("  %s", text)
	}
	v.line("")
	return v.out.Bytes()
}

// changePart is one kind of change.
type changePart struct {
	sign, name, paint string
	list              []verify.Change
}

func changeParts(c *verify.Changes) []changePart {
	return []changePart{
		{"worse", "worse", "error", c.Worse}, {"better", "better", "add", c.Better}, {"new", "new", "quiet", c.Added}, {"gone", "gone", "quiet", c.Gone},
	}
}

func changeText(c *verify.Change) string {
	t := verify.Target{Port: c.Port, Protocol: c.Protocol}
	text := fmt.Sprintf("%s port %s: ", c.Workload, t.PortText())
	switch {
	case c.Before == "":
		text += c.After.Describe()
	case c.After == "":
		text += "was " + c.Before.Describe()
	default:
		text += c.Before.Describe() + " → " + c.After.Describe()
	}
	if c.Reason != "" {
		text += " (" + c.Reason + ")"
	}
	return text
}

// renewedText is "3 pods renewed a certificate: shop/cart, shop/web", and empty where none did.
func renewedText(c *verify.Changes) string {
	n := 0
	var names []string
	for _, r := range c.Rotated {
		n += r.Pods
		names = append(names, r.Workload.Namespace+"/"+r.Workload.Name)
	}
	if n == 0 {
		return ""
	}
	return count(n, "pod") + " renewed a certificate: " + list(names)
}

// ChangesDocument is what changed between two verifications, for machines: kind VerificationChanges, docs/schemas/verification-changes.json.
func ChangesDocument(c *verify.Changes) any {
	return struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		*verify.Changes
	}{apiVersion, "VerificationChanges", c}
}
