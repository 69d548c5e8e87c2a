package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"floe.dev/palisade/model"
)

// check judges the text of a flag: what is wrong with it, or nil. The error
// stands after the name of the flag.
type check func(text string) error

// value is a flag of one text.
type value struct {
	text  *string
	check check
	kind  string
}

func checked(text *string, initial string, check check) pflag.Value {
	*text = initial
	return &value{text, check, "string"}
}

func oneOf(text *string, initial string, allowed ...string) pflag.Value {
	*text = initial
	last := len(allowed) - 1
	return &value{text, func(text string) error {
		if slices.Contains(allowed, text) {
			return nil
		}
		return fmt.Errorf("must be %s or %s", strings.Join(allowed[:last], ", "), allowed[last])
	}, "string"}
}

func (v *value) String() string { return *v.text }
func (v *value) Type() string   { return v.kind }
func (v *value) Set(text string) error {
	if err := v.check(text); err != nil {
		return err
	}
	*v.text = text
	return nil
}

// values is a flag that may be given several times.
type values struct {
	texts *[]string
	check check
}

func each(texts *[]string, check check) pflag.Value { return &values{texts, check} }

func (v *values) String() string { return strings.Join(*v.texts, ",") }
func (v *values) Type() string   { return "stringArray" }
func (v *values) Set(text string) error {
	if err := v.check(text); err != nil {
		return err
	}
	*v.texts = append(*v.texts, text)
	return nil
}

func name(text string) error {
	if problems := validation.IsDNS1123Label(text); len(problems) > 0 {
		return errors.New(strings.Join(problems, "; "))
	}
	return nil
}

func domain(text string) error {
	if problems := validation.IsDNS1123Subdomain(text); len(problems) > 0 {
		return errors.New("must be a domain such as cluster.local")
	}
	return nil
}

func prefix(text string) error {
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return errors.New("must be a CIDR such as 10.244.0.0/16 or fd00:10:244::/56")
	case p != p.Masked():
		return fmt.Errorf("has bits beyond its length; did you mean %s?", p.Masked())
	default:
		return nil
	}
}

func address(text string) error {
	if a, err := netip.ParseAddr(text); err != nil || a.Zone() != "" {
		return errors.New("must be an address such as 169.254.20.10 or fd00:10:96::a")
	}
	return nil
}

func addressPort(text string) error {
	if a, err := netip.ParseAddrPort(text); err != nil || a.Port() == 0 || a.Addr().Zone() != "" {
		return errors.New("must be address:port, such as 172.18.0.2:6443 or [fd00::2]:6443")
	}
	return nil
}

func portRange(text string) error {
	first, last, ranged := strings.Cut(text, "-")
	if !ranged {
		last = first
	}
	from, wrong := strconv.ParseUint(first, 10, 16)
	to, alsoWrong := strconv.ParseUint(last, 10, 16)
	if wrong != nil || alsoWrong != nil || from == 0 || to < from {
		return errors.New("must be a port such as 8080, or a range such as 1-1024")
	}
	return nil
}

// portRanges reads values that portRange has checked.
func portRanges(texts []string) []model.Port {
	var ports []model.Port
	for _, text := range texts {
		first, last, _ := strings.Cut(text, "-")
		from, _ := strconv.Atoi(first)
		to, _ := strconv.Atoi(cmp.Or(last, first))
		ports = append(ports, model.Port{Protocol: corev1.ProtocolTCP, Number: int32(from), End: int32(to)})
	}
	return ports
}

func instant(text string) error {
	if _, err := time.Parse(time.RFC3339, text); err != nil {
		return errors.New("must be a time such as 2026-11-23T12:00:00Z (RFC 3339)")
	}
	return nil
}
