package verify

import (
	"encoding/json"
	"fmt"
	"slices"
)

// ParseReport reads a saved report. Fields that it does not know are left out.
func ParseReport(data []byte) (*Report, error) {
	var r Report
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, err
	}
	if r.APIVersion != APIVersion || r.Kind != ReportKind {
		return nil, fmt.Errorf("it is no report of palisade verify: apiVersion and kind are %q and %q, and not %q and %q", bounded(r.APIVersion, mostShown), bounded(r.Kind, mostShown), APIVersion, ReportKind)
	}
	for i := range r.Results {
		if v := r.Results[i].Verdict; !slices.Contains(Verdicts(), v) {
			return nil, fmt.Errorf("results[%d].verdict: %q is not known", i, bounded(string(v), mostShown))
		}
	}
	for i := range r.Ledger.Entries {
		if len(r.Ledger.Entries[i].Leaves) == 0 {
			return nil, fmt.Errorf("ledger.entries[%d]: there are no leaves", i)
		}
	}
	for i := range r.Authorities {
		if len(r.Authorities[i].Fingerprint) != fingerprintLength {
			return nil, fmt.Errorf("authorities[%d].fingerprint: %q is none", i, bounded(r.Authorities[i].Fingerprint, mostShown))
		}
	}
	return &r, nil
}

const (
	// fingerprintLength is that of a SHA-256 in hexadecimal.
	fingerprintLength = 64
	// mostShown is how much of a text that is wrong an error shows.
	mostShown = 80
)
