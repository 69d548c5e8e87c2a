package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"floe.dev/palisade/report"
	"floe.dev/palisade/scan"
)

// largestReport is how much is read of one report, in bytes.
const largestReport = 256 << 20

// scanGateOptions are the flags of palisade scan-gate.
type scanGateOptions struct {
	failOn, failOnUnfixed, unknown string
	onlyFixed, allowEmpty          bool
	sources                        []string
	ignore, at                     string
	maxAge                         time.Duration
	output, color                  string
	write                          []string
}

func newScanGate(s streams) *cobra.Command {
	o := &scanGateOptions{}
	c := &cobra.Command{
		Use:   "scan-gate FILE...",
		Short: "Let a pipeline go on, or not, by what scanners reported",
		Long: `scan-gate reads reports of Trivy and Grype (JSON), and of anything that writes SARIF
2.1.0, several at once (- is standard input). It merges what several found, leaves out
what an ignore list excuses for a time, and judges the rest. A report of a scan that
failed, or that looked at nothing, never passes.

Exit codes: 0 passed; 1 findings at or above --fail-on; 2 wrong usage, or a file that is
no whole report; 3 a report that does not say what it should, which wins over 1.`,
		Example: `  trivy image --format json -o trivy.json registry.example.com/shop/web:1.4
  grype registry.example.com/shop/web:1.4 -o json > grype.json
  palisade scan-gate trivy.json grype.json --fail-on high --only-fixed --ignore scan-ignore.yaml
  palisade scan-gate trivy.json --write sarif=scan.sarif --write json=scan.json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("nothing to judge: give the reports of the scanners; a gate without a report is open")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if o.onlyFixed && c.Flags().Changed("fail-on-unfixed") {
				return errors.New("--only-fixed is --fail-on-unfixed never; give one of them")
			}
			return o.run(s, args)
		},
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.Var(oneOf(&o.failOn, "high", "critical", "high", "medium", "low", "negligible", "never"), "fail-on", "least severity that fails: critical, high, medium, low, negligible or never")
	flags.Var(oneOf(&o.failOnUnfixed, "", "critical", "high", "medium", "low", "negligible", "never"), "fail-on-unfixed", "the same for flaws that have no fix yet (default the value of --fail-on)")
	flags.BoolVar(&o.onlyFixed, "only-fixed", false, "flaws that have no fix yet never fail; the same as --fail-on-unfixed never")
	flags.Var(oneOf(&o.unknown, "critical", "critical", "high", "medium", "low", "negligible"), "unknown-counts-as", "severity that an unknown one counts as")
	flags.Var(each(&o.sources, severitySource), "severity-source", "whose severity wins where it has one, such as nvd, ghsa, debian or trivy; repeatable, the first first. Without it the gravest that a scanner went by")
	flags.StringVar(&o.ignore, "ignore", "", "ignore list: what may be there, why, and until when")
	flags.BoolVar(&o.allowEmpty, "allow-empty", false, "let reports pass that looked at nothing, such as of an image FROM scratch")
	flags.DurationVar(&o.maxAge, "max-age", 0, "refuse reports of scans longer ago than this, such as 24h (default any age)")
	flags.Var(checked(&o.at, "", instant), "at", "time of the judgement, such as 2026-11-23T12:00:00Z (default now)")
	flags.Var(each(&o.write, scanForm), "write", "write a form to a file as well, such as sarif=scan.sarif; repeatable")
	flags.Var(oneOf(&o.color, "auto", "auto", "always", "never"), "color", "colour the text: auto (on a terminal, unless NO_COLOR is set), always or never")
	flags.VarP(oneOf(&o.output, "text", scanForms...), "output", "o", "form of the output: text, json, sarif (2.1.0) or junit")
	return c
}

var scanForms = []string{"text", "json", "sarif", "junit"}

// severitySource takes a word for a source of severities.
func severitySource(text string) error {
	if text == "" || strings.ContainsAny(text, " ,:") || strings.ToLower(text) != text {
		return errors.New("must be one source in small letters, such as nvd, ghsa, redhat or grype")
	}
	return nil
}

// scanForm takes FORM=FILE.
func scanForm(text string) error {
	form, file, _ := strings.Cut(text, "=")
	if !slices.Contains(scanForms, form) || file == "" {
		return errors.New("must be FORM=FILE, such as sarif=scan.sarif")
	}
	return nil
}

func (o *scanGateOptions) run(s streams, files []string) error {
	policy, err := o.policy()
	if err != nil {
		return err
	}
	var ignores *scan.IgnoreList
	if o.ignore != "" {
		data, err := os.ReadFile(o.ignore)
		if err != nil {
			return fmt.Errorf("reading the ignore list: %w", err)
		}
		if ignores, err = scan.ReadIgnores(o.ignore, data, policy.At); err != nil {
			return fmt.Errorf("reading the ignore list: %w", err)
		}
	}
	reports, err := readScans(s, files)
	if err != nil {
		return err
	}
	result := report.Scanned{Result: scan.Judge(reports, ignores, policy)}
	if err := o.show(s, result); err != nil {
		return err
	}
	switch result.Verdict {
	case scan.Passed:
		return nil
	case scan.Failed:
		return outcome(exitFindings)
	default:
		return outcome(exitIncomplete)
	}
}

func (o *scanGateOptions) policy() (scan.Policy, error) {
	if o.maxAge < 0 {
		return scan.Policy{}, errors.New("--max-age must not be negative")
	}
	p := scan.Policy{
		FailOn: scan.Severity(o.failOn), FailOnUnfixed: scan.Severity(cmp.Or(o.failOnUnfixed, o.failOn)), Unknown: scan.Severity(o.unknown),
		Sources: o.sources, AllowEmpty: o.allowEmpty, MaxAge: o.maxAge, At: time.Now(),
	}
	if o.onlyFixed {
		p.FailOnUnfixed = scan.Never
	}
	if o.at != "" {
		// The flag was checked when it was set.
		p.At, _ = time.Parse(time.RFC3339, o.at)
	}
	return p, nil
}

// readScans reads every file, and tells of all that cannot be read.
func readScans(s streams, files []string) ([]*scan.Report, error) {
	var reports []*scan.Report
	var faults faultsOfFiles
	seen := map[string]bool{}
	for _, file := range files {
		if seen[file] {
			return nil, fmt.Errorf("%s is given twice", file)
		}
		seen[file] = true
		data, err := readBounded(s, file)
		if err == nil {
			var r *scan.Report
			if r, err = scan.Read(file, data); err == nil {
				reports = append(reports, r)
			}
		}
		if err != nil {
			faults = append(faults, err)
		}
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return reports, nil
}

func readBounded(s streams, file string) (data []byte, err error) {
	in := s.in
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		in = f
	}
	data, err = io.ReadAll(io.LimitReader(in, largestReport+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	if len(data) > largestReport {
		return nil, fmt.Errorf("%s: more than %d MiB: give the scanner less at a time", file, largestReport>>20)
	}
	return data, nil
}

// show writes the files first: a command that fails to has printed nothing.
func (o *scanGateOptions) show(s streams, r report.Scanned) error {
	data, err := scanOutput(o.output, r, palette(o.color, s.out))
	if err != nil {
		return err
	}
	for _, both := range o.write {
		form, file, _ := strings.Cut(both, "=")
		text, err := scanOutput(form, r, nil)
		if err != nil {
			return err
		}
		// Others in the pipeline read it.
		if err := os.WriteFile(file, text, 0o644); err != nil {
			return err
		}
	}
	_, err = s.out.Write(data)
	return err
}

func scanOutput(form string, r report.Scanned, paint report.Paint) ([]byte, error) {
	switch form {
	case "json":
		return report.JSON(r.Document())
	case "sarif":
		return r.SARIF(version())
	case "junit":
		return r.JUnit()
	default:
		return r.Text(paint), nil
	}
}
