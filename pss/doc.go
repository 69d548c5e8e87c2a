// Package pss compiles Pod Security: the labels that make the admission plugin
// of Kubernetes hold a namespace to a level, and the level that each workload
// really has.
//
// Every judgement is made by k8s.io/pod-security-admission/policy, the code
// that the API server itself runs; nothing of it is written again here. What
// this package adds is what that code cannot know: the containers that a mesh
// will inject, the fields that a refusal comes from, and the labels that are
// already there.
package pss
