package pinvault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-retryablehttp"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// Refusal says what is wrong with a key or a message. It holds nothing of either.
type Refusal string

func (e Refusal) Error() string { return string(e) }

// ErrOpen is the refusal of a message that is not sealed as the contract says.
const ErrOpen = Refusal("pinvault: the message does not open")

// Envelope is what a contract puts around its JSON: a *MessageKey or a *TokenKey.
type Envelope interface {
	// wrap is the media type and the body of a request to a path.
	wrap(path string, text []byte) (mediaType string, body []byte, err error)
	// unwrap is the JSON of a reply.
	unwrap(body []byte) ([]byte, error)
}

// Option is something about a client that has a default.
type Option func(*settings)

type settings struct {
	base    http.RoundTripper
	timeout time.Duration
}

// Over has a client send by a transport of your own instead of http.DefaultTransport: for proxies and certificates.
func Over(base http.RoundTripper) Option { return func(s *settings) { s.base = base } }

// Timeout is how long a call may take with all of its attempts, 30 seconds unless told otherwise.
func Timeout(d time.Duration) Option { return func(s *settings) { s.timeout = d } }

// Authorize has requests say who is calling.
type Authorize func(next http.RoundTripper) http.RoundTripper

// ClientCredentials is the bearer token of a client (RFC 6749, 4.4), fetched and renewed.
func ClientCredentials(url, id, secret string) Authorize {
	return func(next http.RoundTripper) http.RoundTripper {
		config := clientcredentials.Config{ClientID: id, ClientSecret: secret, TokenURL: url, AuthStyle: oauth2.AuthStyleInParams}
		ctx := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: next})
		return &oauth2.Transport{Source: config.TokenSource(ctx), Base: next}
	}
}

// APIKey is a key in a header.
func APIKey(header, key string) Authorize {
	return func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			out := r.Clone(r.Context()) // a RoundTripper leaves its request as it is
			out.Header.Set(header, key)
			return next.RoundTrip(out)
		})
	}
}

// Nobody is for contracts that ask nobody who is calling.
func Nobody(next http.RoundTripper) http.RoundTripper { return next }

// Doer sends the requests of a generated client, and gives its replies that are errors as an *Error.
type Doer struct {
	contract *Contract
	client   *http.Client
}

// NewDoer is what sits beneath a contract's client: it authorizes, seals and opens, and repeats what may be repeated.
// Without an envelope messages are in the clear.
func NewDoer(contract *Contract, envelope Envelope, authorize Authorize, options ...Option) *Doer {
	s := settings{http.DefaultTransport, 30 * time.Second}
	for _, option := range options {
		option(&s)
	}
	// Beneath the sealing: what is repeated is the same message to the byte.
	transport := repeating(contract, s.base)
	if envelope != nil {
		transport = sealing(envelope, transport)
	}
	return &Doer{contract, &http.Client{Transport: authorize(transport), Timeout: s.timeout}}
}

// Do sends a request.
func (d *Doer) Do(r *http.Request) (*http.Response, error) {
	reply, err := d.client.Do(r)
	if refused := (*oauth2.RetrieveError)(nil); errors.As(err, &refused) {
		if e := d.contract.failure(refused.Response, refused.Body); e != nil {
			return nil, e
		}
	}
	if err != nil {
		return nil, err
	}
	body, err := read(reply.Body)
	if err != nil {
		return nil, err
	}
	if e := d.contract.failure(reply, body); e != nil {
		return nil, e
	}
	reply.Body = io.NopCloser(bytes.NewReader(body))
	return reply, nil
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// busy are the statuses after which a call is repeated.
var busy = []int{http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}

// longest is how long a call waits by itself before it is repeated. Where a reply asks for more, it is the result.
const longest = 10 * time.Second

// repeating repeats what the contract lets be repeated, up to three times. A call that lacks its idempotency key is
// given one.
func repeating(contract *Contract, next http.RoundTripper) http.RoundTripper {
	client := retryablehttp.NewClient()
	client.HTTPClient = &http.Client{Transport: next, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	client.RetryMax, client.RetryWaitMin, client.RetryWaitMax = 3, 250*time.Millisecond, longest
	client.Logger, client.ErrorHandler = nil, retryablehttp.PassthroughErrorHandler
	client.CheckRetry = func(ctx context.Context, reply *http.Response, err error) (bool, error) {
		if err == nil {
			return slices.Contains(busy, reply.StatusCode) && retryAfter(reply) <= longest, nil
		}
		return retryablehttp.DefaultRetryPolicy(ctx, reply, err)
	}
	again := &retryablehttp.RoundTripper{Client: client}
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		i := slices.IndexFunc(contract.Repeats, func(repeat Repeat) bool {
			return repeat.Method == r.Method && repeat.Path.MatchString(r.URL.Path)
		})
		if i < 0 {
			return next.RoundTrip(r)
		}
		repeat := contract.Repeats[i]
		switch {
		case repeat.Value != "" && r.Header.Get(repeat.Header) != repeat.Value:
			return next.RoundTrip(r)
		case repeat.Value == "" && repeat.Header != "" && r.Header.Get(repeat.Header) == "":
			r = r.Clone(r.Context())
			r.Header.Set(repeat.Header, uuid.NewString())
		}
		return again.RoundTrip(r)
	})
}

// sealing seals the JSON of requests, and opens replies. The call for a token is a form, and goes as it is.
func sealing(envelope Envelope, next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		sealed, err := wrapped(r, envelope)
		if err != nil {
			return nil, err
		}
		reply, err := next.RoundTrip(sealed)
		if err != nil {
			return nil, err
		}
		body, err := read(reply.Body)
		if err != nil {
			return nil, err
		}
		if isJSON(reply.Header) {
			if body, err = envelope.unwrap(body); err != nil {
				return nil, err
			}
		}
		reply.Body, reply.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		reply.Header.Del("Content-Length")
		return reply, nil
	})
}

// wrapped is the request with its JSON body sealed; without such a body, the request itself.
func wrapped(r *http.Request, envelope Envelope) (*http.Request, error) {
	if !isJSON(r.Header) || r.Body == nil {
		return r, nil
	}
	text, err := read(r.Body)
	if err != nil {
		return nil, err
	}
	mediaType, body, err := envelope.wrap(r.URL.Path, text)
	if err != nil {
		return nil, err
	}
	out := r.Clone(r.Context()) // a RoundTripper leaves its request as it is
	out.Header.Set("Content-Type", mediaType)
	out.ContentLength = int64(len(body))
	out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	out.Body, err = out.GetBody()
	return out, err
}

// wrap has a V2 request travel as a JWE. V1 knows no encryption.
func (k *MessageKey) wrap(path string, text []byte) (string, []byte, error) {
	if !strings.Contains(path, "/apis/v2/") {
		return "application/json", text, nil
	}
	sealed, err := k.Seal(text)
	return "application/jose", sealed, err
}

// unwrap is what replies are: in the clear.
func (k *MessageKey) unwrap(body []byte) ([]byte, error) { return body, nil }

// token is what goes over the wire instead of Accosa's messages.
type token struct {
	Token *string `json:"token"`
}

// wrap has every request travel as a token.
func (k *TokenKey) wrap(_ string, text []byte) (string, []byte, error) {
	sealed, err := k.Seal(text)
	if err != nil {
		return "", nil, err
	}
	body, err := json.Marshal(token{&sealed})
	return "application/json", body, err
}

// unwrap opens a reply's token. An error that came before the request's token was opened is in the clear.
func (k *TokenKey) unwrap(body []byte) ([]byte, error) {
	var t token
	if json.Unmarshal(body, &t) != nil || t.Token == nil {
		return body, nil
	}
	return k.Open(*t.Token)
}

func read(body io.ReadCloser) ([]byte, error) {
	text, err := io.ReadAll(body)
	return text, errors.Join(err, body.Close())
}

func isJSON(h http.Header) bool {
	mediaType, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && mediaType == "application/json"
}
