package intent

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/mesh"
	"floe.dev/palisade/model"
)

// Facts reads the facts of the cluster from its objects; what the user gives
// wins. Nothing is assumed: what neither shows stays unknown, and the compilers
// say where that matters.
func Facts(s *Snapshot, given Given) (model.Cluster, []model.Problem) {
	f := &facts{snapshot: s, given: given, problems: slices.Clone(s.Problems)}
	f.domain()
	f.ranges()
	f.apiServer()
	f.dns()
	f.cni()
	f.families()
	f.mesh()
	return f.cluster, f.problems
}

// facts carries the Cluster while it grows.
type facts struct {
	snapshot *Snapshot
	given    Given
	cluster  model.Cluster
	problems []model.Problem
}

func (f *facts) problem(code string, severity model.Severity, subject model.Ref, message, fix string) {
	f.problems = append(f.problems, model.Problem{Code: code, Severity: severity, Subject: subject, Message: message, Fix: fix})
}

// mesh decides which mesh is in use, and lets the given facts win over what its objects show.
func (f *facts) mesh() {
	objects := slices.Concat(f.snapshot.Objects, f.webhookLabels())
	m, problems := mesh.Decide(f.given.Mesh, objects, f.snapshot.Workloads, f.snapshot.Namespaces)
	if f.given.MeshNamespace != "" {
		problems = slices.DeleteFunc(problems, func(p model.Problem) bool { return p.Code == "LinkerdNamespaceAmbiguous" }) // the flag settles it
		m.Namespace = f.given.MeshNamespace
		if m.RootNamespace == "" {
			m.RootNamespace = f.given.MeshNamespace
		}
	}
	if f.given.TrustDomain != "" {
		m.TrustDomain = f.given.TrustDomain
	}
	if f.given.LinkerdTransport != "" {
		m.Linkerd.Transport = f.given.LinkerdTransport
	}
	m.AssumedMode = model.MeshMode(f.given.MeshMode)
	f.cluster.Mesh = m
	f.problems = append(f.problems, problems...)
}

// webhookLabels are the mutating webhooks as objects, with their labels: a mesh's tell which revisions it injects for.
func (f *facts) webhookLabels() []model.Object {
	var objects []model.Object
	for i := range f.snapshot.MutatingWebhooks {
		labels := map[string]any{}
		for key, value := range f.snapshot.MutatingWebhooks[i].Labels {
			labels[key] = value
		}
		objects = append(objects, model.Object{Tree: map[string]any{
			"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
			"metadata": map[string]any{"name": f.snapshot.MutatingWebhooks[i].Name, "labels": labels},
		}})
	}
	return objects
}

// configMap returns the text of a key of a ConfigMap, or "".
func (f *facts) configMap(namespace, name, key string) string {
	for i := range f.snapshot.Objects {
		ref := f.snapshot.Objects[i].Ref()
		if ref.Kind == "ConfigMap" && ref.Namespace == namespace && ref.Name == name {
			text, _ := f.snapshot.Objects[i].Map("data")[key].(string)
			return text
		}
	}
	return ""
}

// configValue reads a dotted path of a YAML text in a ConfigMap, as text.
func (f *facts) configValue(namespace, name, key string, path ...string) string {
	text := f.configMap(namespace, name, key)
	if text == "" {
		return ""
	}
	at := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &at); err != nil {
		f.problem("ConfigUnreadable", model.Warning, model.Ref{APIVersion: "v1", Kind: "ConfigMap", Namespace: namespace, Name: name},
			fmt.Sprintf("data[%s] is not YAML, so no facts are read from it: %v", key, err), "correct the text, or give the facts by flags")
		return ""
	}
	for _, step := range path[:len(path)-1] {
		at, _ = at[step].(map[string]any)
	}
	value, _ := at[path[len(path)-1]].(string)
	return value
}

// argument returns the value of a command-line flag of a control-plane pod, "--flag=value" or "--flag value".
func (f *facts) argument(component, flag string) string {
	for i := range f.snapshot.Workloads {
		w := &f.snapshot.Workloads[i]
		if w.ID.Namespace != "kube-system" || w.Labels["component"] != component {
			continue
		}
		for j := range w.Spec.Containers {
			if value := flagValue(append(slices.Clone(w.Spec.Containers[j].Command), w.Spec.Containers[j].Args...), flag); value != "" {
				return value
			}
		}
	}
	return ""
}

func flagValue(args []string, flag string) string {
	for i, arg := range args {
		if value, found := strings.CutPrefix(arg, flag+"="); found {
			return value
		}
		if arg == flag && i+1 < len(args) {
			return args[i+1]
		}
	}
	return ""
}

func (f *facts) domain() {
	for _, found := range []string{
		f.given.ClusterDomain,
		f.configValue("kube-system", "kubeadm-config", "ClusterConfiguration", "networking", "dnsDomain"),
		f.configValue("kube-system", "kubelet-config", "kubelet", "clusterDomain"),
		corefileDomain(f.configMap("kube-system", "coredns", "Corefile")),
		f.linkerdDomain(),
	} {
		if found = strings.TrimSuffix(found, "."); len(validation.IsDNS1123Subdomain(found)) == 0 {
			f.cluster.Domain = found
			return
		}
	}
}

// linkerdDomain is the cluster domain that Linkerd was installed with, wherever its ConfigMap is.
func (f *facts) linkerdDomain() string {
	for i := range f.snapshot.Objects {
		if ref := f.snapshot.Objects[i].Ref(); ref.Kind == "ConfigMap" && ref.Name == "linkerd-config" {
			return f.configValue(ref.Namespace, ref.Name, "values", "clusterDomain")
		}
	}
	return ""
}

// corefileDomain finds the zone of CoreDNS's kubernetes plugin: the first that is no reverse zone.
func corefileDomain(corefile string) string {
	for line := range strings.Lines(corefile) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "kubernetes" {
			continue
		}
		for _, zone := range words[1:] {
			zone = strings.TrimSuffix(zone, ".")
			if zone != "{" && zone != "" && !strings.HasSuffix(zone, ".arpa") {
				return zone
			}
		}
	}
	return ""
}

func firstOf(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}

// cniByWorkload names the CNI by the names of its DaemonSets.
var cniByWorkload = []struct{ daemonSet, cni string }{
	{"cilium", "cilium"}, {"calico-node", "calico"}, {"canal", "canal"}, {"antrea-agent", "antrea"}, {"kube-router", "kube-router"},
	{"weave-net", "weave"}, {"aws-node", "aws"}, {"kindnet", "kindnet"}, {"ovnkube-node", "ovn"}, {"kube-flannel-ds", "flannel"}, {"kube-flannel", "flannel"},
}

func (f *facts) cni() {
	for _, row := range cniByWorkload {
		for i := range f.snapshot.Workloads {
			if id := f.snapshot.Workloads[i].ID; id.Kind == "DaemonSet" && id.Name == row.daemonSet {
				f.cluster.CNI = row.cni
				return
			}
		}
	}
}

// families tells which address families the cluster uses, from every address that is known of it.
func (f *facts) families() {
	note := func(a netip.Addr) {
		f.cluster.IPv4 = f.cluster.IPv4 || a.Is4()
		f.cluster.IPv6 = f.cluster.IPv6 || a.Is6()
	}
	for _, list := range [][]netip.Prefix{f.cluster.PodCIDRs, f.cluster.ServiceCIDRs} {
		for _, p := range list {
			note(p.Addr())
		}
	}
	for _, list := range [][]netip.Addr{f.cluster.DNS.ServiceIPs, f.cluster.APIServer.ServiceIPs} {
		for _, a := range list {
			note(a)
		}
	}
}
