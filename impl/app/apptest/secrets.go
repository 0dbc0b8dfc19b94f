package apptest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// RequireNowhere demands that no secret stands in a text, in letters of either case. Secrets have names.
func RequireNowhere(t testing.TB, secrets map[string]string, where, text string) {
	t.Helper()
	require.NotEmpty(t, text, where)
	folded := strings.ToUpper(text)
	for name, secret := range secrets {
		at := strings.Index(folded, strings.ToUpper(secret))
		require.Negative(t, at, "%s stands in %s, near %q", name, where, text[max(0, at-60):min(len(text), max(0, at)+len(secret)+20)])
	}
}

// Dump is everything that a database holds: the files of SQLite, every row of PostgreSQL.
func Dump(t testing.TB, at string) string {
	t.Helper()
	var all strings.Builder
	if path, ok := strings.CutPrefix(at, "sqlite://"); ok {
		for _, suffix := range []string{"", "-wal"} {
			content, err := os.ReadFile(path + suffix)
			require.NoError(t, err)
			all.Write(content)
		}
		return all.String()
	}
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, at)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(ctx)) }()
	rows, err := conn.Query(ctx, `SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Greater(t, len(tables), 8)
	for _, table := range tables {
		// As text, and byte strings once more as what they hold.
		rows, err := conn.Query(ctx, `SELECT t::text || ' ' || encode(convert_to(t::text, 'UTF8'), 'escape') FROM `+pgx.Identifier{table}.Sanitize()+` t`)
		require.NoError(t, err)
		texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		for _, row := range texts {
			all.WriteString(row + "\n" + unescapeBytes(row) + "\n")
		}
	}
	return all.String()
}

// unescapeBytes turns PostgreSQL's \x… byte strings into the bytes they stand for.
func unescapeBytes(row string) string {
	var out strings.Builder
	for _, part := range strings.Split(row, `\x`)[1:] {
		for len(part) >= 2 {
			var b byte
			if _, err := fmt.Sscanf(part[:2], "%02x", &b); err != nil {
				break
			}
			out.WriteByte(b)
			part = part[2:]
		}
		out.WriteByte('\n')
	}
	return out.String()
}
