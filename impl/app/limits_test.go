package app_test

import (
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app"
	"pinvault/impl/app/apptest"
	"pinvault/impl/config"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/keyring"
	"pinvault/impl/keyring/keyringtest"
	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
	"pinvault/impl/rows"
	"pinvault/impl/sandbox"
	"pinvault/impl/store"
	"pinvault/impl/store/storetest"
)

// limiting are processes of a server in production over one database, whose limits are those of production except for some.
type limiting struct {
	t     *testing.T
	db    *store.Store
	own   map[string]int64
	clock *atomic.Int64 // nil: the database's
	keys  config.Keys
	at    string
}

func newLimiting(t *testing.T, at string, own map[string]int64) *limiting {
	t.Helper()
	l := &limiting{t: t, db: apptest.OpenStore(t, at), own: own, keys: keysOf(t), at: at}
	require.NoError(t, l.db.Migrate(t.Context()))
	return l
}

// by has windows be by a time that the test sets.
func (l *limiting) by(at time.Time) *limiting {
	l.clock = &atomic.Int64{}
	l.clock.Store(at.UnixNano())
	return l
}

func (l *limiting) pass(d time.Duration) { l.clock.Add(int64(d)) }

// process is one of them.
type process struct {
	*app.App
	*contracttest.Client
}

func (l *limiting) process() process {
	l.t.Helper()
	documents, err := apptest.Contracts()
	require.NoError(l.t, err)
	db := apptest.OpenStore(l.t, l.at)
	around := app.Surroundings{Database: db, Store: db, Log: slog.New(slog.DiscardHandler), Documents: documents}
	if l.clock != nil {
		around.Now = func() time.Time { return time.Unix(0, l.clock.Load()).UTC() }
	}
	around.Keys = keyringtest.Shared(l.t)
	wired, err := app.New(l.t.Context(), config.Serve{PublicURL: "http://production", Keys: l.keys, Limits: l.own}, around)
	require.NoError(l.t, err)
	listening := httptest.NewServer(wired.Public)
	l.t.Cleanup(listening.Close)
	return process{wired, apptest.Client(l.t, listening.URL)}
}

// client makes a client of the issuer's contract, and a token of it.
func (p process) client(t *testing.T, limits pin.Limits, scopes ...string) (id string, token contracttest.Option) {
	t.Helper()
	c, _, err := p.Vault.CreateClient(apptest.Operating(t), pin.Client{Contract: "issuer", Name: "test", Scopes: scopes, Limits: limits}, "", pin.Memo{})
	require.NoError(t, err)
	minted, err := p.Tokens.Mint(c, 48*time.Hour)
	require.NoError(t, err)
	return c.ID, contracttest.Bearer(minted.AccessToken)
}

// cards makes cards without references, whose PIN is 7010.
func (p process) cards(t *testing.T, n int) (ids []string) {
	t.Helper()
	program := pin.NewProgram("Production")
	program.Policy = pin.PolicyWeakList
	program, err := p.Vault.CreateProgram(apptest.Operating(t), program, pin.Memo{})
	require.NoError(t, err)
	for i := range n {
		right, err := pin.New([]byte("7010"))
		require.NoError(t, err)
		c, err := p.Vault.CreateCard(apptest.Operating(t), pin.NewCard{ProgramID: program.ID, PAN: apptest.PAN(i), PIN: right}, pin.Memo{})
		require.NoError(t, err)
		ids = append(ids, c.ID)
	}
	return ids
}

const zpk = "E8DD93B8AF13999C7644C0FE11F5D2A7"

// key brings in the zone PIN key zpk.
func (l *limiting) key(p process) {
	l.t.Helper()
	raw, err := hex.DecodeString(zpk)
	require.NoError(l.t, err)
	ring := keyring.Open(keyringtest.Shared(l.t), l.db, nil)
	require.NoError(l.t, sandbox.ImportKey(apptest.Operating(l.t), p.Vault, ring, "zpk", "", pin.UsageZonePIN, "TDES", raw))
}

// block is a PIN under zpk, for any card.
func block(t *testing.T, digits string) string {
	t.Helper()
	return apptest.PINBlock(t, pinblock.NewTDES, zpk, pinblock.ISO1, digits, "")
}

const listed = "/issuer/v1/programs?limit=1"

// Two processes over one database, however their calls are mixed, admit what the limit says together: never more, at most two percent fewer.
// The long form calls servers 100,000 times, see limits_soak_test.go.
func TestTwoProcessesAdmitOneLimit(t *testing.T) {
	t.Parallel()
	const limit, calls = 400, 1200
	for engine, database := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			l := newLimiting(t, database(t), nil).by(time.Date(2026, 3, 1, 12, 0, 20, 0, time.UTC))
			here, there := l.process(), l.process()
			_, token := here.client(t, pin.Limits{pin.LimitRequests: limit}, "programs:read")
			counts := apptest.Together(8, func(worker int) int {
				admitted := 0
				for i := range calls / 8 {
					reply := []process{here, there}[(worker+i)%2].Do(http.MethodGet, listed, token)
					if reply.Status == http.StatusOK {
						admitted++
					} else if reply.Status != http.StatusTooManyRequests || reply.Header.Get("Retry-After") != "40" {
						return -1
					}
				}
				return admitted
			})
			total := 0
			for admitted, workers := range counts {
				require.GreaterOrEqual(t, admitted, 0)
				total += admitted * workers
			}
			require.LessOrEqual(t, total, limit)
			require.GreaterOrEqual(t, total, limit*98/100)
			_, another := here.client(t, nil, "programs:read")
			there.Do(http.MethodGet, listed, another).ExpectStatus(http.StatusOK)
			l.pass(40 * time.Second)
			there.Do(http.MethodGet, listed, token).ExpectStatus(http.StatusOK)
		})
	}
}

func TestALimitThatCannotBeCountedIsUnavailable(t *testing.T) {
	t.Parallel()
	l := newLimiting(t, storetest.SQLite(t), nil)
	p := l.process()
	_, token := p.client(t, nil, "programs:read")
	_, free := p.client(t, pin.Limits{pin.LimitRequests: 0}, "programs:read")
	conn, err := sql.Open("sqlite", strings.TrimPrefix(l.at, "sqlite://"))
	require.NoError(t, err)
	_, err = conn.ExecContext(t.Context(), "DROP TABLE limit_leases")
	require.NoError(t, errors.Join(err, conn.Close()))
	p.Do(http.MethodGet, listed, token).ExpectStatus(http.StatusServiceUnavailable)
	p.Do(http.MethodGet, listed, free).ExpectStatus(http.StatusOK)
}

func TestLimitsOfTheServerAreCheckedAtStart(t *testing.T) {
	t.Parallel()
	documents, err := apptest.Contracts()
	require.NoError(t, err)
	l := newLimiting(t, storetest.SQLite(t), nil)
	for own, says := range map[string]string{"requestsPerDay": `--limits: there is no limit "requestsPerDay"; there are failedAuthenticationsPerMinute, `, "unblocksPerCardAndDay": "--limits unblocksPerCardAndDay must be at most 20."} {
		_, err := app.New(t.Context(), config.Serve{PublicURL: "http://production", Keys: l.keys, Limits: map[string]int64{own: 21}},
			app.Surroundings{Database: l.db, Store: l.db, Log: slog.New(slog.DiscardHandler), Documents: documents})
		require.ErrorContains(t, err, says)
	}
}

// alarmed verifies a wrong PIN of each card, until the alarm goes off, and returns how many were answered.
func alarmed(p process, token contracttest.Option, cards []string, block string) (answered int) {
	for _, card := range cards {
		reply := verify(p, token, card, block)
		if reply.Status != http.StatusOK {
			break
		}
		answered++
	}
	return answered
}

func verify(p process, token contracttest.Option, card, block string) *contracttest.Reply {
	return p.Do(http.MethodPost, "/issuer/v1/cards/"+card+"/pin/verifications", token,
		contracttest.JSON(map[string]string{"pinBlock": block, "format": "ISO-1", "keyId": "zpk"}))
}

// The fleet alarm: mismatches of many cards halt the client everywhere, beyond a restart, until somebody else releases it. No other client
// is halted with it.
func TestMismatchesOfManyCardsHaltAClientUntilItIsReleased(t *testing.T) {
	t.Parallel()
	for engine, database := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			l := newLimiting(t, database(t), map[string]int64{"mismatchCardsPerMinute": 10, "mismatchSharePercent": 50})
			here, there := l.process(), l.process()
			cards := here.cards(t, 40)
			l.key(here)
			right, wrong := block(t, "7010"), block(t, "9182")
			id, token := here.client(t, nil, "pins:verify", "clients:release")
			_, other := here.client(t, nil, "pins:verify")
			_, guard := here.client(t, nil, "clients:release", "clients:read", "audit:read")

			require.Equal(t, "mismatch", verify(there, token, cards[39], wrong).ExpectStatus(http.StatusOK).Text("/result"))
			answered := alarmed(here, token, cards, wrong)
			require.LessOrEqual(t, answered, 11, "ten cards may have a mismatch")
			require.GreaterOrEqual(t, answered, 9)
			require.Equal(t, "halted", verify(here, token, cards[0], right).ExpectStatus(http.StatusForbidden).Text("/code"))
			halted := time.Now()
			for verify(there, token, cards[38], right).Status == http.StatusOK {
				require.Less(t, time.Since(halted), time.Second)
			}
			verify(there, token, cards[38], right).ExpectStatus(http.StatusForbidden)
			require.Equal(t, "match", verify(here, other, cards[38], right).ExpectStatus(http.StatusOK).Text("/result"))
			require.Equal(t, "999999", here.Do(http.MethodGet, "/issuer/v1/clients/"+id, guard).ExpectStatus(http.StatusOK).Text("/halted/bin"))

			again := l.process()
			verify(again, token, cards[0], right).ExpectStatus(http.StatusForbidden)
			release := contracttest.JSON(map[string]string{"reason": "A batch was sent with another key"})
			again.Do(http.MethodPost, "/issuer/v1/clients/"+id+"/release", token, release).ExpectStatus(http.StatusForbidden)
			again.Do(http.MethodPost, "/issuer/v1/clients/"+id+"/release", guard, release).ExpectStatus(http.StatusOK)
			require.Equal(t, "match", verify(again, token, cards[38], right).ExpectStatus(http.StatusOK).Text("/result"))
			released := time.Now()
			for verify(here, token, cards[38], right).Status != http.StatusOK {
				require.Less(t, time.Since(released), time.Second)
			}
			var told []string
			for _, one := range here.Do(http.MethodGet, "/issuer/v1/audit-events?limit=100", guard).ExpectStatus(http.StatusOK).JSON("/items").([]any) {
				if kind := one.(map[string]any)["type"].(string); strings.HasPrefix(kind, "client.") && kind != "client.created" {
					told = append(told, kind)
				}
			}
			require.Equal(t, []string{"client.halted", "client.released"}, told)
		})
	}
}

// In production all limits are there, whatever the kind.
func TestEveryKindOfLimit(t *testing.T) {
	t.Parallel()
	l := newLimiting(t, storetest.SQLite(t), nil).by(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	p := l.process()
	cards := p.cards(t, 1)
	l.key(p)
	right, wrong, weak := block(t, "7010"), block(t, "9182"), block(t, "1234")

	_, token := p.client(t, pin.Limits{pin.LimitVerifications: 2}, "pins:verify")
	for range 2 {
		verify(p, token, cards[0], right).ExpectStatus(http.StatusOK)
	}
	require.Equal(t, "60", verify(p, token, cards[0], wrong).ExpectStatus(http.StatusTooManyRequests).Header.Get("Retry-After"))
	l.pass(time.Minute)
	verify(p, token, cards[0], right).ExpectStatus(http.StatusOK)

	_, token = p.client(t, pin.Limits{pin.LimitVerificationsHour: 1}, "pins:verify")
	verify(p, token, cards[0], right).ExpectStatus(http.StatusOK)
	require.Equal(t, "3540", verify(p, token, cards[0], right).ExpectStatus(http.StatusTooManyRequests).Header.Get("Retry-After"))

	_, token = p.client(t, pin.Limits{pin.LimitUnblocks: 2}, "pins:write")
	unblock := func() *contracttest.Reply {
		return p.Do(http.MethodPost, "/issuer/v1/cards/"+cards[0]+"/pin/unblock", token, contracttest.JSON(map[string]string{"reason": "identified"}))
	}
	unblock().ExpectStatus(http.StatusNoContent)
	l.pass(time.Hour)
	unblock().ExpectStatus(http.StatusNoContent)
	require.Equal(t, strconv.Itoa(23*3600), unblock().ExpectStatus(http.StatusTooManyRequests).Header.Get("Retry-After"))

	_, token = p.client(t, pin.Limits{pin.LimitRefusedPINs: 2}, "pins:write")
	set := func(block string) *contracttest.Reply {
		return p.Do(http.MethodPut, "/issuer/v1/cards/"+cards[0]+"/pin", token, contracttest.JSON(map[string]string{"pinBlock": block, "format": "ISO-1", "keyId": "zpk"}))
	}
	for range 2 {
		require.Equal(t, "weak_pin", set(weak).ExpectStatus(http.StatusUnprocessableEntity).Text("/code"))
	}
	set(weak).ExpectStatus(http.StatusTooManyRequests)
	set(right).ExpectStatus(http.StatusTooManyRequests)
	l.pass(time.Minute)
	set(right).ExpectStatus(http.StatusNoContent)

	c, secret, err := p.Vault.CreateClient(apptest.Operating(t), pin.Client{Contract: "issuer", Name: "test", Scopes: []string{"pins:verify"}, Limits: pin.Limits{pin.LimitFailedLogins: 3}}, "", pin.Memo{})
	require.NoError(t, err)
	ask := func(id, secret string) *contracttest.Reply {
		return p.Do(http.MethodPost, "/oauth2/token", contracttest.Form(map[string][]string{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}}))
	}
	for range 3 {
		ask(c.ID, "guessed").ExpectStatus(http.StatusUnauthorized)
	}
	require.Equal(t, "60", ask(c.ID, "guessed").ExpectStatus(http.StatusTooManyRequests).Header.Get("Retry-After"))
	ask(c.ID, secret).ExpectStatus(http.StatusOK)
	for range 60 {
		ask("nobody", "guessed").ExpectStatus(http.StatusUnauthorized)
	}
	ask("nobody", "guessed").ExpectStatus(http.StatusTooManyRequests)
}

// The limit on wrong secure codes of a client of Accosa's contract, as --limits says, holds over two processes: above it, a code is not looked at,
// right or wrong, which the documented row says. No other client is limited with it.
func TestWrongSecureCodesAreLimitedOverTwoProcesses(t *testing.T) {
	t.Parallel()
	all, err := rows.All(apptest.Documents(t)["accosa"])
	require.NoError(t, err)
	documented := map[string]rows.Row{}
	for _, r := range all {
		documented[r.Example] = r
	}
	const wrong, right, limit = "another-code", "accosa-sandbox-code", 3
	for name, database := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := database(t)
			var doors [2]*partners
			for i := range doors {
				server := apptest.Serve(t, nil, "--sandbox", "--limits", fmt.Sprintf("wrongSecureCodesPerHour=%d", limit), "--database-url", at)
				doors[i] = partnersOf(t, &apptest.Server{Client: apptest.Client(t, server.URL)})
				doors[i].calls = i * 1000
			}
			card := doors[0].cards["normal"]
			clients := [][2]string{{"accosa", "accosa_fixed_iv"}, {"accosa_fixed_iv", "accosa"}} // in another hour the other way round
			for i, client := range clients {
				end := time.Now().Truncate(time.Hour).Add(time.Hour)
				longest := time.Until(end)
				var told []*contracttest.Reply
				for _, call := range []struct {
					door         int
					client, code string
				}{
					{0, client[0], wrong}, {1, client[0], wrong}, {0, client[0], right}, {1, client[0], wrong}, // the limit is used up
					{0, client[0], wrong}, {1, client[0], wrong}, {0, client[0], right}, {1, client[0], right},
					{0, client[1], right}, {1, client[1], right},
				} {
					told = append(told, doors[call.door].reset(call.client, card, call.code))
				}
				if !time.Now().Before(end) && i == 0 {
					continue
				}
				for n, want := range []string{"secure-code-wrong", "secure-code-wrong", "", "secure-code-wrong",
					"limit-used-up", "limit-used-up", "limit-used-up", "limit-used-up", "", ""} {
					if want == "" {
						require.Equal(t, http.StatusOK, told[n].Status, "call %d: %s", n, told[n].Body)
						continue
					}
					row, found := documented[want]
					require.True(t, found, want)
					require.Equal(t, row.Reply.Status, told[n].Status, "call %d", n)
					require.JSONEq(t, string(row.Reply.Body), string(told[n].Body), "call %d", n)
					if want == "limit-used-up" {
						seconds, err := strconv.Atoi(told[n].Header.Get("Retry-After"))
						require.NoError(t, err)
						require.GreaterOrEqual(t, time.Duration(seconds)*time.Second, time.Until(end).Truncate(time.Second))
						require.LessOrEqual(t, time.Duration(seconds-1)*time.Second, longest)
					}
				}
				return
			}
		})
	}
}
