package siem_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/pin"
	"pinvault/impl/store"
	"pinvault/impl/store/storetest"
)

func TestMain(m *testing.M) { apptest.Main(m) }

func times(short, many int) int {
	if os.Getenv("PINVAULT_TEST_LONG") == "1" {
		return many
	}
	return short
}

// writers append events, each to a chain of its own, of which some take seconds between the drawing of their id and their commit.
const writers = 4

// An export is killed at any moment, while events are written that are seen later than those after them, and started again: at its end
// the file has each of them exactly once.
func TestExportThatIsKilledHasEveryEventOnce(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]func(testing.TB) string{"SQLite": storetest.SQLite, "PostgreSQL": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at, dir := database(t), t.TempDir()
			apptest.Released(t) // before the time runs
			s, err := store.Open(t.Context(), at, store.Options{})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			require.NoError(t, s.Migrate(t.Context()))
			out := filepath.Join(dir, "events.ndjson")
			export := func(further ...string) *exec.Cmd {
				return apptest.Command(t, append([]string{"audit", "export", "--database-url", at, "--cursor", filepath.Join(dir, "cursor"), "--out", out}, further...)...)
			}

			until := time.Now().Add(time.Duration(times(3, 120)) * time.Second)
			var writing sync.WaitGroup
			for w := range writers {
				writing.Go(func() { write(t, s, fmt.Sprintf("chain-%d", w), until) })
			}
			killed := 0
			for time.Now().Before(until.Add(3 * time.Second)) {
				c := export("--follow")
				require.NoError(t, c.Start())
				<-time.After(time.Duration(100+rand.IntN(1500)) * time.Millisecond) // a process at work, and any moment of it
				require.NoError(t, c.Process.Kill())
				_ = c.Wait()
				killed++
			}
			writing.Wait()
			var missing int
			require.Eventually(t, func() bool {
				said, err := export().CombinedOutput()
				require.NoError(t, err, "%s", said)
				missing = unlike(t, s, out)
				return missing == 0
			}, time.Minute, time.Second, "%d events", missing)
			t.Logf("killed %d times", killed)
		})
	}
}

// write appends events to a chain.
func write(t *testing.T, s *store.Store, chain string, until time.Time) {
	for n := int64(1); time.Now().Before(until); {
		id := uuid.Must(uuid.NewV7()).String()
		if n%10 == 0 {
			<-time.After(time.Duration(rand.IntN(2000)) * time.Millisecond) // a change that takes its time
		}
		body, err := json.Marshal(pin.AuditEvent{Type: pin.EventPINVerified, CardID: chain, At: time.Now()})
		if err != nil {
			t.Error(err)
			return
		}
		mac := sha256.Sum256(body)
		change := pin.Change{From: n - 1, Rows: []pin.Row{{Table: pin.TableChains, ID: chain, Version: n, Body: []byte("{}"), Seal: mac[:]}},
			Events: []pin.EventRow{{Chain: chain, Seq: n, ID: id, Body: body, MAC: mac[:]}}}
		switch err := s.Swap(t.Context(), change); {
		case err == nil:
			n++
		case pin.CodeOf(err) == pin.Conflict && pin.FieldOf(err) == "audit_events": // on a slow machine: too late, and drawn anew
		default:
			t.Error(err)
			return
		}
	}
}

// unlike is how many events the file lacks; that it has one twice, or out of its chain's order, fails the test.
func unlike(t *testing.T, s *store.Store, out string) int {
	t.Helper()
	text, err := os.ReadFile(out)
	if errors.Is(err, os.ErrNotExist) {
		return -1
	}
	require.NoError(t, err)
	has := map[string]int64{}
	for line := range strings.Lines(string(text)) {
		var e struct {
			ID       string
			Chain    string
			Sequence int64
		}
		require.NoError(t, json.Unmarshal([]byte(line), &e), "%s", line)
		require.Equal(t, has[e.Chain]+1, e.Sequence, "%s: once, and in order", e.Chain)
		has[e.Chain] = e.Sequence
	}
	lacks := 0
	for w := range writers {
		chain := fmt.Sprintf("chain-%d", w)
		for _, err := range pin.ChainRows(t.Context(), s, chain, has[chain], 1<<40) {
			require.NoError(t, err)
			lacks++
		}
	}
	return lacks
}
