package rollout

import (
	"cmp"
	"slices"
	"strings"

	"floe.dev/palisade/model"
)

// lowered is the posture that the namespace has at its stages.
func (w *work) lowered() *model.Posture {
	if w.observes != nil && w.to.down() && !w.reverting {
		return w.observes // nothing is written there, and what would be is reported
	}
	if w.posture == nil && w.to.down() && !w.reverting {
		return nil
	}
	if w.posture != nil && w.complete() {
		return w.posture
	}
	p := model.Posture{Profile: w.to.Profile, Enforcement: model.Enforce}
	demanded := model.Posture{}
	if w.posture != nil {
		demanded = *w.posture
		p.Profile, p.Rollout = demanded.Profile, demanded.Rollout
		// What refuses no traffic and no pod has no stage to prove.
		p.DisruptionBudgets, p.Hardening = demanded.DisruptionBudgets, demanded.Hardening
	}
	p.Network = w.networkPosture(&demanded.Network)
	p.Mesh = w.meshPosture(&demanded.Mesh)
	p.PodSecurity = w.podSecurityPosture(&demanded.PodSecurity)
	return &p
}

// complete tells whether every layer is at the stage that is demanded, and none above.
func (w *work) complete() bool {
	for i := range w.to.layers {
		if w.to.stage(i) != w.tops[i] {
			return false
		}
	}
	return true
}

func (w *work) networkPosture(demanded *model.NetworkPosture) model.NetworkPosture {
	p := model.NetworkPosture{Verifiers: demanded.Verifiers}
	if at := w.to.stage(network); at != model.StageEnforce {
		p.Stage = ahead(at)
	} else {
		p.DefaultDeny = true
	}
	return p
}

// ahead is a stage as a posture has it: empty where nothing is written.
func ahead(s model.Stage) model.Stage {
	if s == model.StageObserve {
		return ""
	}
	return s
}

func (w *work) meshPosture(demanded *model.MeshPosture) model.MeshPosture {
	var p model.MeshPosture
	switch w.to.stage(mtls) {
	case model.StageEnforce:
		p.MTLS = model.MTLSStrict
	case model.StagePermissive:
		// A profile that demands no more is taken at its word; a stage opens nothing.
		p.MTLS, p.KeepStrict = model.MTLSPermissive, demanded.MTLS != model.MTLSPermissive
	}
	if at := w.to.stage(authorization); at == model.StageEnforce {
		p.Authorization = true
	} else {
		p.Stage = ahead(at)
	}
	// The network opens names outside the cluster where Istio's Sidecar holds them, so both come together.
	p.SidecarScope = demanded.SidecarScope && w.to.stage(network) == model.StageEnforce
	return p
}

// podSecurityPosture: while a level is only audited, the one that was proven before stays enforced.
func (w *work) podSecurityPosture(demanded *model.PodSecurityPosture) model.PodSecurityPosture {
	l := &w.to.layers[podSecurity]
	switch {
	case l.Stage == model.StageEnforce && w.posture != nil:
		return *demanded
	case l.Stage != model.StageAudit && l.Stage != model.StageEnforce || w.posture == nil:
		return model.PodSecurityPosture{}
	}
	p := *demanded
	p.Enforce, p.EnforceVersion, p.Origin = "", "", nil
	if level, version := splitLevel(l.Level); level != "" && rankOf(level) <= rankOf(demanded.Enforce) {
		p.Enforce, p.EnforceVersion = level, version
	}
	p.Audit, p.AuditVersion = stricter(demanded.Audit, demanded.AuditVersion, demanded)
	p.Warn, p.WarnVersion = stricter(demanded.Warn, demanded.WarnVersion, demanded)
	return p
}

// stricter is a level, or the one that is to be enforced where that asks for more: it is what the stage is to show.
func stricter(level, version string, demanded *model.PodSecurityPosture) (atLeast, of string) {
	if demanded.Enforce != "" && rankOf(level) < rankOf(demanded.Enforce) {
		return demanded.Enforce, demanded.EnforceVersion
	}
	return level, version
}

// rankOf orders levels of Pod Security; -1 for what is none.
func rankOf(level string) int {
	return slices.Index([]string{"privileged", "baseline", "restricted"}, level)
}

// levelOf is what a posture enforces, as Layer.Level has it.
func levelOf(p *model.PodSecurityPosture) string {
	if p.Enforce == "" {
		return ""
	}
	return p.Enforce + "/" + cmp.Or(p.EnforceVersion, "latest")
}

func splitLevel(text string) (level, version string) {
	level, version, _ = strings.Cut(text, "/")
	return level, version
}

// raise enforces one layer, as far as it is demanded; see Raise.
func (w *work) raise(layer int) {
	w.to.layers[layer].Stage = w.tops[layer]
	if layer == podSecurity {
		w.to.layers[layer].Level = ""
		if w.posture != nil {
			w.to.layers[layer].Level = levelOf(&w.posture.PodSecurity)
		}
	}
}
