package tracing

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// collector is otlptrace.Client: it sends spans as OTLP/HTTP 1 says, in protobuf (https://opentelemetry.io/docs/specs/otlp/#otlphttp).
// OpenTelemetry's own client does the same, but brings gRPC with it, two megabytes of program that nobody calls.
type collector struct {
	url     string
	header  http.Header
	gzip    bool
	client  *http.Client
	first   time.Duration // how long after a failure it is tried again, more with each
	hurried chan struct{} // closed once nobody wants to wait any more
}

// What OpenTelemetry's own client does unless it is told something else.
const (
	collectorTimeout = 10 * time.Second
	firstWait        = 5 * time.Second
	longestWait      = 30 * time.Second
	maxAnswer        = 64 << 10 // bytes of an answer that are read
)

// variable is a setting in OpenTelemetry's own words: for traces, else for all signals, else "".
func variable(name string) (value, from string) {
	for _, prefix := range []string{"OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"} {
		if value = strings.TrimSpace(os.Getenv(prefix + name)); value != "" {
			return value, prefix + name
		}
	}
	return "", ""
}

// newCollector is the one that options and variables name.
func newCollector(o Options) (*collector, error) {
	c := &collector{header: http.Header{"Content-Type": {"application/x-protobuf"}, "User-Agent": {"pinvault/" + o.Version}}, first: firstWait, hurried: make(chan struct{})}
	var err error
	if c.url, err = endpoint(o.Endpoint); err != nil {
		return nil, err
	}
	if protocol, from := variable("PROTOCOL"); protocol != "" && protocol != "http/protobuf" {
		return nil, fmt.Errorf("%s: traces are sent as http/protobuf and nothing else", from)
	}
	if err := c.headers(); err != nil {
		return nil, err
	}
	compression, from := variable("COMPRESSION")
	switch compression {
	case "gzip":
		c.gzip = true
		c.header.Set("Content-Encoding", "gzip")
	case "", "none":
	default:
		return nil, fmt.Errorf("%s must be gzip or none", from)
	}
	timeout := collectorTimeout
	if text, from := variable("TIMEOUT"); text != "" {
		ms, err := strconv.Atoi(text)
		if err != nil || ms <= 0 {
			return nil, fmt.Errorf("%s must be a number of milliseconds", from)
		}
		timeout = time.Duration(ms) * time.Millisecond
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if transport.TLSClientConfig, err = trust(); err != nil {
		return nil, err
	}
	c.client = &http.Client{Transport: transport, Timeout: timeout, CheckRedirect: noFurther}
	return c, nil
}

// noFurther has spans and the headers' tokens go where they were meant to go, and nowhere else.
func noFurther(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// endpoint is the URL that spans go to. The flag's and the variable of all signals name the collector, that of traces the whole URL.
func endpoint(flag string) (string, error) {
	from, text := "--otlp-endpoint", flag
	if text == "" {
		text, from = variable("ENDPOINT")
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("%s must be a URL such as http://127.0.0.1:4318", from)
	}
	if !strings.Contains(from, "TRACES") {
		u = u.JoinPath("v1", "traces")
	}
	return u.String(), nil
}

// headers reads those that a collector asks for, most often a token: name=value,name=value, values as in a URL.
func (c *collector) headers() error {
	text, from := variable("HEADERS")
	for pair := range strings.SplitSeq(text, ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if name = strings.TrimSpace(name); !ok || err != nil || name == "" {
			return fmt.Errorf("%s must be name=value,name=value", from) // without the value, which may be a secret
		}
		c.header.Set(name, value)
	}
	return nil
}

// trust is whose certificates are believed and which one is shown, nil: as everywhere.
func trust() (*tls.Config, error) {
	authority, from := variable("CERTIFICATE")
	own, ownFrom := variable("CLIENT_CERTIFICATE")
	key, keyFrom := variable("CLIENT_KEY")
	if authority == "" && own == "" && key == "" {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if authority != "" {
		text, err := os.ReadFile(authority)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", from, err)
		}
		if t.RootCAs = x509.NewCertPool(); !t.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s: no certificate in %s", from, authority)
		}
	}
	if own != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(own, key)
		if err != nil {
			return nil, fmt.Errorf("%s, %s: %w", cmp.Or(ownFrom, "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"), cmp.Or(keyFrom, "OTEL_EXPORTER_OTLP_CLIENT_KEY"), err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// Start is otlptrace.Client's. A collector that does not answer is no reason not to start, so nothing is asked.
func (*collector) Start(context.Context) error { return nil }

// Stop is otlptrace.Client's.
func (c *collector) Stop(context.Context) error {
	c.client.CloseIdleConnections()
	return nil
}

// hurry has nobody wait any more for a collector that does not answer: what it does not take at once is lost.
func (c *collector) hurry() { close(c.hurried) }

// UploadTraces is otlptrace.Client's. It tries again until ctx ends where the collector asks for that or cannot be reached.
func (c *collector) UploadTraces(ctx context.Context, spans []*otlp.ResourceSpans) error {
	// In bytes TracesData is what ExportTraceServiceRequest is, whose package brings gRPC.
	body, err := proto.Marshal(&otlp.TracesData{ResourceSpans: spans})
	if err == nil && c.gzip {
		body, err = packed(body)
	}
	if err != nil {
		return err
	}
	waits := backoff.NewExponentialBackOff()
	waits.InitialInterval, waits.MaxInterval = c.first, longestWait
	waits.Reset()
	for {
		after, err := c.send(ctx, body)
		if err == nil || after < 0 {
			return err
		}
		again := time.NewTimer(max(after, waits.NextBackOff()))
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return err
		case <-c.hurried:
			again.Stop()
			return err
		}
	}
}

func packed(body []byte) ([]byte, error) {
	var to bytes.Buffer
	w := gzip.NewWriter(&to)
	_, err := w.Write(body)
	err = errors.Join(err, w.Close())
	return to.Bytes(), err
}

// never is when to try again what would not be taken the next time either.
const never = time.Duration(-1)

// send makes one attempt and says how long to wait at least before the next. What the collector says besides is in no error: it may
// repeat what it was sent.
func (c *collector) send(ctx context.Context, body []byte) (after time.Duration, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return never, err
	}
	request.Header = c.header
	reply, err := c.client.Do(request)
	if err != nil {
		return 0, err
	}
	answer, err := io.ReadAll(io.LimitReader(reply.Body, maxAnswer))
	err = errors.Join(err, reply.Body.Close())
	switch reply.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return retryAfter(reply.Header.Get("Retry-After")), errors.New(reply.Status)
	}
	if reply.StatusCode >= http.StatusMultipleChoices {
		return never, errors.New(reply.Status)
	}
	if err != nil {
		return never, err
	}
	if n := rejected(reply.Header.Get("Content-Type"), answer); n > 0 {
		return never, fmt.Errorf("it took the request and threw %d spans away", n)
	}
	return 0, nil
}

// retryAfter reads seconds or a date.
func retryAfter(text string) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(date))
	}
	return 0
}

// rejected reads how many spans were not taken by a collector that took the request: rejected_spans (1), in partial_success (1).
func rejected(kind string, answer []byte) uint64 {
	if kind != "application/x-protobuf" {
		return 0
	}
	partial, _ := protowire.ConsumeBytes(first(answer))
	n, _ := protowire.ConsumeVarint(first(partial))
	return n
}

// first is the value of a message's field 1, nil where it has none.
func first(message []byte) []byte {
	for len(message) > 0 {
		number, kind, tag := protowire.ConsumeTag(message)
		if tag < 0 {
			return nil
		}
		size := protowire.ConsumeFieldValue(number, kind, message[tag:])
		if size < 0 {
			return nil
		}
		if number == 1 {
			return message[tag : tag+size]
		}
		message = message[tag+size:]
	}
	return nil
}
