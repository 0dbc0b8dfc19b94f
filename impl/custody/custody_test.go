package custody_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/custody"
	"pinvault/impl/keyring"
	"pinvault/impl/keyring/keyringtest"
	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
	"pinvault/impl/store"
	"pinvault/impl/store/storetest"
)

// world is a custody over a vault on SQLite.
type world struct {
	*custody.Custody
	vault   *pin.Vault
	ring    *keyring.Ring
	db      *store.Store
	program string
	now     time.Time
}

func (w *world) clock() time.Time { return w.now }

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx := as(t, pin.Operator(""))
	db, err := store.Open(ctx, storetest.SQLite(t), store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Migrate(ctx))
	w := &world{db: db, now: time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)}
	w.ring = keyring.Open(keyringtest.Shared(t), db, w.clock)
	w.vault = pin.NewVault(db, w.ring, w.clock, nil)
	w.vault.OnKeysChanged(w.ring.Recheck)
	require.NoError(t, w.vault.Initialize(ctx))
	p, err := w.vault.CreateProgram(ctx, pin.NewProgram("test"), pin.Memo{})
	require.NoError(t, err)
	w.program = p.ID
	w.Custody = custody.New(w.vault, w.ring, w.clock, nil)
	return w
}

// as is the test's context, called by who.
func as(t *testing.T, who pin.Caller) context.Context {
	t.Helper()
	return pin.WithCaller(t.Context(), who)
}

// client is a client of the whole server, bound is one of a program.
func client(id string) pin.Caller { return pin.Caller{ClientID: id, Everywhere: true} }

func (w *world) bound(id string) pin.Caller { return pin.Caller{ClientID: id, ProgramID: w.program} }

// imported puts a key to use whose bytes are known.
func (w *world) imported(t *testing.T, id, program string, usage pin.KeyUsage, algorithm, key string) {
	t.Helper()
	raw, err := hex.DecodeString(key)
	require.NoError(t, err)
	row, err := w.ring.WrapZoneKey(id, program, usage, algorithm, raw)
	require.NoError(t, err)
	require.NoError(t, w.vault.ImportZoneKey(as(t, pin.Operator("")), row, pin.Memo{}))
}

// told are the types of the events about a key, in order, with how those of refusals ended.
func (w *world) told(t *testing.T, id string) (types []string) {
	t.Helper()
	events, err := w.vault.AuditEvents(as(t, pin.Operator("")), pin.AuditQuery{Page: pin.Page{Limit: 1000}})
	require.NoError(t, err)
	for _, e := range events {
		if e.Subject == id {
			types = append(types, strings.TrimSpace(string(e.Type)+" "+e.Outcome))
		}
	}
	return types
}

// sound demands that the trail and the rows agree.
func (w *world) sound(t *testing.T) {
	t.Helper()
	summary, err := w.vault.VerifyTrail(as(t, pin.Operator("")), pin.VerifyOptions{})
	require.NoError(t, err)
	require.Empty(t, summary.Findings)
}

const (
	partOne   = "2C5D8A31F07E94B6C81A43E5907BD6F2"
	partTwo   = "91E6A7D3B4580F2C3DAE6B94F1C7028A"
	partThree = "5B3E19C8A6F04D7281DC35E79A40B6F1"
)

func bytesOf(t *testing.T, digits string) []byte {
	t.Helper()
	b, err := hex.DecodeString(digits)
	require.NoError(t, err)
	return b
}

func TestADrawnKeyIsPendingUntilItIsActivated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := as(t, w.bound("issuer"))
	for _, test := range []struct {
		usage     pin.KeyUsage
		algorithm string
		bits      int
		want      int
	}{
		{pin.UsageZonePIN, "TDES", 0, 192}, {pin.UsageZonePIN, "TDES", 128, 128}, {pin.UsageZonePIN, "AES", 0, 256}, {pin.UsageZonePIN, "RSA", 0, 2048},
		{pin.UsageMessage, "AES", 192, 192}, {pin.UsageZoneMaster, "AES", 0, 256}, {pin.UsageVerification, "TDES", 0, 192}, {pin.UsagePINMailer, "AES", 128, 128},
	} {
		id := string(test.usage) + test.algorithm + time.Duration(test.bits).String()
		k, err := w.Make(ctx, custody.Wanted{ID: id, ProgramID: w.program, Usage: test.usage, Algorithm: test.algorithm, Bits: test.bits}, pin.Memo{})
		require.NoError(t, err, id)
		require.Equal(t, test.want, k.Size)
		require.Equal(t, pin.KeyPending, k.State)
		require.Len(t, k.CheckValue, 6)
		require.Empty(t, k.Wrapped, "its material is nobody's")
	}
	const id = "zone-pinAES0s"
	_, err := w.ring.ZoneKey(ctx, w.program, id)
	require.Equal(t, pin.UnknownKey, pin.CodeOf(err), "a pending key opens nothing")
	k, err := w.Activate(ctx, id, pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, 2, k.Version)
	_, err = w.ring.ZoneKey(ctx, w.program, id)
	require.NoError(t, err)
	_, err = w.Activate(ctx, id, pin.Memo{})
	require.ErrorIs(t, err, pin.KeyStateForbids)
	k, err = w.Retire(ctx, id, time.Time{}, pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, pin.KeyRetired, w.StateOf(k))
	w.now = w.now.Add(time.Minute) // after which every process has noticed
	_, err = w.ring.ZoneKey(ctx, w.program, id)
	require.Equal(t, pin.UnknownKey, pin.CodeOf(err))
	k, err = w.Destroy(ctx, id, pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, pin.KeyDestroyed, k.State)
	row, err := w.vault.Key(ctx, id)
	require.NoError(t, err)
	require.Empty(t, row.Wrapped, "nothing is left of it but the row")
	require.Equal(t, []string{"key.generated", "key.activated", "key.retired", "key.destroyed"}, w.told(t, id))
	w.sound(t)
}

func TestKeysThatAreNotMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.imported(t, "taken", w.program, pin.UsageZonePIN, "TDES", partOne)
	wanted := custody.Wanted{ID: "k", ProgramID: w.program, Usage: pin.UsageZonePIN, Algorithm: "AES"}
	for name, test := range map[string]struct {
		who   pin.Caller
		with  func(*custody.Wanted)
		code  pin.Code
		field string
	}{
		"for another program":             {pin.Caller{ClientID: "x", ProgramID: "other"}, func(*custody.Wanted) {}, pin.Forbidden, ""},
		"for all, by one program's":       {w.bound("x"), func(w *custody.Wanted) { w.ProgramID = "" }, pin.Forbidden, ""},
		"for a program that there is not": {client("x"), func(w *custody.Wanted) { w.ProgramID = "nobody" }, pin.NotFound, ""},
		"of an id that is taken":          {client("x"), func(w *custody.Wanted) { w.ID = "taken" }, pin.Duplicate, "keyId"},
		"of an algorithm that it has not": {client("x"), func(w *custody.Wanted) { w.Usage = pin.UsageVerification }, pin.InvalidField, "algorithm"},
		"RSA of components":               {client("x"), func(w *custody.Wanted) { w.Algorithm, w.Components = "RSA", 2 }, pin.InvalidField, "algorithm"},
		"of a length that it has not":     {client("x"), func(w *custody.Wanted) { w.Bits = 2048 }, pin.InvalidField, "bits"},
		"in nobody's place":               {client("x"), func(w *custody.Wanted) { w.Succeeds = "nobody" }, pin.NotFound, ""},
		"in the place of one for all":     {client("x"), func(w *custody.Wanted) { w.ProgramID, w.Succeeds = "", "taken" }, pin.InvalidField, "succeeds"},
	} {
		asked := wanted
		test.with(&asked)
		_, err := w.Make(as(t, test.who), asked, pin.Memo{})
		require.Equal(t, test.code, pin.CodeOf(err), name)
		require.Equal(t, test.field, pin.FieldOf(err), name)
	}
	for name, err := range map[string]error{
		"activate": errOf(w.Activate(as(t, client("x")), "nobody", pin.Memo{})),
		"rotate":   errOf(w.Rotate(as(t, client("x")), "nobody", wanted, pin.Memo{})),
		"show":     errOf(w.Key(as(t, pin.Caller{ClientID: "x", ProgramID: "other"}), "taken")),
		"enter":    errOf(w.Enter(as(t, client("x")), "nobody", 1, bytesOf(t, partOne), pin.Memo{})),
	} {
		require.Equal(t, pin.NotFound, pin.CodeOf(err), name)
	}
	exhausted := custody.New(w.vault, w.ring, w.clock, strings.NewReader(""))
	_, err := exhausted.Make(as(t, client("x")), wanted, pin.Memo{})
	require.Equal(t, pin.Internal, pin.CodeOf(err), "no random source, no key")
}

func errOf(_ pin.ZoneKey, err error) error { return err }

func TestAKeyIsReplacedWithAnOverlap(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := as(t, w.bound("issuer"))
	w.imported(t, "old", w.program, pin.UsageZonePIN, "TDES", partOne)
	p, err := pin.New([]byte("4826"))
	require.NoError(t, err)
	seal := func(id string) error {
		_, err := w.ring.SealPIN(ctx, pin.UsageZonePIN, w.program, id, pinblock.ISO0, p, "9999990000000014", rand.Reader)
		return err
	}
	opens := func(id string) error {
		_, err := w.ring.ZoneKey(ctx, w.program, id)
		return err
	}
	next, err := w.Rotate(ctx, "old", custody.Wanted{ID: "next", Overlap: time.Hour}, pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, []any{pin.UsageZonePIN, "TDES", 128, pin.KeyPending}, []any{next.Usage, next.Algorithm, next.Size, next.State})
	require.NoError(t, seal("old"), "until the successor is active nothing has changed")
	_, err = w.Rotate(ctx, "old", custody.Wanted{ID: "late"}, pin.Memo{})
	require.NoError(t, err, "nobody knows yet which one will come in its place")

	_, err = w.Activate(ctx, "next", pin.Memo{})
	require.NoError(t, err)
	w.now = w.now.Add(31 * time.Second)
	require.NoError(t, opens("old"))
	require.Equal(t, pin.UnknownKey, pin.CodeOf(seal("old")), "a retiring key seals no more")
	require.NoError(t, opens("next"))
	require.NoError(t, seal("next"))
	_, err = w.Activate(ctx, "late", pin.Memo{})
	require.ErrorIs(t, err, pin.KeyStateForbids, "another one was faster")
	_, err = w.Rotate(ctx, "old", custody.Wanted{ID: "later"}, pin.Memo{})
	require.Equal(t, "succeeds", pin.FieldOf(err))

	w.now = w.now.Add(time.Hour)
	require.Equal(t, pin.UnknownKey, pin.CodeOf(opens("old")), "its date has come")
	old, err := w.Key(ctx, "old")
	require.NoError(t, err)
	require.Equal(t, pin.KeyRetired, w.StateOf(old))
	require.Equal(t, "next", old.Successor)
	_, err = w.Destroy(ctx, "old", pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, []string{"key.imported", "key.retired", "key.destroyed"}, w.told(t, "old"))
	listed, err := w.Keys(ctx, pin.Page{Limit: 10})
	require.NoError(t, err)
	require.Len(t, listed, 3)
	w.sound(t)
}

// Settings that name a message key mean those that came in its place.
func TestMessageKeysRollOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := as(t, w.bound("issuer"))
	w.imported(t, "accosa", w.program, pin.UsageMessage, "AES", "404142434445464748494A4B4C4D4E4F5051525354555657")
	before, err := w.ring.TokenKeys(ctx, w.program, "accosa", nil)
	require.NoError(t, err)
	require.Len(t, before, 1)
	token, err := before[0].Seal(rand.Reader, []byte("hello"))
	require.NoError(t, err)
	_, err = w.Rotate(ctx, "accosa", custody.Wanted{ID: "accosa-2", Overlap: time.Hour}, pin.Memo{})
	require.NoError(t, err)
	_, err = w.Activate(ctx, "accosa-2", pin.Memo{})
	require.NoError(t, err)
	during, err := w.ring.TokenKeys(ctx, w.program, "accosa", nil)
	require.NoError(t, err)
	require.Len(t, during, 2)
	text, ok := during[1].Open(token)
	require.True(t, ok)
	require.Equal(t, "hello", string(text))
	_, ok = during[0].Open(token)
	require.False(t, ok, "the new one is first, and another one")
	w.now = w.now.Add(time.Hour)
	after, err := w.ring.TokenKeys(ctx, w.program, "accosa", nil)
	require.NoError(t, err)
	require.Len(t, after, 1)
	_, ok = after[0].Open(token)
	require.False(t, ok)
}

func TestThreeCustodiansMakeAKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := as(t, w.bound("issuer"))
	k, err := w.Make(ctx, custody.Wanted{ID: "zmk", ProgramID: w.program, Usage: pin.UsageZoneMaster, Algorithm: "TDES", Components: 3, Lasts: time.Hour}, pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, "issuer", k.Ceremony.Initiator)
	parts := map[string]string{"alice": partOne, "bob": partTwo, "carol": partThree}
	enter := func(who string, number int, component string) (pin.ZoneKey, error) {
		return w.Enter(as(t, w.bound(who)), "zmk", number, bytesOf(t, component), pin.Memo{})
	}
	_, err = enter("bob", 2, strings.Repeat("00", 16))
	require.Equal(t, "component", pin.FieldOf(err), "zeros")
	_, err = enter("bob", 2, "0101010101010101FEFEFEFEFEFEFEFE")
	require.Equal(t, "component", pin.FieldOf(err), "weak")
	_, err = enter("bob", 2, "01FE01FE01FE01FE1122334455667788")
	require.Equal(t, "component", pin.FieldOf(err), "semi-weak")
	_, err = enter("bob", 2, "1122334455667788"+"1122334455667788")
	require.Equal(t, "component", pin.FieldOf(err), "halves that are equal")
	k, err = enter("bob", 2, parts["bob"])
	require.NoError(t, err)
	require.Equal(t, "EEE048", k.Ceremony.Parts[0].CheckValue)
	require.Empty(t, k.CheckValue, "there is no key yet")

	_, err = enter("bob", 1, parts["alice"])
	require.ErrorIs(t, err, pin.SameCustodian)
	_, err = enter("alice", 2, parts["alice"])
	require.Equal(t, pin.Duplicate, pin.CodeOf(err))
	_, err = enter("alice", 1, parts["alice"]+"0123456789ABCDEF")
	require.Equal(t, "component", pin.FieldOf(err), "another length")
	_, err = w.Confirm(as(t, w.bound("bob")), "zmk", "", pin.Memo{})
	require.ErrorIs(t, err, pin.KeyStateForbids, "before all are there")
	_, err = enter("alice", 1, parts["alice"])
	require.NoError(t, err)

	// The last one may not make the key what it likes: its component with the others' sum is a key of zeros.
	sum := make([]byte, 16)
	for i := range sum {
		sum[i] = bytesOf(t, partOne)[i] ^ bytesOf(t, partTwo)[i]
	}
	_, err = enter("carol", 3, hex.EncodeToString(sum))
	require.Equal(t, "component", pin.FieldOf(err), "the components cancel each other out")
	k, err = enter("carol", 3, parts["carol"])
	require.NoError(t, err)
	require.Len(t, k.CheckValue, 6)
	_, err = enter("dave", 3, parts["carol"])
	require.ErrorIs(t, err, pin.KeyStateForbids, "it is whole")
	_, err = w.Activate(ctx, "zmk", pin.Memo{})
	require.ErrorIs(t, err, pin.KeyStateForbids, "and not confirmed")

	confirm := func(who, checkValue string) (pin.ZoneKey, error) {
		return w.Confirm(as(t, w.bound(who)), "zmk", checkValue, pin.Memo{})
	}
	_, err = confirm("alice", k.CheckValue)
	require.NoError(t, err)
	_, err = confirm("alice", k.CheckValue)
	require.ErrorIs(t, err, pin.SameCustodian)
	_, err = confirm("issuer", k.CheckValue)
	require.Equal(t, pin.Forbidden, pin.CodeOf(err), "who entered nothing confirms nothing")
	_, err = confirm("bob", "000000")
	require.Equal(t, "checkValue", pin.FieldOf(err))
	_, err = confirm("bob", k.CheckValue)
	require.NoError(t, err)
	done, err := confirm("carol", k.CheckValue)
	require.NoError(t, err)
	require.Equal(t, pin.KeyActive, done.State)

	record := custody.Record(done, w.StateOf(done))
	for who, component := range parts {
		require.Contains(t, record, "entered by "+who+" at 2026-03-01T12:00:00Z")
		require.Contains(t, record, "by "+who+" at 2026-03-01T12:00:00Z")
		require.NotContains(t, strings.ToUpper(record), component)
	}
	require.Contains(t, record, "Check value     "+k.CheckValue)
	require.Contains(t, record, "Requested by    issuer")
	require.Equal(t, []string{
		"key.requested", "key.refused invalid_field", "key.refused invalid_field", "key.refused invalid_field", "key.refused invalid_field", "key.component_entered",
		"key.refused same_custodian", "key.refused invalid_field", "key.refused key_state", "key.component_entered", "key.refused invalid_field", "key.component_entered",
		"key.refused key_state", "key.confirmed", "key.refused same_custodian", "key.refused forbidden", "key.refused invalid_field", "key.confirmed", "key.activated",
	}, w.told(t, "zmk"))
	w.sound(t)
	row, err := w.vault.Key(ctx, "zmk")
	require.NoError(t, err)
	for _, p := range row.Ceremony.Parts {
		require.Empty(t, p.Wrapped, "no component is kept")
	}
}

// However many custodians come at the same moment, each enters one component.
func TestCustodiansComeAtTheSameMoment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.Make(as(t, w.bound("issuer")), custody.Wanted{ID: "k", ProgramID: w.program, Usage: pin.UsageZonePIN, Algorithm: "TDES", Components: 3, Lasts: time.Hour}, pin.Memo{})
	require.NoError(t, err)
	failed := make(chan error, 3)
	for i, component := range []string{partOne, partTwo, partThree} {
		go func() {
			ctx := pin.WithCaller(context.Background(), w.bound("custodian"+string(rune('a'+i))))
			raw, err := hex.DecodeString(component)
			if err == nil {
				_, err = w.Enter(ctx, "k", i+1, raw, pin.Memo{})
			}
			failed <- err
		}()
	}
	for range 3 {
		require.NoError(t, <-failed)
	}
	k, err := w.Key(as(t, client("x")), "k")
	require.NoError(t, err)
	require.Len(t, k.CheckValue, 6)
	w.sound(t)
}

func TestACeremonyThatTakesTooLongIsSwept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := as(t, client("issuer"))
	for _, id := range []string{"late", "later"} {
		_, err := w.Make(ctx, custody.Wanted{ID: id, Usage: pin.UsageZonePIN, Algorithm: "TDES", Components: 2, Lasts: time.Duration(len(id)) * time.Minute}, pin.Memo{})
		require.NoError(t, err)
		_, err = w.Enter(as(t, client("alice")), id, 1, bytesOf(t, partOne), pin.Memo{})
		require.NoError(t, err)
	}
	w.now = w.now.Add(4 * time.Minute)
	_, err := w.Enter(as(t, client("bob")), "late", 2, bytesOf(t, partTwo), pin.Memo{})
	require.ErrorIs(t, err, pin.KeyStateForbids)
	n, err := w.Sweep(as(t, pin.Operator("upkeep")))
	require.NoError(t, err)
	require.Equal(t, int64(1), n)
	k, err := w.vault.Key(ctx, "late")
	require.NoError(t, err)
	require.Equal(t, pin.KeyDestroyed, k.State)
	require.Empty(t, k.Ceremony.Parts[0].Wrapped)
	n, err = w.Sweep(as(t, pin.Operator("upkeep")))
	require.NoError(t, err)
	require.Zero(t, n, "the other one has a minute left")
	w.sound(t)
}

// standardBlock is TR-31:2018, A.7.4, under this key.
const (
	standardMaster = "88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6"
	standardBlock  = "D0112P0AE00E0000B82679114F470F540165EDFBF7E250FCEA43F810D215F8D207E2E417C07156A27E8E31DA05F7425509593D03A457DC34"
)

func TestKeyBlocksComeAndGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := as(t, client("issuer"))
	w.imported(t, "zmk", "", pin.UsageZoneMaster, "AES", standardMaster)
	w.imported(t, "zmk-tdes", "", pin.UsageZoneMaster, "TDES", partOne+"0123456789ABCDEF")
	w.imported(t, "zmk-program", w.program, pin.UsageZoneMaster, "AES", standardMaster)
	wanted := custody.Wanted{ID: "block", Usage: pin.UsageZonePIN}
	k, err := w.Import(ctx, wanted, "zmk", standardBlock, "08793E", pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, pin.KeyBlock{Usage: "P0", Mode: "E", Exportability: "E"}, k.Block)
	require.Equal(t, []any{"AES", 128, pin.KeyPending}, []any{k.Algorithm, k.Size, k.State})
	_, err = w.Activate(ctx, "block", pin.Memo{})
	require.NoError(t, err)
	_, err = w.ring.ZoneKey(ctx, w.program, "block")
	require.Equal(t, pin.UnknownKey, pin.CodeOf(err), "its mode is to encrypt alone")

	// What leaves says what the block said, and holds what it held.
	again, checkValue, err := w.Export(ctx, "block", "zmk", pin.Memo{})
	if keyringtest.InToken() {
		require.ErrorIs(t, err, pin.NotExportable)
		return
	}
	require.NoError(t, err)
	require.Equal(t, "08793E", checkValue)
	require.Equal(t, "P0AE00E0000", again[5:16])
	wanted.ID = "again"
	back, err := w.Import(ctx, wanted, "zmk", again, "08793E", pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, k.Block, back.Block)

	for name, test := range map[string]struct {
		master, block, checkValue string
		usage                     pin.KeyUsage
		code                      pin.Code
		field                     string
		opens                     bool
	}{
		"a changed header":               {"zmk", strings.Replace(standardBlock, "P0AE", "P0AB", 1), "", pin.UsageZonePIN, pin.InvalidField, "keyBlock", false},
		"a changed key":                  {"zmk", standardBlock[:40] + "0" + standardBlock[41:], "", pin.UsageZonePIN, pin.InvalidField, "keyBlock", false},
		"cut off":                        {"zmk", standardBlock[:100], "", pin.UsageZonePIN, pin.InvalidField, "keyBlock", false},
		"under another key":              {"zmk-tdes", standardBlock, "", pin.UsageZonePIN, pin.InvalidField, "keyBlock", false},
		"a usage that is not its own":    {"zmk", standardBlock, "", pin.UsageMessage, pin.InvalidField, "usage", true},
		"a mode that opens no mailer":    {"zmk", standardBlock, "", pin.UsageZoneMaster, pin.InvalidField, "usage", true},
		"another check value":            {"zmk", standardBlock, "000000", pin.UsageZonePIN, pin.InvalidField, "checkValue", true},
		"a master key of one program":    {"zmk-program", standardBlock, "", pin.UsageZonePIN, pin.UnknownKey, "", true},
		"a master key that there is not": {"nobody", standardBlock, "", pin.UsageZonePIN, pin.UnknownKey, "", true},
		"a key that is no master key":    {"again", standardBlock, "", pin.UsageZonePIN, pin.UnknownKey, "", true},
	} {
		_, err := w.Import(ctx, custody.Wanted{ID: "refused", Usage: test.usage}, test.master, test.block, test.checkValue, pin.Memo{})
		require.Equal(t, test.code, pin.CodeOf(err), name)
		require.Equal(t, test.field, pin.FieldOf(err), name)
		require.Equal(t, !test.opens, errors.Is(err, pin.KeyBlockUnopened), name)
	}

	// Exportability is held, and so is strength.
	w.imported(t, "kept", "", pin.UsageZonePIN, "TDES", partOne)
	_, _, err = w.Export(ctx, "kept", "zmk", pin.Memo{})
	require.ErrorIs(t, err, pin.NotExportable)
	_, err = w.Make(ctx, custody.Wanted{ID: "strong", Usage: pin.UsageZonePIN, Algorithm: "AES", Exportable: true}, pin.Memo{})
	require.NoError(t, err)
	_, _, err = w.Export(ctx, "strong", "zmk-tdes", pin.Memo{})
	require.Equal(t, "masterKeyId", pin.FieldOf(err), "an AES key of 256 bits under TDES")
	_, err = w.Make(ctx, custody.Wanted{ID: "tdes", Usage: pin.UsageVerification, Algorithm: "TDES", Bits: 128, Exportable: true}, pin.Memo{})
	require.NoError(t, err)
	block, _, err := w.Export(ctx, "tdes", "zmk-tdes", pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, "B", block[:1])
	require.Equal(t, "V0TC00E0000", block[5:16])
	_, _, err = w.Export(ctx, "zmk", "zmk", pin.Memo{})
	require.ErrorIs(t, err, pin.NotExportable)
	_, err = w.Destroy(ctx, "tdes", pin.Memo{})
	require.NoError(t, err)
	_, _, err = w.Export(ctx, "tdes", "zmk-tdes", pin.Memo{})
	require.ErrorIs(t, err, pin.KeyStateForbids)
	require.Equal(t, []string{"key.imported", "key.activated", "key.exported"}, w.told(t, "block"))
	w.sound(t)
}
