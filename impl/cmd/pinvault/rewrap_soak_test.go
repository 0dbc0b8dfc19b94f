package main

import (
	"bytes"
	crand "crypto/rand"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/store"
	"pinvault/impl/store/storetest"
)

// A rewrap that is killed at any moment, over and over, is finished by the one after it: nothing needs a former key, and
// nothing is broken.
func TestARewrapThatIsKilledIsFinishedByTheNext(t *testing.T) {
	t.Parallel()
	cards, kills := 40, 3
	if os.Getenv("PINVAULT_TEST_LONG") == "1" {
		cards, kills = 250, 50
	}
	apptest.Released(t) // built before the first that is measured
	for engine, database := range map[string]func(testing.TB) string{"SQLite": storetest.SQLite, "PostgreSQL": storetest.Postgres} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			env := filledVault(t, database(t), cards)
			run := func(args ...string) *exec.Cmd {
				c := apptest.Command(t, args...)
				c.Env = append(c.Env, env...)
				return c
			}
			must := func(args ...string) string {
				out, err := run(args...).CombinedOutput()
				require.NoError(t, err, "%s: %s", args, out)
				return string(out)
			}
			finish := func() {
				require.NotContains(t, must("rewrap"), `"current":false`)
			}
			rotate := func() { must("keys", "rotate", "--use", "all", "--in", "0s", "--hasty") }
			rotate()
			began := time.Now()
			finish()
			whole, killed, midway := time.Since(began), 0, 0
			for killed < kills || midway == 0 {
				require.Less(t, killed, 10*kills, "no kill met a rewrap among its rows")
				rotate()
				c := run("rewrap")
				require.NoError(t, c.Start())
				<-time.NewTimer(rand.N(whole)).C
				_ = c.Process.Kill()
				if c.Wait() == nil {
					continue // it was quicker
				}
				killed++
				if left := must("rewrap", "--dry-run"); underNewSeal.MatchString(left) && strings.Contains(left, `"current":false`) {
					midway++
				}
				if killed%2 == 0 { // a rewrap goes on after one that was killed, or after a rotation besides
					finish()
				}
			}
			finish()
			require.NotRegexp(t, `"rewrapped":[1-9]`, must("rewrap"))
			for version := range strings.Count(must("keys", "list", "--use", "seal", "--json"), "\n") - 1 {
				must("keys", "retire", fmt.Sprintf("seal/%d", version+1), "--hasty")
			}
			require.Contains(t, must("audit", "verify"), "all whole")
			t.Logf("%d rewraps were killed, %d of them with rows under the new keys and others not", killed, midway)
		})
	}
}

// underNewSeal is the line about rows under the current key of all rows.
var underNewSeal = regexp.MustCompile(`"use":"seal".*"current":true,"rows":[1-9]`)

// filledVault makes a vault with cards, a client and a webhook, and returns the settings that name it.
func filledVault(t *testing.T, url string, cards int) []string {
	t.Helper()
	ctx, master := apptest.Operating(t), make([]byte, 32)
	_, err := crand.Read(master)
	require.NoError(t, err)
	kek, err := keyring.MasterKey(master)
	require.NoError(t, err)
	ks, err := keyring.Generate(crand.Reader, time.Now())
	require.NoError(t, err)
	var text bytes.Buffer
	require.NoError(t, ks.Write(&text, kek))
	file := filepath.Join(t.TempDir(), "keyset.json")
	require.NoError(t, os.WriteFile(file, text.Bytes(), 0o600))
	db, err := store.Open(ctx, url, store.Options{})
	require.NoError(t, err)
	require.NoError(t, db.Migrate(ctx))
	v := pin.NewVault(db, keyring.Open(ks, db, nil), nil, nil)
	require.NoError(t, v.Initialize(ctx))
	settings := pin.NewProgram("test")
	settings.RetrievalAllowed = true
	program, err := v.CreateProgram(ctx, settings, pin.Memo{})
	require.NoError(t, err)
	_, _, err = v.CreateClient(ctx, pin.Client{ID: "client", ProgramID: program.ID, Contract: "thredd", Name: "x"}, "", pin.Memo{})
	require.NoError(t, err)
	_, _, err = v.CreateWebhook(ctx, pin.Webhook{ID: "webhook", ProgramID: program.ID, URL: "https://receiver.example", State: pin.WebhookActive}, pin.Memo{})
	require.NoError(t, err)
	for i := range cards {
		_, err := v.CreateCard(ctx, pin.NewCard{ProgramID: program.ID, PAN: fmt.Sprintf("99999900001%05d", i)}, pin.Memo{})
		require.NoError(t, err)
	}
	require.NoError(t, db.Close())
	return []string{"PINVAULT_KEYSET=" + file, "PINVAULT_MASTER_KEY=" + base64.StdEncoding.EncodeToString(master), "PINVAULT_DATABASE_URL=" + url}
}
