package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"

	"floe.dev/palisade/engine"
	"floe.dev/palisade/model"
	"floe.dev/palisade/report"
	"floe.dev/palisade/verdict"
)

// viewing is what the commands share that show who reaches whom.
type viewing struct {
	reading
	when  string
	level string
	color string
}

func (o *viewing) register(flags *pflag.FlagSet) {
	o.reading.register(flags)
	flags.Var(oneOf(&o.when, "auto", "auto", "current", "planned"), "state", "state to judge: current (what the objects do), planned (what they will do once palisade's plan is carried out), or auto (planned where a SecurityProfile that enforces was read)")
	flags.Var(oneOf(&o.color, "auto", "auto", "always", "never"), "color", "colour the text: auto (on a terminal, unless NO_COLOR is set), always or never")
}

func (o *viewing) registerLevel(flags *pflag.FlagSet) {
	flags.Var(oneOf(&o.level, "workload", "workload", "pod"), "level", "what is shown: workload (replicas put together) or pod")
}

// look reads the input as one state.
func (o *viewing) look(ctx context.Context, s streams, more ...string) (engine.View, error) {
	snapshot, err := o.snapshot(ctx, s, more...)
	if err != nil {
		return engine.View{}, err
	}
	return o.view(snapshot), nil
}

func (o *viewing) view(snapshot *engine.Snapshot) engine.View {
	return engine.Look(snapshot, engine.ViewOptions{Options: o.options(), Level: engine.Level(o.level), When: engine.When(o.when)})
}

// tell writes on standard error which state is shown, and what leaves it incomplete.
func (o *viewing) tell(s streams, v *engine.View, what string) error {
	var notes strings.Builder
	if v.Planned && o.when == "auto" {
		fmt.Fprintf(&notes, "palisade: note: %s of what the plan would leave, since a SecurityProfile was read; --state current shows what is there\n", what)
	}
	notes.WriteString(noteUnknown(v.Unknown))
	if problems := report.Problems(grave(v.Problems), palette(o.color, s.err)); len(problems) > 0 {
		notes.Write(problems)
	}
	_, err := io.WriteString(s.err, notes.String())
	return err
}

// grave leaves out problems that are for the record.
func grave(problems []model.Problem) []model.Problem {
	var list []model.Problem
	for _, p := range problems {
		if p.Severity != model.Info {
			list = append(list, p)
		}
	}
	return list
}

// complete is nil, or the exit code of a result that problems leave incomplete.
func complete(problems []model.Problem) error {
	if report.Incomplete(problems) {
		return outcome(exitIncomplete)
	}
	return nil
}

// focusOn turns names of peers into a choice among them; nil where there is none.
func focusOn(names []string, namespace string, v *engine.View) (func(verdict.Peer) bool, error) {
	if len(names) == 0 {
		return nil, nil
	}
	chosen := map[model.WorkloadID]bool{}
	namespaces := map[string]bool{}
	for _, text := range names {
		if home, all := strings.CutSuffix(text, "/*"); all {
			if v.Model.Namespace(home) == nil {
				return nil, fmt.Errorf("--focus %s: nothing was read in a namespace %s", text, home)
			}
			namespaces[home] = true
			continue
		}
		name, err := engine.ParseName(text, namespace)
		if err != nil {
			return nil, fmt.Errorf("--focus %w", err)
		}
		workloads, err := v.Find(name)
		if err != nil {
			return nil, fmt.Errorf("--focus %w", err)
		}
		for _, w := range workloads {
			chosen[w.ID] = true
		}
	}
	return func(p verdict.Peer) bool {
		return p.Workload != nil && (chosen[p.Workload.ID] || namespaces[p.Workload.ID.Namespace])
	}, nil
}
