package model

import (
	"cmp"
	"strings"
)

// Ref names one API object.
type Ref struct {
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
}

// Group is the API group of the reference, empty for the core group.
func (r Ref) Group() string {
	group, _, found := strings.Cut(r.APIVersion, "/")
	if !found {
		return ""
	}
	return group
}

// String is how a person reads it: "TrafficRule shop/cart".
func (r Ref) String() string {
	switch {
	case r.Kind == "" && r.Name == "":
		return ""
	case r.Namespace == "":
		return r.Kind + " " + r.Name
	default:
		return r.Kind + " " + r.Namespace + "/" + r.Name
	}
}

// Home is the namespace that an object stands for, or is in; empty for other cluster-wide objects.
func (r Ref) Home() string {
	if r.Kind == "Namespace" && r.Group() == "" {
		return r.Name
	}
	return r.Namespace
}

// CompareRefs orders references by namespace, then group, kind and name.
func CompareRefs(a, b Ref) int {
	return cmp.Or(
		cmp.Compare(a.Namespace, b.Namespace),
		cmp.Compare(a.Group(), b.Group()),
		cmp.Compare(a.Kind, b.Kind),
		cmp.Compare(a.Name, b.Name),
	)
}

// Source tells where an object was read.
type Source struct {
	// File is the path as the user gave it, "-" for standard input.
	File string `json:"file"`
	// Document counts the documents of that file, from 1.
	Document int `json:"document,omitempty"`
	// Line is where the document begins, from 1.
	Line int `json:"line,omitempty"`
}
