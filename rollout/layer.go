package rollout

import (
	"slices"

	"floe.dev/palisade/model"
)

// layers in the order in which they are enforced; see the package's comment for why.
var layers = [...]model.Layer{model.LayerPodSecurity, model.LayerMTLS, model.LayerAuthorization, model.LayerNetwork}

func indexOf(l model.Layer) int { return slices.Index(layers[:], l) }

const (
	podSecurity = iota
	mtls
	authorization
	network
)

// The ladders: the stages that a layer goes through, from nothing to all.
var (
	ladderNetwork      = []model.Stage{model.StageObserve, model.StagePrepare, model.StagePermissive, model.StageEnforce}
	ladderPodSecurity  = []model.Stage{model.StageObserve, model.StageAudit, model.StageEnforce}
	ladderMTLS         = []model.Stage{model.StageObserve, model.StagePermissive, model.StageEnforce}
	ladderIstio        = []model.Stage{model.StageObserve, model.StagePrepare, model.StagePermissive, model.StageEnforce}
	ladderIstioAudit   = []model.Stage{model.StageObserve, model.StagePrepare, model.StageAudit, model.StagePermissive, model.StageEnforce}
	ladderLinkerd      = []model.Stage{model.StageObserve, model.StageEnforce}
	ladderLinkerdAudit = []model.Stage{model.StageObserve, model.StageAudit, model.StageEnforce}
)

// ladder is the stages that a layer has in this namespace.
func (w *work) ladder(layer int) []model.Stage {
	switch layer {
	case podSecurity:
		return ladderPodSecurity
	case mtls:
		return ladderMTLS
	case network:
		return ladderNetwork
	}
	switch audits := w.noAudit() == ""; {
	case w.linkerd() && audits:
		return ladderLinkerdAudit
	case w.linkerd():
		return ladderLinkerd
	case audits:
		return ladderIstioAudit
	default:
		return ladderIstio
	}
}

func (w *work) linkerd() bool { return w.p.m.Cluster.Mesh.Kind == model.MeshLinkerd }

// noAudit says why authorization has no stage Audit here; empty where it has one.
func (w *work) noAudit() string {
	if !w.p.e.Audits {
		return "nobody reads what the mesh would note"
	}
	workloads := w.p.m.WorkloadsIn(w.name)
	for i := range workloads {
		if f := &workloads[i].Facts; f.Meshed() && f.NoAudit != "" {
			return workloads[i].ID.String() + ": " + f.NoAudit
		}
	}
	return ""
}

// next is the stage above the present one, or "" at the top of what is demanded.
func (w *work) next(layer int) model.Stage {
	at, top := w.to.stage(layer).Rank(), w.tops[layer].Rank()
	if at >= top {
		return ""
	}
	for _, s := range w.ladder(layer) {
		if s.Rank() > at && s.Rank() <= top {
			return s
		}
	}
	return ""
}

// open is the highest stage of a layer that refuses nothing.
func (w *work) open(layer int) model.Stage {
	ladder := w.ladder(layer)
	return ladder[len(ladder)-2]
}

// soaks tells whether a stage can show a fault, so that it must stand for a while. Prepare only has to be there.
func soaks(s model.Stage) bool { return s != model.StageObserve && s != model.StagePrepare }
