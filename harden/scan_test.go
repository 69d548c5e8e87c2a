package harden

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// rebuilt reads a whole value by the scanner alone.
func rebuilt(s *scanner) any {
	switch s.peek() {
	case '{':
		m := map[string]any{}
		s.object(func(name string) { m[name] = rebuilt(s) })
		return m
	case '[':
		list := []any{}
		s.array(func(int) { list = append(list, rebuilt(s)) })
		return list
	case '"':
		return s.str()
	}
	v, err := decoded(s.raw())
	if err != nil {
		s.fail()
	}
	return v
}

// decoded reads JSON with numbers as they are written: 1e999 is JSON, and no float64.
func decoded(text string) (v any, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	return v, d.Decode(&v)
}

// What is JSON is read as encoding/json reads it, and whatever else ends.
func FuzzScan(f *testing.F) {
	for _, text := range []string{
		`{"a":[1,-2.5e3,true,false,null,"x\"\\\u00e9 "],"b":{},"c":[]} `, `{"a":1,"a":2}`, `[[[[]]]]`, `"\ud83d\ude00"`, `{`, `[1,]`, `{"a"}`, `{"a":}`, "", `nul`, `{"metadata":{"labels":null},"spec":5}`, "{\"\xff\":1}", `1000E0500`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := &scanner{text: text}
		got := rebuilt(s)
		if json.Valid([]byte(text)) {
			want, err := decoded(text)
			require.NoError(t, err)
			require.False(t, s.bad, "%q", text)
			require.Equal(t, byte(0), s.peek())
			if utf8.ValidString(text) { // encoding/json puts U+FFFD in the place of all else
				require.Equal(t, want, got)
			}
		}
		skipped := &scanner{text: text}
		skipped.skip()
		if json.Valid([]byte(text)) {
			require.False(t, skipped.bad)
			require.Equal(t, byte(0), skipped.peek())
		}
		if pod, err := Read(text); err == nil {
			whole := &Policy{security: &securityDefaults{user: "1", seccomp: "{}", writable: []string{"/tmp"}, readOnlyRoot: true}, workload: &workloadDefaults{noToken: true, moving: true, secrets: true}}
			require.True(t, json.Valid(Patch(nil, whole.Apply(pod, Options{Record: true}).Changes)), "%q", text)
		}
	})
}

func TestWhatIsNoPodIsRefused(t *testing.T) {
	for _, text := range []string{"", "{", `{"spec":{"containers":[{]}}`, `{}{}`, `{"spec":{"containers":[`} {
		_, err := Read(text)
		assert.ErrorIs(t, err, ErrNotJSON, text)
	}
}

// Whatever is asked, the answer is JSON, and names the request.
func FuzzReview(f *testing.F) {
	f.Add(`{"request":{"uid":"u","operation":"CREATE","namespace":"shop","kind":{"kind":"Pod"},"object":{"metadata":{"annotations":{"palisade.floe.dev/hardened":"x\"y"}},"spec":{"containers":[{"name":"a\\b","securityContext":{"privileged":true}}]}}}}`)
	f.Add(`{"request":{"uid":"\u00e9","object":null,"oldObject":{"spec":{}}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ReadReview(text)
		if err != nil {
			return
		}
		var result Result
		if r.Creates() {
			result = (&Policy{Profile: "p", security: &securityDefaults{nonRoot: true, user: "1", seccomp: "{}"}}).Apply(r.Pod, Options{Record: true})
		}
		var answer struct {
			Response struct {
				UID     string
				Allowed bool
				Patch   []byte
			}
		}
		require.NoError(t, json.Unmarshal(AppendAnswer(nil, &r, result), &answer))
		require.True(t, answer.Response.Allowed)
		require.True(t, len(answer.Response.Patch) == 0 || json.Valid(answer.Response.Patch))
		if utf8.ValidString(r.UID) {
			require.Equal(t, r.UID, answer.Response.UID)
		}
	})
}
