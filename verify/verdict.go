package verify

// Verdict is what a verification came to, of a check or of a port.
type Verdict string

// The verdicts.
const (
	// Pass: what was seen is what must be.
	Pass Verdict = "pass"
	// Fail: something was seen that must not be.
	Fail Verdict = "fail"
	// Inconclusive: something was not seen that must be, nor its contrary.
	Inconclusive Verdict = "inconclusive"
	// Unprotected: plaintext reaches the port, and the model knows it.
	Unprotected Verdict = "unprotected"
	// Open: the port is plaintext by design.
	Open Verdict = "plaintext"
	// Untested: no handshake can show anything of the port; of a check, it was made for the record.
	Untested Verdict = "untested"
)

// Verdicts are all of them, from the worst to the best.
func Verdicts() []Verdict {
	return []Verdict{Fail, Inconclusive, Unprotected, Open, Untested, Pass}
}

// Rank orders verdicts from the worst, which is 0.
func (v Verdict) Rank() int {
	for i, other := range Verdicts() {
		if v == other {
			return i
		}
	}
	return 0
}

// Describe is the verdict in a word for people.
func (v Verdict) Describe() string {
	switch v {
	case Pass:
		return "holds"
	case Fail:
		return "broken"
	case Inconclusive:
		return "not shown"
	case Unprotected:
		return "unprotected"
	case Open:
		return "plaintext by design"
	default:
		return "not covered"
	}
}
