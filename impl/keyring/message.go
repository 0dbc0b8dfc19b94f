package keyring

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"slices"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwe"

	"pinvault/impl/jose"
	"pinvault/impl/pin"
)

const (
	// maxMessage bounds a sealed message, in bytes; no contract takes a longer body.
	maxMessage = 2 << 20
	// maxHeader bounds the first part of one: alg, enc and kid need a tenth of it.
	maxHeader = 1 << 10
	// MessageKeySize is that of A256GCM (RFC 7518, 5.3), in bytes.
	MessageKeySize = 32
)

// errHeader ends the search for a key. It never leaves this file.
var errHeader = errors.New("keyring: header is not one of ours")

// OpenMessage decrypts a JWE in compact serialization (RFC 7516) with "alg":"dir", "enc":"A256GCM" and the "kid" of one
// of the allowed message keys, or of one that came in the place of one of them, which must be usable by the program and not
// retired. "zip" and "crit" are refused: the
// one lets a small message become a large one, the other asks for what is not understood here. So is a header that readers
// could take in several ways, see [jose.PlainHeader].
//
// One message has one text, so that a repetition is known by it: base64url that says the same in other letters
// (RFC 4648, 3.5) is refused.
//
// Whatever is wrong with the message is the same Unopenable, without a cause. What the store reports, and a row that
// does not open, is passed on: it says nothing about the message.
func (r *Ring) OpenMessage(ctx context.Context, programID string, allowed []string, compact []byte) ([]byte, error) {
	header, _, ok := bytes.Cut(compact, []byte{'.'})
	if !ok || len(header) > maxHeader || len(compact) > maxMessage || !canonical(compact) || !jose.PlainHeader(compact) {
		return nil, &pin.Error{Code: pin.Unopenable}
	}
	s := messageKeys{ring: r, programID: programID, allowed: allowed}
	defer func() { clear(s.key) }()
	plain, err := jwe.Decrypt(compact, jwe.WithContext(ctx), jwe.WithKeyProvider(&s), jwe.WithMaxDecompressBufferSize(0))
	switch {
	case s.fault != nil:
		return nil, s.fault
	case err != nil: // its text quotes the header
		return nil, &pin.Error{Code: pin.Unopenable}
	}
	return plain, nil
}

// canonical tells whether each part is written in the one way there is: what GCM authenticates of all parts but the
// header is what they decode to.
func canonical(compact []byte) bool {
	for part := range bytes.SplitSeq(compact, []byte{'.'}) {
		if _, err := base64.RawURLEncoding.Strict().AppendDecode(nil, part); err != nil || bytes.ContainsAny(part, "\r\n") {
			return false
		}
	}
	return true
}

// messageKeys finds the key of one message. The algorithms are ours to say: the header's may only agree (RFC 8725, 3.1).
type messageKeys struct {
	hidden
	ring      *Ring
	programID string
	allowed   []string

	key   []byte
	fault error // why the key could not be read, where that is no fault of the message's
}

// FetchKeys is jwe.KeyProvider's.
func (s *messageKeys) FetchKeys(ctx context.Context, sink jwe.KeySink, to jwe.Recipient, m *jwe.Message) error {
	header := m.ProtectedHeaders()
	alg, _ := header.Algorithm()
	enc, _ := header.ContentEncryption()
	kid, _ := header.KeyID()
	if alg != jwa.DIRECT() || enc != jwa.A256GCM() || len(to.EncryptedKey()) > 0 ||
		header.Has(jwe.CompressionKey) || header.Has(jwe.CriticalKey) || len(s.allowed) == 0 {
		return errHeader
	}
	row, key, err := s.ring.unwrap(ctx, s.ring.recent, kid, []pin.KeyUsage{pin.UsageMessage}, pin.ZoneKey.Opens)
	s.key = key
	switch {
	case errors.Is(err, &pin.Error{Code: pin.UnknownKey}):
		return errHeader
	case err != nil:
		s.fault = err
		return errHeader
	case !slices.ContainsFunc(s.allowed, func(id string) bool { return id == kid || row.Follows(id) }),
		!serves(row, s.programID), row.Algorithm != AES, len(key) != MessageKeySize:
		return errHeader
	}
	sink.Key(jwa.DIRECT(), key)
	return nil
}
