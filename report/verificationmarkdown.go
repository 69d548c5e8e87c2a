package report

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"floe.dev/palisade/verify"
)

// VerificationMarkdown is a verification as Markdown (GitHub's flavour), for a
// comment or a wiki: bounded, whatever the size of the cluster.
func VerificationMarkdown(r *verify.Report) []byte {
	m := &markdown{}
	m.line("# Verification: %s", verdictWords[r.Summary.Light()])
	m.line("\n%s.\n", markdownText(about(r)))
	m.line("**%s**", countsText(&r.Summary))
	m.namespaces(r)
	m.findings(r)
	m.ports(r)
	m.table("TLS", []string{"", ""}, cryptoTable(r))
	m.authorities(r)
	m.changes(r.Changes)
	return m.out.Bytes()
}

type markdown struct{ out bytes.Buffer }

func (m *markdown) line(format string, values ...any) { fmt.Fprintf(&m.out, format+"\n", values...) }

// markdownText keeps texts of a cluster from being read as Markdown or HTML.
func markdownText(text string) string {
	return strings.NewReplacer("\\", "\\\\", "|", "\\|", "*", "\\*", "_", "\\_", "`", "\\`", "<", "&lt;", ">", "&gt;", "[", "\\[", "]", "\\]", "\n", " ").Replace(text)
}

// table writes rows under a title, and nothing where there are none.
func (m *markdown) table(title string, heads []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	m.line("\n## %s\n", title)
	m.line("| %s |", strings.Join(heads, " | "))
	m.line("|%s", strings.Repeat("---|", len(heads)))
	for i, row := range rows {
		if i == mostRows && len(rows) > mostRows+1 {
			m.line("\n… and %d more; the JSON form has them all.", len(rows)-i)
			break
		}
		for i := range row {
			row[i] = markdownText(row[i])
		}
		m.line("| %s |", strings.Join(row, " | "))
	}
}

// mostRows bounds each table.
const mostRows = 50

func (m *markdown) namespaces(r *verify.Report) {
	var rows [][]string
	for i := range r.Namespaces {
		n := &r.Namespaces[i]
		rows = append(rows, []string{n.Namespace, verdictWords[n.Light], countsText(&n.Counts)})
	}
	m.table("Namespaces", []string{"namespace", "", "ports"}, rows)
}

func (m *markdown) findings(r *verify.Report) {
	var rows [][]string
	for i := range r.Findings {
		f := &r.Findings[i]
		rows = append(rows, []string{string(f.Severity), f.Code, f.Subject.String(), f.Message, f.Fix})
	}
	m.table("Findings", []string{"severity", "code", "about", "what was seen", "fix"}, rows)
}

// ports are those that do not hold, the worst first.
func (m *markdown) ports(r *verify.Report) {
	ports := verify.Ports(r.Results)
	slices.SortStableFunc(ports, func(a, b verify.PortSummary) int { return cmp.Compare(a.Verdict.Rank(), b.Verdict.Rank()) })
	var rows [][]string
	for i := range ports {
		if p := &ports[i]; p.Verdict.Rank() <= verify.Unprotected.Rank() {
			rows = append(rows, []string{p.Workload.String(), portOf(p), string(p.Way), p.Verdict.Describe(), fmt.Sprintf("%d of %d", p.Counts.Of(p.Verdict), len(p.Results)), cmp.Or(p.Reason, p.Why)})
		}
	}
	m.table("Ports that are not proven", []string{"workload", "port", "way", "", "pods", "why"}, rows)
}

func cryptoTable(r *verify.Report) [][]string {
	if r.Crypto.Sessions == 0 {
		return nil
	}
	var rows [][]string
	for _, row := range cryptoRows(&r.Crypto) {
		rows = append(rows, []string{row[0], row[1]})
	}
	return rows
}

func (m *markdown) authorities(r *verify.Report) {
	var rows [][]string
	for i := range r.Authorities {
		ca := &r.Authorities[i]
		rows = append(rows, []string{ca.Role, ca.Subject, stampOf(ca.NotAfter), leftText(ca.NotAfter, r.Finished)})
	}
	m.table("Certificates", []string{"role", "subject", "ends", ""}, rows)
	m.line("\nLeaves: %s. Rotation of the root: %s: %s. %s", markdownText(leavesText(r)), r.Rotation.Stage, markdownText(r.Rotation.Says), markdownText(r.Rotation.Next))
}

func (m *markdown) changes(c *verify.Changes) {
	if c == nil {
		return
	}
	if c.Empty() {
		m.line("\n## Changes since %s\n\nNone.", stampOf(c.Since))
		return
	}
	var rows [][]string
	for _, part := range changeParts(c) {
		for i := range part.list {
			rows = append(rows, []string{part.name, changeText(&part.list[i])})
		}
	}
	m.table("Changes since "+stampOf(c.Since), []string{"", "port"}, rows)
}
