package hosted

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/base64"
	"errors"
	"html/template"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"pinvault/generated/hosted"
	"pinvault/impl/contract"
	"pinvault/impl/pin"
)

//go:embed assets
var assets embed.FS

// asset is the text of an embedded file.
func asset(name string) string {
	text, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic(err) // of a constant, so it would fail always or never
	}
	return string(text)
}

// view is what the page's template is given.
type view struct {
	Lang, Theme string
	Dir         string
	NoScript    string
	Cancel      string
	Issuer      string
	Logo        template.URL // "" for none
	Title       string
	Message     string
	Notice      bool // there is nothing to enter
	Nonce       string
	Style       template.CSS
	Script      template.JS
	Languages   []spokenLanguage // of the demo
	Settings    scriptSettings
}

// spokenLanguage is a language by its tag and its own name.
type spokenLanguage struct{ Tag, Name string }

// scriptSettings are what the page's script is given. Anybody who knows a session's id can read them.
type scriptSettings struct {
	Action       pin.Action `json:"action,omitempty"`
	RequestID    string     `json:"requestId,omitempty"`
	ParentOrigin string     `json:"parentOrigin,omitempty"`
	ReturnURL    string     `json:"returnUrl,omitempty"`
	Back         string     `json:"back,omitempty"` // what leads there from a notice
	Lang         string     `json:"lang"`
	Notice       string     `json:"notice,omitempty"` // why there is nothing to enter
	Min          int        `json:"min,omitempty"`
	Max          int        `json:"max,omitempty"`
	Texts        *text      `json:"texts,omitempty"`
}

// render makes the page of a session, or the notice that is shown in its place when err says why; the zero
// session and program are those of a session that nobody knows.
func (a *API) render(r *http.Request, session pin.Session, program pin.Program, err error) (page, error) {
	nonce, nonceErr := a.random(nonceLength)
	if nonceErr != nil {
		return page{}, nonceErr
	}
	own, settingsErr := ofPrograms.Read(program.Settings[Name])
	if settingsErr != nil {
		return page{}, settingsErr
	}
	query := r.URL.Query()
	languages := own.Languages
	if a.options.Sandbox || session.ID == "" {
		languages = append(slices.Clone(languages), spoken()...)
	}
	lang := language(languages, query.Get("lang"), r.Header.Get("Accept-Language"))
	words := packs[lang].Page
	v := view{Lang: lang, Dir: packs[lang].Dir, NoScript: packs[lang].NoScript, Cancel: words.Cancel, Issuer: own.IssuerName, Logo: logo(own.Logo),
		Nonce: nonce, Style: style(own.Branding), Script: script("pin.js"),
		Settings: scriptSettings{Action: session.Action, RequestID: session.RequestID, ParentOrigin: a.parentOrigin(own), Lang: lang}}
	if v.Settings.ReturnURL = a.returnURL(own); v.Settings.ReturnURL != "" {
		v.Settings.Back = words.Back
	}
	if theme := hosted.GetPinPageParamsTheme(query.Get("theme")); theme.Valid() {
		v.Theme = string(theme)
	}
	status := http.StatusOK
	if err != nil {
		r := rowOf(err)
		status, v.Notice, v.Settings.Notice = r.Status, true, r.notice
		v.Title, v.Message = words.Notices[r.notice].Title, words.Notices[r.notice].Text
	} else {
		v.Title = words.Title[string(session.Action)]
		v.Settings.Min, v.Settings.Max, v.Settings.Texts = program.MinPINLength, program.MaxPINLength, &words
	}
	more := "connect-src 'self'"
	if v.Logo != "" {
		more += "; img-src data:"
	}
	out, failed := execute(a.page, v, status, policy(nonce, more, a.ancestors(own)))
	if failed == nil && err == nil && browserOf(r) == "" {
		failed = a.know(out, session)
	}
	if failed == nil && contract.TakesGzip(r.Header) {
		out.Body, failed = zipped(out.Body)
		out.Header.Set("Content-Encoding", "gzip")
	}
	return out, failed
}

// zipped is a page as RFC 1952 has it. Nothing that a caller sends is in a page with something that the caller must not
// know, so that its length tells nothing.
func zipped(body []byte) ([]byte, error) {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(body)
	err = errors.Join(err, w.Close())
	return out.Bytes(), err
}

func (a *API) renderDemo() (page, error) {
	nonce, err := a.random(nonceLength)
	if err != nil {
		return page{}, err
	}
	v := view{Nonce: nonce, Style: sheet(asset("demo.css")), Script: script("demo.js")}
	for _, tag := range spoken() {
		v.Languages = append(v.Languages, spokenLanguage{tag, packs[tag].Name})
	}
	return execute(a.demo, v, http.StatusOK, policy(nonce, "connect-src 'self'; frame-src 'self'", "'none'"))
}

func execute(t *template.Template, v view, status int, policy string) (page, error) {
	var body bytes.Buffer
	err := t.Execute(&body, v)
	return page{Status: status, Body: body.Bytes(), Header: http.Header{
		"Content-Type":            {"text/html; charset=utf-8"},
		"Content-Security-Policy": {policy},
		"Referrer-Policy":         {"no-referrer"},
		"Cache-Control":           {"no-store"},
		"Vary":                    {"Accept-Encoding"},
		"X-Content-Type-Options":  {"nosniff"},
		"Permissions-Policy":      {permissions},
	}}, err
}

// Lengths of what is drawn, in bytes: a nonce ties the page's own style and script to its policy.
const (
	nonceLength   = 16
	browserLength = 32
)

func (a *API) random(length int) (string, error) {
	b := make([]byte, length)
	if _, err := io.ReadFull(a.options.Rand, b); err != nil {
		return "", &pin.Error{Code: pin.Internal, Err: err}
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// browserCookie is what a browser is known by after a reload.
const browserCookie = "pinvault_page"

// browserOf is what the browser of a request is known by, "" where it has not been given it.
func browserOf(r *http.Request) string {
	c, err := r.Cookie(browserCookie)
	if err != nil || len(c.Value) != base64.RawURLEncoding.EncodedLen(browserLength) {
		return ""
	}
	return c.Value
}

// know gives the page's browser what it is known by, for that page alone and as long as its session: also in an iframe
// on another site, where browsers keep no cookie but a partitioned one.
func (a *API) know(p page, session pin.Session) error {
	value, err := a.random(browserLength)
	if err != nil {
		return err
	}
	c := http.Cookie{Name: browserCookie, Value: value, Path: a.within + pagePath + session.ID, MaxAge: a.secondsLeft(session), //nolint:gosec // SameSite=None: see above
		Secure: true, HttpOnly: true, SameSite: http.SameSiteNoneMode, Partitioned: true}
	p.Header.Add("Set-Cookie", c.String())
	return nil
}

// secondsLeft is the time that a session has left. One that has begun counts.
func (a *API) secondsLeft(session pin.Session) int {
	return int((session.ExpiresAt.Sub(a.options.Now()) + time.Second - 1) / time.Second)
}

// pagePath is where sessions have their pages.
const pagePath = "/hosted/pin/"

// policy is the Content-Security-Policy of a page: its own style and script, what more it needs, and
// who may embed it.
func policy(nonce, more, ancestors string) string {
	return strings.Join([]string{"default-src 'none'", "script-src 'nonce-" + nonce + "'", "style-src 'nonce-" + nonce + "'", more,
		"base-uri 'none'", "form-action 'none'", "require-trusted-types-for 'script'", "frame-ancestors " + ancestors}, "; ")
}

// ancestors are the origins that may embed a program's page. They were checked when they were set; one
// that would not pass today is left out rather than written into a header.
func (a *API) ancestors(s programSettings) string {
	origins := slices.DeleteFunc(slices.Clone(s.FrameAncestors), func(o string) bool { return !isOrigin(o) || !a.options.Embeds(o) })
	if a.options.Sandbox {
		origins = append(origins, "'self'")
	}
	if len(origins) == 0 {
		return "'none'"
	}
	return strings.Join(origins, " ")
}

// parentOrigin is the origin that hears the events of a program's page.
func (a *API) parentOrigin(s programSettings) string {
	switch {
	case s.ParentOrigin == "" && a.options.Sandbox:
		return a.origin
	case s.ParentOrigin != "" && !a.options.Embeds(s.ParentOrigin):
		return ""
	}
	return s.ParentOrigin
}

// returnURL is where a program's page leads when nobody embeds it, "" for nowhere.
func (a *API) returnURL(s programSettings) string {
	if s.ReturnURL == "" || !leads(s.ReturnURL, a.options.Embeds) {
		return ""
	}
	return s.ReturnURL
}

// logo is a program's, "" for none. It was checked when it was set; one that would not pass today is left out.
func logo(text string) template.URL {
	if !isLogo(text) {
		return ""
	}
	return template.URL(text) //nolint:gosec // a data: URL of an image
}

// script is one of our own, which html/template would otherwise escape.
func script(name string) template.JS { return template.JS(asset(name)) } //nolint:gosec // embedded, nothing of a request is in it

// sheet is a style sheet of our own.
func sheet(rules string) template.CSS { return template.CSS(rules) } //nolint:gosec // embedded, and what isBrand lets through

// style is the page's style sheet, with the page's colours and what the program's branding sets.
func style(branding map[string]string) template.CSS {
	brights, darks, others := palette{}, palette{}, palette{}
	for name, value := range branding {
		name = strings.TrimPrefix(name, "--")
		inDark, isDark := strings.CutPrefix(name, "dark-")
		switch _, isColour := light[name]; {
		case !isBrand(name, value):
		case isDark:
			darks[inDark] = value
		case isColour:
			brights[name] = value
		default:
			others[name] = value
		}
	}
	darkRules := dark.with(darks).rules()
	return sheet(":root { color-scheme: light dark; " + light.with(brights).rules() + " }\n" +
		"@media (prefers-color-scheme: dark) { :root:not([data-theme=\"light\"]) { " + darkRules + " } }\n" +
		":root[data-theme=\"dark\"] { " + darkRules + " }\n" +
		asset("pin.css") + ":root { " + others.rules() + " }\n")
}
