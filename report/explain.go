package report

import (
	"bytes"
	"fmt"

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
		From: a.Question.From.ID(), To: a.Question.To.ID(), Service: a.Service, Port: a.Question.Port.Number, Protocol: string(a.Question.Port.Protocol),
		Verdict: a.Decision.String(), Protection: a.Protection.String(), Identity: a.Identity.String(), Reason: a.Reason(), Layers: []ExplainedLayer{},
	}
	for i := range a.Answers {
		c.Layers = append(c.Layers, explainedLayer(&a.Answers[i], &a.Explanation))
	}
	return c
}

func explainedLayer(a *verdict.Answer, e *verdict.Explanation) ExplainedLayer {
	l := ExplainedLayer{Layer: string(a.Layer), Port: a.Dialled.Number, Answer: answerWord(a), Message: e.Says(a)}
	if a.At != nil {
		l.At = verdict.WorkloadID(a.At)
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
	fmt.Fprintf(out, "%s\n", paint("title", fmt.Sprintf("%s → %s %s%s", e.Question.From, e.Question.To, e.Question.Port, over)))
	fmt.Fprintf(out, "%s: %s\n\n", paint(decisionPaint[e.Decision], decisionName(e.Decision)), e.Reason())
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
		fmt.Fprintf(out, "  %-14s %s  %s\n", where, paint(decisionPaint[answer.Decision], fmt.Sprintf("%-7s", word)), e.Says(answer))
	}
}

// isVia tells whether a layer judges at a waypoint in between.
func isVia(a *verdict.Answer, e *verdict.Explanation) bool {
	return a.At != nil && a.At != e.Question.From.Workload && a.At != e.Question.To.Workload
}

func decisionName(d verdict.Decision) string {
	return [...]string{"Denied", "Not known", "Allowed in part", "Allowed"}[d]
}
