package contracttest

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/rows"
)

func TestRunHoldsEveryConversation(t *testing.T) {
	doc := load(t, "cards.yaml")
	require.NoError(t, doc.Validate(t.Context()), "the conventions keep to OpenAPI")
	s := &sandbox{}
	Run(t, doc, Env{
		Client:    New(t, serve(t, s), doc),
		Reset:     s.reset,
		Authorize: authorize,
		Fault:     s.fault,
		Begin: func(_ testing.TB, c Conversation) Conversation {
			require.Equal(t, "changepin", c.Session.Link)
			c.Path += "?begun"
			return c
		},
	})
	require.Equal(t, []string{
		"POST /api/v1/cards/103169946/pin 204", // x-after of the next
		"POST /api/v1/cards/103169946/pin 204",
		"GET /api/v1/cards/103169946/pin?fields=pin&fields=tries 200",
		"GET /api/v1/cards/103169946/pin?fields=pin&fields=tries 200",
		"GET /api/v1/cards/103169946/pin 400",
		"GET /api/v1/cards/103169946/pin?fields=pin&fields=tries 401",
		"GET /api/v1/cards/103169946/pin?fields=pin&fields=tries 401",
		"POST /api/v1/cards/103169946/pin 204",
		"POST /api/v1/cards/103169946/pin 400",
		"POST /api/v1/cards/103169946/pin 401",
		"POST /api/v1/cards/103169946/pin 401",
		"POST /api/v1/cards/999999999/pin 404",
		"POST /api/v1/cards/a%2Fb/pin 404",
		"PUT /api/v1/cards/103169946/pin 405",
		"POST /api/v1/cards/103169946/pin 413",
		"POST /api/v1/cards/103169946/pin 415",
		"POST /api/v1/cards/103169946/pin 415",
		"POST /api/v1/cards/103169946/pin 500",
		"POST /api/v1/cards/103169946/pin?begun 500",
		"GET /api/v1/certificate 200",
		"GET /api/v1/certificate 401",
		"GET /api/v1/certificate 401",
		"POST /connect/token 200",
		"POST /connect/token 400",
	}, s.served)
}

func TestAConversationFindsAWrongReply(t *testing.T) {
	tests := []struct {
		name string
		step Step
		lie  func(*Reply)
		want string
	}{
		{"another documented status", Step{Operation: "setCardPin", Example: "pin-set"}, func(r *Reply) {
			*r = *text(404, "application/problem+json", `{"title":"Not Found","status":404,"traceId":"00-1"}`)
		}, `status 404, want 204; body: {"title":"Not Found"`},
		{"another value", Step{Operation: "getCardPin", Example: "pin-of-creation"}, func(r *Reply) {
			r.Body = []byte(`{"pin":"0001","changes":0}`)
		}, "body (-want +got):"},
		{"a field too many", Step{Operation: "getCardPin", Example: "pin-of-creation"}, func(r *Reply) {
			r.Body = []byte(`{"pin":"0000","changes":0,"tries":3}`)
		}, `+ 	"tries":`},
		{"a volatile field missing", Step{Operation: "issueToken", Example: "token-issued"}, func(r *Reply) {
			r.Body = []byte(`{"expires_in":14400}`)
		}, `"access_token": contracttest.masked("string")`},
		{"a volatile field of another type", Step{Operation: "issueToken", Example: "token-issued"}, func(r *Reply) {
			r.Body = []byte(`{"expires_in":14400,"access_token":7}`)
		}, `"access_token": contracttest.masked(`},
		{"another header", Step{Operation: "setCardPin", Example: "method-unknown"}, func(r *Reply) {
			r.Header.Set("Allow", "GET")
		}, `header Allow: "GET", want "GET, POST"`},
		{"a header too many", Step{Operation: "issueToken", Example: "token-issued"}, func(r *Reply) {
			r.Header.Set("WWW-Authenticate", "Bearer")
		}, `header Www-Authenticate: "Bearer", want ""`},
		{"another text", Step{Operation: "getCertificate", Example: "certificate"}, func(r *Reply) {
			r.Body = []byte("-----BEGIN KEY-----\n")
		}, "KEY"},
		{"another content type", Step{Operation: "getCertificate", Example: "certificate"}, func(r *Reply) {
			r.Header.Set("Content-Type", "text/plain")
		}, `content type "text/plain", want "application/x-pem-file"`},
		{"a body that is no JSON", Step{Operation: "getCardPin", Example: "pin-of-creation"}, func(r *Reply) {
			r.Body = []byte("0000}")
		}, "body is not JSON"},
		{"something broken before it", Step{Operation: "getCardPin", Example: "pin-after-two-changes"}, func(r *Reply) {
			if r.Status == 204 {
				*r = *text(404, "application/problem+json", `{"title":"Not Found","status":404,"traceId":"00-1"}`)
			}
		}, "getCardPin/pin-after-two-changes: x-after setCardPin/pin-set: status 404, want 204"},
	}
	doc := load(t, "cards.yaml")
	_, byStep := executable(t, doc)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &sandbox{lie: tt.lie}
			url := serve(t, s)
			require.Contains(t, byStep, tt.step)
			got := failures(t, func(r *recorder) {
				env := Env{Client: New(r, url, doc), Reset: s.reset, Authorize: authorize, Fault: s.fault}
				env.converse(r, byStep[tt.step], byStep)
			})
			// cmp keeps its output from being compared by mixing in non-breaking spaces.
			require.Contains(t, strings.ReplaceAll(strings.Join(got, "\n"), "\u00a0", " "), tt.want)
		})
	}
}

func TestAConversationIsCheckedAsItsOperationsWhateverItSends(t *testing.T) {
	doc := load(t, "cards.yaml", "x-prefixes: [/api/v1, /connect]", "x-prefixes: []")
	_, byStep := executable(t, doc)
	s := &sandbox{}
	env := Env{Client: New(t, serve(t, s), doc), Reset: s.reset, Authorize: authorize}
	env.converse(t, byStep[Step{Operation: "setCardPin", Example: "method-unknown"}], byStep)
	env.converse(t, byStep[Step{Operation: "setCardPin", Example: "token-with-a-slash"}], byStep)
	require.Len(t, s.served, 2)
}

func TestAConversationNeedsWhatItsWordsStandFor(t *testing.T) {
	tests := []struct {
		name string
		file string
		step Step
		env  Env
		want string
	}{
		{"a fault", "cards.yaml", Step{Operation: "setCardPin", Example: "vault-broken"}, Env{}, `fault "internal" without Env.Fault`},
		{"a session", "cards.yaml", Step{Operation: "setCardPin", Example: "vault-broken-in-a-session"}, Env{Fault: (&sandbox{}).fault}, "a session without Env.Begin"},
		{"an authorization", "cards.yaml", Step{Operation: "setCardPin", Example: "bearer-missing"}, Env{},
			`authorization "none" without Env.Authorize`},
		{"a sealed request", "sealed.yaml", Step{Operation: "resetPin", Example: "pin-reset"}, Env{},
			"a sealed request without Env.Transform"},
		{"a sealed reply", "sealed.yaml", Step{Operation: "resetPin", Example: "pin-reset"}, Env{Transform: seal},
			"a sealed reply without Env.Open"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			doc := load(t, tt.file)
			_, byStep := executable(t, doc)
			require.Contains(t, byStep, tt.step)
			url := serve(t, vault(`{"responseCode":"00","urn":1,"accosaRefNo":"18"}`))
			got := failures(t, func(r *recorder) {
				tt.env.Client, tt.env.Reset = New(r, url, doc), func(testing.TB) {}
				tt.env.converse(r, byStep[tt.step], byStep)
			})
			require.Equal(t, []string{tt.step.String() + ": " + tt.want}, got)
		})
	}
}

func TestRunSealsRequestsAndOpensReplies(t *testing.T) {
	doc := load(t, "sealed.yaml")
	Run(t, doc, Env{
		Client:    New(t, serve(t, vault(`{"responseCode":"00","urn":1,"accosaRefNo":"18"}`)), doc),
		Reset:     func(testing.TB) {},
		Transform: seal,
		Open:      open,
	})
}

func TestASealedReplyIsComparedWithWhatIsInside(t *testing.T) {
	doc := load(t, "sealed.yaml")
	_, byStep := executable(t, doc)
	for name, reply := range map[string]string{
		"another value":  `{"responseCode":"01","urn":1,"accosaRefNo":"18"}`,
		"no JSON inside": `secret`,
	} {
		t.Run(name, func(t *testing.T) {
			url := serve(t, vault(reply))
			got := failures(t, func(r *recorder) {
				env := Env{Client: New(r, url, doc), Reset: func(testing.TB) {}, Transform: seal, Open: open}
				env.converse(r, byStep[Step{Operation: "resetPin", Example: "pin-reset"}], byStep)
			})
			require.Len(t, got, 1)
			require.Contains(t, got[0], "resetPin/pin-reset (POST /mob1/resetPin): body")
		})
	}
}

// vault is a server that keeps to rows/testdata/sealed.yaml and has the one reply for the one message in it.
func vault(reply string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := "another message"
		switch body, _ := io.ReadAll(r.Body); {
		case !json.Valid(body):
			answer = ""
		case string(unwrap(body)) == `{"newPIN":"1234","urn":1}`:
			answer = reply
		}
		w.Header().Set("Content-Type", rows.MediaJSON)
		_, _ = w.Write(wrap([]byte(answer)))
	})
}

// seal and open have base64 stand in for a cipher.
func seal(_ testing.TB, _ Conversation, body []byte) ([]byte, string) {
	return wrap(body), rows.MediaJSON
}

func open(_ testing.TB, c Conversation, body []byte) []byte {
	if !c.Reply.Sealed {
		return body
	}
	return unwrap(body)
}

func wrap(body []byte) []byte {
	return []byte(`{"token":"` + base64.StdEncoding.EncodeToString(body) + `"}`)
}

func unwrap(body []byte) []byte {
	var message struct{ Token []byte }
	if json.Unmarshal(body, &message) != nil {
		return nil
	}
	return message.Token
}
