package rollout_test

import (
	"fmt"
	"testing"
	"time"

	"floe.dev/palisade/model"
	"floe.dev/palisade/rollout"
)

// BenchmarkStep is one step over 1,000 namespaces of five workloads, each called
// by three others: the first one; one in the middle, in which most wait for their turn; one when all is
// enforced; and one after the status of all of them was lost.
func BenchmarkStep(b *testing.B) {
	w := newWorld(model.MeshIstio, strict(1000, 1, time.Minute))
	for i := range 1000 {
		w.add(fmt.Sprintf("team-%03d", i), 5, fmt.Sprintf("team-%03d", (i+1)%1000), fmt.Sprintf("team-%03d", (i+17)%1000), fmt.Sprintf("team-%03d", (i*7)%1000))
	}
	step := func(name string, memory rollout.Memory) {
		m := w.model()
		e := w.evidence(m, memory)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				rollout.Step(m, e, memory, w.now)
			}
		})
	}
	advance := func(memory rollout.Memory) rollout.Memory {
		m := w.model()
		out := rollout.Step(m, w.evidence(m, memory), memory, w.now)
		for name, s := range w.spaces {
			w.write(s, out.Model.Namespace(name).Posture, nil)
		}
		w.now = w.now.Add(2 * time.Minute)
		return out.Memory
	}
	step("first", nil)
	memory := advance(nil)
	memory = advance(memory)
	w.profiles["prod"].posture.Rollout.MaxNamespaces = 10
	step("waiting", memory)
	w.profiles["prod"].posture.Rollout.MaxNamespaces = 1000
	for range 30 {
		memory = advance(memory)
	}
	for name, n := range memory {
		if n.Stage() != model.StageEnforce {
			b.Fatalf("%s is at %s", name, n.Stage())
		}
	}
	step("enforced", memory)
	step("lost", nil)
}
