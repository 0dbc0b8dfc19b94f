package portfolio_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/pin"
	"pinvault/impl/portfolio"
	"pinvault/impl/store"
)

func TestMain(m *testing.M) { apptest.Main(m) }

// An import is killed at any moment and made again until it comes to its end: the cards, and what was rejected, are the same as
// if it had not been, each card is there once with its trail, and nothing that was written holds a PAN or a PIN block.
func TestImportThatIsKilledEndsWithTheSameCards(t *testing.T) {
	t.Parallel()
	for name, database := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at, many := database(t), times(2500, 20_000)
			s, err := store.Open(t.Context(), at, store.Options{})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			require.NoError(t, s.Migrate(t.Context()))
			h := movedInto(t, s)
			require.NoError(t, s.PutSetting(t.Context(), "sandbox", "1")) // whose keys the house has

			file, report := filepath.Join(t.TempDir(), "cards.ndjson"), filepath.Join(t.TempDir(), "rejected.ndjson")
			require.NoError(t, os.WriteFile(file, []byte(cards(t, many)), 0o600))
			again := func() *exec.Cmd {
				return apptest.Command(t, "import", "--sandbox", "--database-url", at, "--program", "program", "--rejected", report, file)
			}
			kills, during := times(2, 50), 0
			for range kills {
				c := again()
				before := h.count()
				require.NoError(t, c.Start())
				ended := make(chan struct{})
				go func() { defer close(ended); _ = c.Wait() }()
				require.Eventually(t, func() bool { return over(ended) || h.count() > before }, time.Minute, time.Millisecond)
				select {
				case <-ended:
				case <-time.After(time.Duration(rand.IntN(times(100, 5000))) * time.Millisecond):
					_ = c.Process.Kill()
					<-ended
					if c.ProcessState.ExitCode() == -1 {
						during++
					}
				}
				h.whole()
			}
			c := again()
			var out, said bytes.Buffer
			c.Stdout, c.Stderr = &out, &said
			err = c.Run()
			failed, ok := errors.AsType[*exec.ExitError](err)
			require.True(t, ok && failed.ExitCode() == 1, "%v %s", err, said.String())
			t.Logf("killed %d times under way, then %s", during, out.String())

			found := h.whole()
			require.EqualValues(t, many-2, found.Cards)
			text, err := os.ReadFile(report)
			require.NoError(t, err)
			require.Equal(t, `{"line":2,"reasons":["pan does not match the required format."]}
{"line":3,"reasons":["the card is there already, and differs in expiry, references, pin."]}
`, string(text))
			moved := h.moveOut(portfolio.NDJSON, h.blocks())
			require.Equal(t, many-2, strings.Count(moved, "\n"))
			for i := range many {
				require.Equal(t, i != 1 && i != 2, strings.Contains(moved, `"pinBlock":"`+blockNumber(t, i)+`"`), "%d", i)
			}
			apptest.RequireNowhere(t, map[string]string{"a PAN": panOf(0), "another PAN": panOf(many - 1), "a block": blockNumber(t, 0), "another block": blockNumber(t, many-1)},
				"what was written", apptest.Dump(t, at)+out.String()+said.String()+string(text))
		})
	}
}

// count is how many cards there are.
func (h *house) count() int {
	all, err := h.store.Cards(operating(), "program", pin.Page{Limit: 1_000_000})
	require.NoError(h.t, err)
	return len(all)
}

// cards are the lines of a file in which the second row is none, and the third is the first card with other content.
func cards(t *testing.T, n int) string {
	t.Helper()
	rows := make([]map[string]any, n)
	for i := range rows {
		rows[i] = map[string]any{"pan": panOf(i), "pin": blockOf(t, pinOf(i), panOf(i)), "expiry": "3112",
			"references": []map[string]any{{"kind": "number", "value": panOf(i)[4:]}}}
	}
	rows[1]["pan"] = "1"
	rows[2] = map[string]any{"pan": panOf(0)}
	return lines(t, rows...)
}

// blockNumber is the PIN block of the n-th card.
func blockNumber(t *testing.T, n int) string {
	t.Helper()
	return blockOf(t, pinOf(n), panOf(n))["block"].(map[string]any)["pinBlock"].(string)
}

// over tells whether a channel is closed.
func over(ended <-chan struct{}) bool {
	select {
	case <-ended:
		return true
	default:
		return false
	}
}
