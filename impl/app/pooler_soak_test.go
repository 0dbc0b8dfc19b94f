package app_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/store/storetest"
)

// PgBouncer in transaction mode, with four connections for everybody: two processes serve through it, guesses at one
// card are counted to the try, other cards' PINs are set, read and verified all the while, and the schema is
// brought up to date again and again.
func TestServersAndMigrationsShareAPooler(t *testing.T) {
	t.Parallel()
	direct := storetest.Postgres(t)
	pooled := storetest.Pooled(t, direct)
	version := migrateAtOnce(t, pooled, 4)

	g := newGuessers(t, pooled, 2)
	done, enough := context.WithCancel(t.Context())
	var group sync.WaitGroup
	var migrations int
	group.Go(func() {
		for done.Err() == nil && migrateAtOnce(t, pooled, 1) == version {
			migrations++
		}
	})
	holders := []plastic{g.crowd.card("second"), g.crowd.card("shared_alias_a"), g.crowd.card("shared_alias_b"), g.crowd.card("unchosen")}
	rounds, failures := make([]int, len(holders)), make([]error, len(holders))
	for i, p := range holders {
		group.Go(func() {
			for done.Err() == nil && failures[i] == nil {
				failures[i] = g.chosenAndUsed(t, p, fmt.Sprintf("%04d", rounds[i]%10000), rounds[i])
				rounds[i]++
			}
		})
	}
	g.play(t)
	enough()
	group.Wait()
	require.Equal(t, make([]error, len(holders)), failures)
	require.Positive(t, migrations)
	t.Log(migrations, "migrations beside", rounds, "rounds on other cards")

	for _, server := range g.servers {
		require.Zero(t, g.violations(t, server))
	}
	auditContent(t, direct)
}

// migrateAtOnce has that many processes migrate, and returns the version of the schema to which each did.
func migrateAtOnce(t *testing.T, url string, processes int) (version string) {
	t.Helper()
	said := make([]string, processes)
	var group sync.WaitGroup
	for i := range said {
		migrate := apptest.Command(t, "migrate", "--database-url", url)
		group.Go(func() {
			out, err := migrate.CombinedOutput()
			said[i] = fmt.Sprintf("%s%v", out, err)
		})
	}
	group.Wait()
	for _, s := range said {
		found := regexp.MustCompile(`^schema version ([0-9]+), was [0-9]+; it serves programs of schema version [0-9]+ and later\n<nil>$`).FindStringSubmatch(s)
		if found == nil || version != "" && version != found[1] {
			t.Errorf("migrate said %q", said)
			return ""
		}
		version = found[1]
	}
	return version
}

// chosenAndUsed has a card's holder choose a PIN and use it, through the servers in turn.
func (g *guessers) chosenAndUsed(t *testing.T, p plastic, digits string, turn int) error {
	t.Helper()
	for i, step := range []struct {
		request request
		want    heard
	}{
		{g.setByThredd(p, digits), heard{status: http.StatusNoContent}},
		{newRequest("thredd", http.MethodGet, "/api/v1/cards/"+p.publicToken+"/pin", g.thredd, nil), heard{http.StatusOK, digits, 0}},
		{g.verify(t, p, digits), heard{http.StatusOK, "match", tryLimit}},
	} {
		answer, err := g.send(context.WithoutCancel(t.Context()), g.servers[(turn+i)%len(g.servers)], step.request)
		if err != nil {
			return err
		}
		if answer != step.want {
			return fmt.Errorf("%s, round %d, step %d: %d %s", p.name, turn, i, answer.status, answer.outcome)
		}
	}
	return nil
}

// violations are how many kinds of replies a server has found to break their document.
func (c *crowd) violations(t *testing.T, server string) (broken int) {
	t.Helper()
	asked, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server+"/metrics", nil)
	require.NoError(t, err)
	reply, err := c.http.Do(asked)
	require.NoError(t, err)
	metrics, err := io.ReadAll(reply.Body)
	require.NoError(t, err)
	require.NoError(t, reply.Body.Close())
	counted := regexp.MustCompile(`(?m)^pinvault_response_violations_total\{.*\} (.*)$`).FindAllSubmatch(metrics, -1)
	require.NotEmpty(t, counted)
	for _, c := range counted {
		if string(c[1]) != "0" {
			broken++
		}
	}
	return broken
}
