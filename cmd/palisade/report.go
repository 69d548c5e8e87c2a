package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"floe.dev/palisade/model"
	"floe.dev/palisade/report"
	"floe.dev/palisade/verify"
)

// shown is how a verification is written.
type shown struct {
	output string
	color  string
}

// register adds the flags; more are further forms.
func (o *shown) register(flags *pflag.FlagSet, more ...string) {
	forms := append([]string{"text", "json", "markdown", "html", "sarif", "junit"}, more...)
	flags.Var(oneOf(&o.color, "auto", "auto", "always", "never"), "color", "colour the text: auto (on a terminal, unless NO_COLOR is set), always or never")
	flags.VarP(oneOf(&o.output, "text", forms...), "output", "o", "form of the output: "+listed(forms))
}

func listed(words []string) string {
	text := ""
	for i, word := range words {
		switch i {
		case 0:
		case len(words) - 1:
			text += " or "
		default:
			text += ", "
		}
		text += word
	}
	return text
}

// write writes a verification to standard output.
func (o *shown) write(s streams, r *verify.Report) error {
	data, err := o.form(s, r)
	if err != nil {
		return err
	}
	_, err = s.out.Write(data)
	return err
}

func (o *shown) form(s streams, r *verify.Report) ([]byte, error) {
	switch o.output {
	case "json":
		return report.JSON(r)
	case "markdown":
		return report.VerificationMarkdown(r), nil
	case "html":
		return report.VerificationHTML(r)
	case "sarif":
		return report.Wire(r).SARIF(version())
	case "junit":
		return report.Wire(r).JUnit(model.Error)
	default:
		return report.VerificationText(r, palette(o.color, s.out)), nil
	}
}

func newReport(s streams) *cobra.Command {
	o := &shown{}
	before := ""
	c := &cobra.Command{
		Use:   "report FILE",
		Short: "Show a saved verification in any form",
		Long: `report reads what palisade verify -o json wrote (- is standard input) and writes it in
another form. The HTML page is one file that asks nothing of any server.`,
		Example: `  palisade report report.json
  palisade report report.json -o html > report.html
  palisade report today.json --before yesterday.json -o markdown`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := readReportFrom(args[0], s.in)
			if err != nil {
				return err
			}
			if before != "" {
				earlier, err := readReport(before)
				if err != nil {
					return err
				}
				changes := verify.Compare(earlier, r)
				r.Changes = &changes
			}
			return o.write(s, r)
		},
	}
	c.Flags().SortFlags = false
	c.Flags().StringVar(&before, "before", "", "earlier report (JSON) to compare with")
	o.register(c.Flags())
	return c
}

// readReport reads a saved verification.
func readReport(path string) (*verify.Report, error) { return readReportFrom(path, nil) }

func readReportFrom(path string, in io.Reader) (*verify.Report, error) {
	var data []byte
	var err error
	if path == "-" && in != nil {
		data, err = io.ReadAll(in)
	} else {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, err
	}
	r, err := verify.ParseReport(data)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return r, nil
}

// diffReports compares two saved verifications; ok is false where the paths are not two of these.
func (o *diffOptions) diffReports(_ context.Context, s streams, before, after string) (ok bool, err error) {
	was, first := reportAt(before)
	is, second := reportAt(after)
	switch {
	case !first && !second:
		return false, nil
	case first != second:
		return true, fmt.Errorf("%s and %s: one is a report of palisade verify and the other is not", before, after)
	}
	changes := verify.Compare(was, is)
	if o.output == "json" {
		var data []byte
		if data, err = report.JSON(report.ChangesDocument(&changes)); err == nil {
			_, err = s.out.Write(data)
		}
	} else {
		_, err = s.out.Write(report.ChangesText(&changes, palette(o.color, s.out)))
	}
	if err == nil && o.exit && !changes.Empty() {
		err = outcome(exitFindings)
	}
	return true, err
}

// reportAt reads a file as a saved verification, where it is one.
func reportAt(path string) (*verify.Report, bool) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return nil, false
	}
	r, err := readReport(path)
	return r, err == nil
}
