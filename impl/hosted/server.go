// Package hosted serves the page on which a cardholder enters a PIN, and what the page calls.
//
// It fills the interface generated from openapi/hosted.yaml. Who may do what with a session is decided in
// impl/pinsession; here are the page (assets/), its texts, its response headers and the replies. Errors
// are rendered by [API.Render] alone, as JSON or as the pages that take their place.
package hosted

import (
	"context"
	"crypto/rand"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"pinvault/generated/hosted"
	"pinvault/impl/contract"
	"pinvault/impl/pin"
	"pinvault/impl/pinsession"
)

// Name is the contract's name: that of its document.
const Name = "hosted"

// Options say where the page is served.
type Options struct {
	PublicURL string // the server's
	// Sandbox lets the server's own demo embed the page, in all languages, whatever the program says.
	Sandbox bool
	// Embeds tells which origins may embed the page and hear its events, of those that a program names; nil: all.
	Embeds func(origin string) bool
	Now    func() time.Time // nil: the clock
	Rand   io.Reader        // nil: the system's random source
}

// API answers the contract.
type API struct {
	sessions *pinsession.Sessions
	options  Options
	origin   string // of the server, as a browser writes it
	within   string // the path before all of the server's, as browsers see it, "" for none
	page     *template.Template
	demo     *template.Template
}

// New makes the API.
func New(sessions *pinsession.Sessions, o Options) (*API, error) {
	if o.Embeds == nil {
		o.Embeds = func(string) bool { return true }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	base, err := url.Parse(o.PublicURL)
	if err != nil {
		return nil, err
	}
	a := &API{sessions: sessions, options: o, origin: base.Scheme + "://" + base.Host, within: strings.TrimSuffix(base.Path, "/")}
	if a.page, err = template.ParseFS(assets, "assets/page.html"); err != nil {
		return nil, err
	}
	a.demo, err = template.ParseFS(assets, "assets/demo.html")
	return a, err
}

// Mount registers the operations. Errors go to fail.
func (a *API) Mount(r gin.IRouter, fail func(*gin.Context, error)) { hosted.Mount(r, a, fail) }

// GetPinPage is the page of a session.
func (a *API) GetPinPage(ctx context.Context, r hosted.GetPinPageRequestObject) (hosted.GetPinPageResponseObject, error) {
	session, program, err := a.sessions.Session(ctx, r.SessionID)
	if err != nil && program.ID == "" { // a page, but no program's, and a fault is logged
		return nil, err
	}
	return a.render(contract.Request(ctx), session, program, err)
}

// ExchangeSecret takes the link's secret for a token and a key, for one browser.
func (a *API) ExchangeSecret(ctx context.Context, r hosted.ExchangeSecretRequestObject) (hosted.ExchangeSecretResponseObject, error) {
	g, err := a.sessions.Exchange(ctx, r.SessionID, r.Body.Secret, browserOf(contract.Request(ctx)))
	if err != nil {
		return nil, err
	}
	step := hosted.GrantedStepNew
	if g.Action == pin.ActionChange && g.State == pin.SessionExchanged {
		step = hosted.GrantedStepCurrent
	}
	return hosted.ExchangeSecret200JSONResponse{Token: g.Token, Step: step, ExpiresIn: max(1, int32(a.secondsLeft(g.Session))), CardEnding: g.CardEnding,
		Key: hosted.PublicKey{Kty: hosted.PublicKeyKtyEC, Crv: hosted.PublicKeyCrvP256, X: g.Key.X, Y: g.Key.Y}}, nil
}

// CheckCurrentPin is the first step of a change.
func (a *API) CheckCurrentPin(ctx context.Context, r hosted.CheckCurrentPinRequestObject) (hosted.CheckCurrentPinResponseObject, error) {
	v, err := a.sessions.Verify(ctx, r.SessionID, r.Body.Token, []byte(r.Body.Pin))
	if err != nil {
		return nil, err
	}
	out := hosted.CheckCurrentPin200JSONResponse{Result: hosted.CheckedResultMismatch, RemainingTries: int32(v.RemainingTries)}
	switch {
	case v.Result == pin.Match:
		out.Result = hosted.CheckedResultMatch
	case v.RemainingTries == 0:
		out.Result = hosted.CheckedResultBlocked
	}
	return out, nil
}

// ChooseNewPin is the last step.
func (a *API) ChooseNewPin(ctx context.Context, r hosted.ChooseNewPinRequestObject) (hosted.ChooseNewPinResponseObject, error) {
	return hosted.ChooseNewPin204Response{}, a.sessions.Choose(ctx, r.SessionID, r.Body.Token, []byte(r.Body.Pin))
}

// GetDemo is a parent page for visitors of the sandbox.
func (a *API) GetDemo(context.Context, hosted.GetDemoRequestObject) (hosted.GetDemoResponseObject, error) {
	if !a.options.Sandbox {
		return nil, contract.NoRoute
	}
	return a.renderDemo()
}

// GetEmbedScript is the script with which a partner's page embeds this one.
func (a *API) GetEmbedScript(context.Context, hosted.GetEmbedScriptRequestObject) (hosted.GetEmbedScriptResponseObject, error) {
	return embedFile("pinvault.js", "text/javascript; charset=utf-8"), nil
}

// GetEmbedTypes are the script's types, for TypeScript.
func (a *API) GetEmbedTypes(context.Context, hosted.GetEmbedTypesRequestObject) (hosted.GetEmbedTypesResponseObject, error) {
	return embedFile("pinvault.d.ts", "application/typescript; charset=utf-8"), nil
}

// embedFile is a file that pages of every origin may load, as they load modules: by CORS.
func embedFile(name, contentType string) page {
	return page{Status: http.StatusOK, Body: []byte(asset(name)), Header: http.Header{
		"Content-Type":                 {contentType},
		"Cache-Control":                {"public, max-age=3600"},
		"Access-Control-Allow-Origin":  {"*"},
		"Cross-Origin-Resource-Policy": {"cross-origin"},
		"X-Content-Type-Options":       {"nosniff"},
	}}
}

// page is a page, or what one loads, on its way out.
type page contract.Reply

// VisitGetPinPageResponse writes the page.
func (p page) VisitGetPinPageResponse(w http.ResponseWriter) error { return contract.Reply(p).Send(w) }

// VisitGetDemoResponse writes the page.
func (p page) VisitGetDemoResponse(w http.ResponseWriter) error { return contract.Reply(p).Send(w) }

// VisitGetEmbedScriptResponse writes the script.
func (p page) VisitGetEmbedScriptResponse(w http.ResponseWriter) error {
	return contract.Reply(p).Send(w)
}

// VisitGetEmbedTypesResponse writes the types.
func (p page) VisitGetEmbedTypesResponse(w http.ResponseWriter) error {
	return contract.Reply(p).Send(w)
}

// permissions switches off what a page for four digits has no use for, should a script ever get in.
const permissions = "accelerometer=(), autoplay=(), camera=(), display-capture=(), fullscreen=(), geolocation=(), gyroscope=(), " +
	"magnetometer=(), microphone=(), midi=(), payment=(), publickey-credentials-get=(), screen-wake-lock=(), usb=(), xr-spatial-tracking=()"
