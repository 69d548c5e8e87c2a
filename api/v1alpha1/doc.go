// Package v1alpha1 holds the kinds that a user writes and reads: what is
// wanted (SecurityProfile, TrafficRule, ExternalAccess, Exemption) and what is
// so (NamespacePosture, MTLSReport). Defaults, bounds and rules stand beside
// each field as markers; deploy/crds is generated from them.
//
// +kubebuilder:object:generate=true
// +groupName=palisade.floe.dev
package v1alpha1
