package rows

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Media types that bodies have.
const (
	MediaJSON = "application/json"
	MediaForm = "application/x-www-form-urlencoded"
)

// MediaType returns a Content-Type without its parameters, in lower case; "" when there is none.
func MediaType(contentType string) string {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return strings.ToLower(strings.TrimSpace(contentType))
	}
	return media
}

// IsJSON says whether bodies of the type are JSON, by name or by structured syntax suffix (RFC 6839).
func IsJSON(contentType string) bool {
	media := MediaType(contentType)
	return media == MediaJSON || strings.HasSuffix(media, "+json")
}

// Decode returns a JSON body's value, and any other body as a string.
func Decode(contentType string, body []byte) (any, error) {
	if IsJSON(contentType) {
		return DecodeJSON(body)
	}
	return string(body), nil
}

// DecodeJSON is strict about what encoding/json mends: bad UTF-8.
func DecodeJSON(body []byte) (value any, err error) {
	if !utf8.Valid(body) {
		return nil, errors.New("bad UTF-8")
	}
	err = json.Unmarshal(body, &value)
	return value, err
}

// compact renders a decoded value on one line.
func compact(value any) string {
	body, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(body)
}

// Tokens splits a JSON pointer (RFC 6901).
func Tokens(pointer string) []string {
	if pointer == "" {
		return nil
	}
	escapes := strings.NewReplacer("~1", "/", "~0", "~")
	split := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for i := range split {
		split[i] = escapes.Replace(split[i])
	}
	return split
}

// Lookup returns what a JSON pointer points to; nothing for a text that is none.
func Lookup(value any, pointer string) (any, bool) {
	if pointer != "" && !strings.HasPrefix(pointer, "/") {
		return nil, false
	}
	for _, token := range Tokens(pointer) {
		var ok bool
		switch node := value.(type) {
		case map[string]any:
			if value, ok = node[token]; !ok {
				return nil, false
			}
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(node) {
				return nil, false
			}
			value = node[i]
		default:
			return nil, false
		}
	}
	return value, true
}
