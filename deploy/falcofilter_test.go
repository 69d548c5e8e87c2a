package deploy_test

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// filter is a condition of Falco, parsed by its grammar (falcosecurity/libs,
// userspace/libsinsp/filter/parser.h), as far as the rules here use it. It tells
// whether an event, fields by their names, is meant.
type filter func(event map[string]string) bool

// falcoFields are the fields that the rules may use, of those of the source syscall (falco --list=syscall).
// evt.arg.NAME comes beside them.
var falcoFields = []string{
	"container.id", "container.image.repository", "container.image.tag", "container.name", "container.privileged",
	"evt.is_open_read", "evt.is_open_write", "evt.num", "evt.rawres", "evt.res", "evt.time", "evt.type",
	"fd.cip", "fd.cport", "fd.l4proto", "fd.lip", "fd.lport", "fd.name", "fd.num", "fd.rip", "fd.rnet", "fd.rport", "fd.sip", "fd.sport", "fd.typechar",
	"fs.path.name", "k8s.ns.name", "k8s.pod.name", "k8s.pod.uid",
	"proc.aname", "proc.cmdline", "proc.exepath", "proc.is_container_healthcheck", "proc.is_container_liveness_probe",
	"proc.is_container_readiness_probe", "proc.name", "proc.pname", "proc.tty", "thread.cap_effective", "user.name", "user.uid",
}

// falcoArguments are the arguments of the events below that the rules may use.
var falcoArguments = []string{"evt.arg.mode", "evt.arg.flags", "evt.arg.name"}

// falcoEvents are the events that the rules may ask for; all are looked at by default.
var falcoEvents = []string{"accept", "accept4", "chmod", "connect", "creat", "execve", "execveat", "fchmod", "fchmodat", "open", "openat", "openat2", "sendmsg", "sendto"}

func knownField(name string) bool {
	return slices.Contains(falcoFields, name) || slices.Contains(falcoArguments, name)
}

// falcoParser reads one condition.
type falcoParser struct {
	tokens []string
	macros map[string]filter
	lists  map[string][]string
	used   map[string]bool
	// asks is set once a check of evt.type was read.
	asks bool
}

var falcoTokens = regexp.MustCompile(`"[^"]*"|'[^']*'|[(),]|!=|>=|<=|==|[=<>]|[^\s(),="'<>!]+|\S`)

func (p *falcoParser) parse(condition string) (f filter, err error) {
	p.tokens = falcoTokens.FindAllString(condition, -1)
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("%v, before %q", fault, strings.Join(p.tokens, " "))
		}
	}()
	f = p.or()
	if len(p.tokens) > 0 {
		panic("more than one condition")
	}
	return f, nil
}

func (p *falcoParser) peek() string {
	if len(p.tokens) == 0 {
		return ""
	}
	return p.tokens[0]
}

func (p *falcoParser) next() string {
	token := p.peek()
	if token == "" {
		panic("the condition ends too early")
	}
	p.tokens = p.tokens[1:]
	return token
}

func (p *falcoParser) expect(token string) {
	if got := p.next(); got != token {
		panic(fmt.Sprintf("wanted %q and not %q", token, got))
	}
}

func (p *falcoParser) or() filter {
	f := p.and()
	for p.peek() == "or" {
		p.next()
		a, b := f, p.and()
		f = func(e map[string]string) bool { return a(e) || b(e) }
	}
	return f
}

func (p *falcoParser) and() filter {
	f := p.not()
	for p.peek() == "and" {
		p.next()
		a, b := f, p.not()
		f = func(e map[string]string) bool { return a(e) && b(e) }
	}
	return f
}

func (p *falcoParser) not() filter {
	switch p.peek() {
	case "not":
		p.next()
		f := p.not()
		return func(e map[string]string) bool { return !f(e) }
	case "(":
		p.next()
		f := p.or()
		p.expect(")")
		return f
	default:
		return p.check()
	}
}

func (p *falcoParser) check() filter {
	name := p.next()
	if !strings.Contains(name, ".") {
		macro, known := p.macros[name]
		if !known {
			panic("no macro " + name)
		}
		p.used[name] = true
		return macro
	}
	if !knownField(name) {
		panic("no field " + name)
	}
	p.asks = p.asks || name == "evt.type"
	switch operator := p.next(); operator {
	case "exists":
		return func(e map[string]string) bool { _, there := e[name]; return there }
	case "in":
		return p.in(name)
	case "=", "!=", ">=", "<=", ">", "<", "contains", "startswith", "endswith":
		return p.compare(name, operator)
	default:
		panic("no operator " + operator)
	}
}

// word is a value, without its quotes.
func (p *falcoParser) word() string {
	token := p.next()
	if strings.ContainsAny(token[:1], `"'`) {
		return token[1 : len(token)-1]
	}
	if strings.ContainsAny(token, "(),=") {
		panic("no value: " + token)
	}
	return token
}

func (p *falcoParser) in(name string) filter {
	p.expect("(")
	var values []string
	for {
		word := p.word()
		if list, known := p.lists[word]; known {
			p.used[word] = true
			values = append(values, list...)
		} else {
			values = append(values, word)
		}
		if p.peek() == ")" {
			break
		}
		p.expect(",")
	}
	p.expect(")")
	if name == "evt.type" {
		for _, value := range values {
			if !slices.Contains(falcoEvents, value) {
				panic("no event " + value)
			}
		}
	}
	return func(e map[string]string) bool {
		return slices.ContainsFunc(values, func(value string) bool { return holds(name, "=", e, value) })
	}
}

func (p *falcoParser) compare(name, operator string) filter {
	word := p.word()
	if word == "val" && p.peek() == "(" {
		p.next()
		other := p.next()
		if !knownField(other) {
			panic("no field " + other)
		}
		p.expect(")")
		return func(e map[string]string) bool {
			value, there := e[other]
			return there && holds(name, operator, e, value)
		}
	}
	if name == "evt.type" && !slices.Contains(falcoEvents, word) {
		panic("no event " + word)
	}
	return func(e map[string]string) bool { return holds(name, operator, e, word) }
}

// holds compares a field with a value. A field that the event lacks compares with nothing, not even by "!=".
func holds(name, operator string, event map[string]string, value string) bool {
	is, there := event[name]
	if !there {
		return false
	}
	switch operator {
	case "=", "!=":
		same := is == value
		if name == "fd.rnet" {
			same = within(is, value)
		}
		return same == (operator == "=")
	case "contains":
		return strings.Contains(is, value)
	case "startswith":
		return strings.HasPrefix(is, value)
	case "endswith":
		return strings.HasSuffix(is, value)
	}
	a, errA := strconv.ParseInt(is, 0, 64)
	b, errB := strconv.ParseInt(value, 0, 64)
	if errA != nil || errB != nil {
		panic(fmt.Sprintf("%s %s %s: not numbers: %q", name, operator, value, is))
	}
	return map[string]bool{">=": a >= b, "<=": a <= b, ">": a > b, "<": a < b}[operator]
}

func within(address, network string) bool {
	a, err := netip.ParseAddr(address)
	n, errNetwork := netip.ParsePrefix(network)
	return err == nil && errNetwork == nil && n.Contains(a)
}
