package report

import (
	"bytes"
	"fmt"
	"strings"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// ExplanationDocument is what palisade explain -o json prints. Its schema is
// docs/schemas/explanation.json. Where a question has several answers, one a port or
// a workload behind a Service, the document itself holds the one that lets through least.
type ExplanationDocument struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	ExplainedConnection
	// Results are all answers.
	Results  []ExplainedConnection `json:"results"`
	Problems []model.Problem       `json:"problems"`
}

// ExplainedConnection is the verdict on one connection.
type ExplainedConnection struct {
	From     string `json:"from"`
	To       string `json:"to"`
	Service  string `json:"service,omitempty"`
	Port     int32  `json:"port"`
	Protocol string `json:"protocol"`
	// Verdict is "allowed", "denied", "partial" or "unknown".
	Verdict string `json:"verdict"`
	// Protection is that of the way told about, whether the connection is let through or not.
	Protection string `json:"protection"`
	// Identity is what the client is authenticated as; absent where it is nobody.
	Identity string           `json:"identity,omitempty"`
	Reason   string           `json:"reason"`
	Layers   []ExplainedLayer `json:"layers"`
}

// ExplainedLayer is the answer of one layer.
type ExplainedLayer struct {
	Layer string `json:"layer"`
	// At is the workload at which the layer judges; absent for addresses.
	At string `json:"at,omitempty"`
	// Port is the one that the layer sees, where a mesh carries the connection by another.
	Port int32 `json:"port,omitempty"`
	// Answer is "allow", "deny", "partial", "unknown", or "none" where the layer has no opinion.
	Answer string `json:"answer"`
	// Object and Rule are what decides; absent where no object does.
	Object  *model.Ref `json:"object,omitempty"`
	Rule    string     `json:"rule,omitempty"`
	Message string     `json:"message"`
	// Also are further rules that decide: each for a part, or where it is not known which one does.
	Also []ExplainedRule `json:"also,omitempty"`
}

// ExplainedRule is a part of an object.
type ExplainedRule struct {
	Object *model.Ref `json:"object,omitempty"`
	Rule   string     `json:"rule,omitempty"`
}

// Asked is an explanation, with the Service that it was asked about by, "namespace/name", or "".
type Asked struct {
	verdict.Explanation
	Service string
}

// Explanations is the answers for machines.
func Explanations(asked []Asked, problems []model.Problem) ExplanationDocument {
	d := ExplanationDocument{APIVersion: apiVersion, Kind: "Explanation", Results: []ExplainedConnection{}, Problems: append([]model.Problem{}, problems...)}
	least := 0
	for i := range asked {
		d.Results = append(d.Results, explained(&asked[i]))
		if asked[i].Decision < asked[least].Decision {
			least = i
		}
	}
	d.ExplainedConnection = d.Results[least]
	return d
}

func explained(a *Asked) ExplainedConnection {
	c := ExplainedConnection{
		From: endID(a.Question.From), To: endID(a.Question.To), Service: a.Service, Port: a.Question.Port.Number, Protocol: string(a.Question.Port.Protocol),
		Verdict: a.Decision.String(), Protection: a.Protection.String(), Identity: identityName(a.Identity), Reason: Reason(&a.Explanation), Layers: []ExplainedLayer{},
	}
	for i := range a.Answers {
		c.Layers = append(c.Layers, explainedLayer(&a.Answers[i], &a.Explanation))
	}
	return c
}

func explainedLayer(a *verdict.Answer, e *verdict.Explanation) ExplainedLayer {
	l := ExplainedLayer{Layer: string(a.Layer), Port: a.Dialled.Number, Answer: answerWord(a), Message: layerText(a, e)}
	if a.At != nil {
		l.At = workloadID(a.At)
	}
	for i, c := range a.Causes {
		var object *model.Ref
		if c.Object != (model.Ref{}) {
			object = &c.Object
		}
		if i == 0 {
			l.Object, l.Rule = object, c.Field
			continue
		}
		l.Also = append(l.Also, ExplainedRule{object, c.Field})
	}
	return l
}

// answerWord is an answer as in JSON.
func answerWord(a *verdict.Answer) string {
	switch {
	case a.Silent:
		return "none"
	case a.Decision == verdict.Open:
		return "allow"
	case a.Decision == verdict.Refused:
		return "deny"
	default:
		return a.Decision.String()
	}
}

func endID(e verdict.End) string {
	if e.Workload != nil {
		return workloadID(e.Workload)
	}
	return e.Address.String()
}

func endName(e verdict.End) string {
	if e.Workload != nil {
		return e.Workload.ID.String()
	}
	return e.Address.String()
}

func identityName(i model.Identity) string {
	switch {
	case !i.Present:
		return ""
	case i.Principal == "":
		return i.Namespace + "/" + i.Account
	default:
		return i.Principal
	}
}

// ExplanationText is the answers for people.
func ExplanationText(asked []Asked, paint Paint) []byte {
	if paint == nil {
		paint = func(_, text string) string { return text }
	}
	var out bytes.Buffer
	for i := range asked {
		if i > 0 {
			out.WriteByte('\n')
		}
		writeExplanation(&out, &asked[i], paint)
	}
	return out.Bytes()
}

// decisionPaint colours a verdict.
var decisionPaint = map[verdict.Decision]string{verdict.Open: "add", verdict.Refused: "remove", verdict.Partial: "change", verdict.Unclear: "change"}

func writeExplanation(out *bytes.Buffer, a *Asked, paint Paint) {
	e := &a.Explanation
	over := ""
	if a.Service != "" {
		over = ", by Service " + a.Service
	}
	fmt.Fprintf(out, "%s\n", paint("title", fmt.Sprintf("%s → %s %s%s", endName(e.Question.From), endName(e.Question.To), e.Question.Port, over)))
	fmt.Fprintf(out, "%s: %s\n\n", paint(decisionPaint[e.Decision], decisionName(e.Decision)), Reason(e))
	for i := range e.Answers {
		answer := &e.Answers[i]
		word := answerWord(answer)
		if word == "none" {
			word = "–"
		}
		where := string(answer.Layer)
		if isVia(answer, e) {
			where += " at " + answer.At.ID.Name
		}
		fmt.Fprintf(out, "  %-14s %s  %s\n", where, paint(decisionPaint[answer.Decision], fmt.Sprintf("%-7s", word)), layerText(answer, e))
	}
}

// isVia tells whether a layer judges at a waypoint in between.
func isVia(a *verdict.Answer, e *verdict.Explanation) bool {
	return a.At != nil && a.At != e.Question.From.Workload && a.At != e.Question.To.Workload
}

func decisionName(d verdict.Decision) string {
	return [...]string{"Denied", "Not known", "Allowed in part", "Allowed"}[d]
}

// Reason says in a sentence why a verdict is what it is.
func Reason(e *verdict.Explanation) string {
	for i := range e.Answers {
		if a := &e.Answers[i]; a.Decision == e.Decision && e.Decision != verdict.Open {
			return layerText(a, e)
		}
	}
	if e.Protection == verdict.MTLS {
		return "encrypted by mTLS, authenticated as " + identityName(e.Identity)
	}
	why := "in plaintext, as nobody"
	if t := transportOf(e); t != nil && len(t.Causes) > 0 {
		why += ": " + causeText(t.Causes[0])
	}
	return why
}

func transportOf(e *verdict.Explanation) *verdict.Answer {
	if len(e.Answers) > 0 && e.Answers[0].Layer == model.FilterTransport {
		return &e.Answers[0]
	}
	return nil
}

// layerText says what one layer does, and by which rule.
func layerText(a *verdict.Answer, e *verdict.Explanation) string {
	switch a.Layer {
	case model.FilterTransport:
		return transportText(a, e)
	case model.FilterEgress, model.FilterIngress:
		return networkText(a)
	default:
		return proxyText(a)
	}
}

func transportText(a *verdict.Answer, e *verdict.Explanation) string {
	text := "plaintext"
	if e.Protection == verdict.MTLS {
		text = "mTLS"
	}
	if a.Decision == verdict.Refused {
		text += ", which fails"
	}
	if a.Dialled.Number != 0 {
		text += fmt.Sprintf(", dialled on %d", a.Dialled.Number)
	}
	if len(a.Causes) == 0 {
		return text + ": nothing of a mesh carries it"
	}
	return text + ": " + causesText(a.Causes)
}

func networkText(a *verdict.Answer) string {
	at, way := "an address outside", "may be reached"
	if a.At != nil {
		at = a.At.ID.String()
	}
	if a.Layer == model.FilterEgress {
		way = "may send anything"
	}
	port := ""
	if a.Dialled.Number != 0 {
		port = fmt.Sprintf(" (it sees port %d)", a.Dialled.Number)
	}
	switch {
	case a.Silent && a.At == nil:
		return "no policy is for addresses outside"
	case a.Silent:
		return fmt.Sprintf("no NetworkPolicy isolates %s, so it %s", at, way)
	case a.Decision == verdict.Refused && a.NoRule:
		return "no rule lets it through" + port + "; isolated by " + causesText(a.Causes)
	default:
		return causesText(a.Causes) + port
	}
}

func proxyText(a *verdict.Answer) string {
	switch {
	case len(a.Causes) == 0 && a.Layer == model.FilterAuthorization:
		return "no policy is for this workload, so everybody is let in"
	case a.Decision == verdict.Refused && a.NoRule && a.Layer == model.FilterAuthorization:
		return "no rule lets it in; there are " + causesText(a.Causes)
	default:
		return causesText(a.Causes)
	}
}

// causesText names rules; the first says what it does where it has words for it.
func causesText(causes []model.Cause) string {
	var parts []string
	for i, c := range causes {
		if i == shownSubjects && len(causes) > shownSubjects+1 {
			parts = append(parts, fmt.Sprintf("%d more", len(causes)-i))
			break
		}
		parts = append(parts, causeText(c))
	}
	return strings.Join(parts, ", ")
}

func causeText(c model.Cause) string {
	name := strings.TrimSpace(c.Object.String() + " " + c.Field)
	if name == "" || c.Message == "" {
		return name + c.Message
	}
	return name + ": " + c.Message
}
