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
	Settings    settings
}

// settings are what the page's script is given. Anybody who knows a session's id can read them.
type settings struct {
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
	nonce, nonceErr := a.nonce()
	if nonceErr != nil {
		return page{}, nonceErr
	}
	query := r.URL.Query()
	languages := program.Languages
	if a.options.Sandbox || session.ID == "" {
		languages = append(slices.Clone(languages), "en", "ar", "hi")
	}
	lang := language(languages, query.Get("lang"), r.Header.Get("Accept-Language"))
	words := texts[lang]
	v := view{Lang: lang, Text: words, Nonce: nonce, Style: style(program.Branding), Script: script("pin.js"),
		Settings: settings{Action: session.Action, RequestID: session.RequestID, ParentOrigin: a.parentOrigin(program), Lang: lang}}
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
	return execute(a.page, v, status, policy(nonce, "connect-src 'self'", a.ancestors(program)))
}

func (a *API) renderDemo() (page, error) {
	nonce, err := a.nonce()
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

// nonce ties the page's own style and script to its policy.
func (a *API) nonce() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(a.options.Rand, b[:]); err != nil {
		return "", &pin.Error{Code: pin.Internal, Err: err}
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// policy is the Content-Security-Policy of a page: its own style and script, what more it needs, and
// who may embed it.
func policy(nonce, more, ancestors string) string {
	return strings.Join([]string{"default-src 'none'", "script-src 'nonce-" + nonce + "'", "style-src 'nonce-" + nonce + "'", more,
		"base-uri 'none'", "form-action 'none'", "require-trusted-types-for 'script'", "frame-ancestors " + ancestors}, "; ")
}

// ancestors are the origins that may embed a program's page. They were checked when they were set; one
// that would not pass today is left out rather than written into a header.
func (a *API) ancestors(p pin.Program) string {
	origins := slices.DeleteFunc(slices.Clone(p.FrameAncestors), func(o string) bool { return !pin.IsOrigin(o) || !a.options.Embeds(o) })
	if a.options.Sandbox {
		origins = append(origins, "'self'")
	}
	if len(origins) == 0 {
		return "'none'"
	}
	return strings.Join(origins, " ")
}

// parentOrigin is the origin that hears the events of a program's page.
func (a *API) parentOrigin(p pin.Program) string {
	switch {
	case p.ParentOrigin == "" && a.options.Sandbox:
		return a.origin
	case p.ParentOrigin != "" && !a.options.Embeds(p.ParentOrigin):
		return ""
	}
	return p.ParentOrigin
}

// script is one of our own, which html/template would otherwise escape.
func script(name string) template.JS { return template.JS(asset(name)) } //nolint:gosec // embedded, nothing of a request is in it

// sheet is a style sheet of our own.
func sheet(rules string) template.CSS { return template.CSS(rules) } //nolint:gosec // embedded, and what IsBranding lets through

// style is the page's style sheet, with the colours for the dark and what the program's branding sets.
func style(branding map[string]string) template.CSS {
	dark := asset("dark.css")
	darkRules := func(declarations string) string {
		return "@media (prefers-color-scheme: dark) { :root:not([data-theme=\"light\"]) { " + declarations + " } }\n" +
			":root[data-theme=\"dark\"] { " + declarations + " }\n"
	}
	var lightBrand, darkBrand strings.Builder
	for _, name := range slices.Sorted(maps.Keys(branding)) {
		if !pin.IsBranding(name, branding[name]) {
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
