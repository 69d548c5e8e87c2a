package main

import (
	"context"

	"github.com/spf13/cobra"

	"floe.dev/palisade/cluster"
	"floe.dev/palisade/engine"
	"floe.dev/palisade/report"
)

// auditOptions are the flags of palisade audit.
type auditOptions struct {
	input
	output string
	color  string
}

func newAudit(s streams) *cobra.Command {
	o := &auditOptions{}
	c := &cobra.Command{
		Use:   "audit -f PATH",
		Short: "Find what is at fault in what is there now",
		Long: `audit looks for holes, for policies that nothing enforces, for slips of
NetworkPolicies, for what a mesh or Pod Security would refuse, and for budgets that
block drains, in any manifests or dump. It needs no profile; where there is one, what
stands in its way is found as well. Each finding has a page that explains it.

Exit codes: 0 clean; 1 findings at or above --fail-on; 2 wrong usage or input that could
not be read; 3 problems that leave the audit incomplete.`,
		Example: `  palisade audit -f manifests/
  palisade audit -f dump/ -o sarif > palisade.sarif
  palisade audit -f manifests/ -o junit --fail-on warning > palisade.xml`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), s) },
	}
	o.register(c.Flags())
	c.Flags().Var(oneOf(&o.color, "auto", "auto", "always", "never"), "color", "colour the text: auto (on a terminal, unless NO_COLOR is set), always or never")
	c.Flags().VarP(oneOf(&o.output, "text", "text", "json", "sarif", "junit"), "output", "o", "form of the output: text, json, sarif (2.1.0) or junit")
	return c
}

func (o *auditOptions) run(ctx context.Context, s streams) error {
	snapshot, err := o.snapshot(ctx, s)
	if err != nil {
		return err
	}
	a := engine.Inspect(snapshot, o.options())
	audited := located(snapshot, &a)
	data, err := o.format(audited, s)
	if err != nil {
		return err
	}
	notes := noteUnknown(a.Unknown) + string(report.Problems(grave(a.Problems), palette(o.color, s.err)))
	if _, err := s.err.Write([]byte(notes)); err != nil {
		return err
	}
	if _, err := s.out.Write(data); err != nil {
		return err
	}
	return o.exit(a.Problems, a.Findings)
}

func (o *auditOptions) format(a *report.Audited, s streams) ([]byte, error) {
	switch o.output {
	case "json":
		return report.JSON(a.Document())
	case "sarif":
		return a.SARIF(version())
	case "junit":
		return a.JUnit(o.least())
	default:
		return a.Text(palette(o.color, s.out)), nil
	}
}

// located adds to each finding where its object was read.
func located(snapshot *engine.Snapshot, a *engine.Audit) *report.Audited {
	var lines cluster.Lines
	audited := &report.Audited{
		Mesh: a.Model.Cluster.Mesh, Problems: a.Problems, Unknown: a.Unknown,
		Namespaces: len(a.Model.Namespaces), Workloads: len(a.Model.Workloads),
	}
	for _, f := range a.Findings {
		at := report.LocatedFinding{Finding: f}
		if source, read := snapshot.Sources[f.Subject]; read {
			source.Line = lines.Line(source, f.Subject, f.Field)
			at.Source = &source
		}
		audited.Findings = append(audited.Findings, at)
	}
	return audited
}
