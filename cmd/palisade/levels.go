package main

import (
	"context"

	"github.com/spf13/cobra"

	"floe.dev/palisade/engine"
	"floe.dev/palisade/report"
)

// levelsOptions are the flags of palisade levels.
type levelsOptions struct {
	reading
	output   string
	color    string
	exitCode bool
}

func newLevels(s streams) *cobra.Command {
	o := &levelsOptions{}
	c := &cobra.Command{
		Use:   "levels -f PATH",
		Short: "Find the highest Pod Security level that each namespace can be held to",
		Long: `levels judges every running pod and every template of a namespace, with what a mesh
will inject into it, by the code that the API server itself runs, and proposes the
level to enforce, pinned to a version. What is in the way is named, with its fields and
what to change. Only system namespaces are left at privileged.

Exit codes: 0 clean; 1, with --exit-code, something is in the way of a proposed level;
2 wrong usage or input that could not be read; 3 problems that leave the plan incomplete.`,
		Example: `  palisade levels -f manifests/
  palisade levels --context staging -o json`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), s) },
	}
	o.register(c.Flags())
	c.Flags().BoolVar(&o.exitCode, "exit-code", false, "exit with 1 where something is in the way of a level that is proposed")
	c.Flags().Var(oneOf(&o.color, "auto", "auto", "always", "never"), "color", "colour the text: auto (on a terminal, unless NO_COLOR is set), always or never")
	c.Flags().VarP(oneOf(&o.output, "text", "text", "json"), "output", "o", "form of the output: text or json")
	return c
}

func (o *levelsOptions) run(ctx context.Context, s streams) error {
	snapshot, err := o.snapshot(ctx, s)
	if err != nil {
		return err
	}
	l := engine.PlanLevels(snapshot, o.options())
	levelled := report.Levelled{Mesh: l.Model.Cluster.Mesh, Namespaces: l.Namespaces, Problems: l.Problems, Unknown: l.Unknown}
	data := levelled.Text(palette(o.color, s.out))
	if o.output == "json" {
		if data, err = report.JSON(levelled.Document()); err != nil {
			return err
		}
	}
	notes := noteUnknown(l.Unknown) + string(report.Problems(grave(l.Problems), palette(o.color, s.err)))
	if l.Version == "" {
		notes += "palisade: note: no Node was read, so the version of the cluster is not known: levels that no profile pins are those of latest\n"
	}
	if _, err := s.err.Write([]byte(notes)); err != nil {
		return err
	}
	if _, err := s.out.Write(data); err != nil {
		return err
	}
	if err := complete(l.Problems); err != nil || !o.exitCode || len(l.Blocked()) == 0 {
		return err
	}
	return outcome(exitFindings)
}
