package audit

import (
	"fmt"
	"math"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// Webhook is one entry of an admission webhook configuration.
type Webhook struct {
	// Ref is the configuration, Field the entry in it: "webhooks[0]".
	Ref   model.Ref
	Field string
	// Blocks tells that what it judges is refused where it cannot be reached (failurePolicy Fail, which is the default).
	Blocks bool
	// NamespaceSelector and ObjectSelector choose what it judges; nil chooses everything.
	NamespaceSelector, ObjectSelector *metav1.LabelSelector
	Rules                             []admissionregistrationv1.RuleWithOperations
	// Conditions tells that expressions (CEL) decide as well.
	Conditions bool
	// Call is where the API server calls; nil where that is no Service.
	Call *Call
}

// Call is a call that the API server makes into the cluster: to a webhook for
// admission or conversion, or to an aggregated API.
type Call struct {
	// Ref is the object that declares it, Field the place.
	Ref   model.Ref
	Field string
	// Namespace, Service and Port (the Service's own) are where it goes.
	Namespace, Service string
	Port               int32
}

// calledOnPort is the port of a Service that the API server calls where none is named.
const calledOnPort = 443

// AddWebhooks adds webhook configurations, and the calls that they declare.
func (e *Evidence) AddWebhooks(validating []admissionregistrationv1.ValidatingWebhookConfiguration, mutating []admissionregistrationv1.MutatingWebhookConfiguration) {
	version := admissionregistrationv1.SchemeGroupVersion.String()
	for i := range validating {
		ref := model.Ref{APIVersion: version, Kind: "ValidatingWebhookConfiguration", Name: validating[i].Name}
		for j := range validating[i].Webhooks {
			w := &validating[i].Webhooks[j]
			e.addWebhook(&w.ClientConfig, Webhook{
				Ref: ref, Field: fmt.Sprintf("webhooks[%d]", j), Blocks: blocks(w.FailurePolicy), Rules: w.Rules,
				NamespaceSelector: w.NamespaceSelector, ObjectSelector: w.ObjectSelector, Conditions: len(w.MatchConditions) > 0,
			})
		}
	}
	for i := range mutating {
		ref := model.Ref{APIVersion: version, Kind: "MutatingWebhookConfiguration", Name: mutating[i].Name}
		for j := range mutating[i].Webhooks {
			w := &mutating[i].Webhooks[j]
			e.addWebhook(&w.ClientConfig, Webhook{
				Ref: ref, Field: fmt.Sprintf("webhooks[%d]", j), Blocks: blocks(w.FailurePolicy), Rules: w.Rules,
				NamespaceSelector: w.NamespaceSelector, ObjectSelector: w.ObjectSelector, Conditions: len(w.MatchConditions) > 0,
			})
		}
	}
}

// blocks: the API server fills in Fail where nothing is said (k8s.io/api admissionregistration/v1).
func blocks(policy *admissionregistrationv1.FailurePolicyType) bool {
	return policy == nil || *policy != admissionregistrationv1.Ignore
}

func (e *Evidence) addWebhook(client *admissionregistrationv1.WebhookClientConfig, w Webhook) {
	if s := client.Service; s != nil {
		w.Call = &Call{Ref: w.Ref, Field: w.Field + ".clientConfig.service", Namespace: s.Namespace, Service: s.Name, Port: calledOnPort}
		if s.Port != nil {
			w.Call.Port = *s.Port
		}
		e.Calls = append(e.Calls, *w.Call)
	}
	e.Webhooks = append(e.Webhooks, w)
}

// addCall adds what a CustomResourceDefinition declares for conversion, or an APIService for a whole API.
func (e *Evidence) addCall(o *model.Object, field string, path ...string) {
	service := o.Map(path...)
	c := Call{Ref: o.Ref(), Field: field, Port: calledOnPort}
	c.Namespace, _ = service["namespace"].(string)
	c.Service, _ = service["name"].(string)
	if number, ok := service["port"].(int64); ok {
		c.Port = int32(min(max(number, 0), math.MaxUint16))
	}
	if c.Namespace != "" && c.Service != "" {
		e.Calls = append(e.Calls, c)
	}
}

// calledAt visits the workloads behind a call, with the port on which they listen.
func (e *Evidence) calledAt(c *Call, visit func(w *model.Workload, port model.Port)) {
	e.eachWorkload(func(w *model.Workload) {
		for _, s := range w.Services {
			if s.Namespace != c.Namespace || s.Name != c.Service {
				continue
			}
			for i := range s.Ports {
				if port, ok := model.TargetPort(w, &s.Ports[i]); ok && s.Ports[i].Port == c.Port {
					visit(w, port)
				}
			}
		}
	})
}
