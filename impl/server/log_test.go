package server

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLogHidesWhatMustNotBeInIt(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := NewLogger(&out, slog.LevelDebug)
	for _, test := range []struct {
		name   string
		attr   slog.Attr
		hidden string // "" when the value must stay as it is; nothing that the time of the line may have
	}{
		{"a PIN by its name", slog.String("pin", "the 4826"), "the 4826"},
		{"a new PIN by its name", slog.String("new_pin", "the 4826"), "the 4826"},
		{"a header by its name", slog.String("x_api_key", "abc.def"), "abc.def"},
		{"a secret by its name", slog.String("client_secret", "s3cr3t"), "s3cr3t"},
		{"a PAN in a text", slog.String("error", "about 9999990000000014"), "9999990000000014"},
		{"a PAN with blanks", slog.String("error", "about 9999 9900 0000 0014"), "9999 9900 0000 0014"},
		{"a PAN with hyphens", slog.String("error", "about 9999-9900-0000-0014"), "9900-0000"},
		{"a PIN block", slog.String("error", "block 2F780C8387FFF32C"), "2F780C8387FFF32C"},
		{"a key in lower case", slog.String("error", "e8dd93b8af13999c7644c0fe11f5d2a7"), "e8dd93b8af13999c7644c0fe11f5d2a7"},
		{"a PIN block of one digit", slog.String("error", "AAAAAAAAAAAAAAAA"), "AAAAAAAAAAAAAAAA"},
		{"a PIN block of the last digit", slog.String("error", "FFFFFFFFFFFFFFFF"), "FFFFFFFFFFFFFFFF"},
		{"a key of one digit in lower case", slog.String("error", "aaaaaaaaaaaaaaaa"), "aaaaaaaaaaaaaaaa"},
		{"a key of the last digit in lower case", slog.String("error", "ffffffffffffffff"), "ffffffffffffffff"},
		{"the shortest PAN", slog.String("error", "about 999999000000"), "999999000000"},
		{"a token", slog.String("error", "bad eyJhbGciOiJFUzI1NiJ9.e30.c2ln"), "eyJhbGciOiJFUzI1NiJ9"},
		{"a PAN in an error", slog.Any("error", errors.New("PAN 9999990000000014")), "9999990000000014"},
		{"a PAN beside a UUID", slog.String("error", "00000000-0000-7000-8000-000000000001 9999990000000014"), "9999990000000014"},
		{"a PIN in a group", slog.Group("request", slog.String("pin", "the 4826")), "the 4826"},
		{"a card's id", slog.String("card", "00000000-0000-7000-8000-000000000001"), ""},
		{"the ids of a card and its program", slog.String("error", "00000000-0000-7000-8000-000000000001 of 00000000-0000-7000-8000-00000000a001"), ""},
		{"a trace", slog.String("trace", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), ""},
		{"a route", slog.String("route", "/api/v1/cards/:publicToken/pin"), ""},
		{"a short number", slog.Int("status", 503), ""},
	} {
		out.Reset()
		log.Info("message", test.attr)
		if test.hidden != "" {
			require.NotContains(t, out.String(), test.hidden, test.name)
		} else {
			require.Contains(t, out.String(), test.attr.Value.String(), test.name)
		}
	}
	out.Reset()
	log.Info("token eyJhbGciOiJFUzI1NiJ9.e30.c2ln of 9999990000000014")
	require.NotContains(t, out.String(), "9999990000000014", "the message too")
	require.NotContains(t, out.String(), "eyJ")
}

// The line of a request that went wrong has the error's text, and is looked through as any other.
func TestLinesOfRequestsThatWentWrongHideSecrets(t *testing.T) {
	t.Parallel()
	for _, level := range []slog.Level{slog.LevelWarn, slog.LevelError} {
		var out bytes.Buffer
		NewLogger(&out, slog.LevelInfo).LogAttrs(t.Context(), level, requestLine, slog.String("error", "about 9999990000000014"))
		require.Contains(t, out.String(), `"error":"about ****"`)
	}
}

// Looking through a text costs time, and most are plainly without a secret.
func TestOrdinaryTextsAreNotSuspicious(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "a", "unavailable: connection refused", "/api/v1/cards/:publicToken/pin", "GET", "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
		"192.0.2.1", "2026-03-01", "fade a cafe"} {
		require.False(t, suspicious(text), text)
	}
}

// Should names ever come from outside, they do not fill the memory, and are judged all the same.
func TestFewNamesAreRemembered(t *testing.T) {
	t.Parallel()
	var r redactor
	for i := range maxNames + maxNames/2 {
		require.False(t, r.secret(fmt.Sprintf("%063d", i)))
		require.False(t, r.secret(fmt.Sprintf("%064d", i)))
	}
	remembered := 0
	r.names.Range(func(name, _ any) bool {
		remembered++
		require.Len(t, name, 63, "a long name")
		return true
	})
	require.Equal(t, maxNames, remembered)
	require.True(t, r.secret("new_pin"))
	require.True(t, r.secret("new_pin"))
	require.False(t, r.secret(strings.Repeat("0", 63)), "one that is remembered")
}
