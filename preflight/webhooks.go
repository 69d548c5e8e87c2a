package preflight

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
)

func webhooksAnswer() Check {
	return Check{
		ID: "WebhooksAnswer", Category: Webhooks, Reads: []string{readMutating, readValidating, readServices},
		What: "every webhook that fails closed has a ready endpoint",
		Why:  "What such a webhook judges is refused while nobody answers: deployments hang, and so may the repair of the webhook itself.",
		Fix:  "bring its pods back, or set its failurePolicy to Ignore until they are",
		Run: func(in *Input) Outcome {
			var t tally
			for _, c := range in.calls() {
				if c.ref.Kind == "APIService" || c.service == (ServiceName{}) {
					continue // an APIService has a condition of its own; a URL is somebody's out there
				}
				if !c.closed {
					t.look(Passed, "")
					continue
				}
				in.lookBehind(&t, c.String(), c.service)
			}
			if t.looked == 0 {
				return in.none("webhook with a Service")
			}
			return t.outcome(plural(t.looked, "webhook"), plural(len(t.details), "webhook")+" may answer nobody")
		},
	}
}

func webhooksOnWrites() Check {
	return Check{
		ID: "WebhooksOnWrites", Category: Webhooks, Reads: []string{readMutating, readValidating},
		What: "no webhook of others that is down judges what palisade writes",
		Why:  "A policy that its webhook refuses, or that waits for a webhook that is down, is not written: the rollout stops there.",
		Fix:  "bring the webhook's pods back, or leave palisade's objects out by its objectSelector (app.kubernetes.io/managed-by: palisade)",
		Run: func(in *Input) Outcome {
			var t tally
			var asked []string
			writes := Writes(&in.Model.Cluster)
			for _, c := range in.calls() {
				kinds := judged(&c, writes)
				if c.palisade || len(kinds) == 0 {
					continue
				}
				asked = append(asked, c.String())
				if !c.closed || c.service == (ServiceName{}) || in.leadsOut(c.service) {
					t.look(Passed, "")
					continue
				}
				if ready, known := in.backends(c.service); known && ready == 0 {
					t.look(Failed, "%s: it judges %s, and Service %s has no ready endpoint", &c, strings.Join(kinds, ", "), c.service)
				} else {
					t.look(Passed, "")
				}
			}
			if len(asked) == 0 {
				return in.none("webhook that judges what palisade writes")
			}
			o := t.outcome(fmt.Sprintf("%s judge it: %s", plural(len(asked), "webhook"), strings.Join(asked, ", ")), "what palisade writes would be refused")
			return o
		},
	}
}

// judged are the kinds among palisade's writes that a webhook is asked about.
func judged(c *call, writes []Write) []string {
	var kinds []string
	for _, w := range writes {
		if slices.ContainsFunc(c.rules, func(r admissionregistrationv1.RuleWithOperations) bool { return asksAbout(&r, &w) }) {
			kinds = append(kinds, w.Kind)
		}
	}
	return kinds
}

func asksAbout(r *admissionregistrationv1.RuleWithOperations, w *Write) bool {
	has := func(list []string, names ...string) bool {
		return slices.ContainsFunc(list, func(s string) bool { return slices.Contains(names, s) })
	}
	writes := slices.ContainsFunc(r.Operations, func(o admissionregistrationv1.OperationType) bool {
		return o == admissionregistrationv1.OperationAll || o == admissionregistrationv1.Update || o == admissionregistrationv1.Create && w.Kind != "Namespace"
	})
	// Other versions of the same are converted and judged as well (matchPolicy Equivalent, the default).
	return writes && has(r.APIGroups, "*", w.Group) && has(r.Resources, "*", "*/*", w.Resource)
}

func webhookCertificates() Check {
	return Check{
		ID: "WebhookCertificates", Category: Webhooks, Reads: []string{readMutating, readValidating, readAPIServices, readDefinitions},
		What: "the certificates by which the API server knows its webhooks are valid",
		Why:  "When the certificate ends the API server calls no more: what the webhook judges is refused, or passes unjudged.",
		Fix:  "renew the webhook's certificate and its caBundle; see why whoever renews it (cert-manager, the mesh, the chart) did not",
		Run: func(in *Input) Outcome {
			var t tally
			for _, c := range in.calls() {
				in.bundleOf(&t, &c)
			}
			if t.looked == 0 {
				return in.none("webhook or aggregated API")
			}
			return t.outcome(plural(t.looked, "caBundle"), plural(len(t.details), "caBundle")+" at fault")
		},
	}
}

// bundleOf judges the caBundle of a call. Of several certificates one that is
// valid is enough. Without any, the API server trusts those of its own machine (k8s.io/api, WebhookClientConfig.CABundle).
func (in *Input) bundleOf(t *tally, c *call) {
	fault := Failed
	if !c.closed {
		fault = Warning
	}
	empty := len(bytes.TrimSpace(c.bundle)) == 0 // manifests may hold a line's end in its place
	switch {
	case c.insecure, c.service == ServiceName{} && empty:
		t.look(Passed, "")
		return
	case empty && !in.live():
		t.look(Skipped, "") // manifests leave it to whoever injects it
		return
	case empty:
		t.look(fault, "%s: no caBundle for Service %s, which no public authority vouches for", c, c.service)
		return
	}
	list, wrong := parseCertificates(c.bundle, c.String())
	if len(list) == 0 {
		if wrong == "" {
			wrong = c.String() + ": its caBundle holds no certificate"
		}
		t.look(fault, "%s", wrong)
		return
	}
	best, text := Failed, ""
	for _, h := range list {
		if status, says := h.age(in.Now, webhookSoon); text == "" || status.rank() < best.rank() {
			best, text = status, says
		}
	}
	if best == Failed {
		best = fault
	}
	t.look(best, "%s", text)
}

func apisAvailable() Check {
	return Check{
		ID: "APIsAvailable", Category: Webhooks, Reads: []string{readAPIServices},
		What: "aggregated APIs answer",
		Why:  "While one does not, discovery fails for it, namespaces cannot be deleted, and what it serves is not read.",
		Fix:  "bring its server back, or delete its APIService if nobody needs it",
		Run: func(in *Input) Outcome {
			var t tally
			for i := range in.Model.Existing {
				o := &in.Model.Existing[i]
				if o.Ref().Kind != "APIService" || o.Map("spec", "service") == nil {
					continue
				}
				switch status, message := condition(o.Map("status")["conditions"], "Available"); status {
				case "True":
					t.look(Passed, "")
				case "":
					t.look(Unknown, "%s: no word of whether it is available", o.Ref())
				default:
					t.look(Warning, "%s: %s", o.Ref(), message)
				}
			}
			if t.looked == 0 {
				return in.none("aggregated API")
			}
			return t.outcome(plural(t.looked, "aggregated API"), plural(len(t.details), "aggregated API")+" not available")
		},
	}
}

// condition finds a condition of a status: its value, and its message.
func condition(list any, of string) (status, message string) {
	conditions, _ := list.([]any)
	for _, c := range conditions {
		c, _ := c.(map[string]any)
		if c["type"] == of {
			status, _ = c["status"].(string)
			message, _ = c["message"].(string)
			return status, message
		}
	}
	return "", ""
}
