package intent

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// webhook is one call that the API server makes into the cluster: to admission
// and conversion webhooks, and to aggregated APIs.
type webhook struct {
	ref       model.Ref
	field     string
	namespace string
	service   string
	port      int32
}

// calledOnPort is the port of a Service that the API server calls where none is named.
const calledOnPort = 443

// webhooks lists the calls that objects declare, sorted and without duplicates.
func (r *resolver) webhooks() []webhook {
	all := r.declaredCalls()
	collect := func(ref model.Ref, client *admissionregistrationv1.WebhookClientConfig) {
		if client.Service == nil {
			return
		}
		port := int32(calledOnPort)
		if client.Service.Port != nil {
			port = *client.Service.Port
		}
		all = append(all, webhook{ref, "webhooks[].clientConfig.service", client.Service.Namespace, client.Service.Name, port})
	}
	const version = "admissionregistration.k8s.io/v1"
	for i := range r.snapshot.ValidatingWebhooks {
		config := &r.snapshot.ValidatingWebhooks[i]
		for j := range config.Webhooks {
			collect(model.Ref{APIVersion: version, Kind: "ValidatingWebhookConfiguration", Name: config.Name}, &config.Webhooks[j].ClientConfig)
		}
	}
	for i := range r.snapshot.MutatingWebhooks {
		config := &r.snapshot.MutatingWebhooks[i]
		for j := range config.Webhooks {
			collect(model.Ref{APIVersion: version, Kind: "MutatingWebhookConfiguration", Name: config.Name}, &config.Webhooks[j].ClientConfig)
		}
	}
	slices.SortFunc(all, func(a, b webhook) int {
		return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.service, b.service), cmp.Compare(a.port, b.port), model.CompareRefs(a.ref, b.ref))
	})
	return slices.Compact(all)
}

// declaredCalls are those that CustomResourceDefinitions declare for conversion, and APIServices for whole APIs.
func (r *resolver) declaredCalls() []webhook {
	var all []webhook
	for i := range r.model.Existing {
		object := &r.model.Existing[i]
		var path []string
		switch ref := object.Ref(); {
		case ref.Kind == "CustomResourceDefinition" && ref.Group() == "apiextensions.k8s.io":
			path = []string{"spec", "conversion", "webhook", "clientConfig", "service"}
		case ref.Kind == "APIService" && ref.Group() == "apiregistration.k8s.io":
			path = []string{"spec", "service"}
		default:
			continue
		}
		service := object.Map(path...)
		namespace, _ := service["namespace"].(string)
		name, _ := service["name"].(string)
		if namespace == "" || name == "" {
			continue
		}
		port := int32(calledOnPort)
		if number, ok := service["port"].(int64); ok {
			port = int32(min(max(number, 0), math.MaxUint16))
		}
		all = append(all, webhook{object.Ref(), strings.Join(path, "."), namespace, name, port})
	}
	return all
}

// webhookTargets are the ports of some servers that the API server calls.
func (r *resolver) webhookTargets(ref model.Ref, server model.Peer) []target {
	var targets []target
	for _, hook := range r.webhooks() {
		for _, t := range r.webhookTarget(hook) {
			if slices.Contains(server.Workloads, t.server.Workloads[0]) {
				targets = append(targets, t)
			}
		}
	}
	if len(targets) == 0 {
		r.problem("WebhookUnknown", model.Error, ref, "spec.ports",
			"no webhook configuration that was read calls these servers: the port that the API server needs is not known, and stays closed",
			"name the port in spec.ports, or read the webhook configuration (-f)")
	}
	return targets
}

// webhookTarget finds the workloads behind a webhook's Service, and the port on which they listen.
func (r *resolver) webhookTarget(hook webhook) []target {
	var targets []target
	for _, w := range r.workloadsIn(hook.namespace) {
		for _, service := range w.Services {
			if service.Name != hook.service {
				continue
			}
			for i := range service.Ports {
				if service.Ports[i].Port != hook.port {
					continue
				}
				if port, ok := model.TargetPort(w, &service.Ports[i]); ok {
					targets = append(targets, target{server: r.workloadPeer(w), ports: []model.Port{port}})
				}
			}
		}
	}
	return targets
}

func (r *resolver) workloadsIn(namespace string) []*model.Workload {
	workloads := r.model.WorkloadsIn(namespace)
	found := make([]*model.Workload, len(workloads))
	for i := range workloads {
		found[i] = &workloads[i]
	}
	return found
}

// apiServerFlows opens what webhook configurations name in a governed namespace.
func (r *resolver) apiServerFlows(namespace string, hooks []webhook) {
	for _, hook := range hooks {
		if hook.namespace != namespace {
			continue
		}
		targets := r.webhookTarget(hook)
		if len(targets) == 0 {
			r.problem("WebhookServerUnknown", model.Error, hook.ref, hook.field,
				fmt.Sprintf("the API server calls Service %s/%s port %d, but no workload behind it was read: the call stays closed",
					hook.namespace, hook.service, hook.port),
				"read the manifests of the Service and of its pods (-f), or open the port with a TrafficRule from the preset APIServer")
		}
		base := model.Flow{
			Origin: model.Origin{Ref: hook.ref, Part: "webhook"}, Client: model.Peer{Kind: model.PeerAPIServer}, Plaintext: true,
		}
		r.addAll(base, targets)
	}
}

// everyPod is the selector of all pods.
func everyPod() metav1.LabelSelector { return metav1.LabelSelector{} }
