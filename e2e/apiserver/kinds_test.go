package apiserver

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// samples are the objects of palisade's own kinds that its own tests read offline.
var samples = filepath.Join(root, "api/v1alpha1/testdata")

// TestServerAdmitsValidSamplesWithTheSameDefaults holds the defaults that
// palisade fills in offline against those of the server.
func TestServerAdmitsValidSamplesWithTheSameDefaults(t *testing.T) {
	s := newServer(t)
	for _, file := range sampleFiles(t, "valid") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			there, err := s.create(t, sample(t, file))
			require.NoError(t, err)
			assert.Empty(t, s.warnings.take())
			offline := filepath.Join(samples, "defaulted", filepath.Base(file))
			if _, err := os.Stat(offline); err != nil {
				return // status only, and without defaults
			}
			assert.Equal(t, readable(sample(t, offline).Object["spec"]), readable(there.Object["spec"]))
		})
	}
}

// TestServerRefusesInvalidSamplesForTheSameReasons holds the fields and the
// reasons that palisade tells offline against those that the server tells.
func TestServerRefusesInvalidSamplesForTheSameReasons(t *testing.T) {
	s := newServer(t)
	for _, file := range sampleFiles(t, "invalid") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			offline := offlineFaults(t, file)
			require.NotEmpty(t, offline)
			_, err := s.create(t, sample(t, file))
			told := told(offline)
			if len(told) == 0 {
				assert.NoError(t, err, "the server refuses this as well; onlyOffline says that it cannot")
				return
			}
			require.Error(t, err, "the server takes it; offline it is refused: %v", offline)
			assertSameFaults(t, serverFaults(t, err), told)
		})
	}
}

// readable is a tree in which durations are written as Go writes them: 10m as 10m0s.
func readable(tree any) any {
	switch tree := tree.(type) {
	case map[string]any:
		for field, value := range tree {
			tree[field] = readable(value)
		}
	case string:
		if d, err := time.ParseDuration(tree); err == nil {
			return d.String()
		}
	}
	return tree
}

func sampleFiles(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(samples, folder, "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

func sample(t *testing.T, file string) *object {
	t.Helper()
	objects := read(t, []string{file})
	require.Len(t, objects, 1)
	return objects[0]
}

// create creates an object without keeping it. What it says of its status is
// put there as a controller would, on an object that is kept for the length of the call.
func (s *server) create(t *testing.T, o *object) (*object, error) {
	t.Helper()
	if o.GetNamespace() != "" && !slices.ContainsFunc(s.written, func(w *object) bool { return w.GetName() == o.GetNamespace() }) {
		_, err := s.apply(t, "kubectl", namespace(o.GetNamespace()), false)
		require.NoError(t, err)
	}
	resource := s.resource(t, o)
	options := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict}
	if o.Object["status"] == nil {
		return resource.Create(t.Context(), o, options)
	}
	options.DryRun = nil
	bare := o.DeepCopy()
	unstructured.RemoveNestedField(bare.Object, "status")
	there, err := resource.Create(t.Context(), bare, options)
	if err != nil {
		return nil, err
	}
	defer func() { assert.NoError(t, resource.Delete(t.Context(), o.GetName(), metav1.DeleteOptions{})) }()
	full := o.DeepCopy()
	full.SetResourceVersion(there.GetResourceVersion())
	return resource.UpdateStatus(t.Context(), full, metav1.UpdateOptions{FieldValidation: metav1.FieldValidationStrict})
}

// offlineLine is a fault of the input as palisade prints it: palisade: FILE:LINE (OBJECT): FAULT.
var offlineLine = regexp.MustCompile(`(?m)^palisade: .*?\(document \d+, [^)]*\): (.*)$`)

// fault is something wrong with a field. The field is empty for the object as a whole.
type fault struct{ field, reason string }

// offlineFaults are what palisade finds wrong with a file.
func offlineFaults(t *testing.T, file string) []fault {
	t.Helper()
	r := palisadeAtAll(t, "plan", "-f", file)
	require.Equal(t, 2, r.code, "palisade takes it\n%s", r.out)
	require.NotContains(t, r.notes, "palisade: and ", "faults are left out")
	var faults []fault
	for _, line := range offlineLine.FindAllStringSubmatch(r.notes, -1) {
		field, reason, ok := strings.Cut(line[1], ": ")
		if !ok || strings.Contains(field, " ") {
			field, reason = "", line[1]
		}
		faults = append(faults, fault{field, reason})
	}
	return faults
}

// selectors are the fields of label selectors, to whose rules no schema holds an object.
var selectors = regexp.MustCompile(`\.(matchLabels|matchExpressions\[\d+\]\.(key|operator|values)(\[\d+\])?)$`)

// onlyOffline tells of the faults that palisade finds and a server lets pass.
func onlyOffline(f fault) bool {
	switch {
	case f.field == "metadata.namespace" && strings.HasPrefix(f.reason, "not allowed"):
		return true // a server forgets the namespace of what has none
	case strings.Contains(f.reason, "json: cannot unmarshal array into Go value of type string"):
		return true // a server takes an empty list for a string that has a format
	default:
		// The schema of a label selector says nothing of operators and of how keys and values are spelled.
		return selectors.MatchString(f.field) && !strings.Contains(f.reason, "must be of type") && f.reason != "must be set"
	}
}

// told are the faults that a server tells as well.
func told(offline []fault) []fault {
	return slices.DeleteFunc(slices.Clone(offline), onlyOffline)
}

// assertSameFaults demands the same fields, and the server's reasons in what palisade says of them.
func assertSameFaults(t *testing.T, server, offline []fault, about ...any) {
	t.Helper()
	assert.ElementsMatch(t, fields(server), fields(offline), about...)
	for _, s := range server {
		told := slices.ContainsFunc(offline, func(o fault) bool { return o.field == s.field && strings.Contains(o.reason, s.reason) })
		assert.True(t, told, "%v: the server says %q of %s; palisade says %q", about, s.reason, s.field, offline)
	}
}

func fields(faults []fault) []string {
	var names []string
	for _, f := range faults {
		if !slices.Contains(names, f.field) {
			names = append(names, f.field)
		}
	}
	return names
}

// unknownField is how the server names fields that the schema does not have.
var unknownField = regexp.MustCompile(`unknown field "([^"]*)"`)

// serverFaults are what the server found wrong.
func serverFaults(t *testing.T, err error) []fault {
	t.Helper()
	var status apierrors.APIStatus
	require.True(t, errors.As(err, &status), err)
	var faults, vague []fault
	for _, match := range unknownField.FindAllStringSubmatch(status.Status().Message, -1) {
		faults = append(faults, fault{match[1], "unknown field"})
	}
	if details := status.Status().Details; details != nil {
		for _, cause := range details.Causes {
			if f := (fault{cause.Field, reason(cause.Message)}); cause.Field == "" || cause.Field == "<nil>" {
				vague = append(vague, fault{"", f.reason})
			} else {
				faults = append(faults, f)
			}
		}
	}
	switch {
	case len(faults) > 0:
		return faults // what is vague only repeats what was said of a field
	case len(vague) > 0:
		return vague
	default:
		return []fault{{"", status.Status().Message}}
	}
}

// What the server wraps around a reason: the kind of fault (field.Error of
// k8s.io/apimachinery), the value, the path once more; and the type found instead of the one wanted.
var (
	kindOfFault = regexp.MustCompile(`^(Invalid value|Required value|Unsupported value|Duplicate value|Forbidden|Too long|Too many)(: |$)`)
	valued      = regexp.MustCompile(`^(Invalid value|Unsupported value|Too many): (?s:"(?:[^"\\]|\\.)*"|[^:"]*|\{.*?\}|\[.*?\]): `)
	inBody      = regexp.MustCompile(`^\S* ?in body `)
	foundType   = regexp.MustCompile(`^(must be of type [^:]*): .*$`)
)

// reason is the core of a server's message.
func reason(message string) string {
	switch kind, rest, _ := strings.Cut(message, ": "); {
	case kind == "Required value" && rest == "":
		return "must be set"
	case kind == "Duplicate value":
		return "is there twice"
	}
	message = valued.ReplaceAllString(message, "")
	message = kindOfFault.ReplaceAllString(message, "")
	message = strings.TrimPrefix(inBody.ReplaceAllString(message, ""), "supported values: ")
	return foundType.ReplaceAllString(message, "$1")
}
