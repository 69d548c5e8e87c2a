package admission

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/engine"
)

// validator answers for objects of palisade's own kinds. It writes nothing, so a dry run is like any other request.
type validator struct {
	forecaster *forecaster
}

var _ admission.Handler = (*validator)(nil)

// kinds makes an empty object of each kind that is judged.
var kinds = map[string]func() own{
	"SecurityProfile": func() own { return &profile{} },
	"TrafficRule":     func() own { return &rule{} },
	"ExternalAccess":  func() own { return &access{} },
	"Exemption":       func() own { return &exemption{} },
}

// own is an object of palisade's own kinds.
type own interface {
	meta() *metav1.ObjectMeta
	// spec is a pointer to the spec, object to the object of the API.
	spec() any
	object() any
}

type (
	profile   struct{ v1alpha1.SecurityProfile }
	rule      struct{ v1alpha1.TrafficRule }
	access    struct{ v1alpha1.ExternalAccess }
	exemption struct{ v1alpha1.Exemption }
)

func (o *profile) meta() *metav1.ObjectMeta   { return &o.ObjectMeta }
func (o *rule) meta() *metav1.ObjectMeta      { return &o.ObjectMeta }
func (o *access) meta() *metav1.ObjectMeta    { return &o.ObjectMeta }
func (o *exemption) meta() *metav1.ObjectMeta { return &o.ObjectMeta }
func (o *profile) spec() any                  { return &o.Spec }
func (o *rule) spec() any                     { return &o.Spec }
func (o *access) spec() any                   { return &o.Spec }
func (o *exemption) spec() any                { return &o.Spec }
func (o *profile) object() any                { return &o.SecurityProfile }
func (o *rule) object() any                   { return &o.TrafficRule }
func (o *access) object() any                 { return &o.ExternalAccess }
func (o *exemption) object() any              { return &o.Exemption }

// Handle judges one request. It never fails: what cannot be judged is let through, and said.
func (v *validator) Handle(ctx context.Context, request admission.Request) admission.Response {
	if request.SubResource != "" {
		return admission.Allowed("") // a status or a scale changes nothing of what is wanted
	}
	if request.Kind.Group != v1alpha1.GroupVersion.Group || kinds[request.Kind.Kind] == nil || request.Kind.Version != v1alpha1.GroupVersion.Version {
		return unjudged(fmt.Sprintf("palisade does not judge %s of %s/%s: nothing was checked", request.Kind.Kind, request.Kind.Group, request.Kind.Version))
	}
	was, is, err := objectsOf(&request)
	switch {
	case err != nil:
		return unjudged(fmt.Sprintf("palisade cannot read the object, so nothing was checked: %v", err))
	case is != nil && was != nil && (is.meta().DeletionTimestamp != nil || apiequality.Semantic.DeepEqual(was.spec(), is.spec())):
		return admission.Allowed("") // finalizers, labels and annotations
	case was == nil && is == nil:
		return admission.Allowed("")
	}
	proposal := engine.Proposal{}
	if was != nil {
		proposal.Old = was.object()
	}
	if is != nil {
		proposal.New = is.object()
		if faults := newFaults(was, is); len(faults) > 0 {
			return refused(&request, is, faults)
		}
	}
	return admission.Allowed("").WithWarnings(v.forecaster.warn(ctx, proposal)...)
}

func unjudged(why string) admission.Response {
	return admission.Allowed("").WithWarnings(cut(why, ""))
}

// objectsOf reads the object as it is stored and as it is wanted; either may be nil.
func objectsOf(request *admission.Request) (was, is own, err error) {
	if request.Operation == admissionv1.Update || request.Operation == admissionv1.Delete {
		if was, err = objectOf(request, request.OldObject.Raw); err != nil {
			return nil, nil, err
		}
	}
	if request.Operation == admissionv1.Create || request.Operation == admissionv1.Update {
		if is, err = objectOf(request, request.Object.Raw); err != nil {
			return nil, nil, err
		}
	}
	return was, is, nil
}

func objectOf(request *admission.Request, raw []byte) (own, error) {
	if len(raw) == 0 {
		return nil, fmt.Errorf("the request holds none")
	}
	o := kinds[request.Kind.Kind]()
	if err := json.Unmarshal(raw, o.object()); err != nil {
		return nil, err
	}
	meta := o.meta()
	if request.Kind.Kind != "SecurityProfile" && meta.Namespace == "" {
		meta.Namespace = request.Namespace
	}
	if meta.Name == "" {
		meta.Name = request.Name
	}
	if meta.Name == "" {
		meta.Name = meta.GenerateName
	}
	return o, nil
}

// newFaults are those of an object that what is stored does not have: whoever mends
// something else is not kept from it.
func newFaults(was, is own) []fault {
	faults := neverRight(is.object())
	if was == nil || len(faults) == 0 {
		return faults
	}
	old := neverRight(was.object())
	return slices.DeleteFunc(faults, func(f fault) bool { return slices.Contains(old, f) })
}

// refused names each field at fault and what to do.
func refused(request *admission.Request, is own, faults []fault) admission.Response {
	var texts []string
	details := &metav1.StatusDetails{Group: request.Kind.Group, Kind: request.Kind.Kind, Name: is.meta().Name}
	for _, f := range faults {
		texts = append(texts, f.String())
		details.Causes = append(details.Causes, metav1.StatusCause{Type: metav1.CauseTypeFieldValueInvalid, Field: f.Field, Message: f.Message + "; " + f.Fix})
	}
	name := is.meta().Name
	if is.meta().Namespace != "" {
		name = is.meta().Namespace + "/" + name
	}
	response := admission.Response{}
	response.Result = &metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid, Details: details,
		Message: fmt.Sprintf("%s %s: %s", request.Kind.Kind, name, strings.Join(texts, "; ")),
	}
	return response
}
