package audit

import (
	"fmt"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// webhookRefusesAPIServer is a webhook, or an aggregated API, whose pods' proxies refuse
// the API server: it has no identity of the mesh, and speaks no mTLS of the mesh
// (istio#34543, istio#39290, istio#52874).
func webhookRefusesAPIServer() Kind {
	return Kind{
		Code: "WebhookRefusesAPIServer", Severities: []model.Severity{model.Error},
		Says: "the mesh refuses the API server at the pods of a webhook",
		Why:  "The API server has no proxy and no identity: strict mTLS and authorization by identity both turn it away, and what the webhook judges fails, or goes unjudged.",
		Fix:  "let the webhook's port take plaintext (PERMISSIVE for this port, an unauthenticated Server), or lead it around the proxy; it has TLS of its own",
		Find: findWebhookRefusesAPIServer,
	}
}

func findWebhookRefusesAPIServer(e *Evidence) []model.Finding {
	if e.State.Mesh == nil {
		return nil
	}
	var found []model.Finding
	for i := range e.Calls {
		c := &e.Calls[i]
		said := false
		e.calledAt(c, func(w *model.Workload, port model.Port) {
			if said || !w.Facts.Meshed() {
				return
			}
			told := judged(e.State.Mesh.Filters(w), stranger(), w, port)
			if told.Decision != verdict.Refused {
				return
			}
			said = true
			found = append(found, webhookRefusesAPIServer().At(model.Error, c.Ref, c.Field,
				fmt.Sprintf("the API server calls %s on port %d, and has no identity of the mesh: %s", w.ID, port.Number, refusal(&told)), ""))
		})
	}
	return found
}

// refusal says which object of the mesh refuses a connection.
func refusal(told *verdict.Explanation) string {
	for _, a := range told.Answers {
		if a.Decision != verdict.Refused || len(a.Causes) == 0 {
			continue
		}
		cause := a.Causes[len(a.Causes)-1]
		what := "authorization refuses it"
		if a.Layer == model.FilterMTLS {
			what = "mTLS is demanded of it"
		}
		if cause.Object == (model.Ref{}) {
			return what + ": " + cause.Message
		}
		return fmt.Sprintf("%s (%s at %s)", what, cause.Object, cause.Field)
	}
	return "the mesh refuses it"
}
