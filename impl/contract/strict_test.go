package contract_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"pinvault/impl/contract"
)

func nested(depth int) string {
	return strings.Repeat("[", depth) + strings.Repeat("]", depth)
}

func TestStrict(t *testing.T) {
	for _, c := range []struct {
		name, data string
		want       any
		rule       contract.Rule
	}{
		{"null", `null`, nil, ""},
		{"every type", `{"a":[true,false,null,"x",{}],"b":1.50}`, map[string]any{
			"a": []any{true, false, nil, "x", map[string]any{}}, "b": json.Number("1.50"),
		}, ""},
		{"space around", " \t\r\n1 \n", json.Number("1"), ""},
		{"a whole number with an exponent", `1E+2`, json.Number("100"), ""},
		{"a whole number with a fraction", `-7.0`, json.Number("-7"), ""},
		{"a number too small for a double", `1e-400`, json.Number("0"), ""},
		{"the greatest number", `9223372036854775807`, json.Number("9223372036854775807"), ""},
		{"a surrogate pair", `"\ud83d\ude00"`, "😀", ""},
		{"names that differ in case", `{"a":1,"A":2}`, map[string]any{"a": json.Number("1"), "A": json.Number("2")}, ""},

		{"nothing", ``, nil, contract.RuleJSON},
		{"space", ` `, nil, contract.RuleJSON},
		{"half an object", `{"a":1`, nil, contract.RuleJSON},
		{"half an array", `[1,`, nil, contract.RuleJSON},
		{"a comma too many", `[1,]`, nil, contract.RuleJSON},
		{"single quotes", `{'a':1}`, nil, contract.RuleJSON},
		{"a number for a name", `{1:1}`, nil, contract.RuleJSON},
		{"a leading zero", `0000`, nil, contract.RuleJSON},
		{"NaN", `NaN`, nil, contract.RuleJSON},
		{"a comment", `1 // x`, nil, contract.RuleJSON},
		{"a second value", `{} {}`, nil, contract.RuleJSON},
		{"a bracket behind", `{}]`, nil, contract.RuleJSON},
		{"a byte order mark", "\ufeff{}", nil, contract.RuleJSON},
		{"a control character in a string", "\"\n\"", nil, contract.RuleJSON},
		{"half a surrogate pair", `"\ud83d"`, nil, contract.RuleJSON},
		{"the halves of a surrogate pair the wrong way round", `"\ude00\ud83d"`, nil, contract.RuleJSON},
		{"a name twice", `{"a":1,"a":1}`, nil, contract.RuleDuplicate},
		{"a name twice, once escaped", `{"a":1,"\u0061":1}`, nil, contract.RuleDuplicate},
		{"a name twice, deep inside", `[{"b":{"a":1,"c":[],"a":1}}]`, nil, contract.RuleDuplicate},
		{"a number beyond 64 bits", `9223372036854775808`, nil, contract.RuleNumber},
		{"a number beyond a double", `1e999`, nil, contract.RuleNumber},
		{"bad UTF-8 in a string", "\"\xff\"", nil, contract.RuleCharacters},
		{"bad UTF-8 in a name", "{\"\xc0\x80\":1}", nil, contract.RuleCharacters},
		{"bad UTF-8 between values", "[1,\xff]", nil, contract.RuleCharacters},
		{"a surrogate in UTF-8", "\"\xed\xa0\x80\"", nil, contract.RuleCharacters},
		{"NUL in a string", `"a\u0000"`, nil, contract.RuleCharacters},
		{"NUL in a name", `{"a":{"\u0000":1}}`, nil, contract.RuleCharacters},
		{"too deep by one", nested(contract.MaxDepth + 1), nil, contract.RuleDepth},
		{"far too deep", strings.Repeat("[", 100_000), nil, contract.RuleDepth},
		{"too many tokens by one", "[" + strings.Repeat("1,", contract.MaxTokens-2) + "1]", nil, contract.RuleTokens},
		{"too many members", "{" + strings.Repeat(`"a":1,`, contract.MaxTokens), nil, contract.RuleDuplicate},
	} {
		t.Run(c.name, func(t *testing.T) {
			value, err := contract.Strict([]byte(c.data))
			require.Equal(t, c.want, value)
			if c.rule == "" {
				require.NoError(t, err)
				return
			}
			var strict *contract.StrictError
			require.ErrorAs(t, err, &strict)
			require.Equal(t, c.rule, strict.Rule)
			require.EqualError(t, err, "message is not acceptable JSON: "+string(c.rule))
		})
	}
}

func TestStrictAdmitsMessagesUpToItsBounds(t *testing.T) {
	_, err := contract.Strict([]byte(nested(contract.MaxDepth)))
	require.NoError(t, err)
	value, err := contract.Strict([]byte("[" + strings.Repeat("1,", contract.MaxTokens-3) + "1]"))
	require.NoError(t, err)
	require.Len(t, value, contract.MaxTokens-2)
}

func TestStrictReadsWhatEncodingJSONWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		object := rapid.MapOf(rapid.StringMatching(`[a-zé"\\/]{0,5}`), rapid.StringMatching(`[ -~\x{80}-\x{10ffff}]*`)).Draw(t, "object")
		data, err := json.Marshal(object)
		require.NoError(t, err)
		value, err := contract.Strict(data)
		require.NoError(t, err)
		require.Len(t, value, len(object))
		for name, text := range object {
			require.Equal(t, text, value.(map[string]any)[name])
		}
	})
}

// FuzzStrict: whatever is accepted, encoding/json reads too, as the same value; and written anew it
// is accepted again, as the same value.
func FuzzStrict(f *testing.F) {
	for _, seed := range []string{
		`{"pin":"1234"}`, `{"a":1,"a":2}`, `[1e2,-0.0,1E400,"\ud83d\ude00","\u0000"]`, nested(40), `{} x`, "\"\xff\"", `1e-400`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		value, err := contract.Strict(data)
		if err != nil {
			var strict *contract.StrictError
			require.True(t, errors.As(err, &strict) && value == nil)
			return
		}
		written, err := json.Marshal(value)
		require.NoError(t, err)
		again, err := contract.Strict(written)
		require.NoError(t, err)
		require.Equal(t, value, again)

		var lenient, rewritten any
		require.NoError(t, json.Unmarshal(data, &lenient))
		require.NoError(t, json.Unmarshal(written, &rewritten))
		require.Equal(t, lenient, rewritten)
	})
}
