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
//
// What is compared with later and never read back, PINs and secrets, rests as the ciphertext of a digest and not as a
// bare MAC of it (see digest.go): a MAC could be made anew under another key only by whoever has the PIN or the secret,
// which is nobody until it is offered again, so its key could never end.
const (
	UseVerifier    Use = "pin-verifier" // AEAD: digests that PINs are compared with
	UsePIN         Use = "pin"          // AEAD: PINs that may be read back
	UsePAN         Use = "pan"          // AEAD
	UsePANIndex    Use = "pan-index"    // index: finds a card by PAN
	UseAudit       Use = "audit"        // MAC: chains audit events
	UseFingerprint Use = "fingerprint"  // MAC: idempotency fingerprints
	UseSecret      Use = "secret"       // AEAD: digests that secrets are compared with
	UseKeyWrap     Use = "key-wrap"     // AEAD: partners' keys at rest
	UseSeal        Use = "seal"         // MAC: rows, so that what was changed behind our back shows
	UseReplayKey   Use = "replay-key"   // index: finds the record of an idempotency key
)

// Keys does all cryptography of the vault, with keys that it never hands out. Every output names the key
// that made it, so that keys can be rotated while older outputs stay good, and it can be told which key still has any.
type Keys interface {
	MACs
	AEADs
	// Index is a keyed hash, lower-case hex, one for each key of the use and that of the current one first.
	Index(use Use, data []byte) ([]string, error)

	// Rewrap is the ciphertext of the same plaintext under the current key.
	Rewrap(use Use, ciphertext, associated []byte) ([]byte, error)
	// Stale tells whether an output of the use, an index included, was made under another key than the current one.
	Stale(use Use, output []byte) bool
	// KeyID is the id of the key that made an output of the use, "" where it names none, and whether the use still has
	// that key.
	KeyID(use Use, output []byte) (id string, there bool)

	// ZoneKey finds a zone PIN key that the program may use: UnknownKey, Unavailable.
	ZoneKey(ctx context.Context, programID, keyID string) (BlockOpener, error)
	// VerificationKey finds a PIN verification key that the program may use: UnknownKey, Unavailable.
	VerificationKey(ctx context.Context, programID, keyID string) (VerificationKey, error)
}

// AEADs encrypts and authenticates, and undoes that.
type AEADs interface {
	Seal(use Use, plaintext, associated []byte) ([]byte, error)
	Open(use Use, ciphertext, associated []byte) ([]byte, error)
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

// VerificationKey makes and compares PVVs, natural PINs and offsets under one PIN verification key, in constant time. The errors
// are those of package pinverification, and UnknownKey for what the key may not do.
type VerificationKey interface {
	PVV(pan string, index int, pin []byte) (string, error)
	NaturalPIN(m pinverification.IBM3624, pan string, length int) ([]byte, error)
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
