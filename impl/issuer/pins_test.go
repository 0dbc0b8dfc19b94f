package issuer_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
)

const pinPath = "/issuer/v1/cards/" + cardID + "/pin"

func TestGetPinStatus(t *testing.T) {
	s := newServer(t)
	for _, tc := range []struct {
		name  string
		limit int
		pin   pin.Value
		want  string
	}{
		{"chosen", 3, pin.Value{State: pin.PINChosen, TriesLeft: 2, ChangedAt: noon()},
			`{"state":"chosen","blocked":false,"remainingTries":2,"tryLimit":3,"changedAt":"2026-03-01T12:00:00Z"}`},
		{"assigned", 3, pin.Value{State: pin.PINAssigned, TriesLeft: 3, ChangedAt: noon()},
			`{"state":"assigned","blocked":false,"remainingTries":3,"tryLimit":3,"changedAt":"2026-03-01T12:00:00Z"}`},
		{"blocked", 3, pin.Value{State: pin.PINChosen, ChangedAt: noon()},
			`{"state":"chosen","blocked":true,"remainingTries":0,"tryLimit":3,"changedAt":"2026-03-01T12:00:00Z"}`},
		{"a limit lowered since", 2, pin.Value{State: pin.PINChosen, TriesLeft: 5, ChangedAt: noon()},
			`{"state":"chosen","blocked":false,"remainingTries":2,"tryLimit":2,"changedAt":"2026-03-01T12:00:00Z"}`},
		{"no PIN at all", 3, pin.Value{State: pin.PINNone, TriesLeft: 3},
			`{"state":"none","blocked":false,"remainingTries":3,"tryLimit":3}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.vault.records = []pin.Record{{Program: pin.Program{TryLimit: tc.limit}, PIN: tc.pin}}
			reply := s.For(t).Do(http.MethodGet, pinPath).ExpectStatus(http.StatusOK)
			require.JSONEq(t, tc.want, string(reply.Body))
			require.Equal(t, pin.Query{CardID: cardID}, s.vault.query)
		})
	}
}

func TestPINBlockReachesTheVault(t *testing.T) {
	s := newServer(t)
	s.vault.result = pin.Verification{Result: pin.Match, RemainingTries: 3}
	for _, tc := range []struct {
		name, body string
		format     pinblock.Format
		block      []byte
	}{
		{"format 0", `{"pinBlock":"2F780C8387FFF32C","format":"ISO-0","keyId":"zpk-1"}`, pinblock.ISO0,
			[]byte{0x2F, 0x78, 0x0C, 0x83, 0x87, 0xFF, 0xF3, 0x2C}},
		{"format 1, in lower case", `{"pinBlock":"2f780c8387fff32c","format":"ISO-1","keyId":"zpk-1"}`, pinblock.ISO1,
			[]byte{0x2F, 0x78, 0x0C, 0x83, 0x87, 0xFF, 0xF3, 0x2C}},
		{"format 3", `{"pinBlock":"0000000000000000","format":"ISO-3","keyId":"zpk-1"}`, pinblock.ISO3, make([]byte, 8)},
		{"format 4", `{"pinBlock":"78181BFD2275955E572CAF8CDBDD5F86","format":"ISO-4","keyId":"zpk-1"}`, pinblock.ISO4,
			[]byte{0x78, 0x18, 0x1B, 0xFD, 0x22, 0x75, 0x95, 0x5E, 0x57, 0x2C, 0xAF, 0x8C, 0xDB, 0xDD, 0x5F, 0x86}},
	} {
		for _, op := range []struct {
			name, method, path string
			status             int
		}{
			{"set", http.MethodPut, pinPath, http.StatusNoContent},
			{"verify", http.MethodPost, pinPath + "/verifications", http.StatusOK},
		} {
			t.Run(op.name+", "+tc.name, func(t *testing.T) {
				s.vault.format, s.vault.block, s.vault.zoneKeyID, s.vault.query = 0, nil, "", pin.Query{}
				s.For(t).Do(op.method, op.path, body(tc.body)).ExpectStatus(op.status)
				require.Equal(t, tc.format, s.vault.format)
				require.Equal(t, tc.block, s.vault.block)
				require.Equal(t, "zpk-1", s.vault.zoneKeyID)
				require.Equal(t, pin.Query{CardID: cardID}, s.vault.query)
			})
		}
	}
}

func TestVerifyPin(t *testing.T) {
	s := newServer(t)
	for _, tc := range []struct {
		result    pin.Verification
		status    int
		reply     string
		remaining float64
	}{
		{pin.Verification{Result: pin.Match, RemainingTries: 3}, http.StatusOK, `{"result":"match","remainingTries":3}`, 3},
		{pin.Verification{Result: pin.Mismatch, RemainingTries: 2}, http.StatusOK, `{"result":"mismatch","remainingTries":2}`, 2},
		{pin.Verification{Result: pin.Exhausted}, http.StatusOK, `{"result":"blocked","remainingTries":0}`, 0},
		{pin.Verification{Result: pin.Opaque, RemainingTries: 1}, http.StatusUnprocessableEntity, unopenable(`,"remainingTries":1`), 1},
		{pin.Verification{Result: pin.Opaque}, http.StatusUnprocessableEntity, unopenable(`,"remainingTries":0`), 0},
	} {
		t.Run(string(tc.result.Result), func(t *testing.T) {
			s.vault.result = tc.result
			reply := s.For(t).Do(http.MethodPost, pinPath+"/verifications",
				body(`{"pinBlock":"2F780C8387FFF32C","format":"ISO-0","keyId":"zpk-1"}`)).ExpectStatus(tc.status)
			require.JSONEq(t, tc.reply, string(reply.Body))
		})
	}
}

func unopenable(more string) string {
	return `{"type":"about:blank","title":"The PIN block cannot be opened.","status":422,"code":"unopenable","traceId":"` + traceID + `"` + more + `}`
}

func TestUnopenableBlockIsReplayed(t *testing.T) {
	s := newServer(t)
	s.vault.result = pin.Verification{Result: pin.Opaque, RemainingTries: 2}
	for _, replayed := range []string{"", "true"} {
		reply := s.Do(http.MethodPost, pinPath+"/verifications", key("order-1"),
			body(`{"pinBlock":"0000000000000000","format":"ISO-0","keyId":"zpk-1"}`)).ExpectStatus(http.StatusUnprocessableEntity)
		require.JSONEq(t, unopenable(`,"remainingTries":2`), string(reply.Body))
		require.Equal(t, replayed, reply.Header.Get("Idempotent-Replayed"))
	}
	require.Equal(t, 1, s.vault.calls, "a second try was taken")
}

func TestSetPinOfAnUnopenableBlockTakesNoTry(t *testing.T) {
	s := newServer(t)
	s.vault.err = &pin.Error{Code: pin.Unopenable}
	reply := s.Do(http.MethodPut, pinPath, body(`{"pinBlock":"0000000000000000","format":"ISO-0","keyId":"zpk-1"}`)).
		ExpectStatus(http.StatusUnprocessableEntity)
	require.JSONEq(t, unopenable(""), string(reply.Body))
}

func TestUnblockPin(t *testing.T) {
	s := newServer(t)
	reply := s.Do(http.MethodPost, pinPath+"/unblock", body(`{"reason":"Cardholder identified at the branch"}`)).ExpectStatus(http.StatusNoContent)
	require.Empty(t, reply.Body)
	require.Equal(t, pin.Query{CardID: cardID}, s.vault.query)
	require.Equal(t, "Cardholder identified at the branch", s.vault.reason)
}

func TestAVerificationIsForgottenAfterAMinute(t *testing.T) {
	s := newServer(t)
	s.vault.result = pin.Verification{Result: pin.Mismatch, RemainingTries: 2}
	for _, tc := range []struct {
		after    time.Duration
		replayed string
	}{{0, ""}, {time.Minute - time.Microsecond, "true"}, {time.Minute, ""}} {
		s.vault.ledger.now = noon().Add(tc.after)
		reply := s.Do(http.MethodPost, pinPath+"/verifications", key("order-1"),
			body(`{"pinBlock":"2F780C8387FFF32C","format":"ISO-0","keyId":"zpk-1"}`)).ExpectStatus(http.StatusOK)
		require.Equal(t, tc.replayed, reply.Header.Get("Idempotent-Replayed"), tc.after)
	}
}
