package main

import (
	"bytes"
	"context"
	"io"

	"github.com/spf13/cobra"

	"floe.dev/palisade/engine"
	"floe.dev/palisade/plan"
	"floe.dev/palisade/report"
)

// planOptions are the flags of palisade plan.
type planOptions struct {
	input
	output string
	color  string
	noDiff bool
}

func newPlan(s streams) *cobra.Command {
	o := &planOptions{}
	c := &cobra.Command{
		Use:   "plan -f PATH",
		Short: "Show every object that would be written, and what stands in the way",
		Long: `plan reads manifests and intent, and shows every object that would be created,
changed or deleted as a diff, grouped by namespace; then the problems (what palisade
cannot express, or does not know), the findings (faults of the cluster), the impact
(what is let through now and will not be, by the rule that refuses it), and a summary.

It writes nothing and needs no cluster.

Exit codes: 0 clean; 1 findings or impact as grave as --fail-on (impact on a declared
flow is an error, on one that a manifest names a warning, on a possible one info);
2 wrong usage or input that could not be read; 3 problems that leave the plan incomplete.`,
		Example: `  palisade plan -f manifests/ -f intent.yaml
  palisade plan -f manifests/ -f intent.yaml --mesh linkerd --no-diff
  helm template shop | palisade plan -f - -f intent.yaml -o json`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), s) },
	}
	o.register(c.Flags())
	c.Flags().VarP(oneOf(&o.output, "text", "text", "json"), "output", "o", "form of the output: text or json")
	c.Flags().Var(oneOf(&o.color, "auto", "auto", "always", "never"), "color", "colour the text: auto (on a terminal, unless NO_COLOR is set), always or never")
	c.Flags().BoolVar(&o.noDiff, "no-diff", false, "leave the diffs out: a line for each change")
	return c
}

func (o *planOptions) run(ctx context.Context, s streams) error {
	r, err := o.input.run(ctx, s, true)
	if err != nil {
		return err
	}
	data, err := o.format(r, palette(o.color, s.out))
	if err != nil {
		return err
	}
	if _, err := io.WriteString(s.err, noteUnknown(r.Plan.Unknown)); err != nil {
		return err
	}
	if _, err := s.out.Write(data); err != nil {
		return err
	}
	return o.outcome(r)
}

func (o *planOptions) format(r engine.Result, paint func(what, text string) string) ([]byte, error) {
	if o.output == "json" {
		return report.JSON(r.Plan.Document())
	}
	var text bytes.Buffer
	text.WriteString(r.Plan.Understood() + "\n\n")
	text.Write(r.Plan.Text(plan.TextOptions{Paint: paint, NoDiff: o.noDiff}))
	text.Write(report.Problems(r.Plan.Problems, paint))
	text.Write(report.Findings(r.Plan.Findings, paint))
	text.Write(r.Plan.ImpactText(paint))
	text.WriteString(paint("title", r.Plan.Summary.String()) + "\n")
	return text.Bytes(), nil
}
