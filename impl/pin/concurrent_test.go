package pin_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
	"pinvault/impl/store/storetest"
)

// onEachDatabase runs a test on every engine that is there.
func onEachDatabase(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) { test(t, storetest.SQLite(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, storetest.Postgres(t)) })
}

// isPostgres tells which engine a URL names.
func isPostgres(url string) bool { return strings.HasPrefix(url, "postgres") }

// neighbour is the vault of another process: over the same database, with connections of its own.
func (w *world) neighbour(t *testing.T, url string) *pin.Vault {
	t.Helper()
	return newVault(opened(t, url), w.ring, w.clock, nil)
}

// together runs all at the same time and returns how often each answer was given.
func together(all []func() (string, error)) (map[string]int, error) {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	answers, errs := make([]string, len(all)), make([]error, len(all))
	ready.Add(len(all))
	for i, do := range all {
		done.Go(func() {
			ready.Done()
			<-start
			answers[i], errs[i] = do()
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
	count := map[string]int{}
	for i, a := range answers {
		if errs[i] != nil {
			return nil, errs[i]
		}
		count[a]++
	}
	return count, nil
}

// guess is a caller who offers a PIN and says what it was told.
func guess(v *pin.Vault, q pin.Query, o pin.Offer) func() (string, error) {
	return func() (string, error) {
		out, err := v.Verify(anybody(), q, o, pin.Memo{})
		return fmt.Sprint(out.Result, " ", out.RemainingTries), err
	}
}

// However many guess at once, through however many processes: as many wrong guesses as there are tries are
// told so, all others that the card is blocked.
func TestHoweverManyGuessAtOnceOnlyTheLimitIsTold(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, url string) {
		const callers = 16
		w := newWorldOn(t, opened(t, url))
		bad := plain(t, wrong)
		round := func(vaults ...*pin.Vault) {
			require.NoError(t, w.Unblock(by(t), w.q, pin.Memo{}))
			var all []func() (string, error)
			for i := range callers {
				all = append(all, guess(vaults[i%len(vaults)], w.q, bad))
			}
			count, err := together(all)
			require.NoError(t, err)
			require.Equal(t, map[string]int{"mismatch 2": 1, "mismatch 1": 1, "mismatch 0": 1, "blocked 0": callers - 3}, count)
			rec := w.record(t)
			require.Zero(t, rec.RemainingTries())
			require.Equal(t, int64(callers-3), rec.PIN.Refused)
		}
		rounds := watched(200)
		for range rounds {
			round(w.Vault)
		}
		other := w.neighbour(t, url)
		for range watched(either(20, 200)) {
			rounds++
			round(w.Vault, other)
		}
		w.agree(t)
		count := map[string]int{}
		for _, text := range w.told(t, w.card.ID) {
			count[text]++
		}
		require.Equal(t, map[string]int{"card.created": 1, "pin.unblocked": rounds, "pin.failed mismatch": 3 * rounds, "pin.blocked mismatch": rounds,
			"pin.failed blocked": 2 * rounds}, count, "of thirteen refused tries the first and the tenth")
	})
}

// Right PINs among wrong ones: what each was told is in the trail, and nobody who was right before the card
// was blocked is told that it is.
func TestRightPINsAmongWrongOnes(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, url string) {
		w := newWorldOn(t, opened(t, url))
		other := w.neighbour(t, url)
		good, bad := plain(t, right), plain(t, wrong)
		count := map[string]int{}
		for i := range either(20, 200) {
			require.NoError(t, w.Unblock(by(t), w.q, pin.Memo{}))
			seen := len(w.events(t, w.card.ID))
			var all []func() (string, error)
			for j := range 16 {
				vault, offer := w.Vault, bad
				if i%2 == 1 && j%4 >= 2 {
					vault = other
				}
				if j%2 == 0 {
					offer = good
				}
				all = append(all, guess(vault, w.q, offer))
			}
			answers, err := together(all)
			require.NoError(t, err)
			events := w.told(t, w.card.ID)[seen:]
			inTrail, atEnd := map[string]int{}, ""
			for _, text := range events {
				inTrail[text]++
				if strings.HasPrefix(text, "pin.blocked") {
					atEnd = text
				} else if atEnd != "" {
					require.Equal(t, "pin.failed blocked", text, "after the card was blocked")
				}
			}
			require.Equal(t, inTrail["pin.verified match"], answers["match 3"])
			require.Equal(t, inTrail["pin.failed mismatch"], answers["mismatch 2"]+answers["mismatch 1"]+answers["mismatch 0"])
			require.Equal(t, inTrail["pin.blocked mismatch"], answers["mismatch 0"])
			require.Equal(t, answers["blocked 0"] > 0, inTrail["pin.failed blocked"] > 0)
			if answers["blocked 0"] > 0 {
				require.Equal(t, 1, answers["mismatch 0"], "somebody has blocked it")
				require.Zero(t, w.remaining(t), "and nobody was right since")
			}
			for a, n := range answers {
				count[a] += n
			}
		}
		w.agree(t)
		require.Positive(t, count["match 3"])
		require.Positive(t, count["mismatch 2"])
	})
}

func TestFourHundredRightPINsAtOnceAreFourHundredMatches(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, url string) {
		w := newWorldOn(t, opened(t, url))
		w.try(t, wrong)
		w.try(t, wrong) // one try is left, and is enough for all
		good := plain(t, right)
		all := make([]func() (string, error), watched(400))
		for i := range all {
			// Whoever had to wait for too long was told nothing, and asks again.
			all[i] = func() (answer string, err error) {
				for range 10 {
					if answer, err = guess(w.Vault, w.q, good)(); pin.CodeOf(err) != pin.Unavailable {
						break
					}
				}
				return answer, err
			}
		}
		count, err := together(all)
		require.NoError(t, err)
		require.Equal(t, map[string]int{"match 3": len(all)}, count)
		w.agree(t)
	})
}

// Whoever is refused a PIN for having been the card's has an event that says so, and learns of the PIN that
// stood at that moment, not of one that somebody else's set had replaced before.
func TestEveryRefusalOfARememberedPINIsInTheTrail(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, url string) {
		w := newWorldOn(t, opened(t, url), func(p *pin.Program) { p.Policy = pin.PolicyHistory })
		other := w.neighbour(t, url)
		sets := 200
		if long() {
			if sets = 3400; isPostgres(url) {
				sets = 1500
			}
		}
		var offers []pin.Offer
		for i := range 8 {
			offers = append(offers, plain(t, fmt.Sprintf("50%d193", i)))
		}
		count := map[pin.Code]int{}
		for done := 0; done < sets; {
			var all []func() (string, error)
			for i := range 16 {
				vault := w.Vault
				if i%4 == 3 {
					vault = other
				}
				offer := offers[rand.IntN(len(offers))]
				all = append(all, func() (string, error) {
					return string(pin.CodeOf(vault.SetPIN(anybody(), w.q, offer, pin.Memo{}))), nil
				})
			}
			answers, err := together(all)
			require.NoError(t, err)
			for code, n := range answers {
				count[pin.Code(code)] += n
				done += n
			}
		}
		told := map[string]int{}
		for _, text := range w.told(t, w.card.ID) {
			told[text]++
		}
		require.Equal(t, map[string]int{"card.created": 1, "pin.set": count[""], "pin.refused recent_pin": count[pin.RecentPIN]}, told)
		require.Len(t, count, 2, "accepted, or refused as remembered: %v", count)
		require.Equal(t, int64(1+count[""]), w.record(t).PIN.Version)
		w.agree(t)
	})
}

// A caller who hangs up at any moment has had its answer, or has changed nothing, or both are in the trail.
func TestACallerWhoHangsUpLeavesCounterAndTrailInAgreement(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, url string) {
		w := newWorldOn(t, opened(t, url))
		offers := []pin.Offer{plain(t, wrong), plain(t, wrong), plain(t, right)}
		took := time.Millisecond
		heard, unheard := 0, 0
		for i := range either(100, 1000) {
			if w.remaining(t) == 0 {
				require.NoError(t, w.Unblock(by(t), w.q, pin.Memo{}))
			}
			events := len(w.events(t, w.card.ID))
			ctx, cancel := context.WithCancel(by(t))
			at := func(name string) func(string) error {
				return func(call string) error {
					if call == name {
						cancel()
					}
					return nil
				}
			}
			hangUp := func() bool { return true }
			switch i % 8 {
			case 0:
				w.tap.before = at("Find")
			case 1:
				w.tap.after = at("Find")
			case 2:
				w.tap.before = at("Swap")
			case 3:
				w.tap.after = at("Swap")
			default:
				hangUp = time.AfterFunc(rand.N(took), cancel).Stop
			}
			began := time.Now()
			out, err := w.Verify(ctx, w.q, offers[i%len(offers)], pin.Memo{})
			if err == nil && i%8 > 3 {
				took = (9*took + time.Since(began)) / 10
			}
			hangUp()
			cancel()
			w.tap.before, w.tap.after = nil, nil
			since := w.told(t, w.card.ID)[events:]
			if err == nil {
				heard++
				require.NotEmpty(t, since, "who was told something is in the trail: %s", out.Result)
			} else {
				unheard++
				require.Equal(t, pin.Unavailable, pin.CodeOf(err))
				require.Empty(t, since, "who hung up before the swap has changed nothing")
			}
			w.agree(t)
		}
		t.Logf("%d had an answer, %d had none", heard, unheard)
		require.Positive(t, heard)
		require.Positive(t, unheard)
	})
}
