package pin_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

// vaultUses are the uses of keys whose outputs the database holds.
var vaultUses = []pin.Use{pin.UseVerifier, pin.UsePIN, pin.UsePAN, pin.UsePANIndex, pin.UseAudit, pin.UseFingerprint,
	pin.UseSecret, pin.UseKeyWrap, pin.UseSeal, pin.UseReplayKey}

// expiring are the uses whose outputs nobody can make anew: they end when the record of an idempotency key expires.
var expiring = []pin.Use{pin.UseFingerprint, pin.UseReplayKey}

// inMemory skips a test of keys that are rotated where they are not in a keyset of this process.
func (w *world) inMemory(t require.TestingT) {
	if skips, ok := t.(interface{ Skip(args ...any) }); ok && w.live == nil {
		skips.Skip("a backend rotates its keys itself: see keyringtest")
	}
}

// rotate gives uses a fresh key, at once.
func (w *world) rotate(t require.TestingT, uses ...pin.Use) {
	w.inMemory(t)
	next, _, err := w.live.Keyset().Rotated(uses, w.clock(), true, rand.Reader, w.clock())
	require.NoError(t, err)
	require.NoError(t, w.live.Replace(next))
}

// retire has keys that were replaced open nothing any more.
func (w *world) retire(t require.TestingT) {
	w.inMemory(t)
	for _, k := range w.live.Keys() {
		if k.State != keyring.Retiring || !slices.Contains(vaultUses, k.Use) {
			continue
		}
		next, _, err := w.live.Keyset().After(keyring.Wish{Use: k.Use, Version: k.Version, Step: keyring.Retire, Hasty: true}, w.clock())
		require.NoError(t, err)
		require.NoError(t, w.live.Replace(next))
	}
}

// rewrap puts everything under the current keys, and returns how many rows that were.
func (w *world) rewrap(t require.TestingT) (fresh int64) {
	require.NoError(t, w.Rewrap(anybody(), pin.RewrapOptions{Done: func(done pin.Rewrapped) {
		require.Zero(t, done.Left, "%v", done)
		fresh += done.Fresh
	}}))
	return fresh
}

// needed are the uses that still need a former key, with how many rows.
func (w *world) needed(t require.TestingT) map[pin.Use]int64 {
	all, err := w.Usage(anybody(), nil)
	require.NoError(t, err)
	out := map[pin.Use]int64{}
	for _, u := range all {
		if !u.Current {
			out[u.Use] += u.Rows
		}
	}
	return out
}

// whole demands that nothing is wrong with the database.
func (w *world) whole(t require.TestingT) {
	found, err := w.VerifyTrail(anybody(), pin.VerifyOptions{})
	require.NoError(t, err)
	require.Empty(t, found.Findings)
}

// furnished is a world with one of everything that rests under a key, and what its holders know.
type furnished struct {
	*world
	secret, old string // a client's secret, and the one before
}

// furnish makes one of everything.
func furnish(t testing.TB, db pin.Store) *furnished {
	t.Helper()
	w := &furnished{world: newWorldOn(t, db, func(p *pin.Program) { p.Policy = pin.PolicyHistory })}
	ctx := by(t)
	for _, digits := range []string{"7302", "5198", right} {
		if digits != right {
			require.NoError(t, w.SetPIN(ctx, w.q, plain(t, digits), pin.Memo{}))
		}
	}
	_, _, err := w.CreateWebhook(ctx, pin.Webhook{ID: "webhook", ProgramID: w.program.ID, URL: "https://receiver.example", State: pin.WebhookActive}, pin.Memo{})
	require.NoError(t, err)
	c := pin.Client{ID: "client", ProgramID: w.program.ID, Contract: "thredd", Name: "x"}
	require.NoError(t, w.KeepSetting(&c, "code", "1234"))
	_, w.old, err = w.CreateClient(ctx, c, "", pin.Memo{})
	require.NoError(t, err)
	_, w.secret, err = w.RotateClient(ctx, "client", 1000*time.Hour, pin.Memo{})
	require.NoError(t, err)
	kept := func(what, secret string) []byte {
		digest, err := pin.KeepSecret(w.ring, secret, pin.SessionSecretBound(what, "session")...)
		require.NoError(t, err)
		return digest
	}
	s, err := w.OpenSession(ctx, w.q, pin.NewSession{ID: "session", Action: pin.ActionReset, Lifetime: 1000 * time.Hour, SecretDigest: kept(pin.SessionLink, "l")}, pin.Memo{})
	require.NoError(t, err)
	s.Version, s.State, s.BrowserDigest, s.TokenDigest = 2, pin.SessionExchanged, kept(pin.SessionBrowser, "b"), kept(pin.SessionToken, "t")
	s.PrivateKey, err = w.ring.Seal(pin.UseKeyWrap, []byte("a private key"), pin.SessionKeyBound("session"))
	require.NoError(t, err)
	require.NoError(t, w.MoveSession(ctx, s))
	_, err = recorded(ctx, w.Vault, w.q, `{}`)
	require.NoError(t, err)
	w.approval(t, pin.ApproveUnblock)
	require.NoError(t, w.Remember(ctx, nil, w.fingerprinted(t, "old")))
	_, err = w.CreateCard(ctx, pin.NewCard{ProgramID: w.program.ID, PAN: "9999990000000022", NoPIN: true, Sequence: "01"}, pin.Memo{})
	require.NoError(t, err)
	return w
}

// fingerprinted is a memo that leaves the record of an idempotency key for an hour.
func (w *world) fingerprinted(t testing.TB, key string) pin.Memo {
	t.Helper()
	fingerprint, err := w.ring.MAC(pin.UseFingerprint, []byte("content"))
	require.NoError(t, err)
	return pin.Memo{Keep: func(any) (pin.Replay, error) {
		return pin.Replay{Scope: "client", Key: key, Fingerprint: fingerprint, Result: []byte("{}"), CreatedAt: w.clock(), ExpiresAt: w.clock().Add(time.Hour)}, nil
	}}
}

// works demands that everything still is what it was.
func (w *furnished) works(t testing.TB, digits string) {
	t.Helper()
	ctx := by(t)
	byPAN := pin.Query{ProgramID: w.program.ID, References: []pin.Reference{{Kind: pin.KindPAN, Value: pan}}}
	found, err := w.Card(ctx, byPAN)
	require.NoError(t, err)
	require.Equal(t, w.card.ID, found.Card.ID)
	done, err := w.Verify(ctx, byPAN, block(t, digits), pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, pin.Match, done.Result)
	for _, former := range []string{right, "7302", "5198", digits} {
		require.Equal(t, pin.RecentPIN, pin.CodeOf(w.SetPIN(ctx, w.q, plain(t, former), pin.Memo{})), former)
	}
	read, err := w.RevealPIN(ctx, w.q)
	require.NoError(t, err)
	require.Equal(t, digits, string(read.Digits()))
	_, err = w.CreateCard(ctx, pin.NewCard{ProgramID: w.program.ID, PAN: "9999990000000022", NoPIN: true, Sequence: "01"}, pin.Memo{})
	require.Equal(t, pin.Duplicate, pin.CodeOf(err), "a card of that number and sequence is there")
	third, err := w.CreateCard(ctx, pin.NewCard{ID: "third", ProgramID: w.program.ID, PAN: "9999990000000022", NoPIN: true, Sequence: "02"}, pin.Memo{})
	if pin.CodeOf(err) != pin.Duplicate {
		require.NoError(t, err)
		require.Equal(t, "02", third.Sequence)
	}
	_, err = w.UpdateCard(ctx, pin.Query{CardID: "third"}, func(c *pin.Card) error { c.Sequence = "01"; return nil }, pin.Memo{})
	require.Equal(t, pin.Duplicate, pin.CodeOf(err), "no card is given its sequence")
	for _, secret := range []string{w.secret, w.old} {
		_, err := w.Authenticate(ctx, "client", secret)
		require.NoError(t, err)
	}
	_, err = w.Authenticate(ctx, "client", "wrong")
	require.Equal(t, pin.Unauthorized, pin.CodeOf(err))
	c, err := w.Client(ctx, "client")
	require.NoError(t, err)
	right, err := w.SettingMatches(c, "code", "1234")
	require.NoError(t, err)
	require.True(t, right)
	hook, err := w.Webhook(ctx, "webhook")
	require.NoError(t, err)
	signing, err := w.SigningKeys(hook)
	require.NoError(t, err)
	require.Len(t, signing, 1)
	s, err := w.Session(ctx, "session")
	require.NoError(t, err)
	for what, kept := range map[string][2]string{pin.SessionLink: {"l", string(s.SecretDigest)}, pin.SessionBrowser: {"b", string(s.BrowserDigest)}, pin.SessionToken: {"t", string(s.TokenDigest)}} {
		right, err := pin.SecretMatches(w.ring, []byte(kept[1]), kept[0], pin.SessionSecretBound(what, "session")...)
		require.NoError(t, err)
		require.True(t, right, what)
	}
	private, err := w.ring.Open(pin.UseKeyWrap, s.PrivateKey, pin.SessionKeyBound("session"))
	require.NoError(t, err)
	require.Equal(t, "a private key", string(private))
	w.whole(t)
}

// holds demands that no row but events names one of the keys.
func (w *world) holdsNothingOf(t testing.TB, ids []string) {
	t.Helper()
	ctx := by(t)
	var texts []string
	var seals [][]byte
	for _, table := range []pin.Table{pin.TablePrograms, pin.TableClients, pin.TableZoneKeys, pin.TableWebhooks, pin.TableChains, pin.TableReplays, pin.TableSessions, pin.TableApprovals, pin.TableRecords} {
		rows, err := w.store.Rows(ctx, table, pin.Row{}, 1000)
		require.NoError(t, err)
		for _, r := range rows {
			texts, seals = append(texts, r.ID, string(r.Body)), append(seals, r.Seal)
		}
	}
	cards, err := w.store.Cards(ctx, "", pin.Page{Limit: 1000})
	require.NoError(t, err)
	for _, c := range cards {
		texts, seals = append(texts, string(c.Details), string(c.Value)), append(seals, c.Seal)
	}
	lookups, err := w.store.Lookups(ctx, pin.Lookup{}, 1000)
	require.NoError(t, err)
	for _, l := range lookups {
		texts = append(texts, l.Value)
	}
	for _, id := range ids {
		raw, err := hex.DecodeString(id)
		require.NoError(t, err)
		prefix := append([]byte{1}, raw...)
		text := base64.StdEncoding.EncodeToString(prefix)[:6] // as far as no byte that follows matters
		for _, s := range texts {
			require.False(t, strings.HasPrefix(s, id) || strings.Contains(s, `"`+id) || strings.Contains(s, `"`+text), "%s: %s", id, s)
		}
		for _, s := range seals {
			require.False(t, bytes.HasPrefix(s, prefix), id)
		}
	}
}

// former are the ids of keys of the uses that were replaced.
func (w *world) former(uses ...pin.Use) (ids []string) {
	for _, k := range w.live.Keys() {
		if k.State == keyring.Retiring && slices.Contains(uses, k.Use) {
			ids = append(ids, k.ID)
		}
	}
	return ids
}

// rotations are the uses one by one, and all of them.
func rotations() map[string][]pin.Use {
	out := map[string][]pin.Use{"every use": vaultUses}
	for _, use := range vaultUses {
		out[string(use)] = []pin.Use{use}
	}
	return out
}

// Whichever use gets another key: everything is put under it, nothing needs the former one, and without it everything
// is what it was.
func TestEveryUseRotates(t *testing.T) {
	t.Parallel()
	for name, uses := range rotations() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := furnish(t, newMemory())
			digits := "5198"
			require.Empty(t, w.needed(t))
			require.Zero(t, w.rewrap(t), "everything is under the current keys")
			for range 3 { // one after the other, the last key that was retired among those that are tried
				w.rotate(t, uses...)
				former := w.former(uses...)
				for _, use := range uses {
					require.Positive(t, w.needed(t)[use], use)
				}
				w.works(t, digits)
				require.Equal(t, slices.ContainsFunc(uses, func(u pin.Use) bool { return !slices.Contains(expiring, u) }), w.rewrap(t) > 0)
				require.Zero(t, w.rewrap(t), "a second time there is nothing to do")
				left := w.needed(t)
				for use, n := range left {
					require.Contains(t, expiring, use)
					require.Equal(t, int64(1), n, use)
				}
				_, err := w.Replay(by(t), "client", "old")
				require.NoError(t, err)
				w.later(time.Hour)
				require.Empty(t, w.needed(t), "the record has expired")
				w.works(t, digits)
				w.retire(t)
				w.works(t, digits)
				_, err = w.Replay(by(t), "client", "old")
				if slices.Contains(uses, pin.UseReplayKey) {
					require.Equal(t, pin.NotFound, pin.CodeOf(err), "nothing finds what was kept under the former key")
				} else {
					require.NoError(t, err)
				}
				w.rows(t, func(r *pin.Row) bool { return r.Table != pin.TableReplays })
				w.holdsNothingOf(t, former)
				require.NoError(t, w.Remember(by(t), nil, w.fingerprinted(t, "old")))
			}
		})
	}
}

// rows keeps those rows of a store in memory that keep says, as it leaves them.
func (w *world) rows(t testing.TB, keep func(*pin.Row) bool) {
	t.Helper()
	db := w.store.(*memory)
	for key, r := range db.rows {
		if delete(db.rows, key); keep(&r) {
			db.rows[key] = r
		}
	}
}

// What was made under a key that is gone is worth nothing.
func TestARetiredKeyOpensNothing(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	made := map[pin.Use][]byte{}
	for _, use := range []pin.Use{pin.UseVerifier, pin.UsePIN, pin.UsePAN, pin.UseSecret, pin.UseKeyWrap} {
		out, err := w.ring.Seal(use, []byte("x"), nil)
		require.NoError(t, err)
		made[use] = out
	}
	macs := map[pin.Use][]byte{}
	for _, use := range []pin.Use{pin.UseAudit, pin.UseFingerprint, pin.UseSeal} {
		out, err := w.ring.MAC(use, []byte("x"))
		require.NoError(t, err)
		macs[use] = out
	}
	was := w.store.(*memory).snapshot()
	w.rotate(t, vaultUses...)
	w.rewrap(t)
	w.retire(t)
	for use, out := range made {
		_, err := w.ring.Open(use, out, nil)
		require.Equal(t, pin.Internal, pin.CodeOf(err), use)
	}
	for use, mac := range macs {
		require.False(t, w.ring.VerifyMAC(use, []byte("x"), mac), use)
	}
	db := w.store.(*memory)
	db.cards[w.card.ID] = was.cards[w.card.ID]
	_, err := w.Verify(by(t), w.q, plain(t, right), pin.Memo{})
	require.True(t, pin.Tampered(err), "a card as it was before")
}

// A session or client that was read before and is written after a rewrap does not bring a former key back.
func TestWhoeverWritesARowRenewsIt(t *testing.T) {
	t.Parallel()
	w := furnish(t, newMemory())
	s, err := w.Session(by(t), "session")
	require.NoError(t, err)
	w.rotate(t, vaultUses...)
	require.NoError(t, w.UpdateClient(by(t), "client", func(c *pin.Client) error {
		w.rewrap(t)
		c.Name = "renamed"
		return nil
	}, pin.Memo{}))
	s.Version++
	require.NoError(t, w.MoveSession(by(t), s))
	for use := range w.needed(t) {
		require.Contains(t, expiring, use)
	}
	w.retire(t)
	w.works(t, "5198")
}

// A row that is not what the vault has written, or that needs a key that is gone, is left, and told of.
func TestWhatDoesNotOpenIsLeft(t *testing.T) {
	t.Parallel()
	left := func(w *furnished) (out []string) {
		require.NoError(t, w.Rewrap(by(t), pin.RewrapOptions{Done: func(done pin.Rewrapped) {
			require.Len(t, done.Faulty, int(done.Left))
			for _, f := range done.Faulty {
				require.Error(t, f.Err)
				out = append(out, done.Table+" "+f.ID)
			}
		}}))
		slices.Sort(out)
		return out
	}
	t.Run("tampered with", func(t *testing.T) {
		t.Parallel()
		w := furnish(t, newMemory())
		w.rotate(t, vaultUses...)
		db := w.store.(*memory)
		var want []string
		w.rows(t, func(r *pin.Row) bool {
			if r.Table == pin.TablePrograms { // without which no card opens
				return true
			}
			r.Seal = append(bytes.Clone(r.Seal[:36]), r.Seal[36]^1)
			want = append(want, fmt.Sprint(r.Table, " ", r.ID))
			return true
		})
		card := db.cards[w.card.ID]
		card.Revision++
		db.cards[w.card.ID] = card
		want = append(want, "cards "+w.card.ID)
		slices.Sort(want)
		require.Equal(t, want, left(w))
		require.Positive(t, w.needed(t)[pin.UseSeal])
	})
	t.Run("retired too early", func(t *testing.T) {
		t.Parallel()
		w := furnish(t, newMemory())
		w.rotate(t, pin.UseVerifier, pin.UseSecret)
		w.retire(t)
		require.Empty(t, left(w), "nothing can be done, and nothing is")
		require.Positive(t, w.needed(t)[pin.UseVerifier])
		_, err := w.Verify(by(t), w.q, plain(t, right), pin.Memo{})
		require.Equal(t, pin.Internal, pin.CodeOf(err))
		require.Equal(t, 3, w.remaining(t), "a PIN that nobody can compare with takes no try")
		require.NoError(t, w.ResetPIN(by(t), w.q, plain(t, "6407"), pin.Memo{}), "nobody can tell whether it is a recent one")
		require.Equal(t, told(pin.Match, 3), w.try(t, "6407"))
		require.Equal(t, pin.RecentPIN, pin.CodeOf(w.SetPIN(by(t), w.q, plain(t, "6407"), pin.Memo{})), "of those since everybody can")
		_, err = w.Authenticate(by(t), "client", w.secret)
		require.Equal(t, pin.Internal, pin.CodeOf(err))
		_, fresh, err := w.RotateClient(by(t), "client", time.Hour, pin.Memo{})
		require.NoError(t, err)
		_, err = w.Authenticate(by(t), "client", fresh)
		require.NoError(t, err, "with a new secret it can log in")
		_, err = w.Authenticate(by(t), "client", w.secret)
		require.Equal(t, pin.Internal, pin.CodeOf(err), "nobody can tell, while the old one is good")
		w.later(time.Hour)
		_, err = w.Authenticate(by(t), "client", w.secret)
		require.Equal(t, pin.Unauthorized, pin.CodeOf(err))
	})
	t.Run("two cards that nobody can tell apart", func(t *testing.T) {
		t.Parallel()
		w := furnish(t, newMemory())
		w.rotate(t, pin.UsePANIndex)
		index, err := w.ring.Index(pin.UsePANIndex, pin.Frame("9999990000000022"))
		require.NoError(t, err)
		db := w.store.(*memory)
		db.lookups[pin.Lookup{Kind: "panSequence", Value: index[0] + "/01", ProgramID: w.program.ID}] = "another"
		require.Len(t, left(w), 1)
		require.Equal(t, int64(1), w.needed(t)[pin.UsePANIndex])
	})
}

// However often the store or the keys fail, or the run is stopped, it goes on where it is begun again, and in the end nothing is left.
func TestARewrapThatIsStoppedGoesOn(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(w *furnished, n int) (ctx context.Context, release func()){
		"before a call": func(w *furnished, n int) (context.Context, func()) {
			w.tap.before = func(string) error {
				if n--; n == 0 {
					return errDown
				}
				return nil
			}
			return anybody(), func() { w.tap.before = nil }
		},
		"after a call whose reply is lost": func(w *furnished, n int) (context.Context, func()) {
			w.tap.after = func(call string) error {
				if n--; n == 0 && (call == "Swap" || call == "Locked") {
					return errDoubt
				}
				return nil
			}
			return anybody(), func() { w.tap.after = nil }
		},
		"by whoever began it": func(w *furnished, n int) (context.Context, func()) {
			ctx, cancel := context.WithCancel(anybody())
			w.tap.before = func(string) error {
				if n--; n == 0 {
					cancel()
				}
				return nil
			}
			return ctx, func() { cancel(); w.tap.before = nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := furnish(t, newMemory())
			w.tap.serial = true
			for n := 1; n <= either(50, 200); n++ {
				w.rotate(t, vaultUses[n%len(vaultUses)], vaultUses[(n+3)%len(vaultUses)])
				ctx, release := stop(w, 1+n%29)
				err := w.Rewrap(ctx, pin.RewrapOptions{})
				release()
				if err != nil && !errors.Is(err, context.Canceled) {
					require.Equal(t, pin.Unavailable, pin.CodeOf(err), n)
				}
				w.rewrap(t)
				for use := range w.needed(t) {
					require.Contains(t, expiring, use)
				}
				if n%10 == 0 {
					w.later(time.Hour)
					w.retire(t)
					w.works(t, "5198")
				}
			}
			w.whole(t)
		})
	}
}

// A rewrap keeps to its rate: it asks before each row that it writes, and before no other.
func TestARewrapWaitsBeforeEachRowThatItWrites(t *testing.T) {
	t.Parallel()
	w := furnish(t, newMemory())
	w.rotate(t, pin.UseSeal)
	var asked atomic.Int64
	var fresh, rows int64
	options := pin.RewrapOptions{
		Wait: func(context.Context) error { asked.Add(1); return nil },
		Done: func(done pin.Rewrapped) { fresh, rows = fresh+done.Fresh, rows+done.Rows },
	}
	require.NoError(t, w.Rewrap(by(t), options))
	require.Equal(t, rows, fresh)
	require.Equal(t, rows, asked.Load())
	require.NoError(t, w.Rewrap(by(t), options))
	require.Equal(t, fresh, asked.Load())
	w.rotate(t, pin.UseSeal)
	options.Wait = func(context.Context) error { return errDown }
	require.Equal(t, pin.Unavailable, pin.CodeOf(w.Rewrap(by(t), options)))
}
