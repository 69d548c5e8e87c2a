package plan

import (
	"bytes"
	"fmt"
	"strings"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// shown is how much of a long list a person is shown: the rest is counted.
const (
	shownImpacts = 20
	shownClients = 5
)

// DocumentImpact is one impact for machines.
type DocumentImpact struct {
	Basis    Basis          `json:"basis"`
	Severity model.Severity `json:"severity"`
	Outcome  Outcome        `json:"outcome"`
	Clients  DocumentCrowd  `json:"clients"`
	// Server is "namespace/Kind/name".
	Server   string   `json:"server"`
	Protocol string   `json:"protocol"`
	Port     int32    `json:"port"`
	Services []string `json:"services"`
	// Before is how the connections are protected now.
	Before []string `json:"before"`
	// DecidedBy is what decides for one of the clients, Example.
	DecidedBy DocumentDecision `json:"decidedBy"`
	Example   string           `json:"example"`
	Origins   []string         `json:"origins,omitempty"`
}

// DocumentCrowd is Clients for machines.
type DocumentCrowd struct {
	Count     int      `json:"count"`
	All       bool     `json:"all,omitempty"`
	Except    []string `json:"except,omitempty"`
	Workloads []string `json:"workloads,omitempty"`
	Addresses []string `json:"addresses,omitempty"`
}

// DocumentDecision is the layer that decides, and its rule.
type DocumentDecision struct {
	Layer   string     `json:"layer"`
	Object  *model.Ref `json:"object,omitempty"`
	Rule    string     `json:"rule,omitempty"`
	Message string     `json:"message"`
}

func documentImpact(i *Impact) DocumentImpact {
	d := DocumentImpact{
		Basis: i.Basis, Severity: i.Basis.Severity(), Outcome: i.Outcome, Server: i.Server.ID(), Protocol: string(i.Port.Protocol), Port: i.Port.Number,
		Services: append([]string{}, i.Services...), Example: i.Example.Question.From.ID(), Origins: i.Origins,
		Clients: DocumentCrowd{Count: i.Clients.Count, All: i.Clients.All, Except: i.Clients.Except, Workloads: i.Clients.Workloads},
	}
	for _, before := range i.Before {
		d.Before = append(d.Before, before.String())
	}
	for _, a := range i.Clients.Addresses {
		d.Clients.Addresses = append(d.Clients.Addresses, a.String())
	}
	if a := i.deciding(); a != nil {
		d.DecidedBy = DocumentDecision{Layer: string(a.Layer), Message: i.Example.Says(a)}
		if len(a.Causes) > 0 {
			d.DecidedBy.Rule = a.Causes[0].Field
			if ref := a.Causes[0].Object; ref != (model.Ref{}) {
				d.DecidedBy.Object = &ref
			}
		}
	}
	return d
}

// ImpactText is what the plan would end, for people; empty where that was not asked for.
func (p Plan) ImpactText(paint Paint) []byte {
	if p.Impact == nil {
		return nil
	}
	if paint == nil {
		paint = func(_, text string) string { return text }
	}
	var out bytes.Buffer
	if len(p.Impact) == 0 {
		fmt.Fprintf(&out, "%s\n\n", paint("title", "Impact: nothing over a Service, and nothing declared, is let through now that would not be"))
		return out.Bytes()
	}
	fmt.Fprintf(&out, "%s\n\n", paint("title", "Impact: what is let through now, and will not be"))
	for _, part := range []struct {
		basis        Basis
		paint, title string
	}{
		{Declared, "remove", "Declared by a rule, and would fail"},
		{Referenced, "change", "Named in the client's manifest, and would fail"},
		{Possible, "quiet", "Possible over a Service, and would fail (nothing that was read tells of a use)"},
	} {
		var lines [][2]string
		for i := range p.Impact {
			if p.Impact[i].Basis == part.basis {
				lines = append(lines, [2]string{p.Impact[i].connection(), p.Impact[i].reason()})
			}
		}
		writeImpacts(&out, lines, paint(part.paint, fmt.Sprintf("%s (%d)", part.title, len(lines))))
	}
	return out.Bytes()
}

func writeImpacts(out *bytes.Buffer, lines [][2]string, title string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(out, "%s\n", title)
	for i, line := range lines {
		if i == shownImpacts && len(lines) > shownImpacts+1 {
			fmt.Fprintf(out, "  … and %d more; -o json has them all\n", len(lines)-i)
			break
		}
		fmt.Fprintf(out, "  %s\n    %s\n", line[0], line[1])
	}
	out.WriteByte('\n')
}

// Describe tells on a line what ends, and why.
func (i *Impact) Describe() string { return i.connection() + ", " + i.reason() }

// connection is "shop/web → shop/api:9000/TCP (Service shop/api:80)".
func (i *Impact) connection() string {
	text := fmt.Sprintf("%s → %s:%s", i.Clients.text(), i.Server, i.Port)
	if len(i.Services) > 0 {
		text += fmt.Sprintf(" (Service %s)", strings.Join(i.Services, ", "))
	}
	return text
}

// deciding is what decides about the example. For many clients that is the server's side, which they share, where that decides too.
func (i *Impact) deciding() *verdict.Answer {
	if i.Clients.Count > 1 {
		for k := range i.Example.Answers {
			if a := &i.Example.Answers[k]; a.Decision == verdict.Refused && a.At == i.Example.Question.To.Workload {
				return a
			}
		}
	}
	return i.Example.Deciding()
}

func (i *Impact) reason() string {
	text := map[Outcome]string{Refused: "refused", Broken: "broken", Limited: "limited to some requests", Unclear: "not known"}[i.Outcome]
	if a := i.deciding(); a != nil {
		text += " by " + layerName(a.Layer) + ": " + i.Example.Says(a)
		if i.Clients.Count > 1 && a.At != i.Example.Question.To.Workload {
			text += fmt.Sprintf(" (for %s)", i.Example.Question.From)
		}
	}
	if len(i.Origins) > 0 {
		text += "; declared by " + strings.Join(i.Origins, ", ")
	}
	return text
}

func layerName(l model.FilterLayer) string {
	switch l {
	case model.FilterTransport:
		return "the client's side"
	case model.FilterEgress:
		return "the client's NetworkPolicies"
	case model.FilterIngress:
		return "the server's NetworkPolicies"
	case model.FilterMTLS:
		return "the mTLS mode"
	default:
		return string(l)
	}
}

func (c *Clients) text() string {
	var parts []string
	switch {
	case c.All && len(c.Except) == 0:
		parts = append(parts, "every workload")
	case c.All:
		parts = append(parts, "every workload but "+some(c.Except))
	case len(c.Workloads) > 0:
		parts = append(parts, some(c.Workloads))
	}
	if len(c.Addresses) > 0 {
		parts = append(parts, verdict.Peer{CIDRs: c.Addresses}.String())
	}
	return strings.Join(parts, ", and ")
}

// some shortens a list of workloads, without their kinds.
func some(ids []string) string {
	var names []string
	for i, id := range ids {
		if i == shownClients && len(ids) > shownClients+1 {
			names = append(names, fmt.Sprintf("%d more", len(ids)-i))
			break
		}
		parts := strings.Split(id, "/")
		names = append(names, parts[0]+"/"+parts[len(parts)-1])
	}
	return strings.Join(names, ", ")
}
