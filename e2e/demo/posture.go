package main

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// condition is a condition of an object's status; nil where it has none.
func condition(o *object, kind string) map[string]any {
	if o == nil {
		return nil
	}
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["type"] == kind {
			return c
		}
	}
	return nil
}

// stagesOf are the stages of the layers of a posture.
func stagesOf(o *object) map[string]string {
	is := map[string]string{}
	list, _, _ := unstructured.NestedSlice(o.Object, "status", "rollout", "layers")
	for _, entry := range list {
		if entry, ok := entry.(map[string]any); ok {
			is[fmt.Sprint(entry["layer"])] = fmt.Sprint(entry["stage"])
		}
	}
	return is
}

// hold is what a layer of a namespace, or all of it, waits for.
type hold struct{ code, message string }

func holdsOf(o *object) []hold {
	var all []hold
	list, _, _ := unstructured.NestedSlice(o.Object, "status", "rollout", "holds")
	for _, entry := range list {
		if entry, ok := entry.(map[string]any); ok {
			all = append(all, hold{fmt.Sprint(entry["code"]), fmt.Sprint(entry["message"])})
		}
	}
	return all
}

// heldBy is the code of the only hold of a posture; empty where there are more, or none.
func heldBy(o *object) string {
	if list := holdsOf(o); len(list) == 1 {
		return list[0].code
	}
	return ""
}

// inForce is what a posture says when all that is demanded is in force; empty until then.
func inForce(o *object) string {
	if c := condition(o, "Ready"); c["status"] == "True" {
		return fmt.Sprint(c["message"])
	}
	return ""
}
