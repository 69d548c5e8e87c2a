package audit

// isSystem tells of namespaces that hold the cluster's own pods, or those of the mesh.
func (e *Evidence) isSystem(namespace string) bool { return e.State.Cluster.IsSystem(namespace) }

// governed tells whether a profile governs a namespace: package intent, a mesh or
// Pod Security then report the same faults as what stands in the way of the profile.
func (e *Evidence) governed(namespace string) bool {
	n := e.Model.Namespace(namespace)
	return n != nil && n.Posture != nil
}
