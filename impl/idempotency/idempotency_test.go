package idempotency_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"pinvault/impl/idempotency"
	"pinvault/impl/pin"
)

// ledger keeps replay records, and what the effects are, in writes that are whole or not at all.
type ledger struct {
	mu      sync.Mutex
	records map[[2]string]pin.Replay
	lookups []error // what the next lookups fail with, nil for not at all
}

func (l *ledger) Replay(_ context.Context, scope, key string) (pin.Replay, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lookups) > 0 {
		err := l.lookups[0]
		if l.lookups = l.lookups[1:]; err != nil {
			return pin.Replay{}, err
		}
	}
	r, found := l.records[[2]string{scope, key}]
	if !found {
		return pin.Replay{}, &pin.Error{Code: pin.NotFound}
	}
	return r, nil
}

// keys are HMAC keys, one for each use.
type keys struct {
	pin.Keys
	secret string
	err    error
}

func (k keys) MAC(use pin.Use, data []byte) ([]byte, error) {
	mac := hmac.New(sha256.New, []byte(k.secret+string(use)))
	mac.Write(data)
	return mac.Sum(nil), k.err
}

func (k keys) VerifyMAC(use pin.Use, data, mac []byte) bool {
	want, _ := k.MAC(use, data)
	return hmac.Equal(want, mac)
}

// setting is a guard, what it depends on and what stands in for the vault.
type setting struct {
	*idempotency.Guard
	*ledger
	now     time.Time
	effects int
	crashed bool // the process dies before the next write
	lost    bool // the process dies after it
}

var errCrash = errors.New("the process died")

func newSetting() *setting {
	s := &setting{ledger: &ledger{records: map[[2]string]pin.Replay{}}, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	s.Guard = idempotency.New(s.ledger, keys{secret: "k"}, func() time.Time { return s.now })
	return s
}

// write has an effect and keeps its result, as one write of the vault's does.
func (s *setting) write(m pin.Memo, result func() any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.crashed {
		return errCrash
	}
	if m.Keep != nil {
		_, _ = m.Keep(result()) // the vault may decide twice
		r, err := m.Keep(result())
		if err != nil {
			return err
		}
		id := [2]string{r.Scope, r.Key}
		if old, taken := s.records[id]; r.Version > 1 && old.Version != r.Version-1 || r.Version <= 1 && taken && old.ExpiresAt.After(s.now) {
			return &pin.Error{Code: pin.Duplicate, Field: "replays"}
		}
		s.records[id] = r
	}
	s.effects++
	if s.lost {
		return errCrash
	}
	return nil
}

// verify is Vault.Verify with a wrong PIN.
func (s *setting) verify(m pin.Memo) (done pin.Verification, err error) {
	err = s.write(m, func() any {
		done = pin.Verification{Result: pin.Mismatch, RemainingTries: 2 - s.effects}
		return done
	})
	if m.Keep == nil {
		done = pin.Verification{Result: pin.Mismatch, RemainingTries: 3 - s.effects}
	}
	if err != nil {
		done = pin.Verification{}
	}
	return done, err
}

// once is any operation of the vault whose result is given.
func (s *setting) once(m pin.Memo, result any) error {
	return s.write(m, func() any { return result })
}

var request = idempotency.Request{Scope: "partner-1", Key: "key-1", Endpoint: "verify card-1", Content: []byte(`{"pin":"7010"}`), TTL: time.Hour}

func (s *setting) ask(r idempotency.Request) (pin.Verification, bool, error) {
	return idempotency.Once(context.Background(), s.Guard, r, pin.Memo{}, s.verify)
}

func TestRepeatedRequestGetsTheFirstAnswer(t *testing.T) {
	s := newSetting()
	first, replayed, err := s.ask(request)
	require.NoError(t, err)
	require.False(t, replayed)
	require.Equal(t, pin.Verification{Result: pin.Mismatch, RemainingTries: 2}, first)
	for range 3 {
		again, replayed, err := s.ask(request)
		require.NoError(t, err)
		require.True(t, replayed)
		require.Equal(t, first, again)
	}
	require.Equal(t, 1, s.effects)
}

func TestRequestWithoutKeyIsNotRemembered(t *testing.T) {
	s := newSetting()
	r := request
	r.Key = ""
	for i := range 2 {
		got, replayed, err := s.ask(r)
		require.NoError(t, err)
		require.False(t, replayed)
		require.Equal(t, 2-i, got.RemainingTries)
	}
	require.Empty(t, s.records)
}

func TestKeyIsUsedForOneRequestOnly(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*idempotency.Request)
		code   pin.Code // "": another request altogether
	}{
		"another endpoint":             {func(r *idempotency.Request) { r.Endpoint = "verify card-2" }, pin.ReplayOther},
		"other content":                {func(r *idempotency.Request) { r.Content = []byte(`{"pin":"7011"}`) }, pin.ReplayChanged},
		"less content":                 {func(r *idempotency.Request) { r.Content = r.Content[:3] }, pin.ReplayChanged},
		"no content":                   {func(r *idempotency.Request) { r.Content = nil }, pin.ReplayChanged},
		"endpoint before content":      {func(r *idempotency.Request) { r.Endpoint, r.Content = "x", nil }, pin.ReplayOther},
		"another key":                  {func(r *idempotency.Request) { r.Key = "key-2" }, ""},
		"the same key, another client": {func(r *idempotency.Request) { r.Scope = "partner-2" }, ""},
	} {
		for _, lost := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, the first one's answer lost: %v", name, lost), func(t *testing.T) {
				s := newSetting()
				s.lost = lost
				_, _, _ = s.ask(request)
				s.lost = false
				r := request
				c.change(&r)
				got, replayed, err := s.ask(r)
				require.False(t, replayed)
				if c.code == "" {
					require.NoError(t, err)
					require.Equal(t, 2, s.effects)
					return
				}
				require.ErrorIs(t, err, &pin.Error{Code: c.code})
				require.Zero(t, got)
				require.Equal(t, 1, s.effects)
			})
		}
	}
}

func TestAnswerIsKeptFromFirstUseForItsTime(t *testing.T) {
	s := newSetting()
	_, _, err := s.ask(request)
	require.NoError(t, err)
	s.now = s.now.Add(time.Hour - time.Microsecond)
	_, replayed, err := s.ask(request)
	require.NoError(t, err)
	require.True(t, replayed)
	s.now = s.now.Add(time.Microsecond)
	got, replayed, err := s.ask(request)
	require.NoError(t, err)
	require.False(t, replayed)
	require.Equal(t, 1, got.RemainingTries)
	_, replayed, err = s.ask(request)
	require.NoError(t, err)
	require.True(t, replayed, "the second use is remembered as the first was")
}

func TestKeyOfAnotherRequestIsFreeWhenExpired(t *testing.T) {
	s := newSetting()
	_, _, err := s.ask(request)
	require.NoError(t, err)
	s.now = s.now.Add(time.Hour)
	r := request
	r.Endpoint, r.Content = "unblock card-1", nil
	_, replayed, err := s.ask(r)
	require.NoError(t, err)
	require.False(t, replayed)
}

func TestAnAnswerThatWasLostIsGivenToTheRepetition(t *testing.T) {
	s := newSetting()
	s.lost = true
	_, _, err := s.ask(request)
	require.ErrorIs(t, err, errCrash)
	s.lost = false
	got, replayed, err := s.ask(request)
	require.NoError(t, err)
	require.True(t, replayed)
	require.Equal(t, pin.Verification{Result: pin.Mismatch, RemainingTries: 2}, got)
	require.Equal(t, 1, s.effects, "a lost answer costs no second try")
}

func TestWhatTookNoEffectIsNotRemembered(t *testing.T) {
	s := newSetting()
	s.crashed = true
	set := func(m pin.Memo) (struct{}, error) { return struct{}{}, s.once(m, nil) }
	_, _, err := idempotency.Once(t.Context(), s.Guard, request, pin.Memo{}, set)
	require.ErrorIs(t, err, errCrash)
	require.Empty(t, s.records)
	s.crashed = false
	_, replayed, err := idempotency.Once(t.Context(), s.Guard, request, pin.Memo{}, set)
	require.NoError(t, err)
	require.False(t, replayed)
}

func TestOfManyAtOnceOneTakesEffect(t *testing.T) {
	s := newSetting()
	type answer struct {
		got      pin.Verification
		replayed bool
		err      error
	}
	answers := make([]answer, 32)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i].got, answers[i].replayed, answers[i].err = s.ask(request) })
	}
	all.Wait()
	firsts := 0
	for _, a := range answers {
		require.NoError(t, a.err)
		require.Equal(t, pin.Verification{Result: pin.Mismatch, RemainingTries: 2}, a.got)
		if !a.replayed {
			firsts++
		}
	}
	require.Equal(t, 1, firsts)
	require.Equal(t, 1, s.effects)
}

// Each case is what another process does after this one has found no record and before it reserves.
func TestOvertakenRequest(t *testing.T) {
	first := pin.Verification{Result: pin.Mismatch, RemainingTries: 2}
	for name, c := range map[string]struct {
		rival    func(*setting)
		replayed bool
		code     pin.Code
	}{
		"by one that has ended":         {func(s *setting) { _, _, _ = s.ask(request) }, true, ""},
		"by one with other content":     {func(s *setting) { r := request; r.Content = nil; _, _, _ = s.ask(r) }, false, pin.ReplayChanged},
		"by one on another endpoint":    {func(s *setting) { r := request; r.Endpoint = "unblock"; _, _, _ = s.ask(r) }, false, pin.ReplayOther},
		"by one that has freed the key": {func(s *setting) { _, _, _ = s.ask(request); s.lookups = []error{&pin.Error{Code: pin.NotFound}} }, false, pin.ReplayUnderway},
		"and then no database":          {func(s *setting) { _, _, _ = s.ask(request); s.lookups = []error{&pin.Error{Code: pin.Unavailable}} }, false, pin.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSetting()
			got, replayed, err := idempotency.Once(t.Context(), s.Guard, request, pin.Memo{}, func(m pin.Memo) (pin.Verification, error) {
				c.rival(s)
				return s.verify(m)
			})
			require.Equal(t, c.replayed, replayed)
			require.Equal(t, 1, s.effects)
			if c.code != "" {
				require.ErrorIs(t, err, &pin.Error{Code: c.code})
				require.Zero(t, got)
				return
			}
			require.NoError(t, err)
			require.Equal(t, first, got)
		})
	}
}

// Of two at once the second may be refused because of what the first has had for an effect, a PIN for being the card's already.
func TestARequestThatItsOwnEffectRefusesGetsTheFirstAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		rival    func(*setting)
		replayed bool
		code     pin.Code
	}{
		"after its own effect":         {func(s *setting) { _, _, _ = s.ask(request) }, true, ""},
		"after nobody's":               {func(*setting) {}, false, pin.RecentPIN},
		"after that of other content":  {func(s *setting) { r := request; r.Content = nil; _, _, _ = s.ask(r) }, false, pin.ReplayChanged},
		"and nobody knows after which": {func(s *setting) { s.lookups = []error{&pin.Error{Code: pin.Unavailable}} }, false, pin.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSetting()
			got, replayed, err := idempotency.Once(t.Context(), s.Guard, request, pin.Memo{}, func(pin.Memo) (pin.Verification, error) {
				c.rival(s)
				return pin.Verification{}, &pin.Error{Code: pin.RecentPIN}
			})
			require.Equal(t, c.code, pin.CodeOf(err))
			require.Equal(t, c.replayed, replayed)
			require.Equal(t, c.replayed, got == pin.Verification{Result: pin.Mismatch, RemainingTries: 2})
		})
	}
}

// A handler may wipe what it has read as soon as the vault has it.
func TestOvertakenRequestMayHaveWipedItsContent(t *testing.T) {
	s := newSetting()
	r := request
	r.Content = bytes.Clone(request.Content)
	_, replayed, err := idempotency.Once(t.Context(), s.Guard, r, pin.Memo{}, func(m pin.Memo) (pin.Verification, error) {
		_, _, _ = s.ask(request)
		clear(r.Content)
		return s.verify(m)
	})
	require.NoError(t, err)
	require.True(t, replayed)
}

func TestFailuresAreHandedOn(t *testing.T) {
	unavailable := &pin.Error{Code: pin.Unavailable}
	for name, c := range map[string]struct {
		lookups []error
		keys    keys
		effect  error
		want    error
	}{
		"no database":              {lookups: []error{unavailable}, keys: keys{secret: "k"}, want: unavailable},
		"no key":                   {keys: keys{err: unavailable}, want: unavailable},
		"the effect refused":       {keys: keys{secret: "k"}, effect: &pin.Error{Code: pin.WeakPIN}, want: &pin.Error{Code: pin.WeakPIN}},
		"a duplicate of its own":   {keys: keys{secret: "k"}, effect: &pin.Error{Code: pin.Duplicate, Field: "pan"}, want: &pin.Error{Code: pin.Duplicate}},
		"an error of no code":      {keys: keys{secret: "k"}, effect: errCrash, want: errCrash},
		"a duplicate of no record": {keys: keys{secret: "k"}, effect: &pin.Error{Code: pin.Duplicate}, want: &pin.Error{Code: pin.Duplicate}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSetting()
			s.lookups = c.lookups
			tried := false
			g := idempotency.New(s.ledger, c.keys, func() time.Time { return s.now })
			_, replayed, err := idempotency.Once(t.Context(), g, request, pin.Memo{}, func(pin.Memo) (pin.Card, error) {
				tried = true
				return pin.Card{}, c.effect
			})
			require.ErrorIs(t, err, c.want)
			require.False(t, replayed)
			require.Equal(t, c.effect != nil, tried, "nothing takes effect that could not be remembered")
			require.Empty(t, s.records)
		})
	}
}

func TestTheRestOfTheMemoIsHandedOn(t *testing.T) {
	s := newSetting()
	moved := &pin.Session{ID: "session"}
	memo := pin.Memo{Description: "why", UpdatedBy: "who", Session: func(any) *pin.Session { return moved }}
	_, _, err := idempotency.Once(t.Context(), s.Guard, request, memo, func(m pin.Memo) (pin.Verification, error) {
		require.Equal(t, "why", m.Description)
		require.Equal(t, "who", m.UpdatedBy)
		require.Same(t, moved, m.Session(nil))
		return s.verify(m)
	})
	require.NoError(t, err)
	r := request
	r.Key = ""
	_, _, err = idempotency.Once(t.Context(), s.Guard, r, memo, func(m pin.Memo) (pin.Verification, error) {
		require.Equal(t, "why", m.Description)
		require.Nil(t, m.Keep)
		return s.verify(m)
	})
	require.NoError(t, err)
}

// again runs an effect twice and returns both answers.
func again[T any](t *testing.T, s *setting, effect func(pin.Memo) (T, error)) (first, second T) {
	t.Helper()
	first, replayed, err := idempotency.Once(t.Context(), s.Guard, request, pin.Memo{}, effect)
	require.NoError(t, err)
	require.False(t, replayed)
	second, replayed, err = idempotency.Once(t.Context(), s.Guard, request, pin.Memo{}, effect)
	require.NoError(t, err)
	require.True(t, replayed)
	return first, second
}

func TestEveryResultOfTheVaultReadsBack(t *testing.T) {
	s := newSetting()
	card := pin.Card{ID: "card-1", ProgramID: "program-1", Status: pin.StatusUpgrade, UpgradeStatus: 1, Expiry: "2912", Sequence: "01",
		PANCiphertext: []byte{1, 2, 3}, Attributes: pin.Attributes{EmbossName: "Zoë <&>"},
		References: []pin.Reference{{Kind: pin.KindURN, Value: "42"}}, Version: 7, CreatedAt: s.now.Add(time.Microsecond), UpdatedAt: s.now}
	first, second := again(t, s, func(m pin.Memo) (pin.Card, error) { return card, s.once(m, card) })
	require.Equal(t, card, first)
	require.Equal(t, card, second)

	s = newSetting()
	program := pin.NewProgram("Debit")
	program.Settings = map[string]json.RawMessage{"contract": json.RawMessage(`{"a":["b"]}`)}
	_, replayed := again(t, s, func(m pin.Memo) (pin.Program, error) { return program, s.once(m, program) })
	require.Equal(t, program, replayed)

	s = newSetting()
	verification := pin.Verification{Result: pin.Rejected, RemainingTries: 3, Reason: pin.WeakPIN}
	_, rejected := again(t, s, func(m pin.Memo) (pin.Verification, error) { return verification, s.once(m, verification) })
	require.Equal(t, verification, rejected)

	s = newSetting()
	again(t, s, func(m pin.Memo) (struct{}, error) { return struct{}{}, s.once(m, nil) })
	s = newSetting()
	again(t, s, func(m pin.Memo) (struct{}, error) { return struct{}{}, s.once(m, card) })
	require.Equal(t, "{}", string(s.records[[2]string{"partner-1", "key-1"}].Result), "what nobody asks for is not kept")
}

// holdsNothingOf asserts that no record has any of the values, plain or as JSON or hex would have it.
func (s *setting) holdsNothingOf(t *testing.T, values ...[]byte) {
	t.Helper()
	require.NotEmpty(t, s.records)
	for _, r := range s.records {
		all := bytes.Join([][]byte{[]byte(r.Scope), []byte(r.Key), []byte(r.Endpoint), r.Fingerprint, r.Result}, []byte{'\n'})
		for _, v := range values {
			require.NotEmpty(t, v)
			hash := sha256.Sum256(v)
			for _, form := range []string{string(v), hex.EncodeToString(v), base64.StdEncoding.EncodeToString(v), string(hash[:])} {
				require.NotContains(t, string(all), form)
			}
		}
	}
}

func TestRecordsHoldNothingOfTheContent(t *testing.T) {
	planted := []string{"7010", "041277EDCBA98765", "4000001234562345", "eyJhbGciOiJFUzI1NiJ9.planted", "0123456789ABCDEFFEDCBA9876543210"}
	content, err := json.Marshal(planted)
	require.NoError(t, err)
	for _, lost := range []bool{false, true} {
		s := newSetting()
		s.lost = lost
		r := request
		r.Content = content
		_, _, _ = s.ask(r)
		values := [][]byte{content}
		for _, p := range planted {
			values = append(values, []byte(p))
		}
		s.holdsNothingOf(t, values...)
	}
}

func TestFingerprintsTellNothingWithoutTheKey(t *testing.T) {
	fingerprint := func(secret string, r idempotency.Request) string {
		s := newSetting()
		g := idempotency.New(s.ledger, keys{secret: secret}, func() time.Time { return s.now })
		_, _, err := idempotency.Once(t.Context(), g, r, pin.Memo{}, s.verify)
		require.NoError(t, err)
		return string(s.records[[2]string{r.Scope, r.Key}].Fingerprint)
	}
	other := request
	other.Key = "key-2"
	one := fingerprint("k", request)
	require.Equal(t, one, fingerprint("k", request), "the same request at another server of the same keys")
	require.NotEqual(t, one, fingerprint("l", request), "and of other keys")
	require.NotEqual(t, one, fingerprint("k", other), "equal content under two idempotency keys")
}

// listening is a key that tells what it is asked to cover.
type listening struct {
	keys
	heard *[]byte
}

func (l listening) MAC(use pin.Use, data []byte) ([]byte, error) {
	*l.heard = bytes.Clone(data)
	return l.keys.MAC(use, data)
}

func TestFingerprintsCoverEveryPartByItself(t *testing.T) {
	covered := func(r idempotency.Request) string {
		var heard []byte
		s := newSetting()
		g := idempotency.New(s.ledger, listening{keys{secret: "k"}, &heard}, func() time.Time { return s.now })
		_, _, _ = idempotency.Once(context.Background(), g, r, pin.Memo{}, s.verify)
		return string(heard)
	}
	rapid.Check(t, func(t *rapid.T) {
		// One text cut into four parts in two ways, of which a plain join would tell nothing.
		text := rapid.StringOfN(rapid.RuneFrom([]rune{'a', 0}), 2, 8, -1).Draw(t, "text")
		cut := func(label string) idempotency.Request {
			at := rapid.SliceOfN(rapid.IntRange(1, len(text)), 3, 3).Draw(t, label)
			slices.Sort(at)
			return idempotency.Request{Key: text[:at[0]], Scope: text[at[0]:at[1]], Endpoint: text[at[1]:at[2]], Content: []byte(text[at[2]:])}
		}
		a, b := cut("one way"), cut("another")
		same := a.Scope == b.Scope && a.Key == b.Key && a.Endpoint == b.Endpoint && bytes.Equal(a.Content, b.Content)
		require.Equal(t, same, covered(a) == covered(b))
	})
	for name, change := range map[string]func(*idempotency.Request){
		"scope":    func(r *idempotency.Request) { r.Scope += "'" },
		"key":      func(r *idempotency.Request) { r.Key += "'" },
		"endpoint": func(r *idempotency.Request) { r.Endpoint += "'" },
		"content":  func(r *idempotency.Request) { r.Content = append(bytes.Clone(r.Content), '\'') },
	} {
		r := request
		change(&r)
		require.NotEqual(t, covered(request), covered(r), name)
	}
}

// eavesdropping keeps hold of what it is asked to cover.
type eavesdropping struct {
	keys
	held *[]byte
}

func (e eavesdropping) MAC(use pin.Use, data []byte) ([]byte, error) {
	*e.held = data
	return e.keys.MAC(use, data)
}

func TestNothingOfTheContentStaysInMemory(t *testing.T) {
	var held []byte
	s := newSetting()
	g := idempotency.New(s.ledger, eavesdropping{keys{secret: "k"}, &held}, nil)
	_, _, err := idempotency.Once(t.Context(), g, request, pin.Memo{}, s.verify)
	require.NoError(t, err)
	require.Equal(t, make([]byte, len(held)), held)
	require.Greater(t, len(held), len(request.Content))
}

func TestWhatWouldNotReadBackTakesNoEffect(t *testing.T) {
	digits, err := pin.New([]byte("7010"))
	require.NoError(t, err)
	type forgetful struct{ Client pin.Client }
	type careless struct {
		pin.Client
		Secret string // without json:"-"
	}
	for name, try := range map[string]func(*setting) error{
		"a PIN":                           attempt[pin.PIN](digits),
		"a PIN within":                    attempt[struct{ PIN pin.PIN }](struct{ PIN pin.PIN }{digits}),
		"nothing where a card is wanted":  attempt[pin.Card](nil),
		"a card where an answer is":       attempt[pin.Verification](pin.Card{ID: "card-1"}),
		"a client kept as a field":        attempt[forgetful](pin.Client{ID: "c"}),
		"a client beside a secret kept":   attempt[careless](pin.Client{ID: "c"}),
		"a result that JSON cannot write": attempt[pin.Card](func() {}),
	} {
		t.Run(name, func(t *testing.T) {
			s := newSetting()
			err := try(s)
			require.ErrorIs(t, err, &pin.Error{Code: pin.Internal})
			require.NotContains(t, err.Error(), "7010")
			require.Empty(t, s.records)
		})
	}
}

// attempt is a request for a T whose vault operation results in something else.
func attempt[T any](result any) func(*setting) error {
	return func(s *setting) error {
		_, _, err := idempotency.Once(context.Background(), s.Guard, request, pin.Memo{}, func(m pin.Memo) (T, error) {
			var zero T
			return zero, s.once(m, result)
		})
		return err
	}
}

func TestRecordThatDoesNotReadBackIsNotQuoted(t *testing.T) {
	s := newSetting()
	_, _, err := s.ask(request)
	require.NoError(t, err)
	for id, r := range s.records {
		r.Result = []byte(`{"result":70107010}`)
		s.records[id] = r
	}
	got, replayed, err := s.ask(request)
	require.ErrorIs(t, err, &pin.Error{Code: pin.Internal})
	require.NotContains(t, err.Error(), "7010")
	require.False(t, replayed)
	require.Zero(t, got)
}

func TestGuardKeepsTimeByTheClockUnlessToldOtherwise(t *testing.T) {
	s := newSetting()
	s.Guard = idempotency.New(s.ledger, keys{secret: "k"}, nil)
	_, _, err := s.ask(request)
	require.NoError(t, err)
	r := s.records[[2]string{"partner-1", "key-1"}]
	require.Equal(t, time.UTC, r.CreatedAt.Location())
	require.Zero(t, r.CreatedAt.Nanosecond()%1000)
	require.Equal(t, time.Hour, r.ExpiresAt.Sub(r.CreatedAt))
	require.WithinDuration(t, time.Now(), r.CreatedAt, time.Minute)
}

// timeless logs no time, whose digits may be anything.
var timeless = &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}}

func TestRequestsDoNotPrint(t *testing.T) {
	var out bytes.Buffer
	for _, value := range []any{request, &request, []idempotency.Request{request}, struct{ R idempotency.Request }{request}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
		require.NoError(t, json.NewEncoder(&out).Encode(value))
		slog.New(slog.NewTextHandler(&out, timeless)).Info("text", "value", value)
		slog.New(slog.NewJSONHandler(&out, timeless)).Info("json", "value", value)
	}
	require.Contains(t, out.String(), "****")
	for _, form := range []string{"7010", hex.EncodeToString([]byte("7010")), base64.StdEncoding.EncodeToString(request.Content), "55 48 49 48"} {
		require.NotContains(t, out.String(), form)
	}
}

// An answer that serves no more is as none: whatever the first request was, this one has an effect and leaves its
// answer in the place of that.
func TestAnAnswerThatServesNoMoreIsAsNone(t *testing.T) {
	other := request
	other.Endpoint, other.Content = "verify card-2", []byte("other")
	for name, again := range map[string]idempotency.Request{"the same request": request, "another one": other} {
		t.Run(name, func(t *testing.T) {
			s := newSetting()
			ended := map[int]bool{}
			ask := func(r idempotency.Request) (pin.Verification, bool, error) {
				return idempotency.OnceWhile(context.Background(), s.Guard, r, pin.Memo{}, s.verify,
					func(v pin.Verification) (bool, error) { return !ended[v.RemainingTries], nil })
			}
			first, replayed, err := ask(request)
			require.NoError(t, err)
			require.False(t, replayed)
			kept, replayed, err := ask(request)
			require.NoError(t, err)
			require.True(t, replayed)
			require.Equal(t, first, kept)
			for round := range 3 {
				ended[first.RemainingTries] = true
				fresh, replayed, err := ask(again)
				require.NoError(t, err)
				require.False(t, replayed)
				require.NotEqual(t, first, fresh)
				require.Equal(t, round+2, s.effects)
				kept, replayed, err = ask(again)
				require.NoError(t, err)
				require.True(t, replayed)
				require.Equal(t, fresh, kept)
				first = fresh
			}
		})
	}
}

// Of two that find an answer which serves no more, one has the effect and both get its answer.
func TestOfTwoThatReplaceAnAnswerOneDoes(t *testing.T) {
	s := newSetting()
	dead := map[int]bool{}
	serves := func(v pin.Verification) (bool, error) { return !dead[v.RemainingTries], nil }
	first, _, err := s.ask(request)
	require.NoError(t, err)
	dead[first.RemainingTries] = true
	var inner pin.Verification
	outer, replayed, err := idempotency.OnceWhile(context.Background(), s.Guard, request, pin.Memo{}, func(m pin.Memo) (pin.Verification, error) {
		var err error
		inner, _, err = idempotency.OnceWhile(context.Background(), s.Guard, request, pin.Memo{}, s.verify, serves) // who comes between
		require.NoError(t, err)
		return s.verify(m)
	}, serves)
	require.NoError(t, err)
	require.True(t, replayed)
	require.Equal(t, inner, outer)
	require.Equal(t, 2, s.effects)
}

// What cannot be found out is told, and has no effect.
func TestAnAnswerOfWhichNobodyKnowsWhetherItServes(t *testing.T) {
	s := newSetting()
	_, _, err := s.ask(request)
	require.NoError(t, err)
	down := &pin.Error{Code: pin.Unavailable}
	_, _, err = idempotency.OnceWhile(context.Background(), s.Guard, request, pin.Memo{}, s.verify, func(pin.Verification) (bool, error) { return false, down })
	require.ErrorIs(t, err, down)
	require.Equal(t, 1, s.effects)
}
