package keyring_test

import (
	"context"
	"crypto/des"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
)

const (
	pan     = "5413330056003578"
	digits  = "92389"
	aesKey  = "000102030405060708090A0B0C0D0E0F"
	tdesKey = "0123456789ABCDEFFEDCBA9876543210"
)

// store keeps zone keys and counts how often it is asked.
type store struct {
	mu   sync.Mutex
	rows map[string]pin.ZoneKey
	err  error
	asks int
}

func newStore() *store { return &store{rows: map[string]pin.ZoneKey{}} }

func (s *store) ZoneKey(_ context.Context, id string) (pin.ZoneKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asks++
	row, ok := s.rows[id]
	switch {
	case s.err != nil:
		return pin.ZoneKey{}, s.err
	case !ok:
		return pin.ZoneKey{}, &pin.Error{Code: pin.NotFound}
	}
	return row, nil
}

// add wraps a key and stores its row.
func (s *store) add(tb testing.TB, ring *keyring.Ring, id, program string, usage pin.KeyUsage, algorithm, key string) {
	tb.Helper()
	row, err := ring.WrapZoneKey(id, program, usage, algorithm, unhex(tb, key))
	require.NoError(tb, err)
	s.rows[id] = row
}

// change changes a stored row.
func (s *store) change(id string, f func(*pin.ZoneKey)) {
	row := s.rows[id]
	f(&row)
	s.rows[id] = row
}

type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: noon} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// encrypt is the block of digits for pan.
func encrypt(tb testing.TB, algorithm, key string, format pinblock.Format) []byte {
	tb.Helper()
	of := map[string]func([]byte) (*pinblock.Key, error){"TDES": pinblock.NewTDES, "AES": pinblock.NewAES}
	k, err := of[algorithm](unhex(tb, key))
	require.NoError(tb, err)
	block, err := k.Encrypt(format, []byte(digits), pan, rand.Reader)
	require.NoError(tb, err)
	return block
}

func TestWrappedZoneKeyOpensBlocks(t *testing.T) {
	for _, tc := range []struct {
		algorithm, key string
		formats        []pinblock.Format
	}{
		{"TDES", tdesKey, []pinblock.Format{pinblock.ISO0, pinblock.ISO1, pinblock.ISO3}},
		{"TDES", tdesKey + "89ABCDEF01234567", []pinblock.Format{pinblock.ISO0, pinblock.ISO1, pinblock.ISO3}},
		{"AES", aesKey, []pinblock.Format{pinblock.ISO4}},
		{"AES", aesKey + "1011121314151617", []pinblock.Format{pinblock.ISO4}},
		{"AES", aesKey + aesKey, []pinblock.Format{pinblock.ISO4}},
	} {
		t.Run(fmt.Sprintf("%s of %d bytes", tc.algorithm, len(tc.key)/2), func(t *testing.T) {
			store := newStore()
			ring := keyring.New(keyring.Sandbox(), store, atNoon)
			store.add(t, ring, "zpk", "program", pin.UsageZonePIN, tc.algorithm, tc.key)
			key, err := ring.ZoneKey(t.Context(), "program", "zpk")
			require.NoError(t, err)
			for _, format := range tc.formats {
				p, err := key.OpenBlock(format, encrypt(t, tc.algorithm, tc.key, format), pan)
				require.NoError(t, err, format)
				require.Equal(t, digits, string(p.Digits()), format)
			}
		})
	}
}

func TestWrappedZoneKeyIsARowToStore(t *testing.T) {
	local := time.Date(2026, time.March, 1, 14, 0, 0, 1234, time.FixedZone("", 2*60*60))
	ring := keyring.New(keyring.Sandbox(), nil, func() time.Time { return local })
	key := unhex(t, tdesKey)
	row, err := ring.WrapZoneKey("zpk", "program", pin.UsageZonePIN, "TDES", key)
	require.NoError(t, err)
	require.Equal(t, unhex(t, tdesKey), key, "the caller's key is the caller's to clear")
	require.NotContains(t, string(row.Wrapped), string(key))
	row.Wrapped = nil
	require.Equal(t, pin.ZoneKey{ID: "zpk", ProgramID: "program", Usage: pin.UsageZonePIN, Algorithm: "TDES", Size: 128,
		CheckValue: "08D7B4", Version: 1, CreatedAt: noon.Add(time.Microsecond)}, row)
}

func TestZoneKeysThatNoCipherTakesAreNotWrapped(t *testing.T) {
	ring := keyring.New(keyring.Sandbox(), nil, atNoon)
	for name, tc := range map[string]struct {
		algorithm, key, field string
	}{
		"unknown algorithm":     {"DES", tdesKey, "algorithm"},
		"no algorithm":          {"", tdesKey, "algorithm"},
		"algorithm's case":      {"aes", aesKey, "algorithm"},
		"TDES of eight bytes":   {"TDES", tdesKey[:16], "key"},
		"TDES of 32 bytes":      {"TDES", tdesKey + tdesKey, "key"},
		"AES of eight bytes":    {"AES", aesKey[:16], "key"},
		"AES without any bytes": {"AES", "", "key"},
	} {
		t.Run(name, func(t *testing.T) {
			row, err := ring.WrapZoneKey("zpk", "", pin.UsageZonePIN, tc.algorithm, unhex(t, tc.key))
			require.Equal(t, &pin.Error{Code: pin.InvalidField, Field: tc.field}, err)
			require.Zero(t, row)
		})
	}
}

func TestZoneKeyThatMayNotBeUsedIsUnknown(t *testing.T) {
	store := newStore()
	ring := keyring.New(keyring.Sandbox(), store, atNoon)
	store.add(t, ring, "own", "program", pin.UsageZonePIN, "AES", aesKey)
	store.add(t, ring, "everybody's", "", pin.UsageZonePIN, "AES", aesKey)
	store.add(t, ring, "message", "program", pin.UsageMessage, "AES", aesKey)
	store.add(t, ring, "retired", "program", pin.UsageZonePIN, "AES", aesKey)
	store.change("retired", func(z *pin.ZoneKey) { z.State = pin.KeyRetired })
	store.add(t, ring, "no usage", "program", "", "AES", aesKey)

	for _, tc := range []struct {
		program, key string
		known        bool
	}{
		{"program", "own", true},
		{"program", "everybody's", true},
		{"another program", "everybody's", true},
		{"", "everybody's", true},
		{"another program", "own", false},
		{"", "own", false},
		{"program", "message", false},
		{"program", "no usage", false},
		{"program", "retired", false},
		{"program", "none", false},
		{"program", "", false},
	} {
		for _, times := range []string{"first", "second"} { // from the row, and as it was kept
			t.Run(tc.key+" for "+tc.program+", "+times+" time", func(t *testing.T) {
				key, err := ring.ZoneKey(t.Context(), tc.program, tc.key)
				if tc.known {
					require.NoError(t, err)
					return
				}
				require.Equal(t, &pin.Error{Code: pin.UnknownKey}, err)
				require.Nil(t, key)
			})
		}
	}
}

func TestZoneKeyErrorsOfTheStoreArePassedOn(t *testing.T) {
	store, clock := newStore(), newClock()
	ring := keyring.New(keyring.Sandbox(), store, clock.now)
	store.add(t, ring, "zpk", "", pin.UsageZonePIN, "AES", aesKey)
	_, err := ring.ZoneKey(t.Context(), "program", "zpk")
	require.NoError(t, err)
	clock.forward(keyring.ZoneKeyLife)
	for _, code := range []pin.Code{pin.Unavailable, pin.Internal} {
		store.err = &pin.Error{Code: code, Err: errors.New("cause")}
		_, err := ring.ZoneKey(t.Context(), "program", "zpk")
		require.Same(t, store.err, err)
	}
	store.err = nil
	_, err = ring.ZoneKey(t.Context(), "program", "zpk")
	require.NoError(t, err, "once the store is back")
}

func TestZoneKeyRowThatWasTamperedWithDoesNotOpen(t *testing.T) {
	stranger, err := keyring.New(keyring.Sandbox(), nil, atNoon).
		WrapZoneKey("other", "program", pin.UsageZonePIN, "AES", unhex(t, aesKey))
	require.NoError(t, err)
	for name, change := range map[string]func(z *pin.ZoneKey){
		"given to every program":          func(z *pin.ZoneKey) { z.ProgramID = "" },
		"another algorithm":               func(z *pin.ZoneKey) { z.Algorithm = "TDES" },
		"an unknown algorithm":            func(z *pin.ZoneKey) { z.Algorithm = "RSA" },
		"another id":                      func(z *pin.ZoneKey) { z.ID = "other" },
		"id and program run into another": func(z *pin.ZoneKey) { z.ID, z.ProgramID = "zpkprogram", "" },
		"another row's key":               func(z *pin.ZoneKey) { z.Wrapped = stranger.Wrapped },
		"a flipped bit":                   func(z *pin.ZoneKey) { z.Wrapped[20] ^= 1 },
		"no key":                          func(z *pin.ZoneKey) { z.Wrapped = nil },
	} {
		t.Run(name, func(t *testing.T) {
			store := newStore()
			ring := keyring.New(keyring.Sandbox(), store, atNoon)
			store.add(t, ring, "zpk", "program", pin.UsageZonePIN, "AES", aesKey)
			store.change("zpk", change)
			key, err := ring.ZoneKey(t.Context(), "program", "zpk")
			requireNotOpened(t, err)
			require.Nil(t, key)
		})
	}
	t.Run("a message key made a zone PIN key", func(t *testing.T) {
		store := newStore()
		ring := keyring.New(keyring.Sandbox(), store, atNoon)
		store.add(t, ring, "key", "program", pin.UsageMessage, "AES", aesKey)
		store.change("key", func(z *pin.ZoneKey) { z.Usage = pin.UsageZonePIN })
		_, err := ring.ZoneKey(t.Context(), "program", "key")
		requireNotOpened(t, err)
	})
}

func TestZoneKeyIsReadOnceInThirtySeconds(t *testing.T) {
	store, clock := newStore(), newClock()
	ring := keyring.New(keyring.Sandbox(), store, clock.now)
	store.add(t, ring, "zpk", "", pin.UsageZonePIN, "AES", aesKey)
	ask := func() error {
		_, err := ring.ZoneKey(t.Context(), "program", "zpk")
		return err
	}
	unknown := &pin.Error{Code: pin.UnknownKey}

	require.NoError(t, ask())
	clock.forward(30*time.Second - 1)
	require.NoError(t, ask())
	require.Equal(t, 1, store.asks, "a kept key needs no database")
	clock.forward(1)
	require.NoError(t, ask())
	require.Equal(t, 2, store.asks, "after 30 seconds the row is read again")

	store.change("zpk", func(z *pin.ZoneKey) { z.State = pin.KeyRetired })
	clock.forward(30*time.Second - 1)
	require.NoError(t, ask(), "a retired key may live until its row is read")
	clock.forward(1)
	require.Equal(t, unknown, ask(), "and no longer")
	clock.forward(-time.Second)
	require.Equal(t, unknown, ask(), "nor when the clock is put back")

	store.change("zpk", func(z *pin.ZoneKey) { z.State = pin.KeyActive })
	require.NoError(t, ask(), "that a key is unknown is not kept")
	asks := store.asks
	clock.forward(-time.Hour)
	require.NoError(t, ask())
	require.Equal(t, asks+1, store.asks, "a clock put back does not lengthen a key's life")
}

// The row may change while it is on its way, so its age counts from when it was asked for.
func TestZoneKeyAgesFromWhenItsRowWasAskedFor(t *testing.T) {
	inner, clock := newStore(), newClock()
	slow := slowStore{inner, func() { clock.forward(20 * time.Second) }}
	ring := keyring.New(keyring.Sandbox(), slow, clock.now)
	inner.add(t, ring, "zpk", "", pin.UsageZonePIN, "AES", aesKey)
	_, err := ring.ZoneKey(t.Context(), "program", "zpk")
	require.NoError(t, err)
	inner.change("zpk", func(z *pin.ZoneKey) { z.State = pin.KeyRetired })
	clock.forward(10 * time.Second)
	_, err = ring.ZoneKey(t.Context(), "program", "zpk")
	require.Equal(t, &pin.Error{Code: pin.UnknownKey}, err)
}

// slowStore answers, and then lets time go by.
type slowStore struct {
	*store
	wait func()
}

func (s slowStore) ZoneKey(ctx context.Context, id string) (pin.ZoneKey, error) {
	defer s.wait()
	return s.store.ZoneKey(ctx, id)
}

func TestKeptZoneKeysAreBounded(t *testing.T) {
	store := newStore()
	ring := keyring.New(keyring.Sandbox(), store, atNoon)
	ask := func(i int) {
		_, err := ring.ZoneKey(t.Context(), "program", fmt.Sprint(i))
		require.NoError(t, err)
	}
	for i := range keyring.MaxZoneKeys + 1 {
		store.add(t, ring, fmt.Sprint(i), "", pin.UsageZonePIN, "AES", aesKey)
		ask(i)
	}
	require.Equal(t, keyring.MaxZoneKeys+1, store.asks)
	ask(keyring.MaxZoneKeys)
	require.Equal(t, keyring.MaxZoneKeys+1, store.asks, "the newest is kept")
	ask(0)
	require.Equal(t, keyring.MaxZoneKeys+2, store.asks, "the oldest had to go")
}

func TestBlockThatDoesNotOpenTellsNothing(t *testing.T) {
	store := newStore()
	ring := keyring.New(keyring.Sandbox(), store, atNoon)
	for id, key := range map[string]string{"TDES": tdesKey, "AES": aesKey} {
		store.add(t, ring, id, "", pin.UsageZonePIN, id, key)
	}
	tdes := func(plain string) []byte { // clear blocks that pinblock would not make
		cipher, err := des.NewTripleDESCipher(unhex(t, tdesKey+tdesKey[:16]))
		require.NoError(t, err)
		block := unhex(t, plain)
		cipher.Encrypt(block, block)
		return block
	}
	iso4 := encrypt(t, "AES", aesKey, pinblock.ISO4)
	flipped := append([]byte{}, iso4...)
	flipped[3] ^= 1

	type offered struct {
		key    string
		format pinblock.Format
		block  []byte
		pan    string
	}
	opened := func(t *testing.T, tc offered) error {
		key, err := ring.ZoneKey(t.Context(), "program", tc.key)
		require.NoError(t, err)
		p, err := key.OpenBlock(tc.format, tc.block, tc.pan)
		require.Zero(t, p.Len())
		return err
	}
	for name, tc := range map[string]offered{
		"no block":                     {"TDES", pinblock.ISO0, nil, pan},
		"block of seven bytes":         {"TDES", pinblock.ISO0, make([]byte, 7), pan},
		"block of two blocks":          {"TDES", pinblock.ISO0, make([]byte, 16), pan},
		"unknown format":               {"TDES", 0, make([]byte, 8), pan},
		"format of the other cipher":   {"TDES", pinblock.ISO4, iso4, pan},
		"format 0 under AES":           {"AES", pinblock.ISO0, encrypt(t, "TDES", tdesKey, pinblock.ISO0), pan},
		"format 4 cut to half a block": {"AES", pinblock.ISO4, iso4[:8], pan},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, &pin.Error{Code: pin.UnfitBlock}, opened(t, tc)) })
	}
	for name, tc := range map[string]offered{
		"format 0 read as format 3":   {"TDES", pinblock.ISO3, encrypt(t, "TDES", tdesKey, pinblock.ISO0), pan},
		"PAN that is none":            {"TDES", pinblock.ISO0, encrypt(t, "TDES", tdesKey, pinblock.ISO0), "5413-3300"},
		"no PAN":                      {"TDES", pinblock.ISO0, encrypt(t, "TDES", tdesKey, pinblock.ISO0), ""},
		"wrong control nibble":        {"TDES", pinblock.ISO1, tdes("24123456789ABCDE"), pan},
		"length of three":             {"TDES", pinblock.ISO1, tdes("13123456789ABCDE"), pan},
		"length of thirteen":          {"TDES", pinblock.ISO1, tdes("1D1234567890123E"), pan},
		"digit that is none":          {"TDES", pinblock.ISO1, tdes("1412A456789ABCDE"), pan},
		"format 4 for another PAN":    {"AES", pinblock.ISO4, iso4, "5413330056003586"},
		"format 4 with a flipped bit": {"AES", pinblock.ISO4, flipped, pan},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, &pin.Error{Code: pin.Unopenable}, opened(t, tc)) })
	}
}

func TestAKeyFitsWhomeverItIsFor(t *testing.T) {
	store := newStore()
	ring := keyring.New(keyring.Sandbox(), store, atNoon)
	store.add(t, ring, "zone", "program", pin.UsageZonePIN, "TDES", tdesKey)
	store.add(t, ring, "message", "program", pin.UsageMessage, "AES", aesKey)
	store.add(t, ring, "everybody's", "", pin.UsageMessage, "AES", aesKey)
	store.add(t, ring, "of DES", "", pin.UsageMessage, "TDES", tdesKey)
	store.add(t, ring, "retired", "", pin.UsageMessage, "AES", aesKey)
	store.change("retired", func(k *pin.ZoneKey) { k.State = pin.KeyRetired })
	size := len(unhex(t, aesKey))
	for _, test := range []struct {
		name, program, id string
		usage             pin.KeyUsage
		size              int
		want              bool
	}{
		{"its own", "program", "zone", pin.UsageZonePIN, 0, true},
		{"of the size", "program", "message", pin.UsageMessage, size, true},
		{"everybody's", "program", "everybody's", pin.UsageMessage, size, true},
		{"everybody's, for a client of the whole server", "", "everybody's", pin.UsageMessage, size, true},
		{"not there yet", "program", "none", pin.UsageMessage, size, true},
		{"a program's, for a client of the whole server", "", "message", pin.UsageMessage, size, false},
		{"another program's", "other", "message", pin.UsageMessage, size, false},
		{"for another usage", "program", "zone", pin.UsageMessage, 0, false},
		{"of another size", "program", "message", pin.UsageMessage, size + 1, false},
		{"of another algorithm", "program", "of DES", pin.UsageMessage, len(unhex(t, tdesKey)), false},
		{"retired", "program", "retired", pin.UsageMessage, size, false},
	} {
		fits, err := ring.Fits(t.Context(), test.program, test.id, test.usage, test.size)
		require.NoError(t, err, test.name)
		require.Equal(t, test.want, fits, test.name)
	}
	store.change("message", func(k *pin.ZoneKey) { k.Wrapped[0] ^= 1 })
	fits, err := ring.Fits(t.Context(), "program", "message", pin.UsageMessage, size)
	require.Equal(t, pin.Internal, pin.CodeOf(err), "it does not open")
	require.False(t, fits)
	store.err = &pin.Error{Code: pin.Unavailable}
	_, err = ring.Fits(t.Context(), "program", "message", pin.UsageMessage, size)
	require.Equal(t, pin.Unavailable, pin.CodeOf(err))
}

func TestTheLongCheckValueOfAPartnersKey(t *testing.T) {
	long, err := keyring.LongCheckValue(keyring.TDES, unhex(t, tdesKey))
	require.NoError(t, err)
	require.Equal(t, "08D7B4FB629D0885", long)
	_, err = keyring.LongCheckValue(keyring.TDES, unhex(t, tdesKey[:14]))
	require.Error(t, err)
}
