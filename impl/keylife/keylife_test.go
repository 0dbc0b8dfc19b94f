package keylife_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/tink"

	"pinvault/impl/keylife"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

var morning = time.Date(2026, time.March, 1, 8, 0, 0, 0, time.UTC)

// clock is a clock in the test's hands.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// trail keeps what it is told.
type trail struct {
	mu    sync.Mutex
	steps []pin.KeyStep
	fails error
}

// TrailStands is Forbidden for callers of a program, as the vault's is.
func (r *trail) TrailStands(ctx context.Context) error {
	if !pin.CallerFrom(ctx).Everywhere {
		return &pin.Error{Code: pin.Forbidden}
	}
	return nil
}

func (r *trail) TellOfKeys(_ context.Context, steps []pin.KeyStep, _ any, _ pin.Memo) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fails == nil {
		r.steps = append(r.steps, steps...)
	}
	return r.fails
}

func (r *trail) told() (names []string) {
	for _, s := range r.steps {
		names = append(names, string(s.Type)+" "+s.Name)
	}
	return names
}

// counts are how many rows each key has, by its id.
type counts map[string]int64

func (c counts) Usage(context.Context, func(string, int64)) (all []pin.KeyUse, err error) {
	for id, n := range c {
		all = append(all, pin.KeyUse{Use: pin.UsePAN, KeyID: id, Rows: n}, pin.KeyUse{Use: pin.UsePIN, KeyID: id, Rows: 7})
	}
	return all, nil
}

func operator(t *testing.T) context.Context {
	return pin.WithCaller(t.Context(), pin.Operator("test"))
}

func master(t *testing.T, b byte) tink.AEAD {
	t.Helper()
	kek, err := keyring.MasterKey(bytes.Repeat([]byte{b}, 32))
	require.NoError(t, err)
	return kek
}

// fileAt is a keyset file at a path, which may be there or not.
func fileAt(t *testing.T, path string) keylife.File {
	t.Helper()
	return keylife.File{Path: path, Open: func() (*os.File, error) { return os.Open(path) }, KEK: master(t, 1)}
}

// newFile is a fresh keyset in a file of its own.
func newFile(t *testing.T) keylife.File {
	t.Helper()
	f := fileAt(t, filepath.Join(t.TempDir(), "keyset.json"))
	ks, err := keyring.Generate(rand.Reader, morning)
	require.NoError(t, err)
	put(t, f, ks)
	return f
}

func put(t *testing.T, f keylife.File, ks *keyring.Keyset) {
	t.Helper()
	var text bytes.Buffer
	require.NoError(t, ks.Write(&text, f.KEK))
	require.NoError(t, os.WriteFile(f.Path, text.Bytes(), 0o600))
}

// process is a server's share of the keys.
type process struct {
	live    *keyring.Live
	ring    *keyring.Ring
	watcher *keylife.Watcher
	keeper  *keylife.Keeper
	log     *bytes.Buffer
}

func start(t *testing.T, f keylife.File, told keylife.Trail, now *clock, counted keylife.Counts) process {
	t.Helper()
	ks, err := f.Keyset()
	require.NoError(t, err)
	p := process{live: keyring.NewLive(ks, now.Now), log: &bytes.Buffer{}}
	p.ring = keyring.New(p.live, nil, now.Now)
	p.watcher = keylife.NewWatcher(f, p.live, slog.New(slog.NewTextHandler(p.log, nil)))
	p.keeper = keylife.NewKeeper(keylife.Served{File: f, Live: p.live}, told, keylife.Options{Counts: counted, Now: now.Now, Rand: rand.Reader,
		Taken: func() { require.NoError(t, p.watcher.Look(context.Background())) }})
	return p
}

// state is that of a key as a process shows it.
func (p process) state(t *testing.T, name string) keyring.State {
	t.Helper()
	keys, err := p.keeper.Keys(operator(t))
	require.NoError(t, err)
	for _, k := range keys {
		if k.Name() == name {
			return k.State
		}
	}
	return ""
}

// The whole way of a key, with two processes that share nothing but the file: at every moment each opens what the other
// makes, and in the end what the retired key made is opened by neither.
func TestTwoProcessesRotateWithoutAWordToEachOther(t *testing.T) {
	t.Parallel()
	now, told, counted := &clock{at: morning}, &trail{}, counts{}
	f := newFile(t)
	one, two := start(t, f, told, now, counted), start(t, f, told, now, counted)
	old, err := one.ring.Seal(pin.UsePAN, []byte("pan"), nil)
	require.NoError(t, err)
	agree := func() {
		t.Helper()
		for _, way := range [][2]process{{one, two}, {two, one}} {
			sealed, err := way[0].ring.Seal(pin.UsePAN, []byte("pan"), nil)
			require.NoError(t, err)
			_, err = way[1].ring.Open(pin.UsePAN, sealed, nil)
			require.NoError(t, err)
		}
	}

	made, err := one.keeper.Rotate(operator(t), []pin.Use{pin.UsePAN}, 2*time.Minute, false, pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, keyring.Pending, made[0].State)
	require.Equal(t, morning.Add(2*time.Minute), made[0].ActiveFrom)
	require.Equal(t, keyring.Pending, one.state(t, "pan/2"))
	require.Empty(t, two.state(t, "pan/2"), "it has not looked yet")
	agree()
	now.forward(keylife.LookEvery)
	require.NoError(t, two.watcher.Look(t.Context()))
	require.Equal(t, keyring.Pending, two.state(t, "pan/2"))
	agree()
	now.forward(2 * time.Minute)
	require.Equal(t, keyring.Active, one.state(t, "pan/2"))
	require.Equal(t, keyring.Retiring, two.state(t, "pan/1"))
	agree()
	now.forward(time.Minute)

	oldID := one.live.Keys()[2].ID
	counted[oldID] = 12
	retire := keyring.Wish{Use: pin.UsePAN, Version: 1, Step: keyring.Retire}
	_, err = two.keeper.Take(operator(t), retire, false, pin.Memo{})
	require.ErrorIs(t, err, keylife.ErrInUse)
	require.ErrorContains(t, err, "12 rows")
	counted[oldID] = 0
	_, err = two.keeper.Take(operator(t), retire, false, pin.Memo{})
	require.NoError(t, err)
	require.NoError(t, one.watcher.Look(t.Context()))
	for _, p := range []process{one, two} {
		require.Equal(t, keyring.Retired, p.state(t, "pan/1"))
		_, err := p.ring.Open(pin.UsePAN, old, nil)
		require.Error(t, err)
	}
	agree()

	_, err = one.keeper.Take(operator(t), keyring.Wish{Use: pin.UsePAN, Version: 1, Step: keyring.Restore}, false, pin.Memo{})
	require.NoError(t, err)
	_, err = one.ring.Open(pin.UsePAN, old, nil)
	require.NoError(t, err)
	_, err = one.keeper.Take(operator(t), retire, true, pin.Memo{})
	require.NoError(t, err)
	_, err = one.keeper.Take(operator(t), keyring.Wish{Use: pin.UsePAN, Version: 1, Step: keyring.Destroy}, false, pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, keyring.Destroyed, one.state(t, "pan/1"))
	require.Equal(t, []string{"vault_key.rotated pan/2", "vault_key.retired pan/1", "vault_key.restored pan/1", "vault_key.retired pan/1", "vault_key.destroyed pan/1"}, told.told())
}

func TestAKeyIsActivatedWhenEveryProcessHasHadTheTimeToReadOfIt(t *testing.T) {
	t.Parallel()
	now, told := &clock{at: morning}, &trail{}
	p := start(t, newFile(t), told, now, nil)
	made, err := p.keeper.Generate(operator(t), pin.UseSeal, pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, "seal/2", made.Name())
	require.Equal(t, keyring.Pending, made.State)
	activate := keyring.Wish{Use: pin.UseSeal, Version: 2, Step: keyring.Activate}
	_, err = p.keeper.Take(operator(t), activate, false, pin.Memo{})
	require.EqualError(t, err, "seal/2: not every server knows it yet: it can be active from 2026-03-01T08:00:30Z on")
	now.forward(keyring.Settle)
	after, err := p.keeper.Take(operator(t), activate, false, pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, keyring.Active, after.State)
	require.Equal(t, now.Now(), after.ActiveFrom, "a time that is not given is now")
	require.Equal(t, []string{"vault_key.generated seal/2", "vault_key.activated seal/2"}, told.told())
}

func TestAKeyIsRetiredWhenNothingDependsOnIt(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		use     pin.Use
		counted keylife.Counts
		after   time.Duration
		want    error
	}{
		"nothing left":                    {pin.UsePAN, counts{"another": 3}, time.Hour, nil},
		"nobody counts":                   {pin.UsePAN, nil, time.Hour, keylife.ErrNotCounted},
		"tokens may be good":              {keyring.UseTokens, counts{}, 23 * time.Hour, keylife.ErrInUse},
		"tokens are over":                 {keyring.UseTokens, counts{}, 24 * time.Hour, nil},
		"checkpoints are kept by others":  {keyring.UseCheckpoints, counts{}, 10000 * time.Hour, keylife.ErrNotCounted},
		"outsiders know the log's key":    {keyring.UseAuditLog, counts{}, 10000 * time.Hour, keylife.ErrNotCounted},
		"somebody may be at work with it": {pin.UsePAN, counts{}, time.Second, &keyring.Refusal{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := &clock{at: morning}
			p := start(t, newFile(t), &trail{}, now, tc.counted)
			_, err := p.keeper.Rotate(operator(t), []pin.Use{tc.use}, time.Minute, false, pin.Memo{})
			require.NoError(t, err)
			now.forward(time.Minute + tc.after)
			retire := keyring.Wish{Use: tc.use, Version: 1, Step: keyring.Retire}
			_, err = p.keeper.Take(operator(t), retire, false, pin.Memo{})
			if _, refused := errors.AsType[*keyring.Refusal](tc.want); refused {
				_, refused = errors.AsType[*keyring.Refusal](err)
				require.True(t, refused, "%v", err)
			} else {
				require.ErrorIs(t, err, tc.want)
			}
			if tc.want != nil {
				require.Equal(t, keyring.Retiring, p.state(t, string(tc.use)+"/1"))
				retire.Hasty = true
				_, err = p.keeper.Take(operator(t), retire, true, pin.Memo{})
				require.NoError(t, err, "by force")
			}
			require.Equal(t, keyring.Retired, p.state(t, string(tc.use)+"/1"))
		})
	}
}

func TestNobodyOfAProgramHasToDoWithKeys(t *testing.T) {
	t.Parallel()
	p := start(t, newFile(t), &trail{}, &clock{at: morning}, nil)
	ctx := pin.WithCaller(t.Context(), pin.Caller{ClientID: "client", ProgramID: "program", Operator: true})
	_, err := p.keeper.Keys(ctx)
	require.Equal(t, pin.Forbidden, pin.CodeOf(err))
	_, err = p.keeper.Generate(ctx, pin.UsePAN, pin.Memo{})
	require.Equal(t, pin.Forbidden, pin.CodeOf(err))
	require.Empty(t, p.state(t, "pan/2"))
}

// What cannot be taken changes nothing, is said once, and is over by itself when the file is well again.
func TestAFileThatCannotBeTakenChangesNothing(t *testing.T) {
	t.Parallel()
	now := &clock{at: morning}
	f := newFile(t)
	p := start(t, f, &trail{}, now, nil)
	require.NoError(t, p.watcher.Look(t.Context()))
	well, err := os.ReadFile(f.Path)
	require.NoError(t, err)
	ks, err := f.Keyset()
	require.NoError(t, err)
	next, _, err := ks.Rotated(keyring.Uses(), morning.Add(time.Minute), false, rand.Reader, morning)
	require.NoError(t, err)
	var newer, foreign bytes.Buffer
	require.NoError(t, next.Write(&newer, f.KEK))
	other, err := keyring.Generate(rand.Reader, morning)
	require.NoError(t, err)
	require.NoError(t, other.Write(&foreign, f.KEK))

	for name, text := range map[string][]byte{
		"cut short":                newer.Bytes()[:newer.Len()/2],
		"empty":                    {},
		"edited":                   bytes.Replace(newer.Bytes(), []byte(`"version": 2`), []byte(`"version": 3`), 1),
		"another vault's":          foreign.Bytes(),
		"under another master key": underAnother(t, next),
		"gone":                     nil,
	} {
		t.Run(name, func(t *testing.T) {
			p.log.Reset()
			if text == nil {
				require.NoError(t, os.Remove(f.Path))
			} else {
				require.NoError(t, os.WriteFile(f.Path, text, 0o600))
			}
			for range 3 {
				require.Error(t, p.watcher.Look(t.Context()))
			}
			require.Equal(t, 1, strings.Count(p.log.String(), "level=ERROR"), p.log.String())
			require.Equal(t, ks.Revision(), p.live.Keyset().Revision())
			require.Equal(t, 1.0, gathered(t, p, now)["pinvault_keyset_stale"])
			require.NoError(t, os.WriteFile(f.Path, well, 0o600))
			require.NoError(t, p.watcher.Look(t.Context()))
			require.Contains(t, p.log.String(), "well again")
			require.Equal(t, 0.0, gathered(t, p, now)["pinvault_keyset_stale"])
		})
	}
	require.Equal(t, 18.0, gathered(t, p, now)["pinvault_keyset_reload_failures_total"])

	put(t, f, next)
	require.NoError(t, p.watcher.Look(t.Context()))
	require.Equal(t, next.Revision(), p.live.Keyset().Revision())
	put(t, f, ks)
	require.ErrorIs(t, p.watcher.Look(t.Context()), keyring.ErrForeign, "an older file undoes nothing")
}

func underAnother(t *testing.T, ks *keyring.Keyset) []byte {
	t.Helper()
	var text bytes.Buffer
	require.NoError(t, ks.Write(&text, master(t, 2)))
	return text.Bytes()
}

// gathered are the metrics by their names and labels.
func gathered(t *testing.T, p process, now *clock) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(keylife.Metrics{Live: p.live, Watcher: p.watcher, Now: now.Now})
	families, err := registry.Gather()
	require.NoError(t, err)
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			values[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return values
}

func TestMetricsTellOfEveryUseAndState(t *testing.T) {
	t.Parallel()
	now := &clock{at: morning}
	p := start(t, newFile(t), &trail{}, now, nil)
	_, err := p.keeper.Rotate(operator(t), []pin.Use{pin.UsePAN}, time.Hour, false, pin.Memo{})
	require.NoError(t, err)
	now.forward(time.Minute)
	values := gathered(t, p, now)
	for _, use := range keyring.Uses() {
		require.Equal(t, 60.0, values["pinvault_key_age_seconds active "+string(use)], use)
		require.Equal(t, 1.0, values["pinvault_keys active "+string(use)], use)
	}
	require.Equal(t, 1.0, values["pinvault_keys pending pan"])
	now.forward(time.Hour)
	values = gathered(t, p, now)
	require.Equal(t, 60.0, values["pinvault_key_age_seconds active pan"])
	require.Equal(t, 3660.0, values["pinvault_key_age_seconds retiring pan"])
	require.Equal(t, 1.0, values["pinvault_keys retiring pan"])
}

// Of many who take steps at once, in two processes, nobody's is lost.
func TestStepsTakenAtOnceAreAllTaken(t *testing.T) {
	t.Parallel()
	const each = 10
	now, told := &clock{at: morning}, &trail{}
	f := newFile(t)
	var work sync.WaitGroup
	for range 2 {
		keeper := keylife.NewKeeper(f, told, keylife.Options{Now: now.Now, Rand: rand.Reader})
		for range each {
			work.Go(func() {
				if _, err := keeper.Generate(operator(t), pin.UsePAN, pin.Memo{}); err != nil {
					t.Error(err)
				}
			})
		}
	}
	work.Wait()
	ks, err := f.Keyset()
	require.NoError(t, err)
	require.Equal(t, int64(1+2*each), ks.Revision())
	_, err = ks.Key(pin.UsePAN, 1+2*each, morning)
	require.NoError(t, err)
	require.Len(t, told.told(), 2*each)
	left, err := os.ReadDir(filepath.Dir(f.Path))
	require.NoError(t, err)
	require.Len(t, left, 1, "nothing is left beside the file")
	is, err := os.Stat(f.Path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), is.Mode().Perm())
}

func TestAStepOfWhichTheTrailIsNotToldIsNotTaken(t *testing.T) {
	t.Parallel()
	f := newFile(t)
	before, err := os.ReadFile(f.Path)
	require.NoError(t, err)
	told := &trail{fails: &pin.Error{Code: pin.Unavailable}}
	p := start(t, f, told, &clock{at: morning}, nil)
	_, err = p.keeper.Generate(operator(t), pin.UsePAN, pin.Memo{})
	require.Equal(t, pin.Unavailable, pin.CodeOf(err))
	after, err := os.ReadFile(f.Path)
	require.NoError(t, err)
	require.Equal(t, before, after)
	left, err := os.ReadDir(filepath.Dir(f.Path))
	require.NoError(t, err)
	require.Len(t, left, 1)
}

func TestTheModeAndTheLinkOfAFileStay(t *testing.T) {
	t.Parallel()
	f := newFile(t)
	require.NoError(t, os.Chmod(f.Path, 0o640))
	link := filepath.Join(t.TempDir(), "link.json")
	require.NoError(t, os.Symlink(f.Path, link))
	linked := fileAt(t, link)
	keeper := keylife.NewKeeper(linked, &trail{}, keylife.Options{Rand: rand.Reader})
	_, err := keeper.Generate(operator(t), pin.UsePAN, pin.Memo{})
	require.NoError(t, err)
	is, err := os.Lstat(link)
	require.NoError(t, err)
	require.NotZero(t, is.Mode()&fs.ModeSymlink)
	is, err = os.Stat(f.Path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o640), is.Mode().Perm())
}

func TestAStepInAFolderOfSomebodyElsesIsRefused(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere")
	}
	f, told := newFile(t), &trail{}
	require.NoError(t, os.Chmod(filepath.Dir(f.Path), 0o500))
	t.Cleanup(func() { require.NoError(t, os.Chmod(filepath.Dir(f.Path), 0o700)) })
	_, err := keylife.NewKeeper(f, told, keylife.Options{Rand: rand.Reader}).Generate(operator(t), pin.UsePAN, pin.Memo{})
	require.ErrorIs(t, err, keylife.ErrReadOnly)
	require.Empty(t, told.told())
}

func TestAFileIsRewrappedUnderAnotherMasterKey(t *testing.T) {
	t.Parallel()
	f, told := newFile(t), &trail{}
	before, err := f.Keyset()
	require.NoError(t, err)
	require.NoError(t, keylife.NewKeeper(f, told, keylife.Options{}).Rewrap(operator(t), f, master(t, 2), pin.Memo{}))
	_, err = f.Keyset()
	require.ErrorContains(t, err, "does not open under this master key")
	f.KEK = master(t, 2)
	after, err := f.Keyset()
	require.NoError(t, err)
	require.Equal(t, before.Keys(morning), after.Keys(morning))
	require.Equal(t, []string{"vault_key.rewrapped "}, told.told())
}

func TestARehearsalChangesWhatIsShownAlone(t *testing.T) {
	t.Parallel()
	told, now := &trail{}, &clock{at: morning}
	ks := keyring.Sandbox()
	rehearsal := keylife.NewRehearsal(ks)
	keeper := keylife.NewKeeper(rehearsal, told, keylife.Options{Now: now.Now, Rand: rand.Reader})
	_, err := keeper.Rotate(operator(t), []pin.Use{pin.UsePAN}, time.Minute, false, pin.Memo{})
	require.NoError(t, err)
	shown, err := keeper.Keys(operator(t))
	require.NoError(t, err)
	require.Len(t, shown, len(keyring.Uses())+1)
	require.Len(t, ks.Keys(morning), len(keyring.Uses()))
	told.fails = errors.New("broken")
	_, err = keeper.Generate(operator(t), pin.UsePAN, pin.Memo{})
	require.ErrorIs(t, err, told.fails)
	again, err := keeper.Keys(operator(t))
	require.NoError(t, err)
	require.Equal(t, shown, again)
}

// panElsewhere has the keys for PANs.
type panElsewhere struct{ rotated int }

func (*panElsewhere) Holds(use pin.Use) bool { return use == pin.UsePAN }

func (e *panElsewhere) Rotate(pin.Use) error {
	e.rotated++
	return nil
}

// Of keys that are somewhere else the file says nothing, and the trail is told all the same.
func TestKeysThatAreElsewhereAreNotTheFiles(t *testing.T) {
	t.Parallel()
	f, told, away := newFile(t), &trail{}, &panElsewhere{}
	keeper := keylife.NewKeeper(f, told, keylife.Options{Rand: rand.Reader, Elsewhere: away})
	keys, err := keeper.Keys(operator(t))
	require.NoError(t, err)
	require.Len(t, keys, len(keyring.Uses())-1)
	_, err = keeper.Generate(operator(t), pin.UsePAN, pin.Memo{})
	require.ErrorContains(t, err, "its keys are in the token or OpenBao")
	_, err = keeper.Take(operator(t), keyring.Wish{Use: pin.UsePAN, Version: 1, Step: keyring.Retire}, false, pin.Memo{})
	require.ErrorContains(t, err, "its keys are in the token or OpenBao")
	made, err := keeper.Rotate(operator(t), keyring.Uses(), time.Minute, false, pin.Memo{})
	require.NoError(t, err)
	require.Len(t, made, len(keyring.Uses()))
	require.Equal(t, 1, away.rotated)
	require.Equal(t, "vault_key.rotated pan", told.told()[0])
	ks, err := f.Keyset()
	require.NoError(t, err)
	_, err = ks.Key(pin.UsePAN, 2, time.Now())
	require.ErrorIs(t, err, keyring.ErrNoKey)
}

func TestWatchLooksWhenItIsTimeAndWhenItIsTold(t *testing.T) {
	t.Parallel()
	now := &clock{at: morning}
	f := newFile(t)
	p := start(t, f, &trail{}, now, nil)
	tick, told := make(chan time.Time), make(chan os.Signal)
	ctx, stop := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() { p.watcher.Watch(ctx, tick, told) })
	keeper := keylife.NewKeeper(f, &trail{}, keylife.Options{Now: now.Now, Rand: rand.Reader}) // another process
	for i, look := range []func(){func() { tick <- morning }, func() { told <- os.Interrupt }} {
		_, err := keeper.Generate(operator(t), pin.UsePAN, pin.Memo{})
		require.NoError(t, err)
		look()
		look() // taken when the look before it is over
		require.Equal(t, int64(i+2), p.live.Keyset().Revision())
	}
	stop()
	watching.Wait()
}
