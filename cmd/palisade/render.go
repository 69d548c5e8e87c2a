package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"floe.dev/palisade/engine"
	"floe.dev/palisade/manifest"
	"floe.dev/palisade/model"
	"floe.dev/palisade/plan"
	"floe.dev/palisade/report"
)

// renderOptions are the flags of palisade render.
type renderOptions struct {
	input
	output string
}

func newRender(s streams) *cobra.Command {
	o := &renderOptions{}
	c := &cobra.Command{
		Use:   "render -f PATH",
		Short: "Print every object that would be written, for GitOps",
		Long: `render reads manifests and intent, and prints every object that makes the intent
hold, in the order in which they are to be written: what allows before what denies.
Namespaces whose profile only observes are left out. Problems, and findings as grave
as --fail-on, go to standard error.

Apply the objects with: kubectl apply --server-side --field-manager=palisade -f -

Exit codes: 0 clean; 1 findings as grave as --fail-on; 2 wrong usage or input that
could not be read; 3 problems that leave the result incomplete.`,
		Example: `  palisade render -f manifests/ -f intent.yaml > palisade.yaml`,
		Args:    noArguments,
		RunE:    func(c *cobra.Command, _ []string) error { return o.run(c.Context(), s) },
	}
	o.register(c.Flags())
	c.Flags().VarP(oneOf(&o.output, "yaml", "yaml", "json"), "output", "o", "form of the output: yaml, or json (a v1 List)")
	return c
}

func (o *renderOptions) run(ctx context.Context, s streams) error {
	r, err := o.input.run(ctx, s, false)
	if err != nil {
		return err
	}
	writes := plan.Writes(r.Model, r.Objects)
	data := manifest.MarshalAll(writes)
	if o.output == "json" {
		if data, err = report.JSON(manifest.List(writes)); err != nil {
			return err
		}
	}
	var notes bytes.Buffer
	notes.WriteString(noteUnknown(r.Plan.Unknown) + noteObserved(r))
	notes.Write(report.Problems(r.Plan.Problems, nil))
	notes.Write(report.Findings(o.grave(r.Plan.Findings), nil))
	if _, err := s.err.Write(notes.Bytes()); err != nil {
		return err
	}
	if _, err := s.out.Write(data); err != nil {
		return err
	}
	return o.outcome(r)
}

// noteObserved tells, in a line or none, which namespaces are left out because their profile only observes.
func noteObserved(r engine.Result) string {
	var names []string
	for i := range r.Model.Namespaces {
		n := &r.Model.Namespaces[i]
		if n.Posture != nil && n.Posture.Enforcement == model.Observe {
			names = append(names, n.Name)
		}
	}
	slices.Sort(names)
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("palisade: note: left out, because their profiles only observe: %s\n", strings.Join(names, ", "))
}
