package model

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// hostKeys end the names of environment variables whose value is a host, though it be a single word.
var hostKeys = []string{"HOST", "HOSTNAME", "ADDR", "ADDRESS", "URL", "URI", "SERVER", "SERVICE", "ENDPOINT", "UPSTREAM"}

// CalledBy tells whether a container of a namespace names the Service in its
// environment, command or arguments as something to call: "cart:8080",
// "http://cart", "cart.shop.svc". It is a sign, not a proof, and no sign proves nothing.
func (s *Service) CalledBy(c *corev1.Container, namespace string) bool {
	for _, e := range c.Env {
		if s.hostIn(e.Value, namespace) || e.Value == s.Name && namespace == s.Namespace && endsWithAny(strings.ToUpper(e.Name), hostKeys) {
			return true
		}
	}
	for _, list := range [][]string{c.Command, c.Args} {
		for _, text := range list {
			if s.hostIn(text, namespace) {
				return true
			}
		}
	}
	return false
}

func endsWithAny(text string, ends []string) bool {
	for _, end := range ends {
		if strings.HasSuffix(text, end) {
			return true
		}
	}
	return false
}

// CallIndex finds the Services that containers name, by name and namespace.
type CallIndex map[[2]string]*Service

// NewCallIndex makes the index of some Services.
func NewCallIndex(services []Service) CallIndex {
	index := make(CallIndex, len(services))
	for i := range services {
		index[[2]string{services[i].Namespace, services[i].Name}] = &services[i]
	}
	return index
}

// CalledBy are the Services that a container of a namespace names as something to call, each once, in the order of their coming.
func (x CallIndex) CalledBy(c *corev1.Container, namespace string) []*Service {
	var found []*Service
	try := func(home, name string) {
		if s := x[[2]string{home, name}]; s != nil && !slices.Contains(found, s) && s.CalledBy(c, namespace) {
			found = append(found, s)
		}
	}
	look := func(text string) {
		for _, host := range strings.FieldsFunc(text, func(r rune) bool { return r > 127 || !inName(byte(r)) }) {
			labels := strings.Split(host, ".")
			try(namespace, labels[0])
			if len(labels) > 1 {
				try(labels[1], labels[0])
			}
		}
	}
	for _, e := range c.Env {
		look(e.Value)
	}
	for _, list := range [][]string{c.Command, c.Args} {
		for _, text := range list {
			look(text)
		}
	}
	return found
}

// hostIn looks for the Service's name where a host may stand.
func (s *Service) hostIn(text, namespace string) bool {
	for at := 0; ; {
		next := strings.Index(text[at:], s.Name)
		if next < 0 {
			return false
		}
		at += next
		if (at == 0 || !inName(text[at-1])) && s.isHost(text[:at], text[at+len(s.Name):], namespace) {
			return true
		}
		at += len(s.Name)
	}
}

// isHost judges by what stands before and behind the name.
func (s *Service) isHost(before, behind, namespace string) bool {
	if rest, full := strings.CutPrefix(behind, "."+s.Namespace); full {
		return rest == "" || !inName(rest[0]) || strings.HasPrefix(rest, ".svc")
	}
	if namespace != s.Namespace || behind != "" && inName(behind[0]) {
		return false
	}
	if strings.HasSuffix(before, "://") || strings.HasSuffix(before, "@") {
		return true
	}
	return len(behind) > 1 && (behind[0] == ':' || behind[0] == ' ') && behind[1] >= '0' && behind[1] <= '9'
}

// inName tells whether a character may be part of a host's name.
func inName(c byte) bool {
	return c == '-' || c == '.' || c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
