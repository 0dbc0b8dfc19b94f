package transport

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"
)

type sealing struct{ Name, IV, Clear, Sealed string }

func vectors(t *testing.T, of string, into any) {
	t.Helper()
	data, err := os.ReadFile(os.Getenv("SDK_VECTORS"))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(all[of], into); err != nil {
		t.Fatal(err)
	}
}

func check(t *testing.T, what, got, want string, err error) {
	t.Helper()
	if err != nil || got != want {
		t.Fatalf("%s: %q, %v; want %q", what, got, err, want)
	}
}

func refused(t *testing.T, got []byte, err error) {
	t.Helper()
	if !errors.Is(err, ErrOpen) {
		t.Fatalf("%q, %v; want %v", got, err, ErrOpen)
	}
}

func TestMessages(t *testing.T) {
	var v struct {
		Key, KID     string
		Seal, Refuse []sealing
	}
	vectors(t, "jwe", &v)
	key, err := NewMessageKey(v.Key, v.KID)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range v.Seal {
		t.Run(s.Name, func(t *testing.T) {
			text, err := key.Open([]byte(s.Sealed))
			check(t, "opened", string(text), s.Clear, err)
			again, err := key.Seal([]byte(s.Clear))
			if err != nil {
				t.Fatal(err)
			}
			text, err = key.Open(again)
			check(t, "sealed and opened", string(text), s.Clear, err)
		})
	}
	for _, r := range v.Refuse {
		t.Run("refused: "+r.Name, func(t *testing.T) {
			text, err := key.Open([]byte(r.Sealed))
			refused(t, text, err)
		})
	}
}

func TestTokens(t *testing.T) {
	var v struct {
		Key          string
		Seal, Refuse []sealing
	}
	vectors(t, "token", &v)
	key, err := NewTokenKey(v.Key)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range v.Seal {
		t.Run(s.Name, func(t *testing.T) {
			text, err := key.Open(s.Sealed)
			check(t, "opened", string(text), s.Clear, err)
			iv, err := hex.DecodeString(s.IV)
			check(t, "sealed", key.seal(iv, []byte(s.Clear)), s.Sealed, err)
			again, err := key.Seal([]byte(s.Clear))
			if err != nil {
				t.Fatal(err)
			}
			text, err = key.Open(again)
			check(t, "sealed and opened", string(text), s.Clear, err)
		})
	}
	for _, r := range v.Refuse {
		t.Run("refused: "+r.Name, func(t *testing.T) {
			text, err := key.Open(r.Sealed)
			refused(t, text, err)
		})
	}
}

func TestPINBlocks(t *testing.T) {
	var v []struct{ Name, Format, Key, PAN, PIN, Fill, Block string }
	vectors(t, "pinBlock", &v)
	for _, b := range v {
		t.Run(b.Name, func(t *testing.T) {
			block, err := pinBlock(b.Format, b.Key, b.PAN, b.PIN, b.Fill)
			check(t, "block", block, b.Block, err)
			fill, err := draw(b.Format, b.PIN)
			if err != nil || len(fill) != len(b.Fill) {
				t.Fatalf("drew %d digits, %v; want %d", len(fill), err, len(b.Fill))
			}
			if drawn, err := PINBlock(b.Format, b.Key, b.PAN, b.PIN); err != nil || len(drawn) != len(b.Block) {
				t.Fatalf("block of %d digits, %v; want %d", len(drawn), err, len(b.Block))
			}
		})
	}
}
