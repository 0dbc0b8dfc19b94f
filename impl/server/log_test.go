package server

import (
	"bytes"
	"errors"
	"log/slog"
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
		hidden string // "" when the value must stay as it is
	}{
		{"a PIN by its name", slog.String("pin", "4826"), "4826"},
		{"a new PIN by its name", slog.String("new_pin", "4826"), "4826"},
		{"a header by its name", slog.String("x_api_key", "abc.def"), "abc.def"},
		{"a secret by its name", slog.String("client_secret", "s3cr3t"), "s3cr3t"},
		{"a PAN in a text", slog.String("error", "about 9999990000000014"), "9999990000000014"},
		{"a PAN with blanks", slog.String("error", "about 9999 9900 0000 0014"), "9999 9900 0000 0014"},
		{"a PAN with hyphens", slog.String("error", "about 9999-9900-0000-0014"), "9900-0000"},
		{"a PIN block", slog.String("error", "block 2F780C8387FFF32C"), "2F780C8387FFF32C"},
		{"a key in lower case", slog.String("error", "e8dd93b8af13999c7644c0fe11f5d2a7"), "e8dd93b8af13999c7644c0fe11f5d2a7"},
		{"a token", slog.String("error", "bad eyJhbGciOiJFUzI1NiJ9.e30.c2ln"), "eyJhbGciOiJFUzI1NiJ9"},
		{"a PAN in an error", slog.Any("error", errors.New("PAN 9999990000000014")), "9999990000000014"},
		{"a PAN beside a UUID", slog.String("error", "00000000-0000-7000-8000-000000000001 9999990000000014"), "9999990000000014"},
		{"a PIN in a group", slog.Group("request", slog.String("pin", "4826")), "4826"},
		{"a card's id", slog.String("card", "00000000-0000-7000-8000-000000000001"), ""},
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
