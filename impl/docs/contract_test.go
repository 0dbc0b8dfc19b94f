package docs

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/rows"
)

// everyChapter are the contracts' pages of all documents, and their HTML on a sandbox, by name.
func everyChapter(t *testing.T) (map[string]*chapter, map[string]string) {
	t.Helper()
	s := everything(t)
	chapters, pages := map[string]*chapter{}, map[string]string{}
	for _, chapter := range s.chapters {
		c, err := chapter()
		require.NoError(t, err)
		chapters[c.Name] = c
	}
	for _, f := range s.Pages(true) {
		html, err := f.Data()
		require.NoError(t, err)
		pages[strings.TrimPrefix(f.Path, "docs/")] = string(html)
	}
	return chapters, pages
}

func TestEveryErrorIsInItsTableWithWhatToDo(t *testing.T) {
	t.Parallel()
	chapters, pages := everyChapter(t)
	wanted := map[int]string{405: "the method", 413: "a smaller body", 415: "the Content-Type"}
	for _, d := range everyDocument(t) {
		all, err := rows.All(d.Spec())
		require.NoError(t, err)
		shown := 0
		for _, o := range chapters[d.Name()].Operations {
			labels := map[string]string{}
			for _, r := range append(o.Errors, o.Successes...) {
				shown++
				require.Empty(t, labels[r.When], "%s: %s has the same label", r.ID, labels[r.When])
				labels[r.When] = r.ID
				require.Contains(t, pages[d.Name()], `<tr id="`+r.ID+`">`)
			}
			for _, r := range o.Errors {
				require.NotEmpty(t, r.Advice, r.ID)
				require.Contains(t, r.Advice, wanted[r.Status], "%s: what its code is advised does not fit", r.ID)
			}
		}
		require.Equal(t, len(all), shown, d.Name())
		require.NotRegexp(t, `\((local|sibling)\)`, pages[d.Name()])
	}
}

func TestAnErrorHasTheCodeAndTheTextOfItsReply(t *testing.T) {
	t.Parallel()
	chapters, _ := everyChapter(t)
	found := map[string]reply{}
	for name, c := range chapters {
		for _, o := range c.Operations {
			for _, r := range o.Errors {
				found[name+" "+r.ID] = r
			}
		}
	}
	lost := found["accosa resetPin.card-lost"]
	require.Equal(t, []any{403, "1011", "CARD PERMANENT BLOCK", "A lost card", ""}, []any{lost.Status, lost.Code, lost.Text, lost.When, lost.Why})
	refused := found["common issueToken.secret-wrong"]
	require.Equal(t, []any{401, "invalid_client"}, []any{refused.Status, refused.Code})
	require.Equal(t, "Needs a fault inside the server.", found["thredd setCardPin.database-gone"].Why)
	require.Equal(t, "Set a PIN first.", found["thredd getCardPin.card-without-pin"].Advice, "its own, and not that of its status")
}

func TestARowIsToldFromOthersByWordsBeforeItsName(t *testing.T) {
	t.Parallel()
	row := func(name, asked, summary string) rows.Row {
		return rows.Row{Step: rows.Step{Example: name}, Asked: asked, Summary: summary}
	}
	require.Equal(t, []string{"A right PIN", "The same PIN", "The same again", "A PIN (set late)", "A PIN (set)", "No PIN", "by name"}, whens([]rows.Row{
		row("right", "A right PIN", "match"), row("first", "PIN 7010", "The same PIN"), row("second", "PIN 7010", "The same again"),
		row("set-late", "A PIN", ""), row("set", "A PIN", ""), row("none", "", "No PIN"), row("by-name", "", ""),
	}))
}

func TestASealedMessageShowsItsFields(t *testing.T) {
	t.Parallel()
	chapters, pages := everyChapter(t)
	var names []string
	for _, g := range chapters["accosa"].Operations[0].Groups {
		for _, f := range g.Fields {
			names = append(names, f.Name)
		}
	}
	require.Subset(t, names, []string{"clientId", "newPIN", "last4Digits", "responseCode"})
	require.NotContains(t, names, "token")
	require.Contains(t, pages["networkintl"], "<code>NISrvRequest.request_card_pin_change.header.msg_id</code>")
}

func TestPagesAreWhole(t *testing.T) {
	t.Parallel()
	_, pages := everyChapter(t)
	for name, html := range pages {
		ids := map[string]bool{}
		for _, id := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(html, -1) {
			require.False(t, ids[id[1]], "%s: two have the id %s", name, id[1])
			ids[id[1]] = true
		}
		for _, link := range regexp.MustCompile(`href="#([^"]*)"`).FindAllStringSubmatch(html, -1) {
			require.True(t, ids[link[1]], "%s: #%s leads nowhere", name, link[1])
		}
		require.NotRegexp(t, `(?:src|href)="(?:https?:)?//`, html, name)
		require.NotContains(t, html, "127.0.0.1:8080", "%s: it speaks of its own server", name)
	}
	require.Contains(t, pages["thredd"], `<h2 id="quick-start">Quick start</h2>`)
	require.Contains(t, pages[""], `<a href="docs/changelog">the whole changelog</a> has`)
	require.NotContains(t, pages[""], "The vault: cards, PINs and one try counter", "the first entry of the changelog, which is not the latest")
	require.Contains(t, pages["changelog"], "The vault: cards, PINs and one try counter")
	require.Contains(t, pages[""], `<a href="docs/workflows/card">`)
	require.Contains(t, pages["workflows/card"], `<a href="../thredd#setCardPin">`)
	require.Contains(t, pages["hosted"], "<table>", "tables of an introduction are tables")
}

func TestWhatBrowsersDoNotSendIsSaid(t *testing.T) {
	t.Parallel()
	for why, row := range map[string]rows.Row{
		"":                                  {Method: "POST", Path: "/a%2Fb", Body: []byte("{}"), Override: map[string][]string{"Content-Type": nil, "X-A": {"a b"}}},
		"Needs a fault inside the server.":  {Fault: "database"},
		"Needs a token that has expired.":   {Authorization: "expired"},
		"Needs a client without the scope.": {Authorization: "no-scope"},
		"Needs a method that browsers do not send.": {Method: "TRACE"},
		"Needs a body where browsers send none.":    {Method: "GET", Body: []byte("{}")},
		"Needs a path that browsers change.":        {Method: "GET", Path: "/a/%2E%2e/b"},
		"Needs a header twice.":                     {Method: "GET", Header: map[string][]string{"X-A": {"1", "2"}}},
		"Needs a header that browsers do not send.": {Method: "GET", Override: map[string][]string{"Host": {"a"}}},
	} {
		require.Equal(t, why, unsendable(row))
	}
}
