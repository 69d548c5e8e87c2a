// Package budget compiles PodDisruptionBudgets: how many pods of a workload an
// eviction (a drain, a node upgrade, the cluster autoscaler) may take at once.
//
// A budget can do harm. One that allows nothing blocks the drain of its nodes for
// ever (kubernetes#66811), and two for one pod make every eviction of it fail
// (kubernetes#75957). So a budget is written only for a workload that has a replica
// to spare, only where it is for the pods of that workload and no other, and never
// beside one of somebody else's.
package budget
