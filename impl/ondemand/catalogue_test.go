package ondemand_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
	"pinvault/impl/ondemand"
	"pinvault/impl/rows"
	"pinvault/openapi"
)

var documents = sync.OnceValue(func() map[string]*contract.Document {
	names, err := contract.Names(openapi.Documents)
	if err != nil {
		panic(err)
	}
	all := map[string]*contract.Document{}
	for _, name := range names {
		if all[name], err = contract.Load(openapi.Documents, name); err != nil {
			panic(err)
		}
	}
	return all
})

var catalogue = sync.OnceValue(func() *ondemand.Catalogue { return ondemand.NewCatalogue(documents()) })

const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func call(t testing.TB, method, path, body string) *http.Request {
	t.Helper()
	return httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
}

func TestEveryDocumentedRowIsThere(t *testing.T) {
	t.Parallel()
	all := 0
	for name, d := range documents() {
		documented, err := rows.All(d.Spec())
		require.NoError(t, err, name)
		all += len(documented)
		for _, row := range documented {
			known := catalogue().Row(name, row.String())
			require.NotNil(t, known, "%s %s", name, row)
			require.True(t, catalogue().Has(row.String()))
			require.Equal(t, name, known.Contract)
		}
	}
	require.Len(t, catalogue().All(), all)
	require.True(t, slices.IsSortedFunc(catalogue().All(), func(a, b *ondemand.Row) int { return strings.Compare(a.Contract, b.Contract) }))
	require.Nil(t, catalogue().Row("thredd", "createCard/program-unknown"), "it is another contract's")
}

func TestEveryAnswerKeepsItsDocument(t *testing.T) {
	t.Parallel()
	for _, row := range catalogue().All() {
		answer := row.Answer(call(t, http.MethodGet, "/", ""), trace)
		require.Equal(t, row.Reply.Status, answer.Status, row)
		inside := answer.Body
		if row.Reply.Sealed {
			require.Nil(t, answer.Body, row)
			inside, answer.Body = answer.Message, row.Reply.Printed
		}
		op := operationOf(row)
		require.Empty(t, op.CheckReply(answer), "%s %s", row.Contract, row)
		for name, values := range row.Reply.Header {
			require.Equal(t, values, answer.Header[name], "%s %s", row.Contract, row)
		}
		if row.Reply.Body == nil {
			require.Empty(t, inside, row)
			continue
		}
		want, err := row.Reply.Decode(row.Reply.Body)
		require.NoError(t, err)
		got, err := row.Reply.Decode(inside)
		require.NoError(t, err)
		if members, ok := want.(map[string]any); ok && members["traceId"] != nil {
			members["traceId"] = trace
		}
		require.Equal(t, want, got, "%s %s", row.Contract, row)
	}
}

func operationOf(row *ondemand.Row) *contract.Operation {
	all := documents()[row.Contract].Operations()
	return all[slices.IndexFunc(all, func(op *contract.Operation) bool { return op.ID == row.Operation })]
}

func TestAnAnswerRepeatsWhatItsRowRepeats(t *testing.T) {
	t.Parallel()
	changed := func(header string) string {
		return `{"NISrvRequest":{"request_card_pin_change":{"header":{` + header + `},"body":{}}}}`
	}
	for name, c := range map[string]struct {
		contract, row, body string
		pointer             string
		want                any
	}{
		"a member of the same name":    {"networkintl", "changeCardPinV1/changed", changed(`"msg_id":"mine-1"`), "/NISrvResponse/response_card_pin_change/header/msg_id", "mine-1"},
		"another":                      {"networkintl", "changeCardPinV1/changed", changed(`"src_application":"APP"`), "/NISrvResponse/response_card_pin_change/header/src_application", "APP"},
		"not one that was not sent":    {"networkintl", "changeCardPinV1/changed", changed(``), "/NISrvResponse/response_card_pin_change/header/msg_id", "12345"},
		"not one of another type":      {"networkintl", "changeCardPinV1/changed", changed(`"msg_id":7`), "/NISrvResponse/response_card_pin_change/header/msg_id", "12345"},
		"not one that breaks its rule": {"networkintl", "changeCardPinV1/changed", changed(`"msg_id":"` + strings.Repeat("x", 500) + `"`), "/NISrvResponse/response_card_pin_change/header/msg_id", "12345"},
		"not what is no JSON":          {"networkintl", "changeCardPinV1/changed", `{`, "/NISrvResponse/response_card_pin_change/header/msg_id", "12345"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			row := catalogue().Row(c.contract, c.row)
			require.NotNil(t, row)
			answer := row.Answer(call(t, http.MethodPost, "/", c.body), trace)
			value, err := rows.DecodeJSON(answer.Body)
			require.NoError(t, err)
			got, ok := rows.Lookup(value, c.pointer)
			require.True(t, ok, "%s", answer.Body)
			require.Equal(t, c.want, got)
		})
	}
}

func TestWhatMakesARowComeOutFollowsFromTheDocuments(t *testing.T) {
	t.Parallel()
	for row, want := range map[string]ondemand.By{
		"thredd setCardPin/database-gone":                ondemand.ByFault,
		"creditplus resetPinRetryCounterV1/device-fault": ondemand.ByFault,
		"hosted checkCurrentPin/pin-wrong":               ondemand.BySession,
		"thredd getCardPinStatus/status-after-set":       ondemand.ByState,
		"thredd setCardPin/card-status-41":               ondemand.ByState,
		"accosa resetPin/card-lost":                      ondemand.ByState,
		"thredd setCardPin/card-unknown":                 ondemand.ByRequest,
		"thredd getCardPin/bearer-missing":               ondemand.ByRequest,
	} {
		name, step, _ := strings.Cut(row, " ")
		known := catalogue().Row(name, step)
		require.NotNil(t, known, row)
		require.Equal(t, want, known.By, row)
	}
	for _, row := range catalogue().All() {
		require.Equal(t, row.Fault != "", row.By == ondemand.ByFault, row)
		require.True(t, len(row.After) == 0 || row.By != ondemand.ByRequest, row)
	}
}

func TestARowIsFoundByHeaderOrPreference(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ask  ondemand.Ask
		want string
	}{
		"a row":                      {ondemand.Ask{Row: "setCardPin/card-unknown", Must: true}, "setCardPin/card-unknown"},
		"no such row":                {ondemand.Ask{Row: "setCardPin/none", Must: true}, ""},
		"a row of another operation": {ondemand.Ask{Row: "getCardPin/card-unknown", Must: true}, ""},
		"no row":                     {ondemand.Ask{Must: true}, ""},
		"a status":                   {ondemand.Ask{Status: 405}, "setCardPin/method-wrong"},
		"the first of a status":      {ondemand.Ask{Status: 409}, "setCardPin/card-status-14"},
		"a status that it has not":   {ondemand.Ask{Status: 418}, ""},
		"a name":                     {ondemand.Ask{Name: "card-unknown"}, "setCardPin/card-unknown"},
		"a name of the status":       {ondemand.Ask{Name: "card-unknown", Status: 404}, "setCardPin/card-unknown"},
		"a name of another status":   {ondemand.Ask{Name: "card-unknown", Status: 409}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			row, ok := catalogue().Find("thredd", "setCardPin", c.ask)
			require.Equal(t, c.want != "", ok)
			if ok {
				require.Equal(t, c.want, row.String())
			}
		})
	}
}

func TestThereIsACallForEveryRow(t *testing.T) {
	t.Parallel()
	for _, row := range catalogue().All() {
		curl := row.Curl("http://127.0.0.1:8080/spaces/a/")
		require.Contains(t, curl, "-H 'PinVault-Row: "+row.String()+"'", row)
		require.Contains(t, curl, " 'http://127.0.0.1:8080/spaces/a/", row)
	}
	url := "http://h"
	for row, want := range map[string]string{
		"common getReadiness/not-ready": `curl -s -i -H 'PinVault-Row: getReadiness/not-ready' 'http://h/readyz'`,
		"common issueToken/secret-wrong": `curl -s -i -H 'PinVault-Row: issueToken/secret-wrong' ` +
			`-d 'client_id=issuer-sandbox&client_secret=issuer-sandbox-secret&grant_type=client_credentials&scope=pins%3Averify' 'http://h/oauth2/token'`,
		"thredd getCardPin/bearer-missing": `curl -s -i -H 'PinVault-Row: getCardPin/bearer-missing' ` +
			`-H "Authorization: Bearer $(curl -s -d grant_type=client_credentials -d client_id=thredd-sandbox -d client_secret=thredd-sandbox-secret ` +
			`'http://h/connect/token' | sed -E 's/.*"access_token":"([^"]+)".*/\1/')" 'http://h/api/v1/cards/103169946/pin'`,
	} {
		name, step, _ := strings.Cut(row, " ")
		require.NotNil(t, catalogue().Row(name, step), row)
		require.Equal(t, want, catalogue().Row(name, step).Curl(url), row)
	}
}
