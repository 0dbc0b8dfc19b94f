package keyring_test

import (
	"cmp"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
)

func BenchmarkRing(b *testing.B) {
	store := newStore()
	ring := keyring.New(keyring.Sandbox(), store, time.Now)
	store.add(b, ring, "TDES", "", pin.UsageZonePIN, "TDES", tdesKey)
	store.add(b, ring, "AES", "", pin.UsageZonePIN, "AES", aesKey)
	iso0, iso4 := encrypt(b, "TDES", tdesKey, pinblock.ISO0), encrypt(b, "AES", aesKey, pinblock.ISO4)
	data := make([]byte, 49) // a card's id and a PIN, each after its length
	mac, err := ring.MAC(pin.UseSeal, data)
	require.NoError(b, err)
	verifier, err := ring.Seal(pin.UseVerifier, make([]byte, 48), data) // a salt and a digest
	require.NoError(b, err)
	sealed, err := ring.Seal(pin.UsePAN, []byte(pan), data)
	require.NoError(b, err)
	openBlock := func(id string, format pinblock.Format, block []byte) error {
		key, err := ring.ZoneKey(b.Context(), "program", id)
		if err != nil {
			return err
		}
		_, err = key.OpenBlock(format, block, pan)
		return err
	}
	openPAN := func() error {
		_, err := ring.Open(pin.UsePAN, sealed, data)
		return err
	}
	verifyMAC := func() error {
		if !ring.VerifyMAC(pin.UseSeal, data, mac) {
			return errors.New("the MAC is not good")
		}
		return nil
	}
	openVerifier := func() error {
		_, err := ring.Open(pin.UseVerifier, verifier, data)
		return err
	}
	verification := func(id string, format pinblock.Format, block []byte) error { // all cryptography of one
		return cmp.Or(openPAN(), openBlock(id, format, block), openVerifier())
	}

	for _, bench := range []struct {
		name string
		once func() error
	}{
		{"MAC", func() error { _, err := ring.MAC(pin.UseSeal, data); return err }},
		{"VerifyMAC", verifyMAC},
		{"Index", func() error { _, err := ring.Index(pin.UsePANIndex, []byte(pan)); return err }},
		{"Seal", func() error { _, err := ring.Seal(pin.UsePAN, []byte(pan), data); return err }},
		{"Open", openPAN},
		{"ZoneKey and OpenBlock, TDES", func() error { return openBlock("TDES", pinblock.ISO0, iso0) }},
		{"ZoneKey and OpenBlock, AES", func() error { return openBlock("AES", pinblock.ISO4, iso4) }},
		{"PIN verification, TDES", func() error { return verification("TDES", pinblock.ISO0, iso0) }},
		{"PIN verification, AES", func() error { return verification("AES", pinblock.ISO4, iso4) }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := bench.once(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
