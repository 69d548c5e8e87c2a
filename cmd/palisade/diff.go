package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"floe.dev/palisade/engine"
	"floe.dev/palisade/report"
	"floe.dev/palisade/verdict"
)

// diffOptions are the flags of palisade diff.
type diffOptions struct {
	viewing
	output string
	focus  []string
	exit   bool
}

func newDiff(s streams) *cobra.Command {
	o := &diffOptions{}
	c := &cobra.Command{
		Use:   "diff BEFORE AFTER",
		Short: "Show which connections differ between two sets of manifests",
		Long: `diff judges every connection in two states, as map does, and shows which are
gained, which are lost, and which are protected otherwise.

BEFORE and AFTER are a file or a folder each, or several with commas between them; what
-f names counts for both. "cluster:" is the cluster of the kubeconfig, "cluster:NAME" that of a
context; files beside it are laid over it. Workloads are the same where their names are.

Two reports that palisade verify -o json wrote are compared by what their ports came to.

Exit codes: 0 clean; 1 something differs, with --exit-code; 2 wrong usage or input
that could not be read; 3 problems that leave the result incomplete.`,
		Example: `  palisade diff main/ branch/
  palisade diff shop/ shop/,intent.yaml -f cluster.yaml
  palisade diff cluster: cluster:,intent.yaml
  palisade diff live/ desired/ -o json --exit-code
  palisade diff yesterday.json today.json`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error { return o.run(c.Context(), s, args[0], args[1]) },
	}
	o.register(c.Flags())
	o.registerLevel(c.Flags())
	c.Flags().StringArrayVar(&o.focus, "focus", nil, "show only connections from or to this workload, pod or Service: [namespace/][kind/]name, or namespace/* for all of a namespace; repeatable")
	c.Flags().BoolVar(&o.exit, "exit-code", false, "exit with 1 where something differs")
	c.Flags().VarP(oneOf(&o.output, "text", "text", "json"), "output", "o", "form of the output: text or json")
	return c
}

func (o *diffOptions) run(ctx context.Context, s streams, before, after string) error {
	if done, err := o.diffReports(ctx, s, before, after); done {
		return err
	}
	views := make([]engine.View, 2)
	for i, paths := range []string{before, after} {
		v, err := o.look(ctx, s, strings.Split(paths, ",")...)
		if err != nil {
			return err
		}
		views[i] = v
	}
	focus, err := o.focusOn(views)
	if err != nil {
		return err
	}
	d := engine.Compare(&views[0], &views[1])
	views[1].Problems = report.ProblemsOf(views[0].Problems, views[1].Problems)
	options := report.MapOptions{Focus: focus, Problems: views[1].Problems}
	views[1].Planned = views[1].Planned || views[0].Planned
	if err := o.tell(s, &views[1], "connections are those"); err != nil {
		return err
	}
	if o.output == "json" {
		err = report.WriteDifference(s.out, d, options)
	} else {
		_, err = s.out.Write(report.DifferenceText(d, options, palette(o.color, s.out)))
	}
	if err != nil {
		return err
	}
	if err := complete(options.Problems); err != nil {
		return err
	}
	if o.exit && report.Summarize(d) != (report.DifferenceSummary{}) {
		return outcome(exitFindings)
	}
	return nil
}

// focusOn finds the names in either state.
func (o *diffOptions) focusOn(views []engine.View) (func(verdict.Peer) bool, error) {
	if len(o.focus) == 0 {
		return nil, nil
	}
	var in []func(verdict.Peer) bool
	var failed error
	for i := range views {
		focus, err := focusOn(o.focus, o.namespace, &views[i])
		if err != nil {
			failed = err
			continue
		}
		in = append(in, focus)
	}
	if len(in) == 0 {
		return nil, fmt.Errorf("%w", failed)
	}
	return func(p verdict.Peer) bool {
		for _, focus := range in {
			if focus(p) {
				return true
			}
		}
		return false
	}, nil
}
