package plan

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// serviceIndex finds the Services that manifests name.
type serviceIndex struct {
	// byName lists the Services of a name, over all namespaces.
	byName map[string][]*model.Service
	domain string
}

func newServiceIndex(m *model.Model) *serviceIndex {
	x := &serviceIndex{byName: map[string][]*model.Service{}, domain: m.Cluster.Domain}
	for i := range m.Services {
		s := &m.Services[i]
		x.byName[s.Name] = append(x.byName[s.Name], s)
	}
	return x
}

// namedBy lists the Services that the environment, the command or the arguments
// of a workload's containers name: what it most likely calls.
func (x *serviceIndex) namedBy(w *model.Workload) []*model.Service {
	var found []*model.Service
	add := func(text string, whole bool) {
		for _, s := range x.in(text, w.ID.Namespace, whole) {
			if !slices.Contains(found, s) {
				found = append(found, s)
			}
		}
	}
	for _, containers := range [][]corev1.Container{w.Spec.InitContainers, w.Spec.Containers} {
		for i := range containers {
			for _, e := range containers[i].Env {
				add(e.Value, namesHost(e.Name))
			}
			for _, text := range slices.Concat(containers[i].Command, containers[i].Args) {
				add(text, false)
			}
		}
	}
	return found
}

// namesHost tells whether a variable's whole value is likely a host, by its name.
func namesHost(variable string) bool {
	return slices.ContainsFunc(strings.FieldsFunc(strings.ToUpper(variable), func(r rune) bool { return r == '_' || r == '-' || r == '.' }), func(part string) bool {
		return slices.Contains([]string{"HOST", "HOSTNAME", "ADDR", "ADDRESS", "URL", "URI", "ENDPOINT", "SERVER", "SERVICE", "BROKER", "BROKERS"}, part)
	})
}

// in finds the Services that a text names. A bare name counts where a port or a
// path follows it or a scheme precedes it, or where the whole text is the name and a host
// is expected; a name with its namespace and "svc" always does.
func (x *serviceIndex) in(text, home string, whole bool) []*model.Service {
	var found []*model.Service
	for at := 0; at < len(text); {
		end := at
		for end < len(text) && isNameByte(text[end]) {
			end++
		}
		if end == at {
			at++
			continue
		}
		before, after := text[:at], text[end:]
		host := strings.HasSuffix(before, "://") || strings.HasSuffix(before, "@") || isPort(after) || whole && before == "" && after == ""
		if s := x.service(strings.TrimSuffix(text[at:end], "."), home, host); s != nil {
			found = append(found, s)
		}
		at = end
	}
	return found
}

func isNameByte(b byte) bool {
	return b == '-' || b == '.' || '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

// isPort tells whether a text begins with ":" and a number.
func isPort(text string) bool {
	return len(text) > 1 && text[0] == ':' && '0' <= text[1] && text[1] <= '9'
}

// service finds a Service by a DNS name: "a", "a.ns", "a.ns.svc", with the cluster's domain, and with a pod's name before it.
func (x *serviceIndex) service(host, home string, expected bool) *model.Service {
	if x.domain != "" {
		host = strings.TrimSuffix(host, "."+x.domain)
	}
	host, qualified := strings.CutSuffix(strings.TrimSuffix(host, ".cluster.local"), ".svc")
	if !qualified && !expected {
		return nil
	}
	parts := strings.Split(host, ".")
	switch len(parts) {
	case 1:
		return x.of(parts[0], home)
	case 2:
		return x.of(parts[0], parts[1])
	case 3: // a pod of a headless Service
		return x.of(parts[1], parts[2])
	default:
		return nil
	}
}

func (x *serviceIndex) of(name, namespace string) *model.Service {
	for _, s := range x.byName[name] {
		if s.Namespace == namespace {
			return s
		}
	}
	return nil
}
