package issuer_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/keylife"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

// The fake vault has two keys for PANs, and remembers what it was asked to do with them.

var panKeys = []keyring.Standing{
	{Key: keyring.Key{Use: pin.UsePAN, Version: 1, ID: "8bd89205", Algorithm: "AES-256-GCM", CheckValue: "8B4B0CA2AD",
		CreatedAt: noon(), ActiveFrom: noon()}, State: keyring.Retiring, RetiringSince: noon().Add(time.Hour)},
	{Key: keyring.Key{Use: pin.UsePAN, Version: 2, ID: "0b7fea99", Algorithm: "AES-256-GCM", CheckValue: "FDDFC62054",
		CreatedAt: noon(), ActiveFrom: noon().Add(time.Hour)}, State: keyring.Active},
}

func (v *fakeVault) Keys(context.Context) ([]keyring.Standing, error) {
	return slices.Clone(panKeys), v.err
}

func (v *fakeVault) Rotate(_ context.Context, uses []pin.Use, in time.Duration, hasty bool, m pin.Memo) ([]keyring.Standing, error) {
	v.asked = fmt.Sprintf("rotate %v in %v, hasty %v, %q", uses, in, hasty, m.Description)
	return panKeys[1:], v.err
}

func (v *fakeVault) Take(_ context.Context, w keyring.Wish, force bool, m pin.Memo) (keyring.Standing, error) {
	v.asked = fmt.Sprintf("%s %s/%d, hasty %v, by force %v, %q", w.Step, w.Use, w.Version, w.Hasty, force, m.Description)
	return panKeys[0], v.err
}

func TestTheVaultsOwnKeysAreShownWithTheirDates(t *testing.T) {
	s := newServer(t)
	reply := s.Do(http.MethodGet, "/issuer/v1/vault-keys/pan").ExpectStatus(http.StatusOK)
	require.Equal(t, map[string]any{"use": "pan", "version": 1.0, "id": "8bd89205", "algorithm": "AES-256-GCM", "checkValue": "8B4B0CA2AD",
		"state": "retiring", "createdAt": "2026-03-01T12:00:00Z", "activeFrom": "2026-03-01T12:00:00Z", "retiringSince": "2026-03-01T13:00:00Z"},
		reply.JSON("/items/0"))
	require.Len(t, reply.JSON("/items"), 2)
	require.Len(t, s.Do(http.MethodGet, "/issuer/v1/vault-keys").ExpectStatus(http.StatusOK).JSON("/items"), 2)
	require.Len(t, s.Do(http.MethodGet, "/issuer/v1/vault-keys?state=active").ExpectStatus(http.StatusOK).JSON("/items"), 1)
	s.Do(http.MethodGet, "/issuer/v1/vault-keys/pin").ExpectStatus(http.StatusNotFound)
}

func TestStepsOfKeysAreHandedOnAsTheyAreAskedFor(t *testing.T) {
	s := newServer(t)
	for sent, want := range map[string]string{
		`{}`: `rotate [pan] in 2m0s, hasty false, ""`,
		`{"activeInSeconds":30,"reason":"yearly"}`: `rotate [pan] in 30s, hasty false, "yearly"`,
	} {
		reply := s.Do(http.MethodPost, "/issuer/v1/vault-keys/pan/rotations", body(sent)).ExpectStatus(http.StatusCreated)
		require.Equal(t, "active", reply.Text("/state"))
		require.Equal(t, want, s.vault.asked)
	}
	s.Do(http.MethodPost, "/issuer/v1/vault-keys/pan/keys/1/steps", body(`{"step":"retire","reason":"nothing left"}`)).ExpectStatus(http.StatusOK)
	require.Equal(t, `retire pan/1, hasty false, by force false, "nothing left"`, s.vault.asked, "never by force, never hastily")
}

func TestWhatKeepsAKeyFromAStepIsToldByItsCode(t *testing.T) {
	s := newServer(t)
	for _, tc := range []struct {
		err    error
		status int
		code   string
	}{
		{&keyring.Refusal{Key: "pan/1", Says: "no"}, http.StatusConflict, "key_state"},
		{keylife.ErrInUse, http.StatusConflict, "key_in_use"},
		{keylife.ErrNotCounted, http.StatusConflict, "key_in_use"},
		{keylife.ErrReadOnly, http.StatusConflict, "keyset_read_only"},
		{keylife.ErrBusy, http.StatusConflict, "conflict"},
		{keyring.ErrNoKey, http.StatusNotFound, "not_found"},
		{keyring.ErrNoUse, http.StatusNotFound, "not_found"},
		{&pin.Error{Code: pin.Forbidden}, http.StatusForbidden, "forbidden"},
		{fmt.Errorf("keyset: %w", context.DeadlineExceeded), http.StatusInternalServerError, "internal"},
	} {
		s.vault.err = fmt.Errorf("wrapped: %w", tc.err)
		for path, sent := range map[string]string{"rotations": `{}`, "keys/1/steps": `{"step":"retire"}`} {
			reply := s.Do(http.MethodPost, "/issuer/v1/vault-keys/pan/"+path, body(sent)).ExpectStatus(tc.status)
			require.Equal(t, tc.code, reply.Text("/code"), "%s: %v", path, tc.err)
		}
	}
}
