package audit

import "floe.dev/palisade/model"

// budgetOfOthers is reported by package budget, compile.go.
func budgetOfOthers() Kind {
	return Kind{
		Code: "BudgetOfOthers", Severities: []model.Severity{model.Info},
		Says: "a workload has a PodDisruptionBudget of somebody else's, so palisade writes none",
		Why:  "A pod with two budgets cannot be evicted at all, so the one that is there decides alone what a drain may take.",
		Fix:  "Nothing, if that budget is meant; else delete it, and palisade writes its own.",
	}
}
