// Package verify says what the wire must show where an intent holds, and judges
// what was seen there. It is pure: handshakes are package verify/probe's.
//
//	Model ─▶ Expect ─▶ []Expectation ─▶ (verify/probe) ─▶ []Observed ─▶ Judge ─▶ Report
//	                                                                      ▲         │
//	                                      Ledger (certificates, run after run) ◀────┘
//
// Expectations come from the Model and not from the objects that were made of
// it: a fault of a compiler then shows as a handshake that does not fit.
//
// Three rules stand over everything here. What was not seen is not known: silence
// is inconclusive, and never a pass. A refusal counts only beside a proof that
// the port is alive: that the workload's own certificate was shown, and that a client
// which must be let in was. And what no handshake can show (UDP, pods outside the
// mesh, authorization that only a request reveals) is said to be so.
package verify
