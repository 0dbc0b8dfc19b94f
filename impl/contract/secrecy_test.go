package contract_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
)

// planted stands for a PIN or a PAN in a request. No rule of the document contains it.
const planted = "739518264075"

// timeless logs no time, whose digits may be anything.
var timeless = &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}}

// printed is every way in which a violation could come to be printed.
func printed(t testing.TB, violations []contract.Violation) string {
	t.Helper()
	var b bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d"} {
		fmt.Fprintf(&b, verb+"\n", violations)
	}
	require.NoError(t, json.NewEncoder(&b).Encode(violations))
	slog.New(slog.NewJSONHandler(&b, timeless)).Info("rejected", "violations", violations)
	slog.New(slog.NewTextHandler(&b, timeless)).Info("rejected", "violations", violations)
	for _, v := range violations {
		slog.New(slog.NewTextHandler(&b, timeless)).Info("rejected", "violation", v)
		fmt.Fprintln(&b, v.In, v.Pointer, v.Rule, v.Limit, v.Label)
	}
	return b.String()
}

func TestNoViolationHoldsTheValueSent(t *testing.T) {
	d := load(t)
	message := func(schema, body string) func() []contract.Violation {
		return func() []contract.Violation {
			_, violations := d.CheckMessage(schema, []byte(strings.ReplaceAll(body, "PLANTED", planted)))
			return violations
		}
	}
	search := func(query string) func() []contract.Violation {
		return func() []contract.Violation {
			r := httptest.NewRequest(http.MethodGet, "/search?"+strings.ReplaceAll(query, "PLANTED", planted), nil)
			return operation(t, d, "search").Check(r, nil)
		}
	}
	send := func(id, contentType, body string) func() []contract.Violation {
		return func() []contract.Violation {
			return operation(t, d, id).Check(post(contentType, strings.ReplaceAll(body, "PLANTED", planted)), token)
		}
	}
	for name, check := range map[string]func() []contract.Violation{
		"type":                     message("EveryType", `{"flag":"PLANTED"}`),
		"null":                     message("SetPin", `{"pin":null,"description":"PLANTED"}`),
		"required":                 message("SetPin", `{"description":"PLANTED"}`),
		"minLength and pattern":    message("EveryType", `{"list":["xPLANTED"],"maybe":"PLANTED"}`),
		"maxLength":                message("SetPin", `{"pin":"PLANTED"}`),
		"enum":                     message("EveryType", `{"choice":"PLANTED"}`),
		"enum of another type":     message("EveryType", `{"choice":PLANTED}`),
		"format":                   message("EveryType", `{"day":"PLANTED","id":"PLANTED","mail":"PLANTED","bytes":"!PLANTED"}`),
		"maximum and format":       message("EveryType", `{"whole":PLANTED}`),
		"fraction":                 message("EveryType", `{"whole":0.PLANTED}`),
		"minimum":                  message("EveryType", `{"part":-PLANTED}`),
		"multipleOf":               message("EveryType", `{"even":PLANTED}`),
		"oneOf":                    message("EveryType", `{"either":"PLANTED"}`),
		"oneOf and type":           message("EveryType", `{"either":["PLANTED"]}`),
		"uniqueItems and maxItems": message("EveryType", `{"list":["PLANTED","PLANTED","PLANTED","PLANTED"]}`),
		"name in a map":            message("EveryType", `{"map":{"PLANTED":"PLANTED"}}`),
		"readOnly":                 message("EveryType", `{"made":"PLANTED"}`),
		"anyOf":                    message("Reset", `{"source":"PLANTED"}`),
		"additionalProperties":     message("Reset", `{"PLANTED":"PLANTED"}`),
		"name under another type":  message("SetPin", `{"pin":{"PLANTED":1}}`),
		"top-level type":           message("SetPin", `"PLANTED"`),
		"json":                     message("SetPin", `{"pin":PLANTED x`),
		"duplicate name":           message("SetPin", `{"PLANTED":1,"PLANTED":1}`),
		"number":                   message("SetPin", `{"pin":PLANTED00000000000000}`),
		"characters":               message("SetPin", `{"pin":"PLANTED\u0000"}`),
		"depth":                    message("SetPin", `{"PLANTED":`+nested(40)+`}`),
		"unknown message":          message("PLANTED", `{}`),
		"query enum":               search("kind=PLANTED"),
		"query type":               search("kind=pan&limit=PLANTEDx&ratio=xPLANTED"),
		"query bounds":             search("kind=pan&limit=PLANTED&tag=PLANTED&since=PLANTED"),
		"query repeated":           search("kind=PLANTED&kind=PLANTED"),
		"query malformed":          search("kind=PLANTED%zz"),
		"query characters":         search("kind=PLANTED%00&PLANTED=%00"),
		"form":                     send("issueToken", formType, "client_id=PLANTED&ttl=xPLANTED&PLANTED=PLANTED"),
		"form malformed":           send("issueToken", formType, "client_id=PLANTED%zz"),
		"form duplicate":           send("issueToken", formType, "PLANTED=1&PLANTED=1"),
		"text":                     send("reset", "application/jose", "PLANTED!"),
		"media type":               send("setPin", "text/"+planted, "PLANTED"),
		"path": func() []contract.Violation {
			return operation(t, d, "getPin").Check(httptest.NewRequest(http.MethodGet, "/", nil), map[string]string{"publicToken": planted})
		},
		"header": func() []contract.Violation {
			r := post(jsonType, `{"pin":"1234"}`)
			r.Header.Set("X-Request-Id", planted+"Z")
			r.Header["X-"+planted] = []string{planted + "\xff"}
			return operation(t, d, "setPin").Check(r, token)
		},
		"encoding": func() []contract.Violation {
			r := post(jsonType, `{"pin":"1234"}`)
			r.Header.Set("Content-Encoding", planted)
			return operation(t, d, "setPin").Check(r, token)
		},
	} {
		t.Run(name, func(t *testing.T) {
			violations := check()
			require.NotEmpty(t, violations)
			require.NotContains(t, printed(t, violations), planted)
		})
	}
}

func TestAViolationPrintsAsOneLine(t *testing.T) {
	for _, c := range []struct {
		v    contract.Violation
		want string
	}{
		{contract.Violation{In: contract.InBody, Pointer: "/pin", Rule: contract.RuleMinLength, Limit: "4", Label: "PIN"}, "body /pin: minLength 4"},
		{contract.Violation{In: contract.InBody, Rule: contract.RuleJSON}, "body: json"},
		{contract.Violation{In: contract.InHeader, Pointer: "X-Api-Key", Rule: contract.RuleRequired}, "header X-Api-Key: required"},
	} {
		require.Equal(t, c.want, fmt.Sprintf("%+v", c.v))
		require.Equal(t, c.want, fmt.Sprintf("%#v", &c.v))
	}
}

// FuzzCheck: no body, path, query or header makes a check panic, or print what was sent.
func FuzzCheck(f *testing.F) {
	d := load(f)
	f.Add(0, jsonType, `{"pin":"PLANTED"}`, "PLANTED", "kind=PLANTED", "PLANTED")
	f.Add(4, "", ``, "", "kind=pan&limit=PLANTED&tag=PLANTED", "PLANTED\xff")
	f.Add(5, formType, `grant_type=PLANTED&PLANTED=%00`, "", "", "")
	f.Add(6, jsonType, `{"PLANTED":1,"envelope":{"zulu":null,"able":["PLANTED"]},"source":""}`, "", "%00", "")
	f.Add(6, "application/jose", "PLANTED", "", "", "")
	f.Add(7, jsonType, `{"either":PLANTED,"list":[1,1,"PLANTED"],"map":{"PLANTED":1},"long":1e5,"part":-PLANTED}`, "", "", "")
	f.Add(8, "application/vnd.tree+json; charset=UTF-8", `{"name":"PLANTED","children":[{"PLANTED":{}},null]}`, "", "", "")
	f.Fuzz(func(t *testing.T, n int, contentType, body, path, query, header string) {
		plant := func(s string) string { return strings.ReplaceAll(s, "PLANTED", planted) }
		ops := d.Operations()
		op := ops[int(uint(n)%uint(len(ops)))]
		r := &http.Request{
			Method: op.Method,
			URL:    &url.URL{Path: "/", RawQuery: plant(query)},
			Header: http.Header{"Content-Type": {plant(contentType)}, "X-Request-Id": {plant(header)}, "X-Trace": {plant(header)}, plant(header): {plant(header)}},
		}
		r.Body = post("", plant(body)).Body
		r.ContentLength = int64(len(plant(body)))
		violations := op.Check(r, map[string]string{"publicToken": plant(path)})
		require.NotContains(t, printed(t, violations), planted)
	})
}
