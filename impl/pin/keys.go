package pin

import (
	"context"

	"pinvault/impl/pinblock"
	"pinvault/impl/pinverification"
)

// Use is what a key of the vault's own is for. Each use has its own key set, so that a MAC or a
// ciphertext of one is worth nothing in another.
type Use string

// The uses.
const (
	UseVerifier    Use = "pin-verifier" // MAC: compares PINs
	UsePIN         Use = "pin"          // AEAD: PINs that may be read back
	UsePAN         Use = "pan"          // AEAD
	UsePANIndex    Use = "pan-index"    // index: finds a card by PAN
	UseAudit       Use = "audit"        // MAC: chains audit events
	UseFingerprint Use = "fingerprint"  // MAC: idempotency fingerprints
	UseSecret      Use = "secret"       // MAC: client secrets
	UseKeyWrap     Use = "key-wrap"     // AEAD: partners' keys at rest
	UseSeal        Use = "seal"         // MAC: rows, so that what was changed behind our back shows
	UseReplayKey   Use = "replay-key"   // index: finds the record of an idempotency key
)

// Keys does all cryptography of the vault, with keys that it never hands out. Outputs name the key
// version that made them, so that keys can be rotated while older outputs stay good.
type Keys interface {
	MACs
	Seal(use Use, plaintext, associated []byte) ([]byte, error)
	Open(use Use, ciphertext, associated []byte) ([]byte, error)
	// Index is a keyed hash, lower-case hex, one per active key version and the current one first.
	Index(use Use, data []byte) ([]string, error)

	// ZoneKey finds a zone PIN key that the program may use: UnknownKey, Unavailable.
	ZoneKey(ctx context.Context, programID, keyID string) (BlockOpener, error)
	// VerificationKey finds a PIN verification key that the program may use: UnknownKey, Unavailable.
	VerificationKey(ctx context.Context, programID, keyID string) (VerificationKey, error)
}

// MACs makes and verifies MACs.
type MACs interface {
	MAC(use Use, data []byte) ([]byte, error)
	// VerifyMAC compares in constant time; false for every way of not matching.
	VerifyMAC(use Use, data, mac []byte) bool
}

// BlockOpener opens PIN blocks under one zone PIN key. UnfitBlock says that such a key opens no block of this
// size and format, whatever is in it; any other failure is the one error Unopenable.
type BlockOpener interface {
	OpenBlock(format pinblock.Format, block []byte, pan string) (PIN, error)
}

// VerificationKey makes and compares PVVs and offsets under one PIN verification key, in constant time. The errors are those
// of package pinverification.
type VerificationKey interface {
	PVV(pan string, index int, pin []byte) (string, error)
	VerifyPVV(pan string, index int, pin []byte, pvv string) (bool, error)
	Offset(m pinverification.IBM3624, pan string, pin []byte) (string, error)
	VerifyOffset(m pinverification.IBM3624, pan string, pin []byte, offset string) (bool, error)
}

// Frame joins parts so that no two different lists of parts give the same bytes.
func Frame(parts ...string) []byte { return frame(parts...) }

// frame is [Frame].
func frame(parts ...string) []byte {
	n := 0
	for _, p := range parts {
		n += len(p) + 4
	}
	out := make([]byte, 0, n)
	for _, p := range parts {
		l := len(p)
		out = append(out, byte(l>>24), byte(l>>16), byte(l>>8), byte(l))
		out = append(out, p...)
	}
	return out
}
