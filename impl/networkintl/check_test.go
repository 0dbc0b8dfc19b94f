package networkintl

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

// described knows keys of every algorithm, by its name; of others the ring of keys says the error of their name.
type described struct{ Keys }

func (described) PINKey(_ context.Context, _, id string) (keyring.PINKey, error) {
	if id == keyring.TDES || id == keyring.AES || id == keyring.RSA {
		return keyring.PINKey{Algorithm: id}, nil
	}
	return keyring.PINKey{}, &pin.Error{Code: pin.Code(id)}
}

func TestTheDefaultKeyIsTheFirstThatFitsAndIsNotRetired(t *testing.T) {
	t.Parallel()
	a := New(nil, described{}, nil, nil)
	for name, test := range map[string]struct {
		keys []string
		want string
		code pin.Code
	}{
		"the first":                        {[]string{keyring.TDES, keyring.AES}, keyring.TDES, ""},
		"one of another algorithm before":  {[]string{keyring.RSA, keyring.AES}, keyring.AES, ""},
		"a retired one before":             {[]string{string(pin.UnknownKey), keyring.AES}, keyring.AES, ""},
		"one that cannot be read just now": {[]string{string(pin.Unavailable), keyring.AES}, "", pin.Unavailable},
	} {
		key, err := a.defaultKey(t.Context(), tenant{settings: clientSettings{PINKeyIDs: test.keys}}, symmetric)
		require.Equal(t, test.code, pin.CodeOf(err), name)
		require.Equal(t, test.want, key.id, name)
	}
}

func TestHowLongABlockUnderAnUnknownKeyMayBe(t *testing.T) {
	t.Parallel()
	for digits, want := range map[int]bool{14: false, 16: true, 17: false, 32: true, 2*256 - 2: false, 2 * 256: true, 2 * 512: true, 2*512 + 2: false} {
		require.Equal(t, want, sizesUnder(chosenKey{}, []wanted{symmetric, asymmetric}).fit(digits), "%d digits", digits)
	}
}

// failing changes nothing, and counts what it is to remember.
type failing struct {
	Vault
	code       pin.Code
	remembered int
}

func (f *failing) ChangePIN(context.Context, pin.Query, pin.Offer, pin.Offer, pin.Memo) (pin.Verification, error) {
	if f.code == "" {
		return pin.Verification{}, nil
	}
	return pin.Verification{}, &pin.Error{Code: f.code}
}

func (f *failing) Remember(context.Context, any, pin.Memo) error {
	f.remembered++
	return nil
}

func TestWhatIsWrongWithTheCardIsKeptForARepetitionAndNoOtherFailure(t *testing.T) {
	t.Parallel()
	for code, kept := range map[pin.Code]bool{"": false, pin.NotFound: true, pin.Unavailable: false, pin.Internal: false} {
		v := &failing{code: code}
		out, err := New(v, nil, nil, func() time.Time { return time.Unix(0, 0) }).effect(t.Context(), pin.Query{}, nil, nil, pin.Memo{})
		require.Equal(t, kept, v.remembered == 1, code)
		if kept {
			require.NoError(t, err, code)
			require.Equal(t, code, out.Code)
		} else {
			require.Equal(t, code, pin.CodeOf(err))
		}
	}
}
