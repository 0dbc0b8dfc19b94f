package rows

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"github.com/getkin/kin-openapi/openapi3"
)

// notes is what the extensions of a reply's example say.
type notes struct {
	request    requestNotes
	after      []Step
	volatile   []string
	headers    map[string]any
	operations []string // nil: all that use the response
	decrypted  any
	origin     string
	advice     string
}

// requestNotes is x-request.
type requestNotes struct {
	Authorization string         `json:"authorization"`
	Method        string         `json:"method"`
	ContentType   *string        `json:"contentType"`
	Headers       map[string]any `json:"headers"`
	Query         map[string]any `json:"query"`
	Path          map[string]any `json:"path"`
	RawBody       *string        `json:"rawBody"`
	BodySize      int            `json:"bodySize"`
	Fault         string         `json:"fault"`
	Session       *Session       `json:"session"`
}

// raw returns the body that stands in the notes; nil when none does. One of which only the size is given is blank: JSON
// to every reader that has not come to its end.
func (n requestNotes) raw() []byte {
	switch {
	case n.RawBody != nil:
		return []byte(*n.RawBody)
	case n.BodySize > 0:
		return bytes.Repeat([]byte(" "), n.BodySize)
	default:
		return nil
	}
}

func readNotes(extensions map[string]any) (notes, error) {
	n := notes{decrypted: extensions["x-decrypted"]}
	return n, errors.Join(
		Extension(extensions, "x-request", &n.request),
		Extension(extensions, "x-after", &n.after),
		Extension(extensions, "x-volatile", &n.volatile),
		Extension(extensions, "x-headers", &n.headers),
		Extension(extensions, "x-operations", &n.operations),
		Extension(extensions, "x-origin", &n.origin),
		Extension(extensions, "x-advice", &n.advice),
	)
}

// Extension reads an extension into a typed value and refuses members that this does not have, so that no
// misspelt word is passed over. An absent extension leaves the value alone.
func Extension(extensions map[string]any, key string, into any) error {
	value, ok := extensions[key]
	if !ok {
		return nil
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

// exampleExtensions returns the extensions of an example; those beside a reference to it take precedence.
func exampleExtensions(ref *openapi3.ExampleRef) map[string]any {
	all := map[string]any{}
	maps.Copy(all, ref.Value.Extensions)
	maps.Copy(all, ref.Extensions)
	return all
}

// texts writes a value as a parameter or header has it: one text, or several for a list. Null is none.
func texts(value any) ([]string, error) {
	switch v := value.(type) {
	case nil:
		return nil, nil
	case string:
		return []string{v}, nil
	case bool:
		return []string{strconv.FormatBool(v)}, nil
	case float64:
		return []string{strconv.FormatFloat(v, 'f', -1, 64)}, nil
	case []any:
		var all []string
		for _, item := range v {
			one, err := texts(item)
			if err != nil {
				return nil, err
			}
			all = append(all, one...)
		}
		return all, nil
	default:
		return nil, fmt.Errorf("%s is not a text, number, boolean or list of these", compact(value))
	}
}
