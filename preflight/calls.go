package preflight

import (
	"encoding/base64"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"floe.dev/palisade/model"
)

// call is a call that the API server makes: to a webhook for admission or conversion, or to a server of an aggregated API.
type call struct {
	ref model.Ref
	// name tells several of one object apart.
	name string
	// service is empty where a URL is called.
	service ServiceName
	// bundle are the certificates by which the callee is known; insecure tells that it is not asked for any.
	bundle   []byte
	insecure bool
	// closed tells that what it judges is refused while it is down.
	closed bool
	rules  []admissionregistrationv1.RuleWithOperations
	// palisade tells that it is palisade's own.
	palisade bool
}

func (c *call) String() string {
	if c.name == "" {
		return c.ref.String()
	}
	return c.ref.String() + " " + c.name
}

// failsClosed: Fail is what the API server fills in where nothing is said (admissionregistration.k8s.io/v1).
func failsClosed(policy *admissionregistrationv1.FailurePolicyType) bool {
	return policy == nil || *policy != admissionregistrationv1.Ignore
}

// calls are all that were read.
func (in *Input) calls() []call {
	var all []call
	for i := range in.Validating {
		c := &in.Validating[i]
		for j := range c.Webhooks {
			w := &c.Webhooks[j]
			all = append(all, admission("ValidatingWebhookConfiguration", c.Name, w.Name, &w.ClientConfig, w.FailurePolicy, w.Rules))
		}
	}
	for i := range in.Mutating {
		c := &in.Mutating[i]
		for j := range c.Webhooks {
			w := &c.Webhooks[j]
			all = append(all, admission("MutatingWebhookConfiguration", c.Name, w.Name, &w.ClientConfig, w.FailurePolicy, w.Rules))
		}
	}
	for i := range in.Model.Existing {
		o := &in.Model.Existing[i]
		switch o.Ref().Kind {
		case "CustomResourceDefinition":
			all = appendCall(all, o, o.Map("spec", "conversion", "webhook", "clientConfig"))
		case "APIService":
			all = appendCall(all, o, o.Map("spec"))
		}
	}
	return all
}

func admission(kind, name, entry string, client *admissionregistrationv1.WebhookClientConfig, policy *admissionregistrationv1.FailurePolicyType, rules []admissionregistrationv1.RuleWithOperations) call {
	c := call{
		ref:  model.Ref{APIVersion: admissionregistrationv1.SchemeGroupVersion.String(), Kind: kind, Name: name},
		name: entry, bundle: client.CABundle, closed: failsClosed(policy), rules: rules, palisade: name == webhookName,
	}
	if client.Service != nil {
		c.service = ServiceName{client.Service.Namespace, client.Service.Name}
	}
	return c
}

// appendCall adds the call of a tree that names a Service; conversion and aggregated APIs always fail closed.
func appendCall(all []call, o *model.Object, client map[string]any) []call {
	service, _ := client["service"].(map[string]any)
	namespace, _ := service["namespace"].(string)
	name, _ := service["name"].(string)
	if namespace == "" || name == "" {
		return all
	}
	text, _ := client["caBundle"].(string)
	bundle, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		bundle = []byte(text) // it is no PEM, and is reported as such
	}
	insecure, _ := client["insecureSkipTLSVerify"].(bool)
	return append(all, call{ref: o.Ref(), service: ServiceName{namespace, name}, bundle: bundle, insecure: insecure, closed: true})
}
