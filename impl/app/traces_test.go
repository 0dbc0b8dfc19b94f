package app_test

import (
	"compress/gzip"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"pinvault/impl/app"
	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/metrics"
	"pinvault/impl/pin"
	"pinvault/impl/store/storetest"
	"pinvault/impl/tracing"
)

// collecting is a collector in this process: all that it was sent, as text and as spans.
type collecting struct {
	mu    sync.Mutex
	text  strings.Builder
	spans []*otlp.Span
}

func (r *collecting) ServeHTTP(w http.ResponseWriter, asked *http.Request) {
	var from io.Reader = asked.Body
	if asked.Header.Get("Content-Encoding") == "gzip" {
		from, _ = gzip.NewReader(asked.Body)
	}
	body, _ := io.ReadAll(from)
	var sent collector.ExportTraceServiceRequest
	if proto.Unmarshal(body, &sent) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text.WriteString(protojson.Format(&sent))
	r.text.Write(body)
	for _, of := range sent.GetResourceSpans() {
		for _, in := range of.GetScopeSpans() {
			r.spans = append(r.spans, in.GetSpans()...)
		}
	}
}

// collector makes spans that are received once end was called.
func newCollector(t *testing.T) (to trace.TracerProvider, r *collecting, end func()) {
	t.Helper()
	r = &collecting{}
	listening := httptest.NewServer(r)
	t.Cleanup(listening.Close)
	traces, err := tracing.Start(t.Context(), tracing.Options{Endpoint: listening.URL, Version: "v1"})
	require.NoError(t, err)
	return traces.Provider(), r, func() { require.NoError(t, traces.Stop()) }
}

// tracedServer is a server whose spans are received once end was called.
func tracedServer(t *testing.T, database string) (h *apptest.Server, r *collecting, end func()) {
	t.Helper()
	traces, r, end := newCollector(t)
	return apptest.StartTraced(t, database, traces), r, end
}

// named are the spans of a name.
func (r *collecting) named(name string) (all []*otlp.Span) {
	for _, s := range r.spans {
		if s.GetName() == name {
			all = append(all, s)
		}
	}
	return all
}

// attributes are a span's, all of them, as text.
func attributes(s *otlp.Span) map[string]string {
	all := map[string]string{}
	for _, kv := range s.GetAttributes() {
		all[kv.GetKey()] = kv.GetValue().GetStringValue()
		if n, isNumber := kv.GetValue().GetValue().(*common.AnyValue_IntValue); isNumber {
			all[kv.GetKey()] = strconv.FormatInt(n.IntValue, 10)
		}
	}
	return all
}

// What is planted in requests leaves in no span.
func TestNoSpanHasASecret(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]func(testing.TB) string{"SQLite": storetest.SQLite, "PostgreSQL": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, r, end := tracedServer(t, database(t))
			secrets, _ := plant(t, h)
			end()
			require.Greater(t, len(r.spans), 50)
			apptest.RequireNowhere(t, secrets, "the spans", r.text.String())
			require.NotContains(t, r.text.String(), "url.path")
			require.NotContains(t, r.text.String(), "127.0.0.1", "no address")
		})
	}
}

// A caller's trace is that of log line and spans; the span above it, and whether it is recorded, is not the caller's to say.
func TestSpansAreOfTheTraceThatTheLogNames(t *testing.T) {
	t.Parallel()
	const of, above = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	h, r, end := tracedServer(t, "")
	h.Client.For(t).Do(http.MethodGet, "/api/v1/cards/103169946/pin/status", contracttest.Bearer(h.Mint(t, "thredd-sandbox", time.Hour)),
		contracttest.Header("traceparent", "00-"+of+"-"+above+"-00")).ExpectStatus(http.StatusOK)
	end()
	var server *otlp.Span
	statements := 0
	for _, s := range r.spans {
		if hex.EncodeToString(s.GetTraceId()) != of {
			continue
		}
		if s.GetKind() == otlp.Span_SPAN_KIND_SERVER {
			server = s
		}
	}
	require.NotNil(t, server, "although the caller says that it is not to be recorded")
	require.Empty(t, server.GetParentSpanId())
	require.Equal(t, "GET /api/v1/cards/:publicToken/pin/status", server.GetName())
	require.Contains(t, h.Log.String(), "00-"+of+"-"+hex.EncodeToString(server.GetSpanId()))
	for _, s := range r.spans {
		if string(s.GetParentSpanId()) == string(server.GetSpanId()) {
			statements++
			require.Contains(t, []string{"SELECT card_lookup", "SELECT clients", "SELECT programs", "TRANSACTION"}, s.GetName())
		}
	}
	require.Positive(t, statements)
}

func TestWithoutAnEndpointThereAreNoTraces(t *testing.T) {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
		t.Setenv(name, "")
	}
	traces, err := tracing.Start(t.Context(), tracing.Options{})
	require.NoError(t, err)
	require.Nil(t, traces.Provider())
	require.NoError(t, traces.Stop())
}

// Without traces nobody makes a span, of requests, statements, webhooks or keys, for a library's own provider either.
func TestWithoutTracesNobodyMakesASpan(t *testing.T) {
	recorded := tracetest.NewSpanRecorder()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorded)))
	t.Cleanup(func() { otel.SetTracerProvider(noop.NewTracerProvider()) })
	h, r := apptest.Start(t, ""), receive(t)
	o := operate(t, h)
	o.do("POST", "/issuer/v1/webhooks", fmt.Sprintf(`{"url":%q,"types":["pin.unblocked"]}`, r.URL), 201)
	o.do("POST", aCard+"/pin/unblock", unblock, 204)
	require.Empty(t, r.messages(t, 1)[0].headers.Get("traceparent"))
	app.Observing(metrics.NewBackend(prometheus.NewRegistry()), nil)("openbao", "decrypt", time.Millisecond, nil)
	require.Empty(t, recorded.Started())
}

// An attempt to deliver an event is a trace of its own, linked to that of the request that the event is of. It tells which event it is,
// which webhook and what came of it; not where the webhook is, nor anything of the message.
func TestAttemptsOfWebhooksAreSpansLinkedToTheRequest(t *testing.T) {
	t.Parallel()
	const of = "4bf92f3577b34da6a3ce929d0e0e4736"
	h, spans, end := tracedServer(t, "")
	r := receive(t)
	r.answers = []int{http.StatusTeapot}
	o := operate(t, h)
	hook := o.do("POST", "/issuer/v1/webhooks", fmt.Sprintf(`{"url":%q,"types":["pin.unblocked"]}`, r.URL+"/hidden-path?key=hidden-key"), 201)
	h.Client.For(t).Do(http.MethodPost, aCard+"/pin/unblock", contracttest.Bearer(o.token), contracttest.Raw("application/json", unblock),
		contracttest.Header("traceparent", "00-"+of+"-00f067aa0ba902b7-01")).ExpectStatus(http.StatusNoContent)
	r.messages(t, 1)
	require.Eventually(t, func() bool {
		h.Clock.Forward(10 * time.Second) // after which the second attempt is due, once the first was written down
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.got) >= 2
	}, 20*time.Second, 200*time.Millisecond)
	delivered := "/issuer/v1/webhooks/" + hook["webhookId"].(string) + "/deliveries?state=delivered"
	require.Eventually(t, func() bool { return len(o.do("GET", delivered, "", 200)["items"].([]any)) == 1 }, 20*time.Second, 20*time.Millisecond)
	end()

	attempts := spans.named("webhook")
	require.Len(t, attempts, 2)
	for i, want := range []map[string]string{
		{"http.response.status_code": "418", "error.type": "answer"},
		{"http.response.status_code": "204"},
	} {
		want["pinvault.event"], want["pinvault.webhook"] = "pin.unblocked", hook["webhookId"].(string)
		s := attempts[i]
		require.Equal(t, want, attributes(s))
		require.Empty(t, s.GetParentSpanId())
		require.Equal(t, otlp.Span_SPAN_KIND_CLIENT, s.GetKind())
		require.NotEqual(t, of, hex.EncodeToString(s.GetTraceId()))
		require.Len(t, s.GetLinks(), 1)
		require.Equal(t, of, hex.EncodeToString(s.GetLinks()[0].GetTraceId()))
		require.Empty(t, s.GetLinks()[0].GetAttributes())
		require.Empty(t, s.GetEvents())
		require.Empty(t, s.GetStatus().GetMessage())
		require.Equal(t, i == 0, s.GetStatus().GetCode() == otlp.Status_STATUS_CODE_ERROR)
		require.GreaterOrEqual(t, s.GetEndTimeUnixNano(), s.GetStartTimeUnixNano())
	}
	require.NotEqual(t, attempts[0].GetTraceId(), attempts[1].GetTraceId())
	for _, hidden := range []string{"hidden-path", "hidden-key", hook["secret"].(string), strings.TrimPrefix(r.URL, "http://"), "whsec_"} {
		require.NotContains(t, spans.text.String(), hidden)
	}
}

// A call of a key backend is a trace of its own, since keys are worked with without a context. It tells the backend, the operation, how long it
// took and in a word what was wrong: an error's text may hold anything.
func TestCallsOfKeyBackendsAreSpansOfTheirOwn(t *testing.T) {
	t.Parallel()
	to, spans, end := newCollector(t)
	observe := app.Observing(metrics.NewBackend(prometheus.NewRegistry()), to)
	observe("openbao", "decrypt", 30*time.Millisecond, nil)
	observe("pkcs11", "sign", time.Millisecond, &pin.Error{Code: pin.Unavailable, Err: errors.New("the PIN of the token is 748159")})
	end()
	require.Len(t, spans.spans, 2)
	seen := map[string]bool{}
	for name, want := range map[string]map[string]string{
		"key backend decrypt": {"pinvault.backend": "openbao", "pinvault.operation": "decrypt"},
		"key backend sign":    {"pinvault.backend": "pkcs11", "pinvault.operation": "sign", "error.type": string(pin.Unavailable)},
	} {
		all := spans.named(name)
		require.Len(t, all, 1, name)
		s := all[0]
		require.Equal(t, want, attributes(s))
		require.Empty(t, s.GetParentSpanId())
		require.Empty(t, s.GetLinks())
		require.Empty(t, s.GetEvents())
		require.Empty(t, s.GetStatus().GetMessage())
		require.Equal(t, want["error.type"] != "", s.GetStatus().GetCode() == otlp.Status_STATUS_CODE_ERROR)
		require.Equal(t, otlp.Span_SPAN_KIND_CLIENT, s.GetKind())
		seen[hex.EncodeToString(s.GetTraceId())] = true
	}
	require.Len(t, seen, 2)
	took := spans.named("key backend decrypt")[0]
	require.Equal(t, 30*time.Millisecond, time.Duration(took.GetEndTimeUnixNano()-took.GetStartTimeUnixNano()))
	require.NotContains(t, spans.text.String(), "748159")
}
