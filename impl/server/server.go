// Package server is the HTTP side that all contracts share: routing, trace, recovery, limits,
// authorization and the contract check before a handler, health, tokens and metrics.
//
// It knows contracts as documents and [API]s, no single partner, and neither the vault nor the
// database behind them.
package server

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"pinvault/impl/contract"
	"pinvault/impl/docs"
	"pinvault/impl/oauth"
	"pinvault/impl/pin"
)

// API is one contract's handlers.
type API interface {
	// Mount registers the operations of the contract's document. What goes wrong in one goes to fail.
	Mount(r gin.IRouter, fail func(c *gin.Context, err error))
	// Render says how the contract answers an error: contract.Broken, a pin.Error or any other. op is the
	// operation that was asked for, nil where the document has none.
	Render(r *http.Request, op *contract.Operation, err error) contract.Reply
}

// Authorizer is an [API] that knows its callers by other means than a bearer token.
type Authorizer interface {
	Authorize(c *gin.Context, op *contract.Operation) (pin.Caller, error)
}

// Checker is an [API] with rules that its document cannot hold, see [contract.Further].
type Checker interface {
	Check(r *http.Request, op *contract.Operation) (context.Context, []contract.Violation, error)
}

// Sealer is an [API] that seals replies.
type Sealer interface {
	// Seal makes the body of a reply of what is to be inside, for the caller of a request that was authorized.
	Seal(r *http.Request, message []byte) ([]byte, error)
}

// Contract is an API and its document.
type Contract struct {
	Document *contract.Document
	API      API
}

// Tokens verifies bearer tokens and issues them at /oauth2/token. [oauth.Server] is one.
type Tokens interface {
	Verify(ctx context.Context, bearer string) (pin.Caller, error)
	Exchange(ctx context.Context, r oauth.Request, contract string, ttl time.Duration) (oauth.Token, error)
	JWKS() ([]byte, error)
}

// Rehearsal is how a sandbox has requests come to something else than they would.
type Rehearsal interface {
	// Admit is asked about every request, also of what no document has. With an error it ends as if an operation of the
	// contract that owns its path had.
	Admit(r *http.Request) error
	// Rehearse is asked about each request of an operation, before it is known who calls. With an error the request
	// ends as if the operation had ended so: [contract.Told] and [contract.Cut] are for this. Otherwise it goes on in the
	// context that is returned.
	Rehearse(r *http.Request, document *contract.Document, op *contract.Operation) (context.Context, error)
	// Called tells who it is that calls.
	Called(ctx context.Context, client string)
}

// Fixtures are a sandbox's credentials by client name and cards by name, for the pages on which calls are tried.
type Fixtures func(ctx context.Context) (clients, cards map[string]map[string]any, err error)

// Options are what a server is made of.
type Options struct {
	Common    *contract.Document // the document of what all contracts share
	Contracts []Contract
	Tokens    Tokens
	Ready     func(ctx context.Context) (failing []string) // asks what the server cannot do without, and names what does not answer
	Stopping  <-chan struct{}                              // closed once it is told to stop: /readyz says so, and connections end; nil: never
	Rehearsal Rehearsal                                    // nil but in a sandbox
	Fixtures  Fixtures                                     // nil but in a sandbox
	Docs      *docs.Site                                   // nil: /docs and /openapi are not served
	Tile      func(name string) (*os.File, error)          // opens a file of the audit log as it is served: fs.ErrNotExist; nil: there is none
	Console   []*docs.File                                 // the page /sandbox and what it loads, none but in a sandbox

	// Refused, if any, hears of every caller that was forbidden an operation: for want of a scope, or because it
	// would grant or dispose of more than it holds.
	Refused func(ctx context.Context, operation string)

	// Limit, if any, is asked about every request of an operation whose caller is known. With an error it ends so.
	Limit func(ctx context.Context) error

	CheckReplies bool // hold every reply against its document

	Log            *slog.Logger
	Metrics        *prometheus.Registry
	Traces         trace.TracerProvider // makes the spans of requests; nil: there are none
	PrivateMetrics bool                 // not at /metrics: [Admin] has them
	HSTS           bool                 // clients reach the server by TLS, and are told to
	TrustedProxies []netip.Prefix       // whose X-Forwarded-For is believed
	RequestTimeout time.Duration        // 0: DefaultRequestTimeout
}

// DefaultRequestTimeout ends a request's work, such as waiting for a database that is gone.
const DefaultRequestTimeout = 10 * time.Second

// quietly keeps gin from printing. Its mode is the process's, where servers may be made side by side.
var quietly = sync.OnceFunc(func() {
	if gin.Mode() != gin.ReleaseMode {
		gin.SetMode(gin.ReleaseMode)
	}
})

// New builds the handler of all contracts.
func New(o Options) (http.Handler, error) {
	if o.RequestTimeout == 0 {
		o.RequestTimeout = DefaultRequestTimeout
	}
	quietly()
	e := gin.New()
	e.HandleMethodNotAllowed = true
	e.RedirectTrailingSlash = false
	e.UseRawPath, e.UnescapePathValues = true, true  // see segments
	if err := e.SetTrustedProxies(nil); err != nil { // gin is not asked: see proxies
		return nil, err
	}

	m := newMetrics(o.Metrics)
	own := &system{tokens: o.Tokens, ready: o.Ready, stopping: o.Stopping, fixtures: o.Fixtures, docs: o.Docs}
	common := Contract{Document: o.Common, API: own}
	mounted := append([]Contract{common}, o.Contracts...)
	m.expect(mounted)
	e.Use(traced(o.TrustedProxies))
	if o.Traces != nil {
		e.Use(spans(o.Traces))
	}
	e.Use(observed(o.Log, m))
	if o.CheckReplies {
		e.Use(answered(o.Log, m, mounted))
	}
	e.Use(headers(o.HSTS), leaving(o.Stopping), recovered(o.Log, m, mounted), limited(o.RequestTimeout, mounted))
	if o.Rehearsal != nil {
		e.Use(admitted(o.Rehearsal, mounted))
	}
	for _, c := range mounted {
		c.mount(e, o)
	}
	if !o.PrivateMetrics {
		e.GET("/metrics", gin.WrapH(metricsHandler(o.Metrics)))
	}
	if o.Docs != nil {
		mountDocs(e, o.Docs, own, common.fail)
	}
	if o.Tile != nil {
		mountTiles(e, o.Tile, common.fail)
	}
	if o.Console != nil {
		mountConsole(e, o.Console, common.fail)
	}
	e.NoRoute(func(c *gin.Context) { owner(mounted, c.Request.URL.EscapedPath()).fail(c, contract.NoRoute) })
	noMethod := func(c *gin.Context) {
		allowHead(c.Writer.Header())
		owner(mounted, c.Request.URL.EscapedPath()).fail(c, contract.NoMethod)
	}
	e.NoMethod(concrete(e, noMethod), noMethod)
	return handler(e), nil
}

// handler makes of each request what gin routes.
func handler(e *gin.Engine) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		oneCredential(r.Header)
		r.URL.RawPath = segments(r.URL)
		if r.Method == http.MethodHead {
			r = asGet(r)
		}
		e.ServeHTTP(w, r)
	})
}

// segments is the path that gin routes by where a slash was sent encoded: that is data and parts nothing (RFC
// 3986, 2.2). It is "" for any other path, which is routed as it reads when all is decoded (6.2.2.2).
func segments(u *url.URL) string {
	sent := u.EscapedPath()
	if !strings.Contains(sent, "%2F") && !strings.Contains(sent, "%2f") {
		return ""
	}
	parts := strings.Split(sent, "/")
	for i, part := range parts {
		decoded, _ := url.PathUnescape(part) // net/http has refused what cannot be
		parts[i] = strings.ReplaceAll(url.QueryEscape(decoded), "+", "%20")
	}
	return strings.Join(parts, "/")
}

type headKey struct{}

// asGet is a HEAD request as the GET that it asks about: it is answered wherever that is, and in the same
// way (RFC 9110, 9.3.2). net/http leaves the body out.
func asGet(r *http.Request) *http.Request {
	r = r.WithContext(context.WithValue(r.Context(), headKey{}, true))
	r.Method = http.MethodGet
	return r
}

// verbOf is the method that was sent.
func verbOf(r *http.Request) string {
	if head, _ := r.Context().Value(headKey{}).(bool); head {
		return http.MethodHead
	}
	return r.Method
}

// allowHead adds HEAD to the methods of a path that has GET.
func allowHead(h http.Header) {
	methods := strings.Split(h.Get("Allow"), ", ")
	if at := slices.Index(methods, http.MethodGet); at >= 0 {
		h.Set("Allow", strings.Join(slices.Insert(methods, at+1, http.MethodHead), ", "))
	}
}

// concrete keeps paths without parameters to their own methods. gin would hand GET /cards/search to GET
// /cards/{cardId}, but the concrete path is the one that is meant (OpenAPI 3.0.3, Paths Object). The
// handler that it returns writes the Allow of such a path, where gin adds the other path's methods.
func concrete(e *gin.Engine, noMethod gin.HandlerFunc) gin.HandlerFunc {
	routes, own := e.Routes(), map[string][]string{}
	for _, r := range routes {
		if !strings.ContainsAny(r.Path, ":*") {
			own[r.Path] = append(own[r.Path], r.Method)
		}
	}
	allow := func(c *gin.Context) {
		if methods, ok := own[c.Request.URL.EscapedPath()]; ok {
			c.Header("Allow", strings.Join(methods, ", "))
		}
	}
	for path, methods := range own {
		taken := slices.Clone(methods)
		for _, r := range routes {
			if holds(r.Path, path) && !slices.Contains(taken, r.Method) {
				taken = append(taken, r.Method)
				e.Handle(r.Method, path, allow, noMethod)
			}
		}
	}
	return allow
}

// holds tells whether a concrete path is one of a template's, such as /cards/search of /cards/:cardId.
func holds(template, path string) bool {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	return slices.EqualFunc(want, got, func(w, g string) bool { return w == g || strings.HasPrefix(w, ":") && g != "" })
}

// mount puts authorization and the contract check before the contract's handlers.
func (ct Contract) mount(e *gin.Engine, o Options) {
	authorize := bearer(o.Tokens, ct.Document.Name())
	own, byOtherMeans := ct.API.(Authorizer)
	if byOtherMeans {
		authorize = own.Authorize
	}
	var further contract.Further
	if checker, ok := ct.API.(Checker); ok {
		further = checker.Check
	}
	fail := func(c *gin.Context, err error) {
		if !byOtherMeans {
			challenge(c, ct.Document.Name(), pin.CodeOf(err))
		}
		if op := observationOf(c).described; op != nil && o.Refused != nil && pin.CodeOf(err) == pin.Forbidden {
			o.Refused(c.Request.Context(), op.ID)
		}
		ct.fail(c, err)
	}
	ct.API.Mount(e.Group("/",
		func(c *gin.Context) {
			op := ct.Document.Operation(c.Request.Method, c.FullPath())
			observe(c, ct.Document.Name(), op)
			if op == nil {
				return
			}
			rehearse := func() error { return o.rehearse(c, ct.Document, op) }
			if op.Public {
				if err := rehearse(); err != nil {
					fail(c, err)
				}
				return
			}
			var rehearsed error
			if byOtherMeans {
				rehearsed = rehearse()
			}
			caller, err := authorize(c, op)
			if err == nil && o.Limit != nil {
				err = o.Limit(pin.WithCaller(c.Request.Context(), caller))
			}
			if err == nil && !caller.May(op.Scopes...) {
				lacking(c, ct.Document.Name(), op)
				err = &pin.Error{Code: pin.Forbidden}
			}
			if !byOtherMeans { // whether a token was seen a moment ago would decide where a fault is met
				rehearsed = rehearse()
			}
			if rehearsed != nil {
				c.Writer.Header().Del("WWW-Authenticate") // unless it is the reply's that comes
				err = rehearsed
			}
			if err != nil { // log and trail are told who it was, and nothing is in their reach
				caller = pin.Caller{ClientID: caller.ClientID, Contract: caller.Contract}
			}
			known := pin.CallerFrom(c.Request.Context())
			caller.RemoteAddr, caller.TraceID = known.RemoteAddr, known.TraceID
			c.Request = c.Request.WithContext(pin.WithCaller(c.Request.Context(), caller))
			if o.Rehearsal != nil {
				o.Rehearsal.Called(c.Request.Context(), caller.ClientID)
			}
			if err != nil {
				fail(c, err)
			}
		},
		ct.Document.Middleware(fail, further),
	), fail)
}

// admitted ends the requests that a sandbox does not admit.
func admitted(to Rehearsal, mounted []Contract) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := to.Admit(c.Request); err != nil {
			owner(mounted, c.Request.URL.EscapedPath()).fail(c, err)
		}
	}
}

// rehearse asks a sandbox's rehearsal, if there is one, how a request is to end.
func (o Options) rehearse(c *gin.Context, d *contract.Document, op *contract.Operation) error {
	if o.Rehearsal == nil {
		return nil
	}
	ctx, err := o.Rehearsal.Rehearse(c.Request, d, op)
	c.Request = c.Request.WithContext(ctx)
	return err
}

// lacking is the challenge to a caller whose token has not the scopes (RFC 6750, 3.1).
func lacking(c *gin.Context, name string, op *contract.Operation) {
	if _, byToken := oauth.Bearer(c.GetHeader("Authorization")); byToken {
		c.Header("WWW-Authenticate", `Bearer realm="`+name+`", error="insufficient_scope", scope="`+strings.Join(op.Scopes, " ")+`"`)
	}
}

// challenge is that of any other refusal of a token: a client that was revoked a moment ago, or that its
// operation cannot serve.
func challenge(c *gin.Context, name string, code pin.Code) {
	problem := map[pin.Code]string{pin.Unauthorized: "invalid_token", pin.Forbidden: "insufficient_scope"}[code]
	if problem != "" && c.Writer.Header().Get("WWW-Authenticate") == "" {
		c.Header("WWW-Authenticate", `Bearer realm="`+name+`", error="`+problem+`"`)
	}
}

// bearer authorizes by a token of this contract (RFC 6750).
func bearer(tokens Tokens, name string) func(*gin.Context, *contract.Operation) (pin.Caller, error) {
	return func(c *gin.Context, _ *contract.Operation) (pin.Caller, error) {
		token, ok := oauth.Bearer(c.GetHeader("Authorization"))
		if !ok {
			c.Header("WWW-Authenticate", `Bearer realm="`+name+`"`)
			return pin.Caller{}, &pin.Error{Code: pin.Unauthorized}
		}
		caller, err := tokens.Verify(c.Request.Context(), token)
		if err == nil && caller.Contract != name {
			err = &pin.Error{Code: pin.Unauthorized}
		}
		if pin.CodeOf(err) == pin.Unauthorized {
			c.Header("WWW-Authenticate", `Bearer realm="`+name+`", error="invalid_token"`)
		}
		return caller, err
	}
}

// owner is the contract whose x-prefixes hold the path, which is escaped, the longest one first: it answers
// for paths and methods that nobody has.
func owner(all []Contract, path string) Contract {
	best, length := all[0], 0
	for _, ct := range all[1:] {
		for _, p := range prefixes(ct.Document) {
			if len(p) > length && (path == p || strings.HasPrefix(path, strings.TrimSuffix(p, "/")+"/")) {
				best, length = ct, len(p)
			}
		}
	}
	return best
}

func prefixes(d *contract.Document) []string {
	list, _ := d.Spec().Extensions["x-prefixes"].([]any)
	out := make([]string, 0, len(list))
	for _, p := range list {
		if text, ok := p.(string); ok {
			out = append(out, text)
		}
	}
	return out
}
