package intent

import (
	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/model"
)

// The defaults of SecurityContextConfig, which a profile that did not pass an API server lacks.
const (
	defaultID           = 1000
	defaultWritablePath = "/tmp"
)

// HardeningOf takes what a profile says of pods; parts that it leaves out give nothing.
func HardeningOf(spec *v1alpha1.SecurityProfileSpec) model.Hardening {
	return model.Hardening{SecurityContext: securityContextOf(spec.SecurityContext), Workload: workloadOf(spec.Workload)}
}

func securityContextOf(c *v1alpha1.SecurityContextConfig) *model.SecurityContextDefaults {
	if c == nil {
		return nil
	}
	d := &model.SecurityContextDefaults{
		RunAsNonRoot: valueOr(c.RunAsNonRoot, true), ReadOnlyRootFilesystem: valueOr(c.ReadOnlyRootFilesystem, true),
		RunAsUser: valueOr(c.RunAsUser, defaultID), RunAsGroup: valueOr(c.RunAsGroup, defaultID), FSGroup: valueOr(c.FSGroup, defaultID),
		WritablePaths: c.WritablePaths, AllowedCapabilities: c.AllowedCapabilities, SELinuxType: c.SELinuxType,
		Seccomp: model.LocalProfile{Type: string(corev1.SeccompProfileTypeRuntimeDefault)},
	}
	if c.WritablePaths == nil {
		d.WritablePaths = []string{defaultWritablePath}
	}
	if p := c.SeccompProfile; p != nil {
		d.Seccomp = model.LocalProfile{Type: p.Type, Name: p.LocalhostProfile}
	}
	if p := c.AppArmorProfile; p != nil {
		d.AppArmor = model.LocalProfile{Type: p.Type, Name: p.LocalhostProfile}
	}
	return d
}

func workloadOf(p *v1alpha1.WorkloadPolicy) *model.WorkloadDefaults {
	if p == nil {
		return nil
	}
	d := &model.WorkloadDefaults{
		NoToken: !valueOr(p.AutomountServiceAccountToken, false), PriorityClassName: p.PriorityClassName,
		SecretVolumes: p.SecretVolumes != v1alpha1.Disabled, PullMovingTags: p.PullMovingTags != v1alpha1.Disabled,
		Spread: p.Spread == v1alpha1.Enabled, AntiAffinity: p.AntiAffinity == v1alpha1.Enabled,
		DNSPolicy: p.DNSPolicy, DNSConfig: p.DNSConfig,
	}
	if p.Resources != nil {
		d.Resources = *p.Resources
	}
	return d
}

func valueOr[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}
