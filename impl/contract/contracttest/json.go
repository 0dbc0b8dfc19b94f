package contracttest

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"strconv"
	"strings"
	"unicode/utf8"
)

// mediaType returns a Content-Type without its parameters, in lower case; "" when there is none.
func mediaType(contentType string) string {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return strings.ToLower(strings.TrimSpace(contentType))
	}
	return media
}

// isJSON says whether bodies of the type are JSON, by name or by structured syntax suffix (RFC 6839).
func isJSON(contentType string) bool {
	media := mediaType(contentType)
	return media == mediaJSON || strings.HasSuffix(media, "+json")
}

// decode returns a JSON body's value, and any other body as a string.
func decode(contentType string, body []byte) (any, error) {
	if isJSON(contentType) {
		return decodeJSON(body)
	}
	return string(body), nil
}

// decodeJSON is strict about what encoding/json mends: bad UTF-8.
func decodeJSON(body []byte) (value any, err error) {
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

// tokens splits a JSON pointer (RFC 6901).
func tokens(pointer string) []string {
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

// lookup returns what a JSON pointer points to; nothing for a text that is none.
func lookup(value any, pointer string) (any, bool) {
	if pointer != "" && !strings.HasPrefix(pointer, "/") {
		return nil, false
	}
	for _, token := range tokens(pointer) {
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

// masked stands where a volatile value was and keeps its JSON type, so that comparing finds both another type and a
// missing value.
type masked string

// mask replaces what the pointer leads to, within value. What is not there stays so, for the comparison to find.
func mask(value any, pointer []string) any {
	if len(pointer) == 0 {
		return masked(jsonType(value))
	}
	switch node := value.(type) {
	case map[string]any:
		if child, ok := node[pointer[0]]; ok {
			node[pointer[0]] = mask(child, pointer[1:])
		}
	case []any:
		if i, err := strconv.Atoi(pointer[0]); err == nil && i >= 0 && i < len(node) {
			node[i] = mask(node[i], pointer[1:])
		}
	}
	return value
}

func jsonType(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case float64:
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	default:
		return "object"
	}
}
