package contracttest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"pinvault/impl/rows"
)

// Client is an HTTP client that fails its test when a reply breaks the documents that it was made with. It is an
// [http.RoundTripper] too, for the [http.Client] of a generated SDK. It may be used from many goroutines.
type Client struct {
	t         testing.TB
	baseURL   string
	contracts []contract
	transport http.RoundTripper
}

// New returns a client of the server at baseURL, without a slash at its end. A document whose x-prefixes or
// x-error-response cannot be read ends the test.
func New(tb testing.TB, baseURL string, docs ...*openapi3.T) *Client {
	tb.Helper()
	c := &Client{t: tb, baseURL: baseURL}
	for _, doc := range docs {
		contract, err := newContract(doc)
		if err != nil {
			tb.Fatalf("contracttest: %v", err)
		}
		c.contracts = append(c.contracts, contract)
	}
	transport := &http.Transport{}
	tb.Cleanup(transport.CloseIdleConnections)
	c.transport = transport
	return c
}

// For returns the same client reporting to tb, which is a subtest's as a rule.
func (c *Client) For(tb testing.TB) *Client {
	tb.Helper()
	other := *c
	other.t = tb
	return &other
}

// Over returns the same client, whose requests transport carries: one that knows a certificate, for instance.
func (c *Client) Over(transport http.RoundTripper) *Client {
	other := *c
	other.transport = transport
	return &other
}

// RoundTrip carries r and checks the reply. A broken contract is reported to the test, not returned: the caller sees
// the reply as it came.
func (c *Client) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := c.transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	reply := &Reply{Status: response.StatusCode, Header: response.Header, Body: body}
	for _, broken := range c.breaks(r, reply) {
		c.t.Errorf("contract broken: %s", broken)
	}
	return response, nil
}

// Option shapes the request of [Client.Do].
type Option func(tb testing.TB, r *http.Request)

// JSON sends value as application/json.
func JSON(value any) Option {
	return func(tb testing.TB, r *http.Request) {
		tb.Helper()
		body, err := json.Marshal(value)
		if err != nil {
			tb.Fatalf("contracttest: request body: %v", err)
		}
		setBody(r, rows.MediaJSON, body)
	}
}

// Raw sends body as it is. An empty contentType sends none.
func Raw(contentType, body string) Option {
	return func(_ testing.TB, r *http.Request) { setBody(r, contentType, []byte(body)) }
}

// Form sends values as application/x-www-form-urlencoded.
func Form(values url.Values) Option {
	return Raw(rows.MediaForm, values.Encode())
}

// Header sets a request header.
func Header(name, value string) Option {
	return func(_ testing.TB, r *http.Request) { r.Header.Set(name, value) }
}

// Repeated sends a header several times.
func Repeated(name string, values ...string) Option {
	return func(_ testing.TB, r *http.Request) { r.Header[http.CanonicalHeaderKey(name)] = values }
}

// Bearer sends the access token of RFC 6750.
func Bearer(token string) Option {
	return Header("Authorization", "Bearer "+token)
}

// Do sends a request to path, which is escaped and may hold a query, and returns the checked reply. Redirects are not
// followed. No reply at all fails the test and returns a Reply of status 0.
func (c *Client) Do(method, path string, options ...Option) *Reply {
	c.t.Helper()
	r := c.request(method, path)
	for _, option := range options {
		option(c.t, r)
	}
	return c.send(r)
}

// request returns a request to path without body or headers.
func (c *Client) request(method, path string) *http.Request {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.baseURL+path, http.NoBody)
	if err != nil {
		c.t.Fatalf("contracttest: %v", err)
	}
	return r
}

func (c *Client) send(r *http.Request) *Reply {
	c.t.Helper()
	reply := &Reply{t: c.t, request: r.Method + " " + r.URL.RequestURI()}
	client := http.Client{
		Transport:     c,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(r)
	if err != nil {
		c.t.Errorf("%s: no reply: %v", reply.request, err)
		return reply
	}
	defer func() { _ = response.Body.Close() }()
	if reply.Body, err = io.ReadAll(response.Body); err != nil {
		c.t.Errorf("%s: no reply: %v", reply.request, err)
	}
	reply.Status, reply.Header = response.StatusCode, response.Header
	return reply
}

// setBody gives r a body that can be read again, since what authorizes a request may have to sign it.
func setBody(r *http.Request, contentType string, body []byte) {
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	r.Body, _ = r.GetBody()
	r.ContentLength = int64(len(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
}

// Reply is what the server answered.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte

	t       testing.TB
	request string
}

// ExpectStatus ends the test when the reply has another status. Like every method of testing.TB that ends a test, it
// belongs in the goroutine of the test.
func (r *Reply) ExpectStatus(want int) *Reply {
	r.t.Helper()
	if r.Status != want {
		r.t.Fatalf("%s: status %d, want %d; body: %s", r.request, r.Status, want, r.Body)
	}
	return r
}

// JSON returns the value at a JSON pointer (RFC 6901; "" is the whole body) as encoding/json decodes it. It ends the
// test when the body is not JSON or has nothing there.
func (r *Reply) JSON(pointer string) any {
	r.t.Helper()
	body, err := rows.DecodeJSON(r.Body)
	if err != nil {
		r.t.Fatalf("%s: body is not JSON: %v; body: %s", r.request, err, r.Body)
	}
	value, ok := rows.Lookup(body, pointer)
	if !ok {
		r.t.Fatalf("%s: nothing at %q; body: %s", r.request, pointer, r.Body)
	}
	return value
}

// Text is [Reply.JSON] for a string. It ends the test when something else is there.
func (r *Reply) Text(pointer string) string {
	r.t.Helper()
	text, ok := r.JSON(pointer).(string)
	if !ok {
		r.t.Fatalf("%s: no string at %q; body: %s", r.request, pointer, r.Body)
	}
	return text
}

// operationKey marks, in a request's context, the operation that must answer it whatever its method and path say; the
// zero rows.Operation leaves it to them.
type operationKey struct{}

func withOperation(r *http.Request, o rows.Operation) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), operationKey{}, o))
}
