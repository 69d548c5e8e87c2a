package main

import (
	"bytes"
	"context"

	"github.com/spf13/cobra"

	"floe.dev/palisade/report"
	"floe.dev/palisade/verdict"
)

// mapOptions are the flags of palisade map.
type mapOptions struct {
	viewing
	output string
	focus  []string
}

func newMap(s streams) *cobra.Command {
	o := &mapOptions{}
	c := &cobra.Command{
		Use:   "map -f PATH",
		Short: "Show who reaches whom, on which ports, and how protected",
		Long: `map judges every connection by all layers together: the NetworkPolicies on both
sides, the port that a mesh carries it by, its mTLS mode and its authorization. It
shows what is let through, whoever wrote the policies, in a table of peers that may do
the same, or as JSON, dot or SVG connection by connection.

Exit codes: 0 clean; 2 wrong usage or input that could not be read; 3 problems that
leave the map incomplete.`,
		Example: `  palisade map -f manifests/
  palisade map -f manifests/ --focus shop/cart -o svg > cart.svg
  palisade map -f dump/ --level pod -o json`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), s) },
	}
	o.register(c.Flags())
	o.registerLevel(c.Flags())
	c.Flags().StringArrayVar(&o.focus, "focus", nil, "show only connections from or to this workload, pod or Service: [namespace/][kind/]name, or namespace/* for all of a namespace; repeatable")
	c.Flags().VarP(oneOf(&o.output, "table", "table", "json", "dot", "svg"), "output", "o", "form of the output: table, json, dot or svg")
	return c
}

func (o *mapOptions) run(ctx context.Context, s streams) error {
	v, err := o.look(ctx, s)
	if err != nil {
		return err
	}
	focus, err := focusOn(o.focus, o.namespace, &v)
	if err != nil {
		return err
	}
	m := v.Map()
	write := report.MapOptions{Focus: focus, Problems: v.Problems}
	if err := o.tell(s, &v, "the map"); err != nil {
		return err
	}
	if err := o.write(s, m, write); err != nil {
		return err
	}
	return complete(v.Problems)
}

func (o *mapOptions) write(s streams, m *verdict.Map, options report.MapOptions) error {
	var text []byte
	switch o.output {
	case "json":
		return report.WriteMap(s.out, m, options)
	case "dot":
		text = report.MapDot(m, options)
	case "svg":
		text = report.MapSVG(m, options)
	default:
		text = report.MapText(m, options, palette(o.color, s.out))
	}
	_, err := bytes.NewReader(text).WriteTo(s.out)
	return err
}
