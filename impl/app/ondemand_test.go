package app_test

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/ondemand"
	"pinvault/impl/rows"
	"pinvault/impl/store/storetest"
)

// catalogued are the documented rows of all contracts; in short tests one of seven, and all that is about faults.
func catalogued(t *testing.T) (all []*ondemand.Row) {
	t.Helper()
	documents, err := apptest.Contracts()
	require.NoError(t, err)
	for i, row := range ondemand.NewCatalogue(documents).All() {
		if !testing.Short() || i%7 == 0 || row.By == ondemand.ByFault {
			all = append(all, row)
		}
	}
	require.NotEmpty(t, all)
	return all
}

// wordless is a request without a body, of which nothing can be repeated.
func wordless(r rows.Row) rows.Row {
	r.Body, r.Sealed = nil, false
	return r
}

// requireRow demands that a call was answered with the row.
func (p *partners) requireRow(row *ondemand.Row, sent rows.Row, more ...contracttest.Option) {
	p.t.Helper()
	status, header, body, sealed := p.send(row.Contract, sent, more...)
	require.Empty(p.t, contracttest.Differences(row.Row, status, header, body), "%s %s", row.Contract, row)
	require.Equal(p.t, row.Reply.Sealed, sealed, "%s %s is sealed", row.Contract, row)
	if row.Reply.ContentType != "" {
		require.Equal(p.t, row.Reply.ContentType, header.Get("Content-Type"), "%s %s", row.Contract, row)
	}
}

// Every documented row of every contract comes out by the header, in the shape of its contract, and nothing is changed.
func TestEveryRowComesOutByItsHeader(t *testing.T) {
	t.Parallel()
	url := storetest.SQLite(t)
	p := newPartners(t, url)
	before := contentOf(t, url)
	for _, row := range catalogued(t) {
		p.requireRow(row, wordless(row.Plain()), contracttest.Header(rows.AskHeader, row.String()))
	}
	require.Equal(t, before, contentOf(t, url), "nothing is changed")
}

// The same by a rule, once; then the operation is answered as it would be. The sandbox's own operations are left alone.
func TestEveryRowComesOutByARule(t *testing.T) {
	t.Parallel()
	url := storetest.SQLite(t)
	p := newPartners(t, url)
	before := contentOf(t, url)
	for _, row := range catalogued(t) {
		if row.Contract == "sandbox" {
			continue
		}
		p.rule(map[string]any{"id": "row", "row": row.String(), "times": 1})
		p.requireRow(row, wordless(row.Plain()))
		if !strings.HasPrefix(row.Path, "/sandbox/") { // of which none is kept
			require.Equal(t, row.String(), p.named(), "in the journal")
		}
		taken := p.Client.For(t).Do(http.MethodGet, "/sandbox/rules").ExpectStatus(http.StatusOK).JSON("/rules/0/taken")
		require.EqualValues(t, 1, taken, "%s", row)
		p.Client.For(t).Do(http.MethodDelete, "/sandbox/rules/row").ExpectStatus(http.StatusNoContent)
	}
	require.Equal(t, before, contentOf(t, url), "nothing is changed")
}

func (p *partners) rule(r map[string]any) {
	p.t.Helper()
	p.Client.For(p.t).Do(http.MethodPost, "/sandbox/rules", contracttest.JSON(r)).ExpectStatus(http.StatusCreated)
}

// Every row that takes a fault inside the server comes out by a rule with this fault and the row's own request.
func TestEveryRowOfAFaultComesOutByARuleWithTheFault(t *testing.T) {
	t.Parallel()
	p := newPartners(t, "")
	faults := 0
	for _, row := range catalogued(t) {
		if row.By != ondemand.ByFault || row.Contract == "sandbox" {
			continue
		}
		faults++
		p.rule(map[string]any{"id": "fault", "operation": row.Operation, "fault": row.Fault, "times": 1})
		p.requireRow(row, row.Row)
		require.Equal(t, row.String(), p.named(), "in the journal")
		p.Client.For(t).Do(http.MethodDelete, "/sandbox/rules").ExpectStatus(http.StatusNoContent)
	}
	require.Greater(t, faults, 80)
}

// A call of each operation as the rows list it, pasted into bash, is answered with the row.
func TestTheCallsThatRowsListMakeThemComeOut(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"bash", "curl", "sed"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(tool + " is not here")
		}
	}
	p := newPartners(t, "")
	done := map[string]bool{}
	for _, row := range catalogued(t) {
		if row.Reply.Status < http.StatusBadRequest || done[row.Contract+row.Operation] || testing.Short() && len(done) >= 10 {
			continue
		}
		done[row.Contract+row.Operation] = true
		out, err := exec.CommandContext(t.Context(), "bash", "-c", row.Curl(p.URL)).CombinedOutput()
		require.NoError(t, err, "%s: %s", row, out)
		require.True(t, strings.HasPrefix(string(out), fmt.Sprintf("HTTP/1.1 %d ", row.Reply.Status)), "%s: %s", row, out)
	}
}

// contentOf is a digest of all that a database in SQLite holds.
func contentOf(t *testing.T, url string) map[string]string {
	t.Helper()
	db, err := sql.Open("sqlite", strings.TrimPrefix(url, "sqlite://")+"?_pragma=busy_timeout(10000)")
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	digests := map[string]string{}
	for _, table := range texts(t, db, `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`) {
		columns := texts(t, db, `SELECT 'quote(' || name || ')' FROM pragma_table_info('`+table+`')`)
		rows := texts(t, db, `SELECT `+strings.Join(columns, ` || ',' || `)+` AS row FROM `+table+` ORDER BY row`) //nolint:gosec // names of ours
		sum := sha256.Sum256([]byte(strings.Join(rows, "\n")))
		digests[table] = hex.EncodeToString(sum[:])
	}
	require.Contains(t, digests, "cards")
	return digests
}

func texts(t *testing.T, db *sql.DB, query string) (all []string) {
	t.Helper()
	found, err := db.QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer func() { require.NoError(t, found.Close()) }()
	for found.Next() {
		var text string
		require.NoError(t, found.Scan(&text))
		all = append(all, text)
	}
	require.NoError(t, found.Err())
	return all
}
