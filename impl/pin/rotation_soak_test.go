package pin_test

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/idempotency"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/store"
)

// process is one of several on a database, with a keyset of its own that it keeps up to date.
type process struct {
	*pin.Vault
	live  *keyring.Live
	ring  *keyring.Ring
	guard *idempotency.Guard
}

// tenant is a caller with a card, who knows what must come of each call.
type tenant struct {
	w       *world
	pan     string
	card    pin.Card
	digits  string // the card's PIN
	secret  string // of the client of all tenants
	session pin.Session
	rounds  atomic.Int64
}

// pins are what tenants choose in turn; a program without history takes them again.
var pins = []string{"4826", "9173", "7302", "5198"}

// round does one of everything, and says what went otherwise than it must.
func (c *tenant) round(p process, n int) error {
	ctx := anybody()
	q := pin.Query{ProgramID: c.w.program.ID, References: []pin.Reference{{Kind: pin.KindPAN, Value: c.pan}}}
	as := func(what string, err error) error {
		if err != nil {
			return fmt.Errorf("%s, round %d: %w", what, n, err)
		}
		return nil
	}
	offer := func(digits string) pin.Offer {
		o, err := pin.New([]byte(digits))
		if err != nil {
			panic(err) // of a constant
		}
		return pin.Plain(o)
	}
	verified := func(what, digits string, want pin.Result, by pin.Query) error {
		done, err := p.Verify(ctx, by, offer(digits), pin.Memo{})
		if err == nil && done.Result != want {
			err = fmt.Errorf("%s, not %s", done.Result, want)
		}
		return as(what, err)
	}
	chosen := func(k int) string { return pins[(n+k)%len(pins)] }
	for _, step := range []func() error{
		func() error { return verified("verify", c.digits, pin.Match, q) },
		func() error {
			done, err := p.ChangePIN(ctx, q, offer(c.digits), offer(chosen(0)), pin.Memo{})
			if err == nil && done.Result != pin.Match {
				err = fmt.Errorf("%s", done.Result)
			}
			c.digits = chosen(0)
			return as("change", err)
		},
		func() error {
			read, err := p.RevealPIN(ctx, q)
			if err == nil && string(read.Digits()) != c.digits {
				err = fmt.Errorf("another PIN")
			}
			return as("reveal", err)
		},
		func() error { return verified("guess wrong", "1593", pin.Mismatch, q) },
		func() error {
			found, err := p.Find(ctx, q, 2)
			if err == nil && (len(found) != 1 || found[0].Card.ID != c.card.ID) {
				err = fmt.Errorf("%d cards, or another", len(found))
			}
			return as("look up", err)
		},
		func() error { _, err := p.Authenticate(ctx, "client", c.secret); return as("authenticate", err) },
		func() error {
			request := idempotency.Request{Scope: "client", Key: fmt.Sprint(c.pan, " ", n), Endpoint: "set", Content: []byte(chosen(1)), TTL: 24 * time.Hour}
			for again := range 2 {
				_, replayed, err := idempotency.Once(ctx, p.guard, request, pin.Memo{}, func(m pin.Memo) (struct{}, error) {
					return struct{}{}, p.SetPIN(ctx, q, offer(chosen(1)), m)
				})
				if err == nil && replayed != (again == 1) {
					err = fmt.Errorf("replayed: %t", replayed)
				}
				if err != nil {
					return as("set once", err)
				}
			}
			c.digits = chosen(1)
			return nil
		},
		func() error {
			s, err := p.Session(ctx, c.session.ID)
			if err == nil {
				s.Version++
				err = p.MoveSession(ctx, s)
			}
			if err != nil {
				return as("move a session", err)
			}
			right, err := pin.SecretMatches(p.ring, s.SecretDigest, "secret", pin.SessionSecretBound(pin.SessionLink, s.ID)...)
			if err == nil && !right {
				err = fmt.Errorf("another secret")
			}
			return as("a session's secret", err)
		},
		func() error { return verified("verify everybody's card", right, pin.Match, c.w.q) },
		func() error { return verified("verify again", c.digits, pin.Match, q) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// Every use gets another key while sixteen callers of two processes set, change, verify and reveal PINs, look cards up
// by PAN, authenticate and repeat requests. None of them is told anything else than without a rotation; afterwards
// nothing needs a former key, and without the former keys all goes on.
func TestEveryUseRotatesUnderLoad(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, url string) {
		quick := store.Options{Passing: !long()} // SQLite waits for no disk in the short form
		w := newWorldOn(t, openedAs(t, url, quick), func(p *pin.Program) { p.Policy = pin.PolicyOff })
		w.inMemory(t)
		processes := []process{{Vault: w.Vault, live: w.live, ring: w.ring}}
		other := process{live: keyring.NewLive(keyring.Sandbox(), w.clock)}
		db := openedAs(t, url, quick)
		other.ring = keyring.Open(other.live, db, w.clock)
		other.Vault = newVault(db, other.ring, w.clock, nil)
		processes = append(processes, other)
		for i, p := range processes {
			processes[i].guard = idempotency.New(p.Vault, p.ring, w.clock)
		}
		ctx := by(t)
		_, secret, err := w.CreateClient(ctx, pin.Client{ID: "client", ProgramID: w.program.ID, Contract: "thredd", Name: "x"}, "", pin.Memo{})
		require.NoError(t, err)
		tenants := make([]*tenant, 16)
		for i := range tenants {
			c := &tenant{w: w, pan: fmt.Sprintf("99999900001%05d", i), digits: right, secret: secret}
			c.card, err = w.CreateCard(ctx, pin.NewCard{ProgramID: w.program.ID, PAN: c.pan, PIN: of(t, right)}, pin.Memo{})
			require.NoError(t, err)
			id := fmt.Sprint("session-", i)
			kept, err := pin.KeepSecret(w.ring, "secret", pin.SessionSecretBound(pin.SessionLink, id)...)
			require.NoError(t, err)
			c.session, err = w.OpenSession(ctx, pin.Query{CardID: c.card.ID}, pin.NewSession{ID: id, Action: pin.ActionReset, Lifetime: 1e6 * time.Hour, SecretDigest: kept}, pin.Memo{})
			require.NoError(t, err)
			tenants[i] = c
		}

		var standing sync.RWMutex // taken while nobody is within a round
		var failed atomic.Pointer[error]
		stop := make(chan struct{})
		var all sync.WaitGroup
		for i, c := range tenants {
			all.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					if slowest := slices.MinFunc(tenants, func(a, b *tenant) int { return cmp.Compare(a.rounds.Load(), b.rounds.Load()) }); int64(n) > slowest.rounds.Load()+1 {
						n--
						<-time.NewTimer(time.Millisecond).C // SQLite has one writer, who is not always the next in turn
						continue
					}
					standing.RLock()
					err := c.round(processes[i%2], n)
					standing.RUnlock()
					if err != nil {
						failed.CompareAndSwap(nil, &err)
						return
					}
					c.rounds.Add(1)
				}
			})
		}
		still := func(do func()) { standing.Lock(); do(); standing.Unlock() }
		around := func() { // everybody has begun and ended a round since
			was := make([]int64, len(tenants))
			for i, c := range tenants {
				was[i] = c.rounds.Load()
			}
			for i, c := range tenants {
				for failed.Load() == nil && c.rounds.Load() < was[i]+2 {
					<-time.NewTimer(time.Millisecond).C
				}
			}
		}
		sets := [][]pin.Use{vaultUses}
		if long() {
			for _, use := range vaultUses {
				sets = append(sets, []pin.Use{use})
			}
		}
		for _, uses := range sets {
			if failed.Load() != nil {
				break
			}
			around()
			next, _, err := w.live.Keyset().Rotated(uses, w.clock().Add(keyring.Settle), false, rand.Reader, w.clock())
			require.NoError(t, err)
			for _, p := range processes { // one process hears of the key before the other
				require.NoError(t, p.live.Replace(next))
				around()
			}
			w.later(keyring.Settle)
			around()
			former := w.former(uses...)
			require.Len(t, former, len(uses))
			w.rewrap(t)
			for use := range w.needed(t) {
				require.Contains(t, expiring, use)
			}
			around()
			still(func() { w.later(25 * time.Hour) })
			require.Empty(t, w.needed(t))
			around()
			still(func() {
				_, err := db.PurgeReplays(ctx, w.clock())
				require.NoError(t, err)
			})
			w.holdsNothingOf(t, former)
			w.retire(t)
			require.NoError(t, other.live.Replace(w.live.Keyset()))
			around()
		}
		close(stop)
		all.Wait()
		if err := failed.Load(); err != nil {
			require.NoError(t, *err)
		}
		require.Empty(t, w.needed(t))
		w.whole(t)
		rounds := int64(0)
		for _, c := range tenants {
			rounds += c.rounds.Load()
		}
		t.Logf("%d rotations, %d rounds of ten operations", len(sets), rounds)
	})
}
