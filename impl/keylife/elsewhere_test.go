package keylife_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/keylife"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

// token holds the keys for PANs.
type token struct{ rotated []pin.Use }

func (*token) Holds(use pin.Use) bool { return use == pin.UsePAN }
func (t *token) Rotate(use pin.Use) error {
	t.rotated = append(t.rotated, use)
	return nil
}

// Keys that are not in the file take no steps in it; a new one is made where they are, and told of.
func TestKeysThatAreElsewhere(t *testing.T) {
	there := &token{}
	store := keylife.NewRehearsal(keyring.Sandbox())
	told := &trail{}
	k := keylife.NewKeeper(store, told, keylife.Options{Rand: rand.Reader, Elsewhere: there})
	ctx := operator(t)
	_, err := k.Generate(ctx, pin.UsePAN, pin.Memo{})
	require.ErrorAs(t, err, new(*keyring.Refusal))
	_, err = k.Take(ctx, keyring.Wish{Use: pin.UsePAN, Version: 1, Step: keyring.Retire}, true, pin.Memo{})
	require.ErrorAs(t, err, new(*keyring.Refusal))
	made, err := k.Rotate(ctx, []pin.Use{pin.UsePAN, pin.UseSeal}, time.Minute, false, pin.Memo{})
	require.NoError(t, err)
	require.Len(t, made, 2)
	require.Equal(t, pin.UsePAN, made[0].Use)
	require.Equal(t, pin.UseSeal, made[1].Use)
	require.Equal(t, []pin.Use{pin.UsePAN}, there.rotated)
	ks, err := store.Keyset()
	require.NoError(t, err)
	require.Len(t, ks.KeyIDs(pin.UsePAN), 1, "the file's is left as it was")
	require.Len(t, ks.KeyIDs(pin.UseSeal), 2)
}
