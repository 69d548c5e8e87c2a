package report

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"strings"
	"time"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verify"
)

//go:embed verification.gohtml
var verificationPage string

//go:embed verification.css
var verificationStyle string

//go:embed verification.js
var verificationScript string

// Bounds of the page, which has to open in a browser whatever the cluster is.
const (
	// mostPagePorts is how many ports have a row; the worst come first.
	mostPagePorts = 4000
	// mostPodsShown is how many pods of a port are shown in full: the worst.
	mostPodsShown = 4
	// mostBars is how many certificates the timeline shows: those that end first.
	mostBars = 40
)

// VerificationHTML is a verification as one page, with everything in it: it asks
// nothing of any server, and its policy (CSP) forbids that it could. Without scripts
// everything can be read and printed; the script only filters.
func VerificationHTML(r *verify.Report) ([]byte, error) {
	page, err := template.New("verification").Parse(verificationPage)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := page.Execute(&out, newPage(r)); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// page is what the template shows.
type page struct {
	R              *verify.Report
	Policy         string
	Style          template.CSS
	Script         template.JS
	Picture        template.HTML
	Readable       int
	Word, Light    string
	About, Counts  string
	Tiles          []tile
	Namespaces     []pageNamespace
	Findings       []pageFinding
	Crypto         [][2]string
	Steps          []pageStep
	Bars           []bar
	Ticks          []tick
	MoreBars       int
	Leaves         string
	Authorities    []pageAuthority
	Changes        []pageChange
	Since          string
	Stage          string
	Ports, Unshown int
}

// tile is a verdict, how many ports have it, and whether it filters.
type tile struct {
	Verdict verify.Verdict
	Word    string
	Mark    string
	Count   int
}

// marks tell verdicts apart without colour.
var marks = map[verify.Verdict]string{
	verify.Pass: "✓", verify.Fail: "✗", verify.Inconclusive: "?", verify.Unprotected: "!", verify.Open: "○", verify.Untested: "–",
}

type pageNamespace struct {
	Name, Word, Light, Counts string
	Ports                     []pagePort
}

type pagePort struct {
	Workload, Port, Way, Standing, Word, Mark, Reason, Identity, Session string
	Verdict                                                              verify.Verdict
	Pods                                                                 string
	Callers                                                              []string
	Shown                                                                []pagePod
	More                                                                 int
}

type pagePod struct {
	Name, Word, Mark string
	Verdict          verify.Verdict
	Checks           []pageCheck
	Untested         []string
}

type pageCheck struct{ Client, Want, Saw, First, Word, Mark, Reason string }

type pageFinding struct {
	model.Finding
	About string
}

type pageStep struct {
	Name, Text string
	Now        bool
}

type pageAuthority struct{ Role, Subject, Ends, Left, Key, Leaves string }

type pageChange struct{ Kind, Text string }

func newPage(r *verify.Report) *page {
	light := r.Summary.Light()
	drawn := VerificationSVG(r)
	p := &page{
		R: r, Style: template.CSS(verificationStyle), Script: template.JS(verificationScript), Picture: template.HTML(drawn), Readable: readable(drawn),
		Word: verdictWords[light], Light: string(light), About: about(r), Counts: countsText(&r.Summary), Crypto: cryptoRows(&r.Crypto), Leaves: leavesText(r), Steps: steps(r.Rotation.Stage),
	}
	sum := sha256.Sum256([]byte(verificationScript))
	p.Policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	for i := range r.Findings {
		p.Findings = append(p.Findings, pageFinding{r.Findings[i], r.Findings[i].Subject.String()})
	}
	for i := range r.Authorities {
		ca := &r.Authorities[i]
		p.Authorities = append(p.Authorities, pageAuthority{ca.Role, cmp.Or(ca.Subject, ca.Fingerprint), stampOf(ca.NotAfter), leftText(ca.NotAfter, r.Finished), ca.Key, fmt.Sprint(ca.Leaves)})
	}
	p.table()
	p.timeline()
	p.changes()
	return p
}

// readable is the width in pixels below which the letters of a picture get too small; it is scrolled there.
func readable(drawn []byte) int {
	_, after, _ := bytes.Cut(drawn, []byte(`<svg width="`))
	digits, _, _ := bytes.Cut(after, []byte(`"`))
	width, err := strconv.Atoi(string(digits))
	if err != nil { // there is no picture
		return 0
	}
	return width * 3 / 4
}

// table fills in the ports of workloads, by namespace, the worst first. Where there are too many the best are left out.
func (p *page) table() {
	ports := verify.Ports(p.R.Results)
	slices.SortStableFunc(ports, func(a, b verify.PortSummary) int { return cmp.Compare(a.Verdict.Rank(), b.Verdict.Rank()) })
	p.Ports, p.Unshown = len(ports), max(0, len(ports)-mostPagePorts)
	for _, v := range shownOrder {
		t := tile{Verdict: v, Word: v.Describe(), Mark: marks[v]}
		for i := range ports[:len(ports)-p.Unshown] {
			if ports[i].Verdict == v {
				t.Count++
			}
		}
		p.Tiles = append(p.Tiles, t)
	}
	for i := range p.R.Namespaces {
		n := &p.R.Namespaces[i]
		p.Namespaces = append(p.Namespaces, pageNamespace{Name: n.Namespace, Word: verdictWords[n.Light], Light: string(n.Light), Counts: countsText(&n.Counts)})
	}
	for i := range ports[:len(ports)-p.Unshown] {
		n := slices.IndexFunc(p.Namespaces, func(n pageNamespace) bool { return n.Name == ports[i].Workload.Namespace })
		if n >= 0 {
			p.Namespaces[n].Ports = append(p.Namespaces[n].Ports, newPagePort(&ports[i]))
		}
	}
}

func newPagePort(p *verify.PortSummary) pagePort {
	row := pagePort{
		Workload: p.Workload.Kind + " " + p.Workload.Name, Port: portOf(p), Way: string(p.Way), Standing: string(p.Standing), Word: p.Verdict.Describe(), Mark: marks[p.Verdict],
		Reason: cmp.Or(p.Reason, p.Why), Identity: p.Identity, Verdict: p.Verdict, Pods: count(len(p.Results), "pod"),
	}
	if n := p.Counts.Of(p.Verdict); n < len(p.Results) {
		row.Pods = fmt.Sprintf("%d of %d pods", n, len(p.Results))
	}
	for _, caller := range p.Callers {
		row.Callers = append(row.Callers, identityText(caller))
	}
	for _, r := range p.Results {
		if s := r.Session; s != nil && row.Session == "" {
			row.Session = strings.Join(strings.Fields(fmt.Sprintf("TLS %s %s %s %s", s.Version, s.Suite, s.Group, s.Protocol)), " · ")
			row.Session = strings.Replace(row.Session, "TLS · ", "TLS ", 1)
		}
	}
	worst := slices.Clone(p.Results)
	slices.SortStableFunc(worst, func(a, b *verify.Result) int { return cmp.Compare(a.Verdict.Rank(), b.Verdict.Rank()) })
	row.More = max(0, len(worst)-mostPodsShown)
	for _, r := range worst[:len(worst)-row.More] {
		row.Shown = append(row.Shown, newPagePod(r))
	}
	return row
}

func newPagePod(r *verify.Result) pagePod {
	pod := pagePod{Name: r.Pod, Word: r.Verdict.Describe(), Mark: marks[r.Verdict], Verdict: r.Verdict, Untested: r.Untested}
	if r.Address.IsValid() {
		pod.Name = strings.TrimSpace(pod.Name + " " + r.Address.String())
	}
	for i := range r.Checks {
		c := &r.Checks[i]
		word, mark := c.Verdict.Describe(), marks[c.Verdict]
		if c.Verdict == verify.Untested {
			word = "for the record"
		}
		pod.Checks = append(pod.Checks, pageCheck{c.Client.Describe(), string(c.Want), c.Saw, c.First, word, mark, c.Reason})
	}
	return pod
}

// steps are those of a root's rotation, with the one that is under way.
func steps(stage verify.Stage) []pageStep {
	list := []pageStep{
		{Name: "add", Text: "the new root goes into every bundle"},
		{Name: "reissue", Text: "the issuer, then every leaf, comes from the new root"},
		{Name: "verify", Text: "every leaf is seen to be of the new root"},
		{Name: "drop", Text: "the old root leaves every bundle"},
	}
	at := map[verify.Stage]int{verify.Adding: 0, verify.Added: 1, verify.Reissuing: 1, verify.Reissued: 2, verify.Dropping: 3}
	if i, under := at[stage]; under {
		list[i].Now = true
	}
	return list
}

func (p *page) changes() {
	c := p.R.Changes
	if c == nil {
		return
	}
	p.Since, p.Stage = stampOf(c.Since), string(c.Stage)
	for _, part := range changeParts(c) {
		for i := range part.list {
			if i == mostRows {
				p.Changes = append(p.Changes, pageChange{part.name, fmt.Sprintf("… and %d more", len(part.list)-i)})
				break
			}
			p.Changes = append(p.Changes, pageChange{part.name, changeText(&part.list[i])})
		}
	}
	if text := renewedText(c); text != "" {
		p.Changes = append(p.Changes, pageChange{"renewed", text})
	}
}

// bar is a leaf on the timeline. From and Width are percents of it, as are DueFrom and DueWidth.
type bar struct {
	Name, Phase, Word, Text string
	From, Width             string
	DueFrom, DueWidth       string
	Rotated                 string
}

type tick struct{ At, Text string }

// timeline draws the leaves that end first, one a workload, and now among them.
func (p *page) timeline() {
	first := map[model.WorkloadID]*verify.Entry{}
	var list []*verify.Entry
	for i := range p.R.Ledger.Entries {
		e := &p.R.Ledger.Entries[i]
		if e.State == nil {
			continue
		}
		if known := first[e.Workload]; known == nil || e.Current().NotAfter.Before(known.Current().NotAfter) {
			first[e.Workload] = e
		}
	}
	for _, e := range first {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b *verify.Entry) int {
		return cmp.Or(a.Current().NotAfter.Compare(b.Current().NotAfter), model.CompareWorkloadIDs(a.Workload, b.Workload))
	})
	p.MoreBars = max(0, len(list)-mostBars)
	list = list[:len(list)-p.MoreBars]
	if len(list) == 0 {
		return
	}
	begin, end := p.R.Finished, p.R.Finished
	for _, e := range list {
		begin, end = earlier(begin, e.Current().NotBefore), later(end, e.Current().NotAfter)
	}
	at := func(t time.Time) float64 {
		return min(100, max(0, 100*float64(t.Sub(begin))/float64(max(end.Sub(begin), time.Second))))
	}
	for _, e := range list {
		p.Bars = append(p.Bars, newBar(e, at))
	}
	p.Ticks = append(p.Ticks, tick{percent(at(p.R.Finished)), "now"})
}

func newBar(e *verify.Entry, at func(time.Time) float64) bar {
	leaf, s := e.Current(), e.State
	b := bar{
		Name: e.Workload.Namespace + "/" + e.Workload.Name, Phase: string(s.Phase), Word: string(s.Phase),
		From: percent(at(leaf.NotBefore)), Width: percent(at(leaf.NotAfter) - at(leaf.NotBefore)),
		DueFrom: percent(at(s.DueFrom)), DueWidth: percent(max(0.4, at(s.DueUntil)-at(s.DueFrom))),
		Text: fmt.Sprintf("serial %s, from %s to %s, due %s", leaf.Serial, stampOf(leaf.NotBefore), stampOf(leaf.NotAfter), stampOf(s.DueUntil)),
	}
	if s.Stalled {
		b.Word += ", of an issuer that was replaced"
	}
	if !s.Rotated.IsZero() {
		b.Rotated = "renewed by " + s.Rotated.UTC().Format("2006-01-02 15:04")
	}
	return b
}

func percent(v float64) string { return fmt.Sprintf("%.2f%%", v) }

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
