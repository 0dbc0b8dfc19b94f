package server

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"regexp"
	"runtime"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"pinvault/impl/contract"
	"pinvault/impl/pin"
)

// traceParent is a trace-parent of version 00 (W3C Trace Context, 3.2.2).
var traceParent = regexp.MustCompile(`^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$`)

// traced gives every request a trace id: that of its traceparent header, otherwise a fresh one, with
// a span id of its own. By that id whoever has sent it finds the request in log, trail and spans. That its spans are below
// the sender's, and are recorded because the sender says so, is for trusted proxies alone.
func traced(p proxies) gin.HandlerFunc {
	return func(c *gin.Context) {
		traceRequest(c, p.caller(c.Request))
		if from, ok := address(c.Request.RemoteAddr); !ok || !p.trust(from) {
			return
		}
		sent := propagation.TraceContext{}.Extract(context.Background(), propagation.HeaderCarrier(c.Request.Header))
		if above := trace.SpanContextFromContext(sent); above.IsValid() {
			c.Request = c.Request.WithContext(trace.ContextWithRemoteSpanContext(c.Request.Context(), above))
		}
	}
}

// spans makes a span of every request of an operation. Whose child it is the context says, no header; what it holds besides, such
// as the path, does not leave the process, see package tracing.
func spans(to trace.TracerProvider) gin.HandlerFunc {
	return otelgin.Middleware("", otelgin.WithTracerProvider(to), otelgin.WithMeterProvider(noop.NewMeterProvider()),
		otelgin.WithPropagators(propagation.NewCompositeTextMapPropagator()),
		otelgin.WithGinFilter(func(c *gin.Context) bool {
			switch c.FullPath() {
			case "/livez", "/readyz", "/metrics":
				return false
			}
			return true
		}))
}

func traceRequest(c *gin.Context, remote string) {
	var b [24]byte // of no secret, so that it need not come from the system's source
	for i := 0; i < len(b); i += 8 {
		binary.NativeEndian.PutUint64(b[i:], rand.Uint64()) //nolint:gosec // see above
	}
	var digits [2 * len(b)]byte
	hex.Encode(digits[:], b[:])
	id, flags := string(digits[:32]), "01"
	if sent := c.GetHeader("traceparent"); sent != "" {
		if m := traceParent.FindStringSubmatch(sent); m != nil && m[1] != zeros[:32] && m[2] != zeros[:16] {
			id, flags = m[1], m[3]
		}
	}
	id = "00-" + id + "-" + string(digits[32:]) + "-" + flags
	c.Request = c.Request.WithContext(pin.WithCaller(c.Request.Context(), pin.Caller{TraceID: id, RemoteAddr: remote}))
}

// zeros are the trace and span ids that the standard calls invalid.
const zeros = "00000000000000000000000000000000"

// headers that every reply has: what this server says is for its caller alone and, where it is reached by
// TLS, never by anything else again (RFC 6797). The names below its own are not this server's to speak for.
func headers(hsts bool) gin.HandlerFunc {
	return func(c *gin.Context) {
		h := c.Writer.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		if hsts {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
	}
}

// leaving ends connections with the next reply once the server has been told to stop: whoever calls again does so
// on another one, and a load balancer that has heard of it by /readyz at another server. It ends none that waits, on
// which a call may be on its way.
func leaving(stopping <-chan struct{}) gin.HandlerFunc {
	return func(c *gin.Context) {
		if over(stopping) {
			c.Header("Connection", "close")
		}
	}
}

// over tells whether a channel is closed.
func over(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// streamed is the media type of replies that last as long as their callers want: server-sent events.
const streamed = "text/event-stream"

// limited bounds the time of a request, except for those that are answered with a stream. The document's check bounds its
// size.
func limited(timeout time.Duration, all []Contract) gin.HandlerFunc {
	endless := streams(all)
	return func(c *gin.Context) {
		if endless[c.Request.Method+" "+c.FullPath()] {
			return
		}
		ctx, cancel := context.WithTimeout(c.Request.Context(), timeout)
		defer cancel()
		c.Request = c.Request.WithContext(ctx)
		c.Next()
	}
}

// streams are the routes whose operations are answered with a stream.
func streams(all []Contract) map[string]bool {
	routes := map[string]bool{}
	for _, ct := range all {
		for _, op := range ct.Document.Operations() {
			for _, response := range op.Spec.Responses.Map() {
				if response.Value.Content[streamed] != nil {
					routes[op.Method+" "+op.GinPath] = true
				}
			}
		}
	}
	return routes
}

// recovered turns a panic into the contract's own 500. The panic's text may hold what the request
// held, so only that of the runtime's own errors is logged, and the places it came through.
func recovered(log *slog.Logger, m *requestMetrics, all []Contract) gin.HandlerFunc {
	return func(c *gin.Context) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler { //nolint:errorlint // a sentinel that is panicked as it is
				panic(p)
			}
			m.panics.Inc()
			what := fmt.Sprintf("%T", p)
			if e, ok := p.(runtime.Error); ok {
				what = e.Error()
			}
			log.ErrorContext(c.Request.Context(), "panic", "what", what, "stack", callers(), "trace", pin.CallerFrom(c.Request.Context()).TraceID)
			owner(all, c.Request.URL.EscapedPath()).fail(c, &pin.Error{Code: pin.Internal, Err: errPanic})
		}()
		c.Next()
	}
}

// errPanic is the error of a request that ended in a panic, which has a line of its own in the log.
var errPanic = errors.New("panic")

// callers are the functions on the stack, without their arguments.
func callers() []string {
	pc := make([]uintptr, 32)
	frames := runtime.CallersFrames(pc[:runtime.Callers(4, pc)])
	var out []string
	for {
		f, more := frames.Next()
		out = append(out, f.Function+":"+strconv.Itoa(f.Line))
		if !more {
			return out
		}
	}
}

// observation is what the log line and the metrics say of a request besides its status.
type observation struct {
	contract, operation string
	described           *contract.Operation // nil where the document has none

	failed error // what the reply is an error for, nil for none
	answer int   // the status that the contract has for it

	outside bool // the reply is one that no document has, see contract.Told
}

const observationKey = "pinvault.observation"

// observe notes which operation a request is.
func observe(c *gin.Context, name string, op *contract.Operation) {
	o := observationOf(c)
	o.contract, o.described = name, op
	if op != nil {
		o.operation = op.ID
	}
}

// observationOf is the one observation of a request.
func observationOf(c *gin.Context) *observation {
	if seen, ok := c.Get(observationKey); ok {
		return seen.(*observation)
	}
	o := &observation{}
	c.Set(observationKey, o)
	return o
}

// observed logs and counts each request: never its path, which may hold a reference, but its route.
func observed(log *slog.Logger, m *requestMetrics) gin.HandlerFunc {
	return func(c *gin.Context) {
		began := time.Now()
		c.Next()
		took := time.Since(began)
		o := observationOf(c)
		status := c.Writer.Status()
		verb := verbOf(c.Request)
		m.count(c.Request.Context(), *o, verb, status, took)

		level := slog.LevelInfo
		who := pin.CallerFrom(c.Request.Context())
		attrs := []slog.Attr{
			slog.String("method", method(verb)), slog.String("route", c.FullPath()), slog.Int("status", status),
			slog.Float64("ms", float64(took.Microseconds())/1000), slog.String("contract", o.contract), slog.String("operation", o.operation),
			slog.String("client", cmp.Or(who.ClientID, pin.ClientOf(o.failed))), slog.String("remote", who.RemoteAddr), slog.String("trace", who.TraceID),
		}
		if o.failed != nil {
			attrs = append(attrs, slog.String("code", o.code()))
			switch {
			case status >= http.StatusInternalServerError:
				level = slog.LevelError
			case o.answer >= http.StatusInternalServerError: // too late: a reply was on its way
				level = slog.LevelWarn
			}
			if level > slog.LevelInfo { // lines of that level are looked through for secrets
				attrs = append(attrs, slog.String("error", o.failed.Error()))
			}
		}
		log.LogAttrs(c.Request.Context(), level, requestLine, attrs...)
	}
}

// method is a method's name, "other" for what HTTP does not define: it is the caller's text.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodOptions, http.MethodTrace, http.MethodConnect:
		return m
	}
	return "other"
}
