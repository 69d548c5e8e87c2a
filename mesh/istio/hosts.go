package istio

import (
	"fmt"
	"slices"
	"strings"

	"floe.dev/palisade/model"
)

// hostNames are the names that the host of a DestinationRule stands for: Istio
// completes a name without dots by the rule's own namespace, and no other
// (pkg/config/host). With an unknown cluster domain any domain is taken for it.
func hostMatches(host, namespace, domain string, s *model.Service) bool {
	if !strings.Contains(host, ".") && !strings.Contains(host, "*") {
		return host == s.Name && namespace == s.Namespace
	}
	base := s.Name + "." + s.Namespace + ".svc."
	if domain == "" {
		return strings.HasPrefix(host, base) || strings.HasPrefix(host, "*."+s.Namespace+".svc.") || strings.HasPrefix(host, "*.svc.") ||
			slices.Contains([]string{"*", "*.local", "*.cluster.local"}, host)
	}
	if suffix, wild := strings.CutPrefix(host, "*"); wild {
		return strings.HasSuffix(base+domain, suffix)
	}
	return host == base+domain
}

// ruleFor finds somebody else's DestinationRule for exactly a host.
func (c *compilation) ruleFor(host string) *model.Object {
	for i := range c.existing.destinationRules {
		o := &c.existing.destinationRules[i]
		if o.Owned() {
			continue
		}
		theirs := text(o, "spec", "host")
		if theirs == host || !strings.Contains(theirs, ".") && theirs+"."+o.Ref().Namespace+".svc."+c.domain == host {
			return o
		}
	}
	return nil
}

// tlsSetting is one place of a DestinationRule that sets a TLS mode.
type tlsSetting struct{ field, mode string }

// ruleModes are the distinct modes that a rule sets, "" where it sets none at the top.
func ruleModes(o *model.Object) []string {
	modes := []string{}
	if text(o, "spec", "trafficPolicy", "tls", "mode") == "" {
		modes = append(modes, "")
	}
	for _, s := range tlsSettings(o) {
		modes = append(modes, s.mode)
	}
	slices.Sort(modes)
	return slices.Compact(modes)
}

// tlsSettings walks every level on which a rule can set TLS: the policy, its ports, its subsets and theirs.
func tlsSettings(o *model.Object) []tlsSetting {
	settings := policySettings("spec.trafficPolicy", o.Map("spec", "trafficPolicy"))
	subsets, _ := o.Map("spec")["subsets"].([]any)
	for i, subset := range subsets {
		fields, _ := subset.(map[string]any)
		policy, _ := fields["trafficPolicy"].(map[string]any)
		settings = append(settings, policySettings(fmt.Sprintf("spec.subsets[%d].trafficPolicy", i), policy)...)
	}
	return settings
}

func policySettings(field string, policy map[string]any) []tlsSetting {
	var settings []tlsSetting
	if mode := settingMode(policy); mode != "" {
		settings = append(settings, tlsSetting{field + ".tls.mode", mode})
	}
	ports, _ := policy["portLevelSettings"].([]any)
	for i, port := range ports {
		fields, _ := port.(map[string]any)
		if mode := settingMode(fields); mode != "" {
			settings = append(settings, tlsSetting{fmt.Sprintf("%s.portLevelSettings[%d].tls.mode", field, i), mode})
		}
	}
	return settings
}

// settingMode is the TLS mode of a policy; a tls block without mode is DISABLE, the enum's zero value.
func settingMode(policy map[string]any) string {
	tls, present := policy["tls"].(map[string]any)
	if !present {
		return ""
	}
	if mode, _ := tls["mode"].(string); mode != "" {
		return strings.ToUpper(mode)
	}
	return "DISABLE"
}
