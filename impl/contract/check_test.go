package contract_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"

	bind "github.com/oapi-codegen/runtime"
	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
)

const (
	jsonType = "application/json"
	formType = "application/x-www-form-urlencoded"
)

var token = map[string]string{"publicToken": "103169946"}

func TestParametersAreHeldAgainstTheContract(t *testing.T) {
	for _, c := range []struct {
		name   string
		query  string
		header http.Header
		want   []string
	}{
		{"all that is required", "kind=pan", nil, nil},
		{"everything", "kind=urn&limit=100&tag=a&tag=b&code=a,b&since=2024-02-29T00:00:00Z&ratio=0.5", http.Header{"X-Trace": {"9"}}, nil},
		{"what is not described is ignored", "kind=pan&other=1&other=2", http.Header{"X-Other": {"1", "2"}}, nil},
		{"a required one is absent", "", nil, []string{"query kind: required"}},
		{"a required one is empty", "kind=", nil, []string{"query kind: enum pan, urn"}},
		{"outside an enum", "kind=alias", nil, []string{"query kind: enum pan, urn"}},
		{"a scalar twice", "kind=pan&kind=urn", nil, []string{"query kind: repeated"}},
		{"a scalar twice, once empty", "kind=&kind=pan", nil, []string{"query kind: repeated"}},
		{"no integer", "kind=pan&limit=ten", nil, []string{"query limit: type integer"}},
		{"an empty integer", "kind=pan&limit=", nil, []string{"query limit: type integer"}},
		{"an integer beyond 64 bits", "kind=pan&limit=99999999999999999999", nil, []string{"query limit: type integer"}},
		{"too small", "kind=pan&limit=0", nil, []string{"query limit: minimum 1"}},
		{"too great", "kind=pan&limit=101", nil, []string{"query limit: maximum 100"}},
		{"not a number, of all numbers", "kind=pan&ratio=NaN", nil, []string{"query ratio: type number"}},
		{"infinity", "kind=pan&ratio=Inf", nil, []string{"query ratio: type number"}},
		{"two bad items of an array are one", "kind=pan&tag=A&tag=B", nil, []string{"query tag: pattern ^[a-z]+$"}},
		{"too many items", "kind=pan&tag=a&tag=b&tag=c", nil, []string{"query tag: maxItems 2"}},
		{"an array that is sent in one parameter comes twice", "kind=pan&code=a&code=b", nil, []string{"query code: repeated"}},
		{"a time as partners' clients write it", "kind=pan&since=2024-02-29t12:00%2B0400", nil, nil},
		{"a time without an offset", "kind=pan&since=2024-02-29T12:00:00", nil, []string{"query since: format date-time"}},
		{"30 February", "kind=pan&since=2024-02-30T00:00:00Z", nil, []string{"query since: format date-time"}},
		{"a header twice", "kind=pan", http.Header{"X-Trace": {"1", "2"}}, []string{"header X-Trace: repeated"}},
		{"query before header, in the document's order", "limit=0&tag=A", http.Header{"X-Trace": {"0"}}, []string{
			"query kind: required", "query limit: minimum 1", "query tag: pattern ^[a-z]+$", "header X-Trace: minimum 1",
		}},
		{"NUL in the query", "kind=pan%00", nil, []string{"query kind: characters"}},
		{"bad UTF-8 in the query", "kind=%ff", nil, []string{"query kind: characters"}},
		{"NUL in a query that is not described", "kind=pan&other=%00", nil, []string{"query: characters"}},
		{"NUL in a name that is not described", "kind=pan&%00=1", nil, []string{"query: characters"}},
		{"bad UTF-8 in a header", "kind=pan", http.Header{"X-Trace": {"\xff"}}, []string{"header X-Trace: characters"}},
		{"bad UTF-8 in a header that is not described", "kind=pan", http.Header{"X-Other": {"\xff"}}, []string{"header: characters"}},
		{"a broken escape", "kind=pan&limit=%zz", nil, []string{"query: malformed"}},
		{"a semicolon, which proxies split at and Go does not", "kind=pan;kind=urn", nil, []string{"query: malformed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/search?"+c.query, nil)
			maps.Copy(r.Header, c.header)
			want := r.URL.RawQuery
			require.ElementsMatch(t, c.want, lines(operation(t, load(t), "search").Check(r, nil)))
			require.Equal(t, want, r.URL.RawQuery, "the request is not rewritten")
		})
	}
}

func TestAParameterTellsItsLabelAndSchema(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/search?kind=pan&tag=A", nil)
	found := operation(t, load(t), "search").Check(r, nil)
	require.Len(t, found, 1)
	require.Equal(t, contract.InQuery, found[0].In)
	require.Equal(t, "tag", found[0].Pointer)
	require.Equal(t, "Tag", found[0].Label)
	require.Equal(t, "^[a-z]+$", found[0].Schema.Pattern)
}

func TestPathParameters(t *testing.T) {
	op := operation(t, load(t), "getPin")
	for _, c := range []struct {
		name, value string
		want        []string
	}{
		{"right", "103169946", []string{}},
		{"too short", "10316994", []string{"path publicToken: pattern ^[0-9]{9}$"}},
		{"empty", "", []string{"path publicToken: required"}},
		{"with a slash that was escaped", "1031699/6", []string{"path publicToken: pattern ^[0-9]{9}$"}},
		{"with a line feed behind", "103169946\n", []string{"path publicToken: pattern ^[0-9]{9}$"}},
		{"other digits", "١٠٣١٦٩٩٤٦", []string{"path publicToken: pattern ^[0-9]{9}$"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			require.Equal(t, c.want, lines(op.Check(r, map[string]string{"publicToken": c.value})))
		})
	}
	require.Equal(t, []string{"path publicToken: required"}, lines(op.Check(httptest.NewRequest(http.MethodGet, "/", nil), nil)))
}

func TestANULOrBadUTF8InAPathParameterNeverReachesAHandler(t *testing.T) {
	op := operation(t, load(t), "getPin")
	for _, value := range []string{"10316994\x00", "10316994\xff", "\xed\xa0\x80"} {
		found := op.Check(httptest.NewRequest(http.MethodGet, "/", nil), map[string]string{"publicToken": value})
		require.Equal(t, []string{"path publicToken: characters"}, lines(found))
		require.Equal(t, "Public Token", found[0].Label)
	}
}

func TestContentTypeAndEncoding(t *testing.T) {
	const good = `{"pin":"1234"}`
	for _, c := range []struct {
		name   string
		header http.Header
		want   []string
	}{
		{"as described", http.Header{"Content-Type": {jsonType}}, nil},
		{"with a charset", http.Header{"Content-Type": {"application/json; charset=utf-8"}}, nil},
		{"with a charset in capitals", http.Header{"Content-Type": {`Application/JSON;Charset="UTF-8"`}}, nil},
		{"with another parameter", http.Header{"Content-Type": {"application/json; version=1"}}, nil},
		{"another charset", http.Header{"Content-Type": {"application/json; charset=iso-8859-1"}}, []string{"media-type: mediaType application/json"}},
		{"an empty charset", http.Header{"Content-Type": {`application/json; charset=""`}}, []string{"media-type: mediaType application/json"}},
		{"a charset twice", http.Header{"Content-Type": {"application/json; charset=utf-8; charset=utf-16"}}, []string{"media-type: mediaType application/json"}},
		{"another type", http.Header{"Content-Type": {"text/plain"}}, []string{"media-type: mediaType application/json"}},
		{"a type that begins alike", http.Header{"Content-Type": {"application/jsonx"}}, []string{"media-type: mediaType application/json"}},
		{"none", nil, []string{"media-type: mediaType application/json"}},
		{"empty", http.Header{"Content-Type": {""}}, []string{"media-type: mediaType application/json"}},
		{"a list", http.Header{"Content-Type": {"application/json, text/plain"}}, []string{"media-type: mediaType application/json"}},
		{"twice", http.Header{"Content-Type": {jsonType, jsonType}}, []string{"media-type: mediaType application/json"}},
		{"identity encoding", http.Header{"Content-Type": {jsonType}, "Content-Encoding": {"Identity"}}, nil},
		{"gzip", http.Header{"Content-Type": {jsonType}, "Content-Encoding": {"gzip"}}, []string{"encoding: encoding identity"}},
		{"identity and gzip", http.Header{"Content-Type": {jsonType}, "Content-Encoding": {"identity", "gzip"}}, []string{"encoding: encoding identity"}},
		{"a list of encodings", http.Header{"Content-Type": {jsonType}, "Content-Encoding": {"identity, br"}}, []string{"encoding: encoding identity"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := post("", good)
			maps.Copy(r.Header, c.header)
			found := operation(t, load(t), "setPin").Check(r, token)
			require.ElementsMatch(t, c.want, lines(found))
			if found == nil {
				require.Equal(t, jsonType, r.Header.Get("Content-Type"), "the generated code compares it with what the document writes")
			}
		})
	}
}

func TestAnAbsentBody(t *testing.T) {
	d := load(t)
	chunked := func() *http.Request { // a body whose length is not known beforehand, and is nought
		r := post("", "")
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader("")), -1
		return r
	}
	for _, c := range []struct {
		name, operation, contentType string
		want                         []string
	}{
		{"required", "setPin", jsonType, []string{"body: required"}},
		{"required, of the wrong type", "setPin", "text/plain", []string{"media-type: mediaType application/json"}},
		{"required, without a type", "setPin", "", []string{"media-type: mediaType application/json"}},
		{"optional", "addNote", jsonType, []string{}},
		{"optional, without a type", "addNote", "", []string{}},
		{"optional, of the wrong type", "addNote", "text/plain", []string{}},
		{"optional, where the type is demanded", "unblock", jsonType, []string{}},
		{"optional, where the type is demanded, without one", "unblock", "", []string{"media-type: mediaType application/json"}},
		{"optional, where the type is demanded, of the wrong type", "unblock", "text/plain", []string{"media-type: mediaType application/json"}},
		{"none described", "getPin", "", []string{}},
		{"none described, of any type", "getPin", "text/plain", []string{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, r := range []*http.Request{post("", ""), chunked(), {Header: http.Header{}, URL: &url.URL{}}} {
				if c.contentType != "" {
					r.Header.Set("Content-Type", c.contentType)
				}
				require.Equal(t, c.want, lines(operation(t, d, c.operation).Check(r, token)))
			}
		})
	}
}

func TestABodyWithoutATypeIsRefusedWhereOneIsOptional(t *testing.T) {
	found := operation(t, load(t), "addNote").Check(post("", `{}`), nil)
	require.Equal(t, []string{"media-type: mediaType application/json"}, lines(found))
}

func TestAnOptionalBodyArrivesAsNil(t *testing.T) {
	r := post(jsonType, "")
	require.Nil(t, operation(t, load(t), "addNote").Check(r, nil))
	_, kept := r.Body.(interface{ ValidatedValue() any })
	require.False(t, kept)
	var bound struct{ Note string }
	require.ErrorIs(t, bind.BindJSONBody(r, &bound), io.EOF, "which the generated code takes for an absent body")
}

func TestAnOversizedBodyIsASizeViolationAndNotAReadingFailure(t *testing.T) {
	const limit = 20
	d := load(t, contract.MaxBody(limit))
	op := operation(t, d, "addNote")
	body := func(n int) string { return `{"note":"` + strings.Repeat("a", n-11) + `"}` }

	require.Nil(t, op.Check(post(jsonType, body(limit)), nil), "exactly the limit")

	want := []string{"size: size 20"}
	require.Equal(t, want, lines(op.Check(post(jsonType, body(limit+1)), nil)), "by its Content-Length")

	r := post(jsonType, body(limit+1))
	r.ContentLength = -1
	require.Equal(t, want, lines(op.Check(r, nil)), "by its bytes")

	r = post(jsonType, body(limit))
	r.Body, r.ContentLength = http.MaxBytesReader(nil, r.Body, 5), -1
	require.Equal(t, want, lines(op.Check(r, nil)), "by a limit that the server set before")

	r = post(jsonType, "")
	r.Body, r.ContentLength = io.NopCloser(iotest.ErrReader(errors.New("connection reset"))), -1
	require.Equal(t, []string{"body: read"}, lines(op.Check(r, nil)), "a broken connection is something else")
}

// x-max-body is the operation's own limit, whatever that of the others is.
func TestAnOperationsOwnLimitComesBeforeTheDocuments(t *testing.T) {
	for _, d := range []*contract.Document{load(t), load(t, contract.MaxBody(50)), load(t, contract.MaxBody(5000))} {
		op := operation(t, d, "issueToken")
		form := "grant_type=client_credentials&client_id=a&client_secret=" + strings.Repeat("a", 100)
		require.Equal(t, []string{"size: size 100"}, lines(op.Check(post(formType, form[:101]), nil)))
		require.NotEqual(t, []string{"size: size 100"}, lines(op.Check(post(formType, form[:100]), nil)))
	}
}

// What x-max-body may be at least and at most, an operation takes.
func TestAnOperationMayTakeOneByteOrSixteenMebibytes(t *testing.T) {
	for _, limit := range []int64{1, 16 << 20} {
		d, err := contract.Load(fstest.MapFS{"main.yaml": {Data: fmt.Appendf(nil, `
openapi: 3.0.3
info: {title: T, version: '1'}
security: []
x-public: a test
paths: {/a: {post: {operationId: a, x-max-body: %d, responses: {'204': {description: done}},
  requestBody: {content: {text/plain: {schema: {type: string, pattern: '^a$'}}}}}}}
`, limit)}}, "main")
		require.NoError(t, err)
		announced := func(length int64) []string {
			r := post("text/plain", "a")
			r.ContentLength = length
			return lines(operation(t, d, "a").Check(r, nil))
		}
		require.Empty(t, announced(limit))
		require.Equal(t, []string{fmt.Sprintf("size: size %d", limit)}, announced(limit+1))
	}
}

// A body's room grows with what has come of it, not with what is announced.
func TestRoomForABodyIsNotMadeBeforeItComes(t *testing.T) {
	op := operation(t, load(t), "addNote")
	announced := func() *http.Request {
		r := post(jsonType, "")
		r.Body, r.ContentLength = io.NopCloser(iotest.ErrReader(errors.New("connection reset"))), contract.DefaultMaxBody
		return r
	}
	const times = 100
	requests := make([]*http.Request, times)
	for i := range requests {
		requests[i] = announced()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, r := range requests {
		op.Check(r, nil)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, (after.TotalAlloc-before.TotalAlloc)/times, uint64(8<<10), "bytes a request")
}

func TestTheDefaultLimitIs64Kibibytes(t *testing.T) {
	require.Equal(t, 64*1024, contract.DefaultMaxBody)
	op := operation(t, load(t), "addNote")
	long := bytes.Repeat([]byte(" "), contract.DefaultMaxBody)
	copy(long, `{}`)
	require.Nil(t, op.Check(post(jsonType, string(long)), nil))
	require.Equal(t, []string{"size: size 65536"}, lines(op.Check(post(jsonType, string(long)+" "), nil)))
}

func TestEveryKeywordBecomesItsRule(t *testing.T) {
	d := load(t)
	for _, c := range []struct {
		name, body string
		want       []string
	}{
		{"kept", `{"a/b~c":"x","whole":1000,"long":9,"part":0.1,"even":4,"flag":true,"day":"2024-02-29","mail":"a@b.example",` +
			`"id":"123e4567-e89b-12d3-a456-426614174000","bytes":"AQ==","either":"1","list":["12"],"map":{"k":"v"},"maybe":null,"choice":"A","never":"x"}`, nil},
		{"no members", `{}`, []string{"body: minProperties 1"}},
		{"another type", `{"flag":"true"}`, []string{"body /flag: type boolean"}},
		{"a number for a string", `{"maybe":1}`, []string{"body /maybe: type string"}},
		{"nothing but nulls, which are as if absent", `{"flag":null,"maybe":null,"choice":null,"either":null,"device":null}`, []string{"body: minProperties 1"}},
		{"null in an array", `{"list":[null]}`, []string{"body /list/0: null"}},
		{"null for what is required", `{"must":{"flag":null,"choice":null,"either":null,"device":null,"maybe":null}}`, []string{
			"body /must/flag: null", "body /must/choice: null", "body /must/either: null", "body /must/device: null",
		}},
		{"a number for an enum", `{"choice":1}`, []string{"body /choice: type string"}},
		{"outside an enum", `{"choice":"C"}`, []string{"body /choice: enum A, B"}},
		{"no alternative", `{"either":"x"}`, []string{"body /either: oneOf"}},
		{"the other alternative", `{"either":12}`, nil},
		{"not", `{"never":"forbidden"}`, []string{"body /never: not"}},
		{"a fraction", `{"whole":1.5}`, []string{"body /whole: type integer"}},
		{"a whole number with an exponent", `{"whole":1e2}`, nil},
		{"too small", `{"whole":0}`, []string{"body /whole: minimum 1"}},
		{"too great", `{"whole":1001}`, []string{"body /whole: maximum 1000"}},
		{"beyond 32 bits", `{"whole":2147483648}`, []string{"body /whole: maximum 1000", "body /whole: format int32"}},
		{"at an exclusive bound", `{"part":0}`, []string{"body /part: exclusiveMinimum 0"}},
		{"no multiple", `{"even":3}`, []string{"body /even: multipleOf 2"}},
		{"30 February", `{"day":"2024-02-30"}`, []string{"body /day: format date"}},
		{"no address", `{"mail":"a"}`, []string{"body /mail: format email"}},
		{"an address with a name, which binding would drop", `{"mail":"A <a@b.example>"}`, []string{"body /mail: format email"}},
		{"no UUID", `{"id":"123e4567"}`, []string{"body /id: format uuid"}},
		{"no base64", `{"bytes":"A"}`, []string{"body /bytes: format byte"}},
		{"base64 with stray bits", `{"bytes":"AR=="}`, []string{"body /bytes: format byte"}},
		{"base64 over two lines", `{"bytes":"AQ\r\n=="}`, []string{"body /bytes: format byte"}},
		{"an empty array", `{"list":[]}`, []string{"body /list: minItems 1"}},
		{"too many items, and the same", `{"list":["12","12","12","12"]}`, []string{"body /list: maxItems 3", "body /list: uniqueItems"}},
		{"an item", `{"list":["12","1x"]}`, []string{"body /list/1: pattern ^[0-9]*$"}},
		{"an item that breaks two rules", `{"list":["x"]}`, []string{"body /list/0: minLength 2", "body /list/0: pattern ^[0-9]*$"}},
		{"a member of a map", `{"map":{"k":"V"}}`, []string{"body /map/*: pattern ^[a-z]*$"}},
		{"a member of a map whose name is a number, and so might be a card's", `{"map":{"4111111111111111":"V"}}`, []string{"body /map/*: pattern ^[a-z]*$"}},
		{"a name that a pointer must escape", `{"a/b~c":"1"}`, []string{"body /a~1b~0c: pattern ^[a-z]*$"}},
		{"a discriminator", `{"device":{"kind":"Phone"}}`, nil},
		{"no discriminator", `{"device":{}}`, []string{"body /device: discriminator"}},
		{"a member that only replies have", `{"made":"x"}`, []string{"body /made: readOnly"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.ElementsMatch(t, c.want, lines(operation(t, d, "everyType").Check(post(jsonType, c.body), nil)))
			value, found := d.CheckMessage("EveryType", []byte(c.body))
			require.ElementsMatch(t, c.want, lines(found), "as a message")
			require.NotNil(t, value)
		})
	}
}

func TestViolationsComeInTheDocumentsOrder(t *testing.T) {
	d := load(t)
	for _, c := range []struct {
		name, body string
		want       []string
	}{
		{"properties as listed and not by their names", `{"zulu":1,"unknown":1,"envelope":{"able":"","zulu":""},"timestamp":"x","source":"","alias":"","packID":""}`, []string{
			"body /packID: minLength 10",
			"body /alias: minLength 1",
			"body /source: minLength 1",
			"body /source: enum IVR, BRANCH",
			"body /timestamp: format date-time",
			"body /envelope/zulu: minLength 1",
			"body /envelope/able: minLength 1",
			"body: additionalProperties",
		}},
		{"required in its field's place", `{"source":"X","envelope":{"able":1},"alias":"a b"}`, []string{
			"body /alias: pattern ^[A-Za-z0-9_]*$",
			"body /source: enum IVR, BRANCH",
			"body /timestamp: required",
			"body /envelope/zulu: required",
			"body /envelope/able: type string",
		}},
		{"the whole before its parts, and no part hidden", `{"timestamp":"2024-02-29T00:00:00Z","envelope":{"zulu":1,"able":"a"}}`, []string{
			"body: anyOf",
			"body /envelope/zulu: type string",
		}},
		{"lengths before patterns", `{"packID":"!","timestamp":"2024-02-29T00:00:00Z","envelope":{"zulu":"a","able":"a"}}`, []string{
			"body /packID: minLength 10",
			"body /packID: pattern ^[A-Za-z0-9]*$",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, lines(operation(t, d, "reset").Check(post(jsonType, c.body), nil)))
		})
	}
}

func TestPathQueryHeaderAndBodyComeInThisOrder(t *testing.T) {
	r := post(jsonType, `{"pin":"12","description":1}`)
	r.Header.Set("X-Request-Id", "Z")
	require.Equal(t, []string{
		"path publicToken: pattern ^[0-9]{9}$",
		"header X-Request-Id: minLength 4",
		"header X-Request-Id: pattern ^[0-9a-f-]*$",
		"body /pin: minLength 4",
		"body /pin: pattern ^[0-9]{4}$",
		"body /description: type string",
	}, lines(operation(t, load(t), "setPin").Check(r, map[string]string{"publicToken": "1"})))
}

func TestABodyOfTheWrongTopLevelType(t *testing.T) {
	op := operation(t, load(t), "setPin")
	for body, want := range map[string]string{
		`[]`: "body: type object", `"1234"`: "body: type object", `1234`: "body: type object", `null`: "body: null",
	} {
		require.Equal(t, []string{want}, lines(op.Check(post(jsonType, body), token)), body)
	}
}

func TestRequiredLetsNeitherAnEmptyStringNorNullPass(t *testing.T) {
	op := operation(t, load(t), "setPin")
	for body, want := range map[string][]string{
		`{}`:           {"body /pin: required"},
		`{"pin":null}`: {"body /pin: null"},
		`{"pin":""}`:   {"body /pin: minLength 4", "body /pin: pattern ^[0-9]{4}$"},
	} {
		require.Equal(t, want, lines(op.Check(post(jsonType, body), token)), body)
	}
}

func TestAMissingFieldTellsItsOwnSchemaAndNotItsParents(t *testing.T) {
	found := operation(t, load(t), "setPin").Check(post(jsonType, `{}`), token)
	require.Len(t, found, 1)
	require.Equal(t, "PIN", found[0].Label)
	require.EqualValues(t, 4, found[0].Schema.MinLength)
	require.Equal(t, true, found[0].Schema.Extensions["x-sensitive"])
}

func TestALabelBesideAReferenceIsTheFieldsOwn(t *testing.T) {
	long := strings.Repeat("a", 21)
	found := operation(t, load(t), "setPin").Check(post(jsonType, `{"pin":"1234","updatedBy":"`+long+`","description":"`+long+`"}`), token)
	require.Equal(t, []string{"body /description: maxLength 20", "body /updatedBy: maxLength 20"}, lines(found))
	require.Equal(t, "Description", found[0].Label)
	require.Equal(t, "Updated By", found[1].Label)
}

func TestItemsOfAnArrayAndTheWholeHaveTheLabelAbove(t *testing.T) {
	d := load(t)
	_, found := d.CheckMessage("EveryType", []byte(`{"list":["x1"],"map":{"k":"V"}}`))
	require.Len(t, found, 2)
	require.Equal(t, "List", found[0].Label)
	require.Equal(t, "Entry", found[1].Label)
	_, found = d.CheckMessage("Reset", []byte(`{"timestamp":"2024-02-29T00:00:00Z","envelope":{"zulu":"a","able":"a"}}`))
	require.Equal(t, []string{"body: anyOf"}, lines(found))
	require.Equal(t, "Selector", found[0].Label)
}

func TestLengthsCountCodePoints(t *testing.T) {
	op := operation(t, load(t), "addNote")
	require.Nil(t, op.Check(post(jsonType, `{"note":"`+strings.Repeat("😀", 20)+`"}`), nil))
	require.Equal(t, []string{"body /note: maxLength 20"}, lines(op.Check(post(jsonType, `{"note":"`+strings.Repeat("é", 21)+`"}`), nil)))
}

func TestTrailingDataDuplicateNamesAndBadUTF8DoNotPass(t *testing.T) {
	op := operation(t, load(t), "setPin")
	for body, want := range map[string]string{
		`{"pin":"1234"} trailing`:              "body: json",
		`{"pin":"1234"}{"pin":"1235"}`:         "body: json",
		`{"pin":"1234","pin":"1235"}`:          "body: duplicate",
		`{"pin":"1234","\u0070in":"1235"}`:     "body: duplicate",
		"{\"pin\":\"1234\",\"note\":\"\xff\"}": "body: characters",
		`{"pin":`:                              "body: json",
		`  `:                                   "body: json",
	} {
		r := post(jsonType, body)
		require.Equal(t, []string{want}, lines(op.Check(r, token)), body)
		_, kept := r.Body.(interface{ ValidatedValue() any })
		require.False(t, kept)
	}
}

func TestDefaultsDoNotRewriteTheRequest(t *testing.T) {
	d := load(t)
	r := post(jsonType, `{"note":"a"}`)
	require.Nil(t, operation(t, d, "addNote").Check(r, nil))
	_, value := contract.Sent(r)
	require.Equal(t, map[string]any{"note": "a"}, value)

	r = httptest.NewRequest(http.MethodGet, "/search?kind=pan", nil)
	require.Nil(t, operation(t, d, "search").Check(r, nil))
	require.Equal(t, "kind=pan", r.URL.RawQuery)
}

func TestASchemaInsideItselfIsCheckedAtEveryLevel(t *testing.T) {
	found := operation(t, load(t), "tree").Check(post("application/vnd.tree+json", `{"name":"a","children":[{"name":"b"},{"name":"c","children":[{"name":"D"},{}]}]}`), nil)
	require.Equal(t, []string{
		"body /children/1/children/0/name: pattern ^[a-z]+$",
		"body /children/1/children/1/name: required",
	}, lines(found))
	require.Equal(t, "Name", found[1].Label)
}

func TestTheHandlerGetsWhatWasChecked(t *testing.T) {
	op := operation(t, load(t), "setPin")
	const body = `{"pin":"1234","PIN":"1","Pin":"2"}`
	r := post(jsonType, body)
	require.Nil(t, op.Check(r, token))
	var bound setPinBody
	require.NoError(t, bind.BindJSONBody(r, &bound))
	require.Equal(t, "1234", bound.Pin, "and not the last of those that differ in case only")

	data, value := contract.Sent(r)
	require.Equal(t, body, string(data))
	require.Equal(t, map[string]any{"pin": "1234", "PIN": "1", "Pin": "2"}, value)
	again, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.Equal(t, body, string(again), "it can still be read")
	require.EqualValues(t, len(body), r.ContentLength)
	require.NoError(t, r.Body.Close())
}

func TestWhateverKeepsTheContractCanBeBound(t *testing.T) {
	op := operation(t, load(t), "everyType")
	for literal, want := range map[string]int64{
		"100": 100, "1e2": 100, "100.0": 100, "-0": 0, "0e5": 0,
		"9223372036854775807": 9223372036854775807, "-9223372036854775808": -9223372036854775808, "9e18": 9e18,
	} {
		r := post(jsonType, `{"long":`+literal+`}`)
		require.Nil(t, op.Check(r, nil), literal)
		var bound struct {
			Long int64 `json:"long"`
		}
		value := r.Body.(interface{ ValidatedValue() any }).ValidatedValue()
		require.NoError(t, bind.BindJSONValue(value, &bound), literal)
		require.Equal(t, want, bound.Long, literal)
	}
	for _, literal := range []string{"9223372036854775808", "-9223372036854775809", "1e19", "1e400"} {
		require.Equal(t, []string{"body /long: number"}, lines(op.Check(post(jsonType, `{"long":`+literal+`}`), nil)), literal)
	}
}

func TestWhatWasSentIsThereAfterAViolation(t *testing.T) {
	r := post(jsonType, `{"pin":"12"}`)
	require.NotNil(t, operation(t, load(t), "setPin").Check(r, token))
	data, value := contract.Sent(r)
	require.Equal(t, `{"pin":"12"}`, string(data))
	require.Equal(t, map[string]any{"pin": "12"}, value, "for partners who document that they echo a field")
	_, kept := r.Body.(interface{ ValidatedValue() any })
	require.False(t, kept, "but nothing may bind it")

	data, value = contract.Sent(post(jsonType, `{}`))
	require.Nil(t, data, "before a check")
	require.Nil(t, value)
}

func TestForms(t *testing.T) {
	d := load(t)
	for _, c := range []struct {
		name, body string
		want       []string
	}{
		{"kept", "grant_type=client_credentials&client_id=bank&client_secret=secret&ttl=60&offline=true", nil},
		{"in the document's order", "client_id=B&ttl=0", []string{
			"body /grant_type: required", "body /client_id: pattern ^[a-z]+$", "body /ttl: minimum 1",
		}},
		{"another grant", "grant_type=password&client_id=bank", []string{"body /grant_type: enum client_credentials"}},
		{"no number", "grant_type=client_credentials&client_id=bank&ttl=soon", []string{"body /ttl: type integer"}},
		{"a number that is none", "grant_type=client_credentials&client_id=bank&ttl=NaN", []string{"body /ttl: type integer"}},
		{"no boolean", "grant_type=client_credentials&client_id=bank&offline=1", []string{"body /offline: type boolean"}},
		{"digits for a text", "grant_type=client_credentials&client_id=1", []string{"body /client_id: pattern ^[a-z]+$"}},
		{"an unknown field", "grant_type=client_credentials&client_id=bank&resource=x", []string{"body: additionalProperties"}},
		{"a field twice", "grant_type=client_credentials&client_id=bank&client_id=bank", []string{"body: duplicate"}},
		{"a broken escape", "grant_type=%zz", []string{"body: malformed"}},
		{"bad UTF-8", "grant_type=%ff", []string{"body: characters"}},
		{"NUL", "grant_type=%00", []string{"body: characters"}},
		{"NUL in a name", "%00=1", []string{"body: characters"}},
		{"empty", "", []string{"body: required"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.ElementsMatch(t, c.want, lines(operation(t, d, "issueToken").Check(post(formType, c.body), nil)))
		})
	}
}

func TestAFormMayNameAnyCharset(t *testing.T) {
	const form = "grant_type=client_credentials&client_id=bank"
	for contentType, want := range map[string][]string{
		formType + "; charset=ISO-8859-1":                {},
		formType + `; charset=""`:                        {},
		"Application/X-WWW-Form-Urlencoded;charset=utf8": {},
		formType + "; charset=utf-8; charset=ISO-8859-1": {"media-type: mediaType application/x-www-form-urlencoded"},
		formType + "x; charset=ISO-8859-1":               {"media-type: mediaType application/x-www-form-urlencoded"},
	} {
		r := post(contentType, form)
		require.Equal(t, want, lines(operation(t, load(t), "issueToken").Check(r, nil)), contentType)
		if len(want) == 0 {
			require.Equal(t, formType, r.Header.Get("Content-Type"), contentType)
			require.Equal(t, "bank", r.PostForm.Get("client_id"), contentType)
		}
	}
}

func TestAFormIsNotMixedWithTheQuery(t *testing.T) {
	r := post(formType+"; charset=UTF-8", "grant_type=client_credentials&client_id=bank")
	r.URL.RawQuery = "client_secret=UNCHECKED"
	require.Nil(t, operation(t, load(t), "issueToken").Check(r, nil))
	require.NoError(t, r.ParseForm())
	require.Equal(t, url.Values{"grant_type": {"client_credentials"}, "client_id": {"bank"}}, r.Form)
	require.Equal(t, r.Form, r.PostForm)
}

func TestTextBodies(t *testing.T) {
	op := operation(t, load(t), "reset")
	r := post("application/jose", "eyJ.a.b")
	require.Nil(t, op.Check(r, nil))
	again, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.Equal(t, "eyJ.a.b", string(again))
	for body, want := range map[string]string{
		"two words": "body: pattern ^[A-Za-z0-9._-]+$", "a\x00": "body: characters", "\xff": "body: characters", "": "body: required",
	} {
		require.Equal(t, []string{want}, lines(op.Check(post("application/jose", body), nil)), body)
	}
}

func TestMessagesFromAnEnvelope(t *testing.T) {
	d := load(t)
	value, found := d.CheckMessage("Reset", []byte(`{"alias":"a","timestamp":"2024-02-29T00:00:00Z","envelope":{"zulu":"a","able":"a"}}`))
	require.Nil(t, found)
	require.Equal(t, "a", value.(map[string]any)["alias"])

	value, found = d.CheckMessage("Reset", []byte(`{"alias":"a","alias":"b"}`))
	require.Equal(t, []string{"body: duplicate"}, lines(found))
	require.Nil(t, value)

	const odd = `"other":1e999,"o\u0000":"\u0000","other":"\ud800","deep":[[[{"a":1,"a":123456789012345678901234567890}]]]`
	value, found = d.CheckMessage("EveryType", []byte(`{`+odd+`,"flag":true}`))
	require.Empty(t, found, "in members that are not described")
	require.Equal(t, map[string]any{"flag": true}, value)
	value, found = d.CheckMessage("EveryType", []byte(`{"list":["1"],"mail":"\u0000","whole":1e999,`+odd+`}`))
	require.Equal(t, []string{"body /whole: number", "body /mail: characters", "body /list/0: minLength 2"}, lines(found), "in some that are")
	require.Equal(t, map[string]any{"list": []any{"1"}, "mail": "", "whole": ""}, value)
	_, found = d.CheckMessage("Reset", []byte(`{`+odd+`}`))
	require.Equal(t, []string{"body: number"}, lines(found), "where no others may stand")
	for text, rule := range map[string]string{
		`{"flag":true,` + odd: "json", `{` + odd + `}{}`: "json", `{"flag"}`: "json", `{"fla`: "json", `{"flag":true,"fla\u0067":true}`: "duplicate",
		"{\"other\":\"\xff\"}": "characters", `{"other":` + strings.Repeat("[", 20_000): "json", `{`: "json", ``: "json", `[1e999]`: "number", `{"other":nil}`: "json",
	} {
		value, found = d.CheckMessage("EveryType", []byte(text))
		require.Equal(t, []string{"body: " + rule}, lines(found), text[:min(len(text), 40)])
		require.Nil(t, value)
	}

	for message, want := range map[[2]string][]string{
		{"Choice", `{"flag":true,"other":1e999}`}: {},
		{"Forked", `{"flag":true,"rate":1e999}`}:  {"body: number"}, // an alternative describes it
		{"Loose", `{"undescribed":1e999}`}:        {"body: number"}, // whoever takes it takes all of it
	} {
		_, found = d.CheckMessage(message[0], []byte(message[1]))
		require.Equal(t, want, lines(found), message[0])
	}

	_, found = d.CheckMessage("Loose", []byte(`{}`))
	require.Equal(t, []string{"body /*: required"}, lines(found), "a field that the document does not describe")
	require.Nil(t, found[0].Schema)

	value, found = d.CheckMessage("Absent", []byte(`{}`))
	require.Equal(t, []string{"body: operation"}, lines(found))
	require.Nil(t, value)
}

func TestADocumentServesManyRequestsAtOnce(t *testing.T) {
	d := load(t)
	done := make(chan bool)
	for range 8 {
		go func() {
			kept := true
			for range 50 {
				kept = kept && operation(t, d, "setPin").Check(post(jsonType, `{"pin":"1234"}`), token) == nil &&
					len(operation(t, d, "reset").Check(post(jsonType, `{"source":""}`), nil)) == 5
			}
			done <- kept
		}()
	}
	for range 8 {
		require.True(t, <-done)
	}
}
