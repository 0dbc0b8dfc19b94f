package pinservices_test

import (
	"context"
	"encoding/hex"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/keyring"
	"pinvault/impl/keyring/keyringtest"
	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
	"pinvault/impl/pinservices"
	"pinvault/impl/pinverification"
	"pinvault/impl/store"
	"pinvault/impl/store/storetest"
)

// world are services over a vault on SQLite, with two cards: of a program that keeps PINs, and of one that does not.
type world struct {
	*pinservices.Services
	vault           *pin.Vault
	ring            *keyring.Ring
	kept, forgotten pin.Card
	other           pin.Program
}

const (
	pan = "1122334455667788"
	zpk = "C1D0F8FB4958670DBA40AB1F3752EF0D"
	pvk = "0123456789ABCDEFFEDCBA9876543210"
	aes = "00112233445566778899AABBCCDDEEFF"
)

var operator = pin.Operator("")

func newWorld(t *testing.T) (*world, context.Context) {
	t.Helper()
	ctx := pin.WithCaller(t.Context(), operator)
	db, err := store.Open(ctx, storetest.SQLite(t), store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Migrate(ctx))
	w := &world{}
	w.ring = keyring.Open(keyringtest.Shared(t), db, nil)
	w.vault = pin.NewVault(db, w.ring, nil, nil)
	require.NoError(t, w.vault.Initialize(ctx))
	w.kept, w.forgotten = w.card(ctx, t, true), w.card(ctx, t, false)
	w.other, err = w.vault.CreateProgram(ctx, pin.NewProgram("other"), pin.Memo{})
	require.NoError(t, err)
	for _, k := range []struct {
		id, program string
		usage       pin.KeyUsage
		algorithm   string
		key         string
		block       pin.KeyBlock
	}{
		{"zpk", "", pin.UsageZonePIN, "TDES", zpk, pin.KeyBlock{}}, {"zpk-aes", "", pin.UsageZonePIN, "AES", aes, pin.KeyBlock{}},
		{"zpk-other", w.other.ID, pin.UsageZonePIN, "TDES", zpk, pin.KeyBlock{}},
		{"zpk-opens", "", pin.UsageZonePIN, "TDES", zpk, pin.KeyBlock{Usage: "P0", Mode: "D"}},
		{"pvk", "", pin.UsageVerification, "TDES", pvk, pin.KeyBlock{}}, {"pvk-ibm", "", pin.UsageVerification, "TDES", pvk, pin.KeyBlock{Usage: "V1", Mode: "C"}},
		{"pvk-visa", "", pin.UsageVerification, "TDES", pvk, pin.KeyBlock{Usage: "V2", Mode: "G"}},
		{"pvk-verifies", "", pin.UsageVerification, "TDES", pvk, pin.KeyBlock{Usage: "V0", Mode: "V"}},
		{"pvk-other", w.other.ID, pin.UsageVerification, "TDES", pvk, pin.KeyBlock{}},
		{"printer", "", pin.UsagePINMailer, "TDES", "4C3BD5A1F7206E9876AD13E9B05CF482", pin.KeyBlock{}},
	} {
		raw, err := hex.DecodeString(k.key)
		require.NoError(t, err)
		row, err := w.ring.WrapZoneKey(k.id, k.program, k.usage, k.algorithm, raw)
		require.NoError(t, err)
		row.Block = k.block
		require.NoError(t, w.vault.ImportZoneKey(ctx, row, pin.Memo{}))
	}
	w.Services = pinservices.New(w.vault, w.ring, nil)
	return w, ctx
}

// card is one with the vectors' PAN and PIN, of a program of its own.
func (w *world) card(ctx context.Context, t *testing.T, retrieval bool) pin.Card {
	t.Helper()
	p := pin.NewProgram("test")
	p.RetrievalAllowed, p.Policy = retrieval, pin.PolicyOff
	p, err := w.vault.CreateProgram(ctx, p, pin.Memo{})
	require.NoError(t, err)
	c, err := w.vault.CreateCard(ctx, pin.NewCard{ProgramID: p.ID, PAN: pan, PIN: of(t, "4524")}, pin.Memo{})
	require.NoError(t, err)
	return c
}

func of(t *testing.T, digits string) pin.PIN {
	t.Helper()
	p, err := pin.New([]byte(digits))
	require.NoError(t, err)
	return p
}

// block offers a PIN block of digits under the zone PIN key.
func block(t *testing.T, digits string) pin.Offer {
	t.Helper()
	return pin.Encrypted("zpk", pinblock.ISO0, sealed(t, zpk, pinblock.ISO0, digits))
}

func sealed(t *testing.T, key string, f pinblock.Format, digits string) []byte {
	t.Helper()
	k := keyOf(t, key, f)
	out, err := k.Encrypt(f, []byte(digits), pan, zeros{})
	require.NoError(t, err)
	return out
}

func keyOf(t *testing.T, key string, f pinblock.Format) *pinblock.Key {
	t.Helper()
	raw, err := hex.DecodeString(key)
	require.NoError(t, err)
	of := pinblock.NewTDES
	if f == pinblock.ISO4 {
		of = pinblock.NewAES
	}
	k, err := of(raw)
	require.NoError(t, err)
	return k
}

// zeros is a random source that is none.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

var vectors = pinverification.IBM3624{Table: "1234567890123456", Start: 0, Digits: 16}

// told are the types of a card's events since it was made, with subject and outcome.
func (w *world) told(ctx context.Context, t *testing.T, chain string) (out []string) {
	t.Helper()
	events, err := w.vault.AuditEvents(ctx, pin.AuditQuery{Chain: chain, Page: pin.Page{Limit: 100}})
	require.NoError(t, err)
	for _, e := range events[1:] {
		out = append(out, string(e.Type)+" "+e.Subject+" "+e.Outcome)
	}
	return out
}

func TestValuesOfTheStandards(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t)
	pvv, _, err := w.PVV(ctx, w.kept.ID, "pvk", 1, nil)
	require.NoError(t, err)
	require.Equal(t, "8523", pvv)
	offset, _, err := w.Offset(ctx, w.kept.ID, "pvk", vectors, nil)
	require.NoError(t, err)
	require.Equal(t, "0000", offset, "the card has its natural PIN")
	natural, err := w.NaturalPIN(ctx, w.kept.ID, "pvk", vectors, 4, keyring.Carrier{KeyID: "zpk", Format: pinblock.ISO0})
	require.NoError(t, err)
	require.Equal(t, sealed(t, zpk, pinblock.ISO0, "4524"), natural)
	require.NoError(t, w.vault.SetPIN(ctx, pin.Query{CardID: w.kept.ID}, pin.Plain(of(t, "1234")), pin.Memo{}))
	offset, _, err = w.Offset(ctx, w.kept.ID, "pvk-ibm", vectors, nil)
	require.NoError(t, err)
	require.Equal(t, "7710", offset)
	mail, err := w.Mailer(ctx, w.kept.ID, keyring.Carrier{KeyID: "printer", Format: pinblock.ISO0})
	require.NoError(t, err)
	require.Equal(t, sealed(t, "4C3BD5A1F7206E9876AD13E9B05CF482", pinblock.ISO0, "1234"), mail)
	require.Equal(t, []string{"pin.derived pvk pvv", "pin.derived pvk offset", "pin.derived pvk natural-pin", "pin.set  ", "pin.derived pvk-ibm offset", "pin.mailed printer "},
		w.told(ctx, t, w.kept.ID))
}

// Where a program keeps no PIN, whoever has it in a block gets its values, and whoever has not loses a try.
func TestAValueOfAPINInABlockIsAVerification(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t)
	ask := func(keyID string, o pin.Offer) (string, pin.Verification, error) {
		return w.PVV(ctx, w.forgotten.ID, keyID, 1, o)
	}
	_, _, err := ask("pvk", nil)
	require.Equal(t, pin.RetrievalOff, pin.CodeOf(err))
	_, err = w.Mailer(ctx, w.forgotten.ID, keyring.Carrier{KeyID: "printer", Format: pinblock.ISO0})
	require.Equal(t, pin.RetrievalOff, pin.CodeOf(err))
	pvv, v, err := ask("pvk", block(t, "4524"))
	require.NoError(t, err)
	require.Equal(t, pin.Verification{Result: pin.Match, RemainingTries: 3}, v)
	require.Equal(t, "8523", pvv)

	for name, offer := range map[string]pin.Offer{"right": block(t, "4524"), "wrong": block(t, "1111")} {
		for key, want := range map[string]pin.Code{"nobody": pin.UnknownKey, "pvk-other": pin.UnknownKey, "pvk-ibm": pin.UnknownKey,
			"pvk-verifies": pin.UnknownKey, "zpk": pin.UnknownKey} {
			_, _, err := ask(key, offer)
			require.Equal(t, want, pin.CodeOf(err), "%s under %s: a guess is not told from another before the key is there", name, key)
		}
	}
	pvv, v, err = ask("pvk", block(t, "1111"))
	require.NoError(t, err)
	require.Equal(t, pin.Verification{Result: pin.Mismatch, RemainingTries: 2}, v)
	require.Empty(t, pvv)
	_, v, err = ask("pvk", pin.Encrypted("zpk", pinblock.ISO0, make([]byte, 8)))
	require.NoError(t, err)
	require.Equal(t, pin.Verification{Result: pin.Opaque, RemainingTries: 1}, v)
	_, v, err = ask("pvk", block(t, "1111"))
	require.NoError(t, err)
	require.Equal(t, pin.Mismatch, v.Result)
	pvv, v, err = ask("pvk", block(t, "4524"))
	require.NoError(t, err)
	require.Equal(t, pin.Exhausted, v.Result, "a right PIN and a blocked card")
	require.Empty(t, pvv)
	require.Equal(t, []string{"pin.derived pvk pvv", "pin.failed  mismatch", "pin.failed  unopenable", "pin.failed  mismatch", "pin.blocked  mismatch", "pin.failed  blocked"},
		w.told(ctx, t, w.forgotten.ID))
}

func TestValuesThatAreNotMade(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t)
	to := keyring.Carrier{KeyID: "zpk", Format: pinblock.ISO0}
	weak, short := vectors, vectors
	weak.Table, short.Digits = "0000000000000000", 3
	bare, err := w.vault.CreateCard(ctx, pin.NewCard{ProgramID: w.kept.ProgramID}, pin.Memo{})
	require.NoError(t, err)
	for name, test := range map[string]struct {
		err   error
		code  pin.Code
		field string
	}{
		"a PVV by a key of IBM 3624":      {second(w.PVV(ctx, w.kept.ID, "pvk-ibm", 1, nil)), pin.UnknownKey, ""},
		"a PVV by a key that verifies":    {second(w.PVV(ctx, w.kept.ID, "pvk-verifies", 1, nil)), pin.UnknownKey, ""},
		"a PVV of an index that is none":  {second(w.PVV(ctx, w.kept.ID, "pvk", 10, nil)), pin.InvalidField, "keyIndex"},
		"a PVV of no PAN":                 {second(w.PVV(ctx, bare.ID, "pvk", 1, nil)), pin.UnfitBlock, ""},
		"a PVV of no card":                {second(w.PVV(ctx, "nobody", "pvk", 1, block(t, "4524"))), pin.NotFound, ""},
		"an offset by a key of Visa":      {second(w.Offset(ctx, w.kept.ID, "pvk-visa", vectors, nil)), pin.UnknownKey, ""},
		"an offset by a weak table":       {second(w.Offset(ctx, w.kept.ID, "pvk", weak, nil)), pin.InvalidField, "decimalizationTable"},
		"an offset of three digits":       {second(w.Offset(ctx, w.kept.ID, "pvk", short, nil)), pin.InvalidField, "validationData"},
		"a natural PIN of three digits":   {first(w.NaturalPIN(ctx, w.kept.ID, "pvk", short, 4, to)), pin.InvalidField, "validationData"},
		"a natural PIN by a key of Visa":  {first(w.NaturalPIN(ctx, w.kept.ID, "pvk-visa", vectors, 4, to)), pin.UnknownKey, ""},
		"a natural PIN under no key":      {first(w.NaturalPIN(ctx, w.kept.ID, "pvk", vectors, 4, keyring.Carrier{KeyID: "nobody", Format: pinblock.ISO0})), pin.UnknownKey, ""},
		"a natural PIN of no card":        {first(w.NaturalPIN(ctx, "nobody", "pvk", vectors, 4, to)), pin.NotFound, ""},
		"a mailer under a zone PIN key":   {first(w.Mailer(ctx, w.kept.ID, to)), pin.UnknownKey, ""},
		"a mailer in a format of AES":     {first(w.Mailer(ctx, w.kept.ID, keyring.Carrier{KeyID: "printer", Format: pinblock.ISO4})), pin.UnfitBlock, ""},
		"a mailer that a printer's opens": {first(w.Translate(ctx, w.kept.ProgramID, keyring.Carrier{KeyID: "printer", Format: pinblock.ISO0}, to, make([]byte, 8), pan)), pin.UnknownKey, ""},
	} {
		require.Equal(t, test.code, pin.CodeOf(test.err), name)
		require.Equal(t, test.field, pin.FieldOf(test.err), name)
	}
	require.Empty(t, w.told(ctx, t, w.kept.ID), "what was not made is not told")
}

func first(_ []byte, err error) error                      { return err }
func second(_ string, _ pin.Verification, err error) error { return err }

func TestTranslation(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t)
	formats := map[pinblock.Format][2]string{pinblock.ISO0: {"zpk", zpk}, pinblock.ISO1: {"zpk", zpk}, pinblock.ISO3: {"zpk", zpk}, pinblock.ISO4: {"zpk-aes", aes}}
	for from, opener := range formats {
		for to, sealer := range formats {
			out, err := w.Translate(ctx, w.kept.ProgramID, keyring.Carrier{KeyID: opener[0], Format: from}, keyring.Carrier{KeyID: sealer[0], Format: to},
				sealed(t, opener[1], from, "4524"), pan)
			if from != pinblock.ISO1 && to == pinblock.ISO1 {
				require.ErrorIs(t, err, pin.WeakerPINBinding, "%s to %s", from, to)
				require.Equal(t, "to.format", pin.FieldOf(err))
				continue
			}
			require.NoError(t, err, "%s to %s", from, to)
			digits, err := keyOf(t, sealer[1], to).Decrypt(to, out, pan)
			require.NoError(t, err)
			require.Equal(t, "4524", string(digits))
		}
	}
	zero := keyring.Carrier{KeyID: "zpk", Format: pinblock.ISO0}
	good := sealed(t, zpk, pinblock.ISO0, "4524")
	for name, test := range map[string]struct {
		program  string
		from, to keyring.Carrier
		block    []byte
		pan      string
		want     pin.Code
	}{
		"for nobody's program":               {"nobody", zero, zero, good, pan, pin.NotFound},
		"from a key that there is not":       {w.kept.ProgramID, keyring.Carrier{KeyID: "x", Format: pinblock.ISO0}, zero, good, pan, pin.UnknownKey},
		"from another program's key":         {w.kept.ProgramID, keyring.Carrier{KeyID: "zpk-other", Format: pinblock.ISO0}, zero, good, pan, pin.UnknownKey},
		"to another program's key":           {w.kept.ProgramID, zero, keyring.Carrier{KeyID: "zpk-other", Format: pinblock.ISO0}, good, pan, pin.UnknownKey},
		"to a key that opens alone":          {w.kept.ProgramID, zero, keyring.Carrier{KeyID: "zpk-opens", Format: pinblock.ISO0}, good, pan, pin.UnknownKey},
		"to a format of another cipher":      {w.kept.ProgramID, zero, keyring.Carrier{KeyID: "zpk", Format: pinblock.ISO4}, good, pan, pin.UnfitBlock},
		"of a block of another size":         {w.kept.ProgramID, zero, zero, good[:4], pan, pin.UnfitBlock},
		"of a block for another PAN":         {w.kept.ProgramID, zero, zero, good, "9999999999999995", pin.Unopenable},
		"of what is no block under this key": {w.kept.ProgramID, zero, zero, make([]byte, 8), pan, pin.Unopenable},
	} {
		out, err := w.Translate(ctx, test.program, test.from, test.to, test.block, test.pan)
		require.Equal(t, test.want, pin.CodeOf(err), name)
		require.Empty(t, out, name)
	}
	opened, err := w.Translate(ctx, w.kept.ProgramID, keyring.Carrier{KeyID: "zpk-opens", Format: pinblock.ISO0}, zero, good, pan)
	require.NoError(t, err)
	require.Equal(t, good, opened)
	count := map[string]int{}
	for _, line := range w.told(ctx, t, w.kept.ProgramID) {
		count[line]++
	}
	require.Equal(t, 2, count["pin.translated zpk unopenable"], "each that did not open is in the trail")
	require.Equal(t, 13, count["pin.translated zpk "]+count["pin.translated zpk-aes "]-1, "and each that did")
	_ = time.Now
}
