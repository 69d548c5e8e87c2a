// Package audit finds faults in what is there now, with or without a profile:
// holes, policies that nothing enforces, slips of NetworkPolicies, budgets that
// block drains. It is pure.
//
// It also holds the catalogue of every finding that palisade reports, whichever
// package finds it: a file for each, named after its code, with what it says, why
// it matters and how to mend it. What takes more than one layer to see is found
// here, in the same file; what one layer sees alone is found in that layer's package.
package audit
