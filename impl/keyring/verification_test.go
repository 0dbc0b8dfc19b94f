package keyring_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

func TestVerificationKeyMakesAndComparesPVVs(t *testing.T) {
	t.Parallel()
	store := newStore()
	ring := keyring.New(keyring.Sandbox(), store, atNoon)
	store.add(t, ring, "pvk", "program", pin.UsageVerification, "TDES", tdesKey)
	key, err := ring.VerificationKey(t.Context(), "program", "pvk")
	require.NoError(t, err)
	pvv, err := key.PVV("1122334455667788", 1, []byte("4524"))
	require.NoError(t, err)
	require.Equal(t, "8523", pvv)
	right, err := key.VerifyPVV("1122334455667788", 1, []byte("4524"), "8523")
	require.NoError(t, err)
	require.True(t, right)
	require.Equal(t, "****", fmt.Sprintf("%v", key))
}

func TestVerificationKeyIsForItsUsageProgramAndAlgorithm(t *testing.T) {
	t.Parallel()
	store := newStore()
	ring := keyring.New(keyring.Sandbox(), store, atNoon)
	store.add(t, ring, "pvk", "program", pin.UsageVerification, "TDES", tdesKey)
	store.add(t, ring, "everybody's", "", pin.UsageVerification, "TDES", tdesKey)
	store.add(t, ring, "zpk", "program", pin.UsageZonePIN, "TDES", tdesKey)
	store.add(t, ring, "aes", "program", pin.UsageVerification, "AES", aesKey)
	store.add(t, ring, "retired", "program", pin.UsageVerification, "TDES", tdesKey)
	store.change("retired", func(row *pin.ZoneKey) { row.State = pin.KeyRetired })
	for _, test := range []struct {
		program, key string
		known        bool
	}{
		{"program", "pvk", true},
		{"program", "everybody's", true},
		{"another", "everybody's", true},
		{"another", "pvk", false},
		{"program", "zpk", false},
		{"program", "aes", false},
		{"program", "retired", false},
		{"program", "none", false},
	} {
		key, err := ring.VerificationKey(t.Context(), test.program, test.key)
		if test.known {
			require.NoError(t, err, test.key)
			continue
		}
		require.Equal(t, &pin.Error{Code: pin.UnknownKey}, err, test.key)
		require.Nil(t, key)
	}
	_, err := ring.ZoneKey(t.Context(), "program", "pvk")
	require.Equal(t, &pin.Error{Code: pin.UnknownKey}, err, "it opens no PIN blocks")
}
