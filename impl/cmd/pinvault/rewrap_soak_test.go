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
		cards, kills = 400, 50
	}
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
			began := time.Now()
			must("rewrap")
			whole := time.Since(began)
			killed := 0
			for n := range kills {
				must("keys", "rotate", "--use", "all", "--in", "0s", "--hasty")
				c := run("rewrap")
				var out bytes.Buffer
				c.Stdout, c.Stderr = &out, &out
				require.NoError(t, c.Start())
				<-time.NewTimer(rand.N(2*whole) + time.Millisecond).C
				_ = c.Process.Kill()
				if c.Wait() != nil {
					killed++
				}
				if n%2 == 0 { // a rewrap goes on after one that was killed, or after a rotation besides
					require.NotContains(t, must("rewrap"), `"current":false`)
				}
			}
			require.NotContains(t, must("rewrap"), `"current":false`)
			require.NotContains(t, must("rewrap"), `"rewrapped":1`)
			require.Contains(t, must("audit", "verify"), "all whole")
			t.Logf("of %d rewraps %d were killed before their end", kills, killed)
		})
	}
}

// filledVault makes a vault with cards, and returns the settings that name it.
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
	program, err := v.CreateProgram(ctx, pin.NewProgram("test"), pin.Memo{})
	require.NoError(t, err)
	for i := range cards {
		_, err := v.CreateCard(ctx, pin.NewCard{ProgramID: program.ID, PAN: fmt.Sprintf("99999900001%05d", i)}, pin.Memo{})
		require.NoError(t, err)
	}
	require.NoError(t, db.Close())
	return []string{"PINVAULT_KEYSET=" + file, "PINVAULT_MASTER_KEY=" + base64.StdEncoding.EncodeToString(master), "PINVAULT_DATABASE_URL=" + url}
}
