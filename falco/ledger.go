package falco

import (
	"cmp"
	"slices"
	"time"

	"floe.dev/palisade/model"
)

// The bounds of a ledger. What is beyond them is counted and not kept, so that
// nobody fills the memory by making up names.
const (
	// mostNamespaces is how many namespaces are kept, and mostRules how many rules of each.
	mostNamespaces, mostRules = 4096, 64
	// mostPods is how many pods are named under one rule: the last that were seen.
	mostPods = 5
)

// Standing is what is known of one rule in one namespace.
type Standing struct {
	Rule     string         `json:"rule"`
	Severity model.Severity `json:"severity"`
	// Requirements are those whose promise the rule watches over; none for rules of others.
	Requirements []string `json:"requirements,omitempty"`
	// Message says what it means; for rules of others what Falco wrote last.
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
	// Count is how many events there were from First to Last.
	Count int       `json:"count"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Pods are the last few, the last first.
	Pods []string `json:"pods,omitempty"`
}

// Ledger keeps the events of each namespace for a time. It is not safe for use by
// several at once. The zero Ledger keeps nothing: see NewLedger.
type Ledger struct {
	keep       time.Duration
	namespaces map[string]map[string]*Standing
	// Unkept counts events that found no room.
	Unkept int
}

// NewLedger keeps what was seen last no longer ago than keep.
func NewLedger(keep time.Duration) *Ledger {
	return &Ledger{keep: keep, namespaces: map[string]map[string]*Standing{}}
}

// Add takes in an event; it is lost where its namespace is not known, where it is
// older than the ledger keeps, and where there is no room. It tells whether it was kept.
func (l *Ledger) Add(e Event, now time.Time) bool {
	if e.Namespace == "" || now.Sub(e.Time) >= l.keep {
		return false
	}
	s := l.standing(e, now)
	if s == nil {
		l.Unkept++
		return false
	}
	s.Count++
	if e.Time.Before(s.First) {
		s.First = e.Time
	}
	if !e.Time.Before(s.Last) {
		s.Last = e.Time
		if len(s.Requirements) == 0 {
			s.Message = e.Output
		}
	}
	if severity := e.Priority.Severity(); severity.Rank() > s.Severity.Rank() {
		s.Severity = severity
	}
	if e.Pod != "" {
		s.Pods = slices.Insert(slices.DeleteFunc(s.Pods, func(pod string) bool { return pod == e.Pod }), 0, e.Pod)
		s.Pods = s.Pods[:min(len(s.Pods), mostPods)]
	}
	return true
}

// standing finds the entry of an event, or makes it where there is room.
func (l *Ledger) standing(e Event, now time.Time) *Standing {
	rules := l.namespaces[e.Namespace]
	if rules == nil {
		if len(l.namespaces) >= mostNamespaces {
			l.Forget(now)
		}
		if len(l.namespaces) >= mostNamespaces {
			return nil
		}
		rules = map[string]*Standing{}
		l.namespaces[e.Namespace] = rules
	}
	if s := rules[e.Rule]; s != nil {
		return s
	}
	promise, ours := PromiseOf(e.Rule)
	// Rules of others do not push out those of palisade.
	if !ours && len(rules) >= mostRules-len(Promises()) {
		return nil
	}
	s := &Standing{Rule: e.Rule, Severity: e.Priority.Severity(), Message: e.Output, First: e.Time, Last: e.Time}
	if ours {
		s.Requirements, s.Message, s.Fix = promise.Requirements, promise.Broken, promise.Fix
	}
	rules[e.Rule] = s
	return s
}

// Forget drops what was seen last before the time that the ledger keeps.
func (l *Ledger) Forget(now time.Time) {
	for namespace, rules := range l.namespaces {
		for rule, s := range rules {
			if now.Sub(s.Last) >= l.keep {
				delete(rules, rule)
			}
		}
		if len(rules) == 0 {
			delete(l.namespaces, namespace)
		}
	}
}

// Of is what stands for a namespace, the gravest first, then what was seen last.
// What has passed by now is left out.
func (l *Ledger) Of(namespace string, now time.Time) []Standing {
	var list []Standing
	for _, s := range l.namespaces[namespace] {
		if now.Sub(s.Last) < l.keep {
			one := *s
			one.Pods = slices.Clone(s.Pods)
			list = append(list, one)
		}
	}
	slices.SortFunc(list, func(a, b Standing) int {
		return cmp.Or(b.Severity.Rank()-a.Severity.Rank(), b.Last.Compare(a.Last), cmp.Compare(a.Rule, b.Rule))
	})
	return list
}

// Namespaces are those of which something stands, sorted.
func (l *Ledger) Namespaces(now time.Time) []string {
	var list []string
	for namespace, rules := range l.namespaces {
		for _, s := range rules {
			if now.Sub(s.Last) < l.keep {
				list = append(list, namespace)
				break
			}
		}
	}
	slices.Sort(list)
	return list
}
