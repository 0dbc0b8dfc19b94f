package contracttest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/rows"
)

func TestMaskKeepsTheTypeAndNothingElse(t *testing.T) {
	tests := []struct {
		name, body, pointer string
		want                any
	}{
		{"a string", `{"a":"b"}`, "/a", map[string]any{"a": masked("string")}},
		{"a number", `{"a":1}`, "/a", map[string]any{"a": masked("number")}},
		{"a boolean", `{"a":true}`, "/a", map[string]any{"a": masked("boolean")}},
		{"null", `{"a":null}`, "/a", map[string]any{"a": masked("null")}},
		{"a list", `{"a":[1]}`, "/a", map[string]any{"a": masked("array")}},
		{"an object", `{"a":{"b":1}}`, "/a", map[string]any{"a": masked("object")}},
		{"an item of a list", `["a","b"]`, "/1", []any{"a", masked("string")}},
		{"a member with a slash in an item", `[{"a/b":1}]`, "/0/a~1b", []any{map[string]any{"a/b": masked("number")}}},
		{"everything", `"a"`, "", masked("string")},
		{"nothing where no member is", `{"a":"b"}`, "/b", map[string]any{"a": "b"}},
		{"nothing where no item is", `["a"]`, "/1", []any{"a"}},
		{"nothing below a string", `{"a":"b"}`, "/a/b", map[string]any{"a": "b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			value, err := rows.DecodeJSON([]byte(tt.body))
			require.NoError(t, err)
			require.Equal(t, tt.want, mask(value, rows.Tokens(tt.pointer)))
		})
	}
}
