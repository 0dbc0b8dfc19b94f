package journal

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/generated/sandbox"
	"pinvault/impl/contract"
	"pinvault/impl/pin"
	"pinvault/impl/rows"
	"pinvault/openapi"
)

// A row's own exchange fits that row, or one that nobody could tell from it.
func TestEveryDocumentedRowIsRecognized(t *testing.T) {
	t.Parallel()
	all, err := contract.Names(openapi.Documents)
	require.NoError(t, err)
	for _, name := range all {
		d := document(t, name)
		told, err := rows.ErrorReferenceOf(d.Spec())
		require.NoError(t, err)
		for _, documented := range rowsOf(d, told) {
			for _, row := range documented {
				best := fit(row.exchange, documented, due{})
				for _, other := range documented {
					if other.name == best && best != row.name {
						require.Zero(t, differ(other, row.exchange, other.reply, row.reply, "", ""), "%s is taken for %s", row.name, best)
						names, values := unlike(other.said, row.said)
						require.Zero(t, names+values, "%s is taken for %s", row.name, best)
					}
				}
				require.NotEmpty(t, best, row.name)
			}
		}
	}
}

func TestTheRowThatFitsBest(t *testing.T) {
	t.Parallel()
	row := func(name string, status int, code string, reply any, said facts) documented {
		return documented{name: name, volatile: []string{"/traceId"}, exchange: exchange{said: said, status: status, media: "application/json", reply: reply, code: code}}
	}
	object := func(pairs ...any) map[string]any {
		all := map[string]any{}
		for i := 0; i < len(pairs); i += 2 {
			all[pairs[i].(string)] = pairs[i+1]
		}
		return all
	}
	all := []documented{
		row("set", 200, "", object("id", "A", "n", 1.0), facts{"id": {"A"}}),
		row("set-again", 200, "", object("id", "A", "n", 2.0), facts{"id": {"A"}, "key": {"k"}}),
		row("listed", 200, "", object("items", []any{object("a", 1.0)}), facts{}),
		row("lost", 409, "lost", object("code", "lost", "text", "The card is lost.", "traceId", "t"), facts{}),
		row("stolen", 409, "stolen", object("code", "stolen", "text", "The card is stolen.", "traceId", "t"), facts{}),
	}
	for name, c := range map[string]struct {
		x    exchange
		want string
	}{
		"as documented":                     {all[0].exchange, "set"},
		"with what is repeated":             {exchange{said: facts{"id": {"B"}}, status: 200, media: "application/json", reply: object("id", "B", "n", 1.0)}, "set"},
		"with another value":                {exchange{said: facts{"id": {"B"}}, status: 200, media: "application/json", reply: object("id", "B", "n", 2.0)}, "set-again"},
		"as two rows are, by the request":   {exchange{said: facts{"id": {"A"}, "key": {"j"}}, status: 200, media: "application/json", reply: object("id", "A", "n", 3.0)}, "set-again"},
		"of another shape":                  {exchange{said: facts{}, status: 200, media: "application/json", reply: object("items", []any{})}, "listed"},
		"an error by its code":              {exchange{said: facts{}, status: 409, media: "application/json", reply: object("code", "lost", "text", "Lost.", "traceId", "u"), code: "lost"}, "lost"},
		"an error that varies where it may": {exchange{said: facts{}, status: 409, media: "application/json", reply: object("code", "stolen", "text", "The card is stolen.", "traceId", "u"), code: "stolen"}, "stolen"},
		"an error with a code of none":      {exchange{said: facts{}, status: 409, media: "application/json", reply: object("code", "eaten"), code: "eaten"}, ""},
		"of a status of none":               {exchange{said: facts{}, status: 500, media: "application/json"}, ""},
		"of a media type of none":           {exchange{said: facts{}, status: 200, media: "text/plain", reply: "x"}, ""},
		"what varies is there in its kind":  {exchange{said: facts{}, status: 409, media: "application/json", reply: object("code", "lost", "traceId", 1.0), code: "lost"}, "lost"},
		"of no shape, by the request":       {exchange{said: facts{}, status: 200, media: "application/json", reply: "text"}, "listed"},
	} {
		require.Equal(t, c.want, fit(c.x, all, due{}), name)
	}
}

// Of several rows with one reply the one is named that a rule or a card has made.
func TestARuleAndACardTellRowsApart(t *testing.T) {
	t.Parallel()
	row := func(name, fault string, reply any) documented {
		return documented{name: name, fault: fault, exchange: exchange{said: facts{}, status: 503, code: "gone", reply: reply}}
	}
	all := []documented{row("first", "", "x"), row("card", "", "x"), row("later", "database-later", "x"), row("database", "database", "x"), row("told", "", "y")}
	x := exchange{said: facts{}, status: 503, code: "gone", reply: "x"}
	for want, why := range map[string]due{
		"first":    {},
		"card":     {cards: []string{"card", "told"}},
		"database": {fault: "database", cards: []string{"card"}},
		"later":    {fault: "database-later"},
		"told":     {rule: []string{"told", "nowhere"}, fault: "database"},
	} {
		require.Equal(t, want, fit(x, all, why))
	}
	require.Equal(t, "later", fit(x, all[:3], due{fault: "database"}), "the nearest fault")
	require.Equal(t, "first", fit(x, all, due{fault: "internal", rule: []string{"nowhere"}}))
	x.status = 500
	require.Empty(t, fit(x, all, due{rule: []string{"told"}}), "what was not answered is no row")
}

func TestWhatARequestSays(t *testing.T) {
	t.Parallel()
	f := facts{}
	f.path("/cards/{cardId}/pin", "/cards/a%20b/pin?q=1&q=2")
	f.body("application/json", []byte(`{"Client-Txn-Id":7,"list":[{"n":"x"},true,null]}`))
	require.Equal(t, facts{"cardid": {"a b"}, "q": {"1", "2"}, "clienttxnid": {"7"}, "n": {"x"}, "list": {"true", "null"}}, f)
	f = facts{}
	f.body("application/x-www-form-urlencoded", []byte("a=1"))
	f.body("text/plain", []byte("{not json"))
	f.body("", nil)
	require.Equal(t, facts{"a": {"1"}, "": {"{not json"}}, f)
}

func TestWhatBecameOfACardIsToldWithoutItsSecrets(t *testing.T) {
	t.Parallel()
	row := func(card, value string) pin.CardRow {
		return pin.CardRow{ID: "c", Details: []byte(card), Value: []byte(value)}
	}
	const (
		card  = `{"id":"c","status":"normal","version":1,"pan":"QUJD","customerId":"1","references":[{"kind":"urn","value":"7"}]}`
		value = `{"state":"assigned","verifier":"QUJD","version":1,"triesLeft":3,"head":{"seq":1}}`
	)
	change := func(field, before, after string) sandbox.EntryChange {
		return sandbox.EntryChange{Field: field, Before: before, After: after}
	}
	for name, c := range map[string]struct {
		before, after pin.CardRow
		want          []sandbox.EntryChange
	}{
		"nothing":     {row(card, value), row(card, value), nil},
		"a try used":  {row(card, value), row(card, `{"state":"assigned","verifier":"QUJD","version":1,"triesLeft":2,"head":{"seq":2}}`), []sandbox.EntryChange{change("tries", "3", "2")}},
		"a PIN":       {row(card, value), row(card, `{"state":"chosen","verifier":"REVG","version":2,"triesLeft":3,"head":{"seq":2}}`), []sandbox.EntryChange{change("pin", "****", "****"), change("pinState", "random", "chosen")}},
		"a first PIN": {row(card, `{"state":"none","version":0,"triesLeft":3}`), row(card, value), []sandbox.EntryChange{change("pin", "", "****"), change("pinState", "none", "random")}},
		"the card": {row(card, value),
			row(`{"id":"c","status":"lost","version":2,"pan":"REVG","customerId":"9999990000000014","references":[{"kind":"urn","value":"8"},{"kind":"alias","value":"A"}]}`, value),
			[]sandbox.EntryChange{change("alias", "", "A"), change("customerId", "1", "999999******0014"), change("pan", "****", "****"), change("status", "normal", "lost"), change("urn", "7", "8")}},
		"a new one": {pin.CardRow{}, row(`{"id":"c","status":"normal"}`, value),
			[]sandbox.EntryChange{change("pin", "", "****"), change("pinState", "", "random"), change("status", "", "normal"), change("tries", "", "3")}},
	} {
		require.Equal(t, c.want, changesOf(step{c.before, c.after}), name)
	}
}

func TestACallInBashIsTheCall(t *testing.T) {
	t.Parallel()
	body := "{\"a\": \"it's\",\n\"b\": \"$HOME `x` \\\\ !\"}"
	for _, c := range []struct {
		url    string
		r      sandbox.EntryRequest
		header []field
		want   []string
	}{
		{"http://a/b", sandbox.EntryRequest{Method: "GET"}, nil, []string{"http://a/b"}},
		{"http://a/b", sandbox.EntryRequest{Method: "HEAD"}, nil, []string{"--head", "http://a/b"}},
		{"http://a/b?c={d}&e", sandbox.EntryRequest{Method: "DELETE"}, []field{{"Host", "x"}, {"Accept", "*/*"}, {"X-Empty", ""}, {"X", "'\x01\xff"}},
			[]string{"-X", "DELETE", "--globoff", "http://a/b?c={d}&e", "-H", "X-Empty;", "-H", "X: '\x01\xff"}},
		{"http://a/b", sandbox.EntryRequest{Method: "POST", Body: &body}, nil, []string{"-X", "POST", "http://a/b", "-H", "Content-Type:", "--data-raw", body}},
		{"http://a/b", sandbox.EntryRequest{Method: "GET", Body: &body}, []field{{"Content-Type", "text/plain"}},
			[]string{"-X", "GET", "http://a/b", "-H", "Content-Type: text/plain", "--data-raw", body}},
	} {
		out, err := exec.CommandContext(t.Context(), "bash", "-c", `curl() { printf '%s\0' "$@"; }; `+curl(c.url, c.r, c.header)).Output()
		require.NoError(t, err)
		require.Equal(t, c.want, splitZero(string(out)))
	}
}

func splitZero(s string) (all []string) {
	for at := 0; at < len(s); {
		end := at
		for s[end] != 0 {
			end++
		}
		all, at = append(all, s[at:end]), end+1
	}
	return all
}
