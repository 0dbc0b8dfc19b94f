package space

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
)

// A space's own credentials are those of the fixtures with the space's id in the client's: thredd-sandbox@orders-test.
// A token names its space in its issuer. What a request says is looked at here to choose the space, and believed by
// nobody: the space itself verifies it.

// maxForm is the longest form that is looked at, that of a token endpoint.
const maxForm = 8 << 10

// caller is who a request says that it comes from: a client's id, and the space of its credentials, "" for none.
func caller(r *http.Request) (client, space string) {
	h := r.Header
	key := h.Get("X-Api-Key")
	scheme, credentials, _ := strings.Cut(h.Get("Authorization"), " ")
	switch {
	case key != "":
		client, space = split(key[:end(key)])
	case strings.EqualFold(scheme, "bearer"):
		client, space = ofToken(credentials)
	case strings.EqualFold(scheme, "basic"):
		id, _, _ := r.BasicAuth()
		id, _ = url.QueryUnescape(id) // RFC 6749, 2.3.1
		client, space = split(id)
	default:
		form, _ := form(r)
		client, space = split(form.Get("client_id"))
	}
	return client, space
}

// known makes credentials of a space those that the space itself knows. Another's are nobody's there.
func known(r *http.Request, of string) *http.Request {
	inside := new(http.Request)
	*inside = *r
	h := r.Header.Clone()
	inside.Header = h
	if key := h.Get("X-Api-Key"); key != "" {
		h.Set("X-Api-Key", strings.TrimSuffix(key[:end(key)], "@"+of)+key[end(key):])
	}
	if id, password, ok := r.BasicAuth(); ok {
		id, err := url.QueryUnescape(id)
		if client, its := strings.CutSuffix(id, "@"+of); err == nil && its {
			inside.SetBasicAuth(url.QueryEscape(client), password)
		}
	}
	if id := h.Get("X-Client-Id"); id != "" {
		h.Set("X-Client-Id", strings.TrimSuffix(id, "@"+of))
	}
	if form, ok := form(inside); ok {
		if client, its := strings.CutSuffix(form.Get("client_id"), "@"+of); its {
			form.Set("client_id", client)
			text := form.Encode()
			inside.Body, inside.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
		}
	}
	return inside
}

// end is where the id of an API key ends: see [pin.SplitAPIKey].
func end(key string) int { return max(0, strings.LastIndexByte(key, '.')) }

// split takes a client's id of a space apart.
func split(id string) (client, space string) {
	client, space, _ = strings.Cut(id, "@")
	return client, space
}

// ofToken reads what a JWT claims of its client and issuer.
func ofToken(token string) (client, space string) {
	_, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	text, err := base64.RawURLEncoding.DecodeString(payload)
	var claims struct {
		Issuer string `json:"iss"`
		Client string `json:"client_id"`
	}
	if err != nil || json.Unmarshal(text, &claims) != nil {
		return "", ""
	}
	if at := strings.LastIndex(claims.Issuer, prefix); at >= 0 {
		space = claims.Issuer[at+len(prefix):]
	}
	return claims.Client, space
}

// form reads a token request, and leaves it to be read again.
func form(r *http.Request) (url.Values, bool) {
	if r.Method != http.MethodPost || r.Body == nil || r.ContentLength > maxForm || // of a body in chunks the length is not known
		!strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return nil, false
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxForm+1))
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), rest(r.Body, err)), r.Body}
	values, malformed := url.ParseQuery(string(body))
	return values, err == nil && malformed == nil && len(body) <= maxForm && len(values["client_id"]) == 1
}

// rest is what comes of a body after its beginning was read, or failed to be.
func rest(body io.Reader, err error) io.Reader {
	if err != nil {
		return failing{err}
	}
	return body
}

// failing is a reader that ends as the one before it did.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// own makes the fixtures' credentials a space's own.
func own(clients map[string]map[string]any, space string) map[string]map[string]any {
	all := map[string]map[string]any{}
	for name, client := range clients {
		all[name] = maps.Clone(client)
		for _, member := range []string{"client_id", "x-client-id"} {
			if id, ok := client[member].(string); ok {
				all[name][member] = id + "@" + space
			}
		}
		if key, ok := client["x-api-key"].(string); ok {
			at := max(0, strings.LastIndexByte(key, '.'))
			all[name]["x-api-key"] = key[:at] + "@" + space + key[at:]
		}
	}
	return all
}
