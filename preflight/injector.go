package preflight

import (
	"floe.dev/palisade/model"
)

// isInjector tells the mesh's own injector among the mutating webhooks.
func (in *Input) isInjector(name string, labels map[string]string) bool {
	if in.Model.Cluster.Mesh.Kind == model.MeshLinkerd {
		return name == "linkerd-proxy-injector-webhook-config" || labels[linkerdComponent] == "proxy-injector"
	}
	return labels["app"] == "sidecar-injector"
}

func injectorPresent() Check {
	return Check{
		ID: "InjectorPresent", Category: Mesh, Reads: []string{readMutating},
		What: "the injector is registered, answers, and lets no pod start without it",
		Why:  "Without the injector, or past one that is down and fails open, pods start without a proxy: in plaintext, and refused by strict servers.",
		Fix:  "bring the injector's pods back; set its failurePolicy to Fail (Linkerd: webhookFailurePolicy), once it runs at least twice",
		Run: inMesh(func(in *Input) Outcome {
			var t tally
			for i := range in.Mutating {
				c := &in.Mutating[i]
				if !in.isInjector(c.Name, c.Labels) {
					continue
				}
				for j := range c.Webhooks {
					h := &c.Webhooks[j]
					t.look(Passed, "")
					if !failsClosed(h.FailurePolicy) {
						t.look(Warning, "%s %s: failurePolicy Ignore: while it is down, pods start outside of the mesh", c.Name, h.Name)
					}
					if s := h.ClientConfig.Service; s != nil {
						in.lookBehind(&t, c.Name+" "+h.Name, ServiceName{s.Namespace, s.Name})
					}
				}
			}
			mesh := &in.Model.Cluster.Mesh
			switch {
			case t.looked > 0:
				return t.outcome("the injector is registered, and answers", "the injector can be passed by, or does not answer")
			case !in.live():
				return outcome(Skipped, "no webhook of the injector among what was read")
			case mesh.Ambient:
				return outcome(Passed, "none, and ambient mode needs none")
			default:
				return outcome(Failed, "no webhook injects proxies").fix("install the injector with the mesh, or its revision's webhook (istioctl tag set default)")
			}
		}),
	}
}

// lookBehind notes whether a Service has ready endpoints.
func (in *Input) lookBehind(t *tally, who string, service ServiceName) {
	switch ready, known := in.backends(service); {
	case in.leadsOut(service):
		t.look(Passed, "")
	case !known && !in.live():
		t.look(Skipped, "")
	case !known:
		t.look(Unknown, "%s: what is behind Service %s could not be read", who, service)
	case ready == 0:
		t.look(Failed, "%s: Service %s has no ready endpoint", who, service)
	default:
		t.look(Passed, "")
	}
}

func injectorCertificate() Check {
	return Check{
		ID: "InjectorCertificate", Category: Webhooks, Reads: []string{readMutating, readConfigMaps},
		What: "the injector's caBundle is the one that its certificate comes from",
		Why:  "With another one the API server refuses the injector's certificate, and pods start without a proxy or not at all.",
		Fix:  "let the mesh write the caBundle anew (restart istiod), or render it from the Secret of the injector's certificate",
		Run: inMesh(func(in *Input) Outcome {
			if in.istiodEnv("PILOT_CERT_PROVIDER", func(v string) bool { return v != "" && v != "istiod" }) {
				return outcome(Skipped, "istiod's own certificate is somebody else's (PILOT_CERT_PROVIDER), who sees to the caBundle")
			}
			var t tally
			a := in.authority()
			for i := range in.Mutating {
				c := &in.Mutating[i]
				if !in.isInjector(c.Name, c.Labels) {
					continue
				}
				for j := range c.Webhooks {
					list, _ := parseCertificates(c.Webhooks[j].ClientConfig.CABundle, c.Name)
					in.matches(&t, c.Name+" "+c.Webhooks[j].Name, list, &a)
				}
			}
			if t.looked == 0 {
				return in.none("webhook of the injector")
			}
			return t.outcome("it matches", "it does not match")
		}),
	}
}

// linkerdInjectorSecret holds the certificate that Linkerd's injector serves (linkerd2 charts/linkerd-control-plane).
const linkerdInjectorSecret = "linkerd-proxy-injector-k8s-tls"

// matches compares an injector's caBundle with what its certificate comes from: the
// mesh's roots with Istio, whose istiod serves a certificate of its own CA; with Linkerd a Secret.
func (in *Input) matches(t *tally, who string, bundle []held, a *authority) {
	if len(bundle) == 0 {
		t.look(Failed, "%s: its caBundle holds no certificate", who)
		return
	}
	from := a.roots
	if in.Model.Cluster.Mesh.Kind == model.MeshLinkerd {
		from = nil
		for _, b := range in.bundles() {
			if b.Ref.Name != linkerdInjectorSecret {
				continue
			}
			if b.Unread != "" {
				t.look(Unknown, "%s: %s", b.Ref, b.Unread)
				return
			}
			from, _ = parseCertificates(b.Certificates["tls.crt"], b.Ref.String())
		}
	}
	if len(from) == 0 {
		t.look(Skipped, "")
		return
	}
	for _, c := range from {
		for _, root := range bundle {
			if root.Equal(c.Certificate) || c.CheckSignatureFrom(root.Certificate) == nil {
				t.look(Passed, "")
				return
			}
		}
	}
	t.look(Failed, "%s: %s is neither in its caBundle nor signed from it", who, from[0].named())
}
