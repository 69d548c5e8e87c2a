package verify

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"floe.dev/palisade/model"
)

// ExpiryNotice is how long before its end a root or an issuer is reported, as `linkerd check` does.
const ExpiryNotice = 60 * 24 * time.Hour

// findings are the faults that a report shows, the gravest first.
func findings(r *Report, run *Run) []model.Finding {
	list := portFindings(r.Results)
	list = append(list, leafFindings(&r.Ledger, &run.Authority, r.Finished)...)
	list = append(list, authorityFindings(r, run)...)
	slices.SortFunc(list, model.CompareFindings)
	return slices.Compact(list)
}

// refOf names a workload's object.
func refOf(id model.WorkloadID) model.Ref {
	return model.Ref{Kind: id.Kind, Namespace: id.Namespace, Name: id.Name}
}

// seenFault is one fault of one port, at some of its pods.
type seenFault struct {
	fault fault
	// said is what was seen at the first of them.
	said string
	pods []string
}

// portFindings reports each fault of a workload's port once, with the pods that show it.
func portFindings(results []Result) []model.Finding {
	var list []model.Finding
	for _, p := range Ports(results) {
		for _, f := range p.faults() {
			said := fmt.Sprintf("port %s of %s: %s", p.text(), pods(f.pods, len(p.Results)), f.said)
			list = append(list, faultFinding(f.fault, refOf(p.Workload), "port "+p.text(), said))
		}
		if p.Counts.Inconclusive > 0 {
			list = append(list, unclearFinding(&p))
		}
	}
	return list
}

func (p *PortSummary) text() string {
	t := Target{Port: p.Port, Protocol: p.Protocol}
	return t.PortText()
}

// faults are those of a port, each with the pods that show it.
func (p *PortSummary) faults() []seenFault {
	var list []seenFault
	for _, r := range p.Results {
		for i := range r.Checks {
			c := &r.Checks[i]
			if c.fault == noFault {
				continue
			}
			n := slices.IndexFunc(list, func(f seenFault) bool { return f.fault == c.fault })
			if n < 0 {
				n = len(list)
				list = append(list, seenFault{fault: c.fault, said: c.said()})
			}
			if name := podOf(&r.Target); !slices.Contains(list[n].pods, name) {
				list[n].pods = append(list[n].pods, name)
			}
		}
	}
	return list
}

// said is a fault in words. What is wrong with the server is so for every client.
func (c *Checked) said() string {
	if c.fault == serverUnproven {
		return c.Reason
	}
	return fmt.Sprintf("%s: %s; %s", c.Client.Describe(), c.Saw, c.Reason)
}

// pods is "all 3 pods", or "pod cart-1, cart-2 of 3".
func pods(names []string, of int) string {
	switch {
	case of == 1:
		return "its pod"
	case len(names) == of && of == 2:
		return "both pods"
	case len(names) == of:
		return fmt.Sprintf("all %d pods", of)
	default:
		return fmt.Sprintf("%s (%d of %d pods)", some(names), len(names), of)
	}
}

// faultFinding is the finding of a fault.
func faultFinding(f fault, subject model.Ref, field, said string) model.Finding {
	switch f {
	case plaintextTaken:
		return model.NewFinding("PlaintextOnStrictPort", model.Error, subject, field, said,
			"palisade explain shows which object lets plaintext in; look for PeerAuthentications or Servers of others, and for annotations that lead around the proxy")
	case clientUnverified:
		return model.NewFinding("ClientNotVerified", model.Error, subject, field, said,
			"the server ends TLS and does not verify its clients: see that the mesh's proxy answers on the port and not the application, and look at the trust bundle it was given")
	case strangerAdmitted:
		return model.NewFinding("StrangerAdmitted", model.Error, subject, field, said,
			"palisade audit and palisade explain show whose policy lets it in beside what the rules declare")
	case memberRefused:
		return model.NewFinding("MemberRefused", model.Error, subject, field, said,
			"palisade explain shows which rule should let it in; look for a DENY, a missing AuthorizationPolicy, or a proxy that has not taken its configuration yet")
	default:
		return model.NewFinding("ServerUnproven", model.Error, subject, field, said,
			"compare the pod's service account and trust bundle with what is expected; restart the pod where its certificate is old")
	}
}

func unclearFinding(p *PortSummary) model.Finding {
	var names []string
	reason := ""
	for _, r := range p.Results {
		if r.Verdict == Inconclusive {
			names = append(names, podOf(&r.Target))
			reason = cmp.Or(reason, r.Reason)
		}
	}
	return model.NewFinding("PortNotVerified", model.Warning, refOf(p.Workload), "port "+p.text(),
		fmt.Sprintf("port %s of %s: it is not known whether it holds: %s", p.text(), pods(names, len(p.Results)), reason),
		"see that the pod runs and that the network lets the probe reach it, then verify again")
}

// leafFindings reports leaves that are not renewed as they should be, once a workload.
func leafFindings(l *Ledger, a *Authority, now time.Time) []model.Finding {
	var list []model.Finding
	for entries := range eachWorkload(l.Entries) {
		subject := refOf(entries[0].Workload)
		if late := named(entries, func(e *Entry) bool { return e.State.Phase == Overdue || e.State.Phase == Lapsed }); len(late) > 0 {
			e := entries[slices.IndexFunc(entries, func(e Entry) bool { return e.name() == late[0] })]
			severity, state := model.Warning, "was due to be renewed by "+stamp(e.State.DueUntil)+" and was not; it expires at "+stamp(e.Current().NotAfter)
			if slices.ContainsFunc(entries, func(e Entry) bool { return e.State != nil && e.State.Phase == Lapsed }) {
				severity = model.Error
			}
			if now.After(e.Current().NotAfter) {
				state = "expired at " + stamp(e.Current().NotAfter)
			}
			list = append(list, model.NewFinding("CertificateOverdue", severity, subject, "",
				fmt.Sprintf("the certificate of %s %s", some(late), state),
				"look whether the pods reach the mesh's CA (istiod 15012, linkerd-identity 8080), then restart them"))
		}
		if stalled := named(entries, func(e *Entry) bool { return e.State.Stalled }); len(stalled) > 0 {
			list = append(list, stalledFinding(subject, a, stalled))
		}
		if outlive := named(entries, func(e *Entry) bool { return e.State.OutlivesIssuer }); len(outlive) > 0 {
			list = append(list, model.NewFinding("CertificateExpiring", model.Warning, subject, "",
				fmt.Sprintf("the certificate of %s ends after that of its issuer: it will be refused before its own end, and nothing renews it for that", some(outlive)),
				"renew the issuer, then restart the pods"))
		}
	}
	return list
}

// stalledFinding tells of a CA that goes on with an issuer that was replaced.
func stalledFinding(subject model.Ref, a *Authority, names []string) model.Finding {
	said := fmt.Sprintf("the issuer was replaced, and %s have since got certificates that the old one signed: the CA goes on with what it had in memory", some(names))
	if a.IssuerSince.IsZero() {
		said += fmt.Sprintf(" (when it was put in place is not known: it counts from its own beginning, %s)", stamp(a.Issuer.NotBefore))
	}
	return model.NewFinding("RotationStalled", model.Error, subject, "", said,
		"restart the mesh's CA (istiod, or linkerd-identity), then verify again")
}

// named are the names of the entries of which something is so.
func named(entries []Entry, is func(*Entry) bool) []string {
	var names []string
	for i := range entries {
		if entries[i].State != nil && is(&entries[i]) {
			names = append(names, entries[i].name())
		}
	}
	return names
}

// eachWorkload parts sorted entries by their workloads.
func eachWorkload(entries []Entry) func(yield func([]Entry) bool) {
	return func(yield func([]Entry) bool) {
		for len(entries) > 0 {
			n := 1
			for n < len(entries) && entries[n].Workload == entries[0].Workload {
				n++
			}
			if !yield(entries[:n]) {
				return
			}
			entries = entries[n:]
		}
	}
}

// authorityFindings reports CA certificates near their end, and a rotation that is broken or out of step.
func authorityFindings(r *Report, run *Run) []model.Finding {
	var list []model.Finding
	for i := range r.Authorities {
		ca := &r.Authorities[i]
		if ca.Role == "shown" && ca.Leaves == 0 {
			continue
		}
		subject := model.Ref{Kind: "Certificate", Name: cmp.Or(ca.Subject, ca.Fingerprint[:16])}
		switch left := ca.NotAfter.Sub(r.Finished); {
		case left <= 0:
			list = append(list, model.NewFinding("CertificateExpiring", model.Error, subject, "",
				fmt.Sprintf("the %s expired at %s: everything below it is refused", ca.word(), stamp(ca.NotAfter)), "replace it at once, and restart what holds it"))
		case left <= ExpiryNotice:
			list = append(list, model.NewFinding("CertificateExpiring", model.Warning, subject, "",
				fmt.Sprintf("the %s expires at %s, in %d days", ca.word(), stamp(ca.NotAfter), int(left.Hours()/24)), "rotate it in the order that palisade verify shows"))
		}
	}
	subject := model.Ref{Kind: "Mesh", Name: string(run.Mesh)}
	switch said := strings.TrimSpace(r.Rotation.Says); r.Rotation.Stage {
	case Broken:
		list = append(list, model.NewFinding("TrustBundleSkew", model.Error, subject, "", said, r.Rotation.Next))
	case Dropping:
		list = append(list, model.NewFinding("TrustBundleSkew", model.Warning, subject, "", said, r.Rotation.Next))
	}
	return list
}

func (c *CA) word() string {
	if c.Role == "root" {
		return "root " + c.Subject
	}
	return "issuer " + c.Subject
}
