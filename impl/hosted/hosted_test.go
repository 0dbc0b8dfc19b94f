package hosted

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
	"pinvault/impl/pin"
	"pinvault/impl/pinsession"
)

func TestLanguage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		offered        []string
		wanted, accept string
		want           string
	}{
		"the one asked for":                      {[]string{"en", "ar", "hi"}, "ar", "hi", "ar"},
		"a region of the one asked for":          {[]string{"en", "ar"}, "ar-AE", "", "ar"},
		"an offer with a region":                 {[]string{"en-GB", "ar-AE"}, "ar", "", "ar"},
		"capitals":                               {[]string{"en", "hi"}, "HI", "", "hi"},
		"the browser's, where none is asked for": {[]string{"en", "hi"}, "", "de-DE,hi;q=0.8,en;q=0.5", "hi"},
		"the browser's, where another is asked":  {[]string{"en", "hi"}, "ar", "hi", "hi"},
		"the program's first":                    {[]string{"ar", "en"}, "", "de", "ar"},
		"the first that the page speaks":         {[]string{"de", "hi"}, "de", "de", "hi"},
		"English, where the page speaks none":    {[]string{"de"}, "de", "de", "en"},
		"English, where none is offered":         {nil, "", "", "en"},
		"a header that is none":                  {[]string{"en", "ar"}, "", ",;;q=1,*", "en"},
	} {
		require.Equal(t, c.want, language(c.offered, c.wanted, c.accept), name)
	}
}

var placeholder = regexp.MustCompile(`\{\w+\}`)

// A text that is missing, or that leaves out a number, would show only to who reads that language.
func TestEveryLanguageSaysTheSame(t *testing.T) {
	t.Parallel()
	said := func(words text) map[string]string {
		all := map[string]string{"step": words.Step, "newExact": words.NewExact, "continue": words.Continue, "save": words.Save, "restart": words.Restart,
			"retry": words.Retry, "busy": words.Busy, "noscript": words.NoScript, "dir": words.Dir}
		for name, f := range map[string]field{"current": words.Current, "new": words.New, "confirm": words.Confirm,
			"pad": {words.Pad.Show + words.Pad.Hide, words.Pad.Name + words.Pad.Delete}} {
			all[name+" label"], all[name+" hint"] = f.Label, f.Hint
		}
		for name, n := range words.Notices {
			all["notice "+name], all["notice text "+name] = n.Title, n.Text
		}
		for kind, list := range map[string]map[string]string{"title": words.Title, "error": words.Errors} {
			for name, sentence := range list {
				all[kind+" "+name] = sentence
			}
		}
		return all
	}
	english := said(texts["en"])
	for lang, words := range texts {
		theirs := said(words)
		require.Len(t, theirs, len(english), lang)
		for name, sentence := range english {
			require.NotEmpty(t, theirs[name], "%s: %s", lang, name)
			open := func(s string) []string { return slices.Sorted(slices.Values(placeholder.FindAllString(s, -1))) }
			require.Equal(t, open(sentence), open(theirs[name]), "%s: %s", lang, name)
		}
		require.NotEmpty(t, words.Tries["other"], lang)
		require.Contains(t, words.Tries["other"], "{n}", lang)
	}
}

// Every row has a notice that the page has in every language.
func TestEveryRowHasANotice(t *testing.T) {
	t.Parallel()
	all := []row{expired, unusable, rowOf(contract.NoMethod), rowOf(contract.Unbound)}
	for _, code := range pin.Codes() {
		all = append(all, problems.Row(code))
	}
	for _, r := range all {
		require.Contains(t, texts["en"].Notices, r.notice, r.Code)
		require.NotEmpty(t, r.Title)
	}
	require.Equal(t, expired, rowOf(fmt.Errorf("wrapped: %w", pinsession.ErrExpired)))
	require.Equal(t, unusable, rowOf(pinsession.ErrUnusable))
	require.Equal(t, problems.Row(pin.Internal), rowOf(errors.New("a fault")))
	require.Equal(t, unusable, rowOf(contract.Broken{{In: contract.InPath, Pointer: "sessionId", Rule: contract.RulePattern}}))
}

func newAPI(t *testing.T, o Options) *API {
	t.Helper()
	a, err := New(nil, o)
	require.NoError(t, err)
	return a
}

// Outside the sandbox nobody embeds a page but whom the program names, nobody hears its events, and
// there is no demo.
func TestOutsideTheSandbox(t *testing.T) {
	t.Parallel()
	a := newAPI(t, Options{PublicURL: "https://pin.example/base"})
	require.Equal(t, "'none'", a.ancestors(pin.Program{}))
	require.Equal(t, "https://a.example", a.ancestors(pin.Program{FrameAncestors: []string{"https://a.example"}}))
	require.Empty(t, a.parentOrigin(pin.Program{}))
	_, err := a.GetDemo(t.Context(), struct{}{})
	require.Equal(t, contract.NoRoute, err)
	require.Equal(t, "https://pin.example", newAPI(t, Options{PublicURL: "https://pin.example/base", Sandbox: true}).parentOrigin(pin.Program{}))

	// The program's languages, and no others.
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/hosted/pin/x?lang=ar", http.NoBody)
	p, err := a.render(r, pin.Session{ID: "x", Action: pin.ActionSet}, pin.Program{Languages: []string{"hi", "en"}}, nil)
	require.NoError(t, err)
	require.Contains(t, string(p.Body), `<html lang="hi" dir="ltr">`)
	require.True(t, strings.HasSuffix(p.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'"))
}

// An origin that may not embed pages here is passed over, although a program names it.
func TestOriginsThatMayNotEmbedArePassedOver(t *testing.T) {
	t.Parallel()
	p := pin.Program{FrameAncestors: []string{"http://a.example", "https://b.example"}, ParentOrigin: "http://a.example"}
	a := newAPI(t, Options{PublicURL: "https://pin.example", Embeds: func(origin string) bool { return strings.HasPrefix(origin, "https:") }})
	require.Equal(t, "https://b.example", a.ancestors(p))
	require.Empty(t, a.parentOrigin(p))
	a = newAPI(t, Options{PublicURL: "https://pin.example"})
	require.Equal(t, "http://a.example https://b.example", a.ancestors(p))
	require.Equal(t, "http://a.example", a.parentOrigin(p))
}

// Whatever goes wrong on the way to a page, the cardholder sees a page.
func TestAFaultIsAPageToo(t *testing.T) {
	t.Parallel()
	a := newAPI(t, Options{PublicURL: "https://pin.example"})
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/hosted/pin/x", http.NoBody)
	for err, status := range map[error]int{&pin.Error{Code: pin.Unavailable}: 503, &pin.Error{Code: pin.Internal}: 500, pinsession.ErrUnusable: 404} {
		reply := a.Render(r, &contract.Operation{ID: "getPinPage"}, err)
		require.Equal(t, status, reply.Status)
		require.Equal(t, "text/html; charset=utf-8", reply.Header.Get("Content-Type"))
		require.NotEmpty(t, reply.Header.Get("Content-Security-Policy"))
		require.Equal(t, "application/problem+json", a.Render(r, nil, err).Header.Get("Content-Type"), "where no browser looks")
	}
	a.options.Rand = strings.NewReader("") // there is no page without a nonce
	require.Equal(t, "application/problem+json", a.Render(r, &contract.Operation{ID: "getPinPage"}, pinsession.ErrUnusable).Header.Get("Content-Type"))
}
