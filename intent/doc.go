// Package intent turns what was read (kinds and cluster objects, gathered in a
// Snapshot) into the Model that every compiler works on. It is pure: time is an
// argument, and whatever is unknown comes back as a Problem.
//
// The order is the one of Resolve: which profile governs which namespace, what
// the mesh makes of each workload, which exemptions count, which flows the
// rules, presets and profiles declare, and how those flows travel in the mesh.
package intent
