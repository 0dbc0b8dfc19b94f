package contracttest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

const orders = `
openapi: 3.0.3
info: {title: Orders, version: 1.0.0}
paths:
  /orders/{kind}:
    post:
      operationId: order
      security: []
      parameters:
        - {name: kind, in: path, required: true, x-label: Kind, schema: {type: string, minLength: 3, maxLength: 3, pattern: '^[a-z]*$'}, example: abc}
        - {name: page, in: query, required: true, x-label: Page, schema: {type: string, maxLength: 2, pattern: '^[0-9]+$'}, example: '1'}
        - {name: X-Trace, in: header, required: true, x-label: Trace, schema: {type: string, minLength: 1, maxLength: 4, pattern: '^[a-z]*$'}, example: abcd}
        - {name: X-Note, in: header, schema: {type: string, maxLength: 4}}
      requestBody:
        content:
          application/json:
            schema:
              type: object
              required: [inner]
              properties:
                inner:
                  type: object
                  x-label: Inner
                  required: [code]
                  properties:
                    code: {type: string, minLength: 2, maxLength: 3, enum: [AB, CD], x-label: Code}
                    blank: {type: string, minLength: 1, x-empty-is-absent: true}
                    more: {type: string, maxLength: 2}
            examples:
              ordered: {value: {inner: {code: AB}}}
      responses:
        '204': {description: done, x-examples: {ordered: {summary: done}}}
        '400': {description: refused, content: {application/json: {schema: {type: object}}}}
`

// clerk answers with the first field that is wrong, in the order of the document; blind, it lets the header pass where the
// code is wrong too.
type clerk struct{ blind bool }

func (s clerk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Inner *struct {
			Code        any
			Blank, More any
		}
	}
	decoded := json.NewDecoder(r.Body).Decode(&body) == nil && body.Inner != nil
	text := func(v any) bool { _, ok := v.(string); return v == nil || ok }
	code := decoded && (body.Inner.Code == "AB" || body.Inner.Code == "CD")
	trace := r.Header.Get("X-Trace")
	more := ""
	if decoded {
		more, _ = body.Inner.More.(string)
	}
	for _, check := range []struct {
		field string
		good  bool
	}{
		{"kind", len(r.URL.Path) == len("/orders/abc") && strings.ToLower(r.URL.Path) == r.URL.Path && !strings.ContainsAny(r.URL.Path[8:], "!123")},
		{"page", r.URL.Query().Get("page") == "1"},
		{"X-Trace", trace == "abcd" || s.blind && !code},
		{"X-Note", len(r.Header.Get("X-Note")) <= 4},
		{"inner", decoded},
		{"code", code},
		{"blank", decoded && text(body.Inner.Blank)},
		{"more", decoded && text(body.Inner.More) && len(more) <= 2},
	} {
		if !check.good {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprintf(w, `{"at":%q}`, check.field)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

func faulty(tb testing.TB, url string) *Faulty {
	tb.Helper()
	loader := openapi3.NewLoader()
	loader.IncludeOrigin = true // the order of the fields
	doc, err := loader.LoadFromData([]byte(orders))
	require.NoError(tb, err)
	return NewFaulty(tb, doc, Env{Client: New(tb, url, doc), Reset: func(testing.TB) {}}, Step{Operation: "order", Example: "ordered"}, nil)
}

func TestFaultsAreAllThatTheSchemasKnow(t *testing.T) {
	var all []string
	for _, f := range faulty(t, "http://nowhere").Faults() {
		all = append(all, f.String())
	}
	require.ElementsMatch(t, []string{
		"path kind too short", "path kind too long", "path kind against the pattern",
		"query page absent", "query page empty", "query page too long", "query page against the pattern",
		"header X-Trace absent", "header X-Trace empty", "header X-Trace too long", "header X-Trace against the pattern",
		"header X-Note too long",
		"body /inner absent", "body /inner null", "body /inner of another type",
		"body /inner/code absent", "body /inner/code null", "body /inner/code empty", "body /inner/code too short", "body /inner/code too long",
		"body /inner/code of another type", "body /inner/code another value",
		"body /inner/blank of another type",
		"body /inner/more of another type", "body /inner/more too long",
	}, all)
}

// first is the answer to the fault whose field comes first.
func first(a, b Told) string {
	if a.Place <= b.Place {
		return a.Answer
	}
	return b.Answer
}

func says(r *Reply) string { return string(r.Body) }

func TestEachTwoFaultsAreSentTogether(t *testing.T) {
	f := faulty(t, serve(t, clerk{}))
	f.Pairs(t, f.Faults(), says, first)
}

func TestTheShortFormSendsSomeOfManyPairs(t *testing.T) {
	for pairs, want := range map[int]int{0: 1, 1: 1, 799: 1, 800: 3, 5089: 13} {
		require.Equal(t, want, stride(pairs, false), "%d pairs", pairs)
		require.Equal(t, 1, stride(pairs, true), "%d pairs", pairs)
	}
}

func TestAFaultOfTheCallersOwnIsOneOfItsField(t *testing.T) {
	f := faulty(t, serve(t, clerk{}))
	own := f.Fault(t, "/inner/code", Enum, "XX")
	require.Equal(t, "Code", own.Label)
	require.Equal(t, `{"at":"code"}`, says(f.send(t, own)))
	require.Equal(t, `{"at":"page"}`, says(f.send(t, own, f.Fault(t, "page", Enum, "9"))))
	require.Equal(t, []string{"no field /inner/else"}, failures(t, func(r *recorder) { f.Fault(r, "/inner/else", Enum, "") }))
	require.Equal(t, []string{"no example order/else"}, failures(t, func(r *recorder) {
		NewFaulty(r, parse(t, orders), f.env, Step{Operation: "order", Example: "else"}, nil)
	}))
}

func TestAnAnswerInAnotherOrderIsFound(t *testing.T) {
	f := faulty(t, serve(t, clerk{blind: true}))
	trace, code := f.Fault(t, "X-Trace", Pattern, "ABCD"), f.Fault(t, "/inner/code", Enum, "XX")
	require.Equal(t, []string{`header X-Trace against the pattern and body /inner/code another value: answered with {"at":"code"}, want {"at":"X-Trace"}`},
		failures(t, func(r *recorder) { f.Pairs(r, []Fault{trace, code}, says, first) }))
	good := f.Fault(t, "/inner/code", Enum, "CD")
	require.Equal(t, []string{"body /inner/code another value: answered with 204: "}, failures(t, func(r *recorder) { f.Pairs(r, []Fault{good}, says, first) }))
}
