package istio

import (
	"cmp"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"

	"floe.dev/palisade/model"
)

// meshConfig are the fields of Istio's MeshConfig that matter here (istio.io/api mesh/v1alpha1/config.proto).
type meshConfig struct {
	TrustDomain        string      `json:"trustDomain"`
	TrustDomainAliases []string    `json:"trustDomainAliases"`
	RootNamespace      string      `json:"rootNamespace"`
	EnableAutoMTLS     *bool       `json:"enableAutoMtls"`
	PrometheusMerge    *bool       `json:"enablePrometheusMerge"`
	DefaultConfig      proxyConfig `json:"defaultConfig"`
	// OutboundTrafficPolicy is ALLOW_ANY where it is left out, as a whole or its mode (pkg/config/mesh/mesh.go).
	OutboundTrafficPolicy struct {
		Mode string `json:"mode"`
	} `json:"outboundTrafficPolicy"`
}

// proxyConfig are the fields of ProxyConfig that matter here: the mesh's
// default, or a pod's own in the annotation proxy.istio.io/config.
type proxyConfig struct {
	InterceptionMode string         `json:"interceptionMode"`
	ProxyMetadata    map[string]any `json:"proxyMetadata"`
}

// hboneMetadata makes the injector label sidecars as reachable by HBONE (files/injection-template.yaml).
const hboneMetadata = "ISTIO_META_ENABLE_HBONE"

// takesHBONE tells what the configuration says of HBONE; said is false where it says nothing.
func (c *proxyConfig) takesHBONE() (takes, said bool) {
	value, said := c.ProxyMetadata[hboneMetadata]
	return said && fmt.Sprint(value) == "true", said
}

// podProxyConfig is what a pod's own annotation configures; one that is no YAML configures nothing.
func podProxyConfig(w *model.Workload) proxyConfig {
	var config proxyConfig
	text := w.Annotations[proxyConfigAnnotation]
	if text == "" {
		return config
	}
	if err := yaml.Unmarshal([]byte(text), &config); err != nil {
		return proxyConfig{}
	}
	return config
}

// Istio's own defaults for keys that a MeshConfig leaves out
// (istio pkg/config/mesh/mesh.go). They are facts only where the ConfigMap was read.
const (
	defaultTrustDomain   = "cluster.local"
	defaultRootNamespace = "istio-system"
)

func parseMeshConfig(data string) (meshConfig, error) {
	var config meshConfig
	err := yaml.Unmarshal([]byte(data), &config)
	return config, err
}

// readMeshConfig fills in what the mesh's ConfigMap says. With no ConfigMap, or
// one that cannot be read, the trust domain stays unknown.
func (s *signs) readMeshConfig(facts *model.Mesh) []model.Problem {
	o := s.meshConfig(facts.Namespace, facts.Revision)
	if o == nil {
		return nil
	}
	data, _ := o.Map("data")["mesh"].(string)
	config, err := parseMeshConfig(data)
	if err != nil {
		return []model.Problem{{
			Code: "MeshConfigUnreadable", Severity: model.Error, Subject: o.Ref(), Field: "data.mesh",
			Message: fmt.Sprintf("the mesh's configuration is not valid YAML, so trust domain and root namespace are unknown: %v", err),
			Fix:     "correct the ConfigMap, or say --trust-domain",
		}}
	}
	facts.TrustDomain = cmp.Or(config.TrustDomain, defaultTrustDomain)
	facts.TrustDomainAliases = config.TrustDomainAliases
	facts.RootNamespace = cmp.Or(config.RootNamespace, defaultRootNamespace)
	facts.AutoMTLS = config.EnableAutoMTLS == nil || *config.EnableAutoMTLS
	facts.KeepsMetrics = config.PrometheusMerge != nil && !*config.PrometheusMerge
	facts.RegistryOnly = strings.EqualFold(config.OutboundTrafficPolicy.Mode, "REGISTRY_ONLY")
	facts.SidecarHBONE, _ = config.DefaultConfig.takesHBONE()
	return nil
}

// meshConfig chooses the ConfigMap of the control plane: in its namespace, of its revision, else the default one.
func (s *signs) meshConfig(namespace, revision string) *model.Object {
	return s.choose(s.meshConfigs, namespace, "istio", revision)
}

func (s *signs) choose(objects []model.Object, namespace, name, revision string) *model.Object {
	var found *model.Object
	for i := range objects {
		ref := objects[i].Ref()
		if ref.Namespace != namespace {
			continue
		}
		if revision != "" && ref.Name == name+"-"+revision {
			return &objects[i]
		}
		if found == nil || ref.Name == name {
			found = &objects[i]
		}
	}
	return found
}

// injectorValues are the Helm values that the sidecar injector keeps.
type injectorValues struct {
	Pilot struct {
		CNI struct {
			Enabled bool `json:"enabled"`
		} `json:"cni"`
	} `json:"pilot"`
	IstioCNI struct {
		Enabled bool `json:"enabled"`
	} `json:"istio_cni"`
	SidecarInjectorWebhook struct {
		EnableNamespacesByDefault bool  `json:"enableNamespacesByDefault"`
		RewriteAppHTTPProbe       *bool `json:"rewriteAppHTTPProbe"`
	} `json:"sidecarInjectorWebhook"`
}

// readInjector tells whether injected pods rely on the CNI plugin, what is
// injected without being asked, and whether probes are rewritten. The injector's
// own values know best; without them the plugin's presence decides.
func (s *signs) readInjector(facts *model.Mesh) {
	facts.CNI = s.cniNode != nil || s.cniConfig
	o := s.choose(s.injectors, facts.Namespace, "istio-sidecar-injector", s.revision())
	if o == nil {
		return
	}
	data, _ := o.Map("data")["values"].(string)
	var values injectorValues
	if err := yaml.Unmarshal([]byte(data), &values); err != nil {
		return
	}
	webhook := &values.SidecarInjectorWebhook
	facts.CNI = values.Pilot.CNI.Enabled || values.IstioCNI.Enabled
	facts.InjectByDefault = webhook.EnableNamespacesByDefault
	facts.KeepsProbes = webhook.RewriteAppHTTPProbe != nil && !*webhook.RewriteAppHTTPProbe
}
