package hosted

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/capability"
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

// sentences are all that a file of languages/ says, by the path to it.
func sentences(t *testing.T, of any, at string) map[string]string {
	t.Helper()
	all := map[string]string{}
	switch of := of.(type) {
	case string:
		all[at] = of
	case map[string]any:
		for name, inner := range of {
			maps.Copy(all, sentences(t, inner, at+"/"+name))
		}
	default:
		t.Fatalf("%s is no text", at)
	}
	return all
}

// isPlural tells whether a path leads to a sentence of a plural category other than the one that all languages have.
var isPlural = regexp.MustCompile(`/(zero|one|two|few|many)$`)

// A text that is missing, or that leaves out a number, would show only to who reads that language.
func TestEveryLanguageSaysTheSame(t *testing.T) {
	t.Parallel()
	said := func(lang string) map[string]string {
		content, err := languages.ReadFile("languages/" + lang + ".json")
		require.NoError(t, err)
		var all map[string]any
		require.NoError(t, json.Unmarshal(content, &all))
		found := sentences(t, all, "")
		maps.DeleteFunc(found, func(at, _ string) bool { return isPlural.MatchString(at) })
		return found
	}
	english := said("en")
	require.Equal(t, []string{"en", "ar", "es", "fr", "hi", "ur"}, spoken())
	for _, lang := range spoken() {
		theirs := said(lang)
		require.ElementsMatch(t, slices.Collect(maps.Keys(english)), slices.Collect(maps.Keys(theirs)), lang)
		for at, sentence := range english {
			require.NotEmpty(t, theirs[at], "%s: %s", lang, at)
			open := func(s string) []string { return slices.Sorted(slices.Values(placeholder.FindAllString(s, -1))) }
			require.Equal(t, open(sentence), open(theirs[at]), "%s: %s", lang, at)
		}
		require.Contains(t, []string{"ltr", "rtl"}, packs[lang].Dir)
	}
}

// The categories of the numbers that are said, as Unicode CLDR has them: 1 to 15 tries, 4 to 12 digits.
func TestPlurals(t *testing.T) {
	t.Parallel()
	tries := map[string][]string{"ar": {"one", "two", "few", "many"}, "en": {"one"}, "es": {"one"}, "fr": {"one"}, "hi": {"one"}, "ur": {"one"}}
	digits := map[string][]string{"ar": {"few", "many"}}
	for _, lang := range spoken() {
		page := packs[lang].Page
		require.ElementsMatch(t, append(tries[lang], "other"), slices.Collect(maps.Keys(page.Tries)), lang)
		for _, all := range []plural{page.Length, page.Exact, page.New.Hint, page.New.Exact} {
			require.ElementsMatch(t, append(digits[lang], "other"), slices.Collect(maps.Keys(all)), lang)
			for category, sentence := range all {
				require.Contains(t, sentence, "{max}", "%s: %s", lang, category)
			}
		}
	}
	require.Contains(t, packs["ar"].Page.New.Hint["few"], "من {min} إلى {max} أرقام")
	require.Contains(t, packs["ar"].Page.New.Hint["many"], "من {min} إلى {max} رقمًا")
}

// Every row has a notice that the page has in every language.
func TestEveryRowHasANotice(t *testing.T) {
	t.Parallel()
	all := []row{expired, unusable, rowOf(contract.NoMethod), rowOf(contract.Unbound)}
	for _, code := range pin.Codes() {
		all = append(all, problems.Row(code))
	}
	for _, r := range all {
		require.Contains(t, packs["en"].Page.Notices, r.notice, r.Code)
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
	require.Equal(t, "'none'", a.ancestors(programSettings{}))
	require.Equal(t, "https://a.example", a.ancestors(programSettings{FrameAncestors: []string{"https://a.example"}}))
	require.Empty(t, a.parentOrigin(programSettings{}))
	_, err := a.GetDemo(t.Context(), struct{}{})
	require.Equal(t, contract.NoRoute, err)
	require.Equal(t, "https://pin.example", newAPI(t, Options{PublicURL: "https://pin.example/base", Sandbox: true}).parentOrigin(programSettings{}))

	// The program's languages, and no others.
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/hosted/pin/x?lang=ar", http.NoBody)
	p, err := a.render(r, pin.Session{ID: "x", Action: pin.ActionSet}, pin.Program{Settings: map[string]json.RawMessage{Name: json.RawMessage(`{"languages":["hi","en"]}`)}}, nil)
	require.NoError(t, err)
	require.Contains(t, string(p.Body), `<html lang="hi" dir="ltr">`)
	require.True(t, strings.HasSuffix(p.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'"))
}

// In the sandbox a page is in any language that it is asked for, and so is everywhere the notice of a session that
// nobody knows, which is no program's.
func TestWhatIsInAllLanguages(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/hosted/pin/x?lang=ar", http.NoBody)
	p, err := newAPI(t, Options{PublicURL: "https://pin.example", Sandbox: true}).render(r, pin.Session{ID: "x", Action: pin.ActionSet}, pin.Program{}, nil)
	require.NoError(t, err)
	require.Contains(t, string(p.Body), `<html lang="ar" dir="rtl">`)
	p, err = newAPI(t, Options{PublicURL: "https://pin.example"}).render(r, pin.Session{}, pin.Program{}, pinsession.ErrUnusable)
	require.NoError(t, err)
	require.Contains(t, string(p.Body), `<html lang="ar" dir="rtl">`)
}

// An origin that may not embed pages here is passed over, although a program names it.
func TestOriginsThatMayNotEmbedArePassedOver(t *testing.T) {
	t.Parallel()
	p := programSettings{FrameAncestors: []string{"http://a.example", "https://b.example"}, ParentOrigin: "http://a.example"}
	a := newAPI(t, Options{PublicURL: "https://pin.example", Embeds: func(origin string) bool { return strings.HasPrefix(origin, "https:") }})
	require.Equal(t, "https://b.example", a.ancestors(p))
	require.Empty(t, a.parentOrigin(p))
	a = newAPI(t, Options{PublicURL: "https://pin.example"})
	require.Equal(t, "http://a.example https://b.example", a.ancestors(p))
	require.Equal(t, "http://a.example", a.parentOrigin(p))
}

// A logo is part of the page, by the one more source that its policy then has.
func TestWhosePageItIs(t *testing.T) {
	t.Parallel()
	a := newAPI(t, Options{PublicURL: "https://pin.example"})
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/hosted/pin/x", http.NoBody)
	shown := func(settings string) page {
		p, err := a.render(r, pin.Session{ID: "x", Action: pin.ActionSet}, pin.Program{Settings: map[string]json.RawMessage{Name: json.RawMessage(settings)}}, nil)
		require.NoError(t, err)
		return p
	}
	none := shown(`{}`)
	require.NotContains(t, string(none.Body), "<img")
	require.NotContains(t, none.Header.Get("Content-Security-Policy"), "img-src")
	named := shown(`{"issuerName":"<Example> Bank","logo":"` + pixel + `","returnUrl":"https://bank.example/done?a=b"}`)
	require.Contains(t, string(named.Body), `<img src="`+pixel+`" alt=""><span dir="auto">&lt;Example&gt; Bank</span>`)
	require.Contains(t, named.Header.Get("Content-Security-Policy"), "; connect-src 'self'; img-src data:; ")
	require.Contains(t, string(named.Body), `"returnUrl":"https://bank.example/done?a=b","back":"Go back"`)
	// Should one have come into the database by another way.
	broken := shown(`{"issuerName":"Bank","logo":"https://a.example/logo.png","returnUrl":"javascript:alert(1)"}`)
	require.NotContains(t, string(broken.Body), "<img")
	require.NotContains(t, string(broken.Body), "returnUrl\":")
}

func TestAPageGoesOutCompressed(t *testing.T) {
	t.Parallel()
	a := newAPI(t, Options{PublicURL: "https://pin.example"})
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/hosted/pin/x", http.NoBody)
	plain := a.Render(r, &contract.Operation{ID: "getPinPage"}, pinsession.ErrUnusable)
	require.Empty(t, plain.Header.Get("Content-Encoding"))
	r.Header.Set("Accept-Encoding", "br, gzip")
	small := a.Render(r, &contract.Operation{ID: "getPinPage"}, pinsession.ErrUnusable)
	require.Equal(t, "gzip", small.Header.Get("Content-Encoding"))
	require.Less(t, len(small.Body), len(plain.Body)/2)
	unzipped, err := gzip.NewReader(bytes.NewReader(small.Body))
	require.NoError(t, err)
	body, err := io.ReadAll(unzipped)
	require.NoError(t, err)
	require.Contains(t, string(body), "This link cannot be used")
}

// Partners load it before they know whether they need it.
func TestTheEmbeddingScriptIsSmall(t *testing.T) {
	t.Parallel()
	require.LessOrEqual(t, len(asset("pinvault.js")), 3<<10)
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

// What a cardholder must do next is said in every language, and each step is one of capability's.
func TestStepsAreSaidInEveryLanguage(t *testing.T) {
	t.Parallel()
	for _, lang := range spoken() {
		said, steps := Steps(lang)
		require.Equal(t, lang, said)
		for _, step := range capability.Steps {
			require.NotEmpty(t, steps[string(step)], "%s: %s", lang, step)
		}
		require.Len(t, steps, len(capability.Steps))
	}
	said, _ := Steps("de, fr;q=0.5")
	require.Equal(t, "fr", said)
	said, _ = Steps("")
	require.Equal(t, "en", said)
}
