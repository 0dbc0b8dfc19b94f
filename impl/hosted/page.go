package hosted

import (
	"bytes"
	"embed"
	"encoding/base64"
	"html/template"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"pinvault/generated/hosted"
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
	Text        text
	Title       string
	Message     string
	Notice      bool // there is nothing to enter
	Nonce       string
	Style       template.CSS
	Script      template.JS
	Settings    scriptSettings
}

// scriptSettings are what the page's script is given. Anybody who knows a session's id can read them.
type scriptSettings struct {
	Action       pin.Action `json:"action,omitempty"`
	RequestID    string     `json:"requestId,omitempty"`
	ParentOrigin string     `json:"parentOrigin,omitempty"`
	Lang         string     `json:"lang"`
	Notice       string     `json:"notice,omitempty"` // why there is nothing to enter
	Min          int        `json:"min,omitempty"`
	Max          int        `json:"max,omitempty"`
	Texts        *text      `json:"texts,omitempty"`
}

// render makes the page of a session, or the notice that stands in for it when err says why; the zero
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
		languages = append(slices.Clone(languages), "en", "ar", "hi")
	}
	lang := language(languages, query.Get("lang"), r.Header.Get("Accept-Language"))
	words := texts[lang]
	v := view{Lang: lang, Text: words, Nonce: nonce, Style: style(own.Branding), Script: script("pin.js"),
		Settings: scriptSettings{Action: session.Action, RequestID: session.RequestID, ParentOrigin: a.parentOrigin(own), Lang: lang}}
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
	out, failed := execute(a.page, v, status, policy(nonce, "connect-src 'self'", a.ancestors(own)))
	if failed == nil && err == nil && browserOf(r) == "" {
		failed = a.know(out, session)
	}
	return out, failed
}

func (a *API) renderDemo() (page, error) {
	nonce, err := a.random(nonceLength)
	if err != nil {
		return page{}, err
	}
	v := view{Nonce: nonce, Style: sheet(asset("demo.css")), Script: script("demo.js")}
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
	left := session.ExpiresAt.Sub(a.options.Now())
	c := http.Cookie{Name: browserCookie, Value: value, Path: pagePath + session.ID, MaxAge: int((left + time.Second - 1) / time.Second), //nolint:gosec // SameSite=None: see above
		Secure: true, HttpOnly: true, SameSite: http.SameSiteNoneMode, Partitioned: true}
	p.Header.Add("Set-Cookie", c.String())
	return nil
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

// script is one of our own, which html/template would otherwise escape.
func script(name string) template.JS { return template.JS(asset(name)) } //nolint:gosec // embedded, nothing of a request is in it

// sheet is a style sheet of our own.
func sheet(rules string) template.CSS { return template.CSS(rules) } //nolint:gosec // embedded, and what isBrand lets through

// style is the page's style sheet, with the colours for the dark and what the program's branding sets.
func style(branding map[string]string) template.CSS {
	dark := asset("dark.css")
	darkRules := func(declarations string) string {
		return "@media (prefers-color-scheme: dark) { :root:not([data-theme=\"light\"]) { " + declarations + " } }\n" +
			":root[data-theme=\"dark\"] { " + declarations + " }\n"
	}
	var lightBrand, darkBrand strings.Builder
	for _, name := range slices.Sorted(maps.Keys(branding)) {
		if !isBrand(name, branding[name]) {
			continue
		}
		variable, isDark := strings.CutPrefix(strings.TrimPrefix(name, "--"), "dark-")
		b := &lightBrand
		if isDark {
			b = &darkBrand
		}
		b.WriteString("--" + variable + ": " + branding[name] + "; ")
	}
	rules := strings.Replace(asset("pin.css"), "/*dark*/\n", darkRules(strings.TrimSpace(dark)), 1)
	if lightBrand.Len() > 0 {
		rules += ":root { " + lightBrand.String() + "}\n"
	}
	if darkBrand.Len() > 0 {
		rules += darkRules(darkBrand.String())
	}
	return sheet(rules)
}
