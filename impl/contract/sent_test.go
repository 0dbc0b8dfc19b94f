package contract_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
)

func TestOptionalMembersThatAreNullAreNotSent(t *testing.T) {
	d := load(t)
	for _, c := range []struct {
		name, schema, body string
		want               any
	}{
		{"optional", "SetPin", `{"pin":"1234","description":null,"updatedBy":null}`, map[string]any{"pin": "1234"}},
		{"required", "SetPin", `{"pin":null,"description":"a"}`, map[string]any{"pin": nil, "description": "a"}},
		{"nullable", "EveryType", `{"maybe":null,"flag":true}`, map[string]any{"flag": true}},
		{"inside an object", "EveryType", `{"must":{"choice":null,"other":null}}`, map[string]any{"must": map[string]any{"choice": nil, "other": nil}}},
		{"inside an array", "Tree", `{"name":"a","children":[{"name":"b","children":null},{"name":null}]}`,
			map[string]any{"name": "a", "children": []any{map[string]any{"name": "b"}, map[string]any{"name": nil}}}},
		{"an item", "EveryType", `{"list":["12",null]}`, map[string]any{"list": []any{"12", nil}}},
		{"in a map", "EveryType", `{"map":{"a":"x","b":null}}`, map[string]any{"map": map[string]any{"a": "x"}}},
		{"unknown", "EveryType", `{"flag":true,"unknown":null}`, map[string]any{"flag": true, "unknown": nil}},
		{"empty where the document says so", "EveryType", `{"blank":"","flag":true}`, map[string]any{"flag": true}},
		{"empty where it does not", "EveryType", `{"choice":""}`, map[string]any{"choice": ""}},
		{"of another type than described", "EveryType", `{"list":{"a":null},"must":[null],"map":"x"}`,
			map[string]any{"list": map[string]any{"a": nil}, "must": []any{nil}, "map": "x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			value, _ := d.CheckMessage(c.schema, []byte(c.body))
			require.Equal(t, c.want, value)
		})
	}
}

func TestTheHandlerDoesNotSeeWhatIsNotSentButItCanBeEchoed(t *testing.T) {
	r := post(jsonType, `{"pin":"1234","description":null}`)
	require.Nil(t, operation(t, load(t), "setPin").Check(r, token))
	require.Equal(t, map[string]any{"pin": "1234"}, r.Body.(interface{ ValidatedValue() any }).ValidatedValue())
	_, value := contract.Sent(r)
	require.Equal(t, map[string]any{"pin": "1234", "description": nil}, value)
}

func TestOptionalHeadersThatAreEmptyAreNotSent(t *testing.T) {
	op := operation(t, load(t), "setPin")
	for _, c := range []struct {
		name       string
		sent, left []string
		want       []string
	}{
		{"empty", []string{""}, nil, []string{}},
		{"empty, twice", []string{"", ""}, nil, []string{}},
		{"one of two", []string{"", "0f-1"}, []string{"", "0f-1"}, []string{"header X-Request-Id: repeated"}},
		{"there", []string{"0f-1"}, []string{"0f-1"}, []string{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := post(jsonType, `{"pin":"1234"}`)
			r.Header["X-Request-Id"] = c.sent
			require.Equal(t, c.want, lines(op.Check(r, token)))
			require.Equal(t, c.left, r.Header["X-Request-Id"])
		})
	}
}

func TestAnOptionalBodyThatIsNullIsNotSent(t *testing.T) {
	d := load(t)
	for body, want := range map[string][]string{"null": {}, " null\r\n": {}, "nil": {"body: json"}, "[]": {"body: type object"}} {
		r := post(jsonType, body)
		require.Equal(t, want, lines(operation(t, d, "unblock").Check(r, token)), body)
		if len(want) == 0 {
			require.Equal(t, http.NoBody, r.Body, body)
		}
	}
	require.Equal(t, []string{"body: null"}, lines(operation(t, d, "setPin").Check(post(jsonType, "null"), token)), "one that is required")
}

func TestABodyThatIsNotDescribedIsNotRead(t *testing.T) {
	op := operation(t, load(t), "getPin")
	for _, r := range []*http.Request{post(jsonType, `{}`), post("", "null"), post("text/plain", `""`)} {
		r.Header.Set("Content-Encoding", "gzip")
		r.Body = io.NopCloser(iotest.ErrReader(errors.New("it was read")))
		require.Nil(t, op.Check(r, token))
		left, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.Empty(t, left, "nor can a handler")
		require.NoError(t, r.ParseForm())
		require.Empty(t, r.Form)
	}
}

func TestAQueryThatIsNotDescribedIsNotLookedAt(t *testing.T) {
	for _, query := range []string{"a;b", "a=%zz", "a=%00", "a=%ff", "publicToken=1", "&&=&"} {
		r := httptest.NewRequest(http.MethodGet, "/?"+query, nil)
		require.Nil(t, operation(t, load(t), "getPin").Check(r, token), query)
	}
}
