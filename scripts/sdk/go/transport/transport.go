// Package transport is what sits beneath a generated client where a contract encrypts its messages, and
// what encrypts PINs. A generated client speaks in clear and takes a transport as its http.Client's.
package transport

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
)

// Error says what is wrong with a key or a message. It holds nothing of either.
type Error string

func (e Error) Error() string { return string(e) }

// ErrOpen is the refusal of a message that is not sealed as the contract says.
const ErrOpen = Error("transport: the message does not open")

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// CreditPlus seals the requests of Credit+ V2. V1 knows no encryption, and replies are in clear.
func CreditPlus(key *MessageKey, next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if !strings.Contains(r.URL.Path, "/apis/v2/") {
			return next.RoundTrip(r)
		}
		sealed, err := withBody(r, "application/jose", key.Seal)
		if err != nil {
			return nil, err
		}
		return next.RoundTrip(sealed)
	})
}

// token is what goes over the wire instead of Accosa's messages.
type token struct {
	Token *string `json:"token"`
}

// Accosa seals the requests of Accosa and opens its replies. A reply without a token passes as it is: an error that
// came before the request's token was opened is in clear.
func Accosa(key *TokenKey, next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		sealed, err := withBody(r, "application/json", func(clear []byte) ([]byte, error) {
			text, err := key.Seal(clear)
			if err != nil {
				return nil, err
			}
			return json.Marshal(token{&text})
		})
		if err != nil {
			return nil, err
		}
		reply, err := next.RoundTrip(sealed)
		if err != nil {
			return nil, err
		}
		if err := opened(reply, key); err != nil {
			return nil, err
		}
		return reply, nil
	})
}

// withBody is the request with its JSON body sealed; without such a body, the request itself.
func withBody(r *http.Request, mediaType string, seal func([]byte) ([]byte, error)) (*http.Request, error) {
	if !isJSON(r.Header) || r.Body == nil {
		return r, nil
	}
	clear, err := io.ReadAll(r.Body)
	if err = errors.Join(err, r.Body.Close()); err != nil {
		return nil, err
	}
	body, err := seal(clear)
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

// opened puts what is inside a reply's token in its place.
func opened(reply *http.Response, key *TokenKey) error {
	if !isJSON(reply.Header) {
		return nil
	}
	body, err := io.ReadAll(reply.Body)
	if err = errors.Join(err, reply.Body.Close()); err != nil {
		return err
	}
	var t token
	if json.Unmarshal(body, &t) == nil && t.Token != nil {
		if body, err = key.Open(*t.Token); err != nil {
			return err
		}
	}
	reply.Body, reply.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	reply.Header.Del("Content-Length")
	return nil
}

func isJSON(h http.Header) bool {
	mediaType, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && mediaType == "application/json"
}
