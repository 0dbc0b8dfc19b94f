package pinvault

import (
	"bytes"
	"context"
	"encoding/hex"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwe"
)

// MessageKey seals and opens JWEs in compact serialization, with "alg":"dir" and "enc":"A256GCM".
type MessageKey struct {
	key []byte
	kid string
}

// NewMessageKey takes 32 bytes in hexadecimal, and the name under which the server knows them.
func NewMessageKey(key, kid string) (*MessageKey, error) {
	raw, err := hex.DecodeString(key)
	if err != nil || len(raw) != 32 {
		return nil, Refusal("pinvault: a message key has 64 hexadecimal digits")
	}
	return &MessageKey{raw, kid}, nil
}

// Seal is the JWE of a text.
func (k *MessageKey) Seal(text []byte) ([]byte, error) {
	header := jwe.NewHeaders()
	if err := header.Set(jwe.KeyIDKey, k.kid); err != nil {
		return nil, err
	}
	return jwe.Encrypt(text, jwe.WithKey(jwa.DIRECT(), k.key), jwe.WithContentEncryption(jwa.A256GCM()), jwe.WithProtectedHeaders(header))
}

// Open is the text of a JWE under this key and its kid, or ErrOpen.
func (k *MessageKey) Open(compact []byte) ([]byte, error) {
	if bytes.Count(compact, []byte{'.'}) != 4 { // the library would read the JSON serialization too
		return nil, ErrOpen
	}
	text, err := jwe.Decrypt(compact, jwe.WithKeyProvider(jwe.KeyProviderFunc(k.fetch)), jwe.WithMaxDecompressBufferSize(0))
	if err != nil {
		return nil, ErrOpen
	}
	return text, nil
}

// fetch gives the key out for messages whose header agrees with what was agreed on (RFC 8725, 3.1).
func (k *MessageKey) fetch(_ context.Context, sink jwe.KeySink, to jwe.Recipient, m *jwe.Message) error {
	header := m.ProtectedHeaders()
	alg, _ := header.Algorithm()
	enc, _ := header.ContentEncryption()
	kid, _ := header.KeyID()
	if alg != jwa.DIRECT() || enc != jwa.A256GCM() || kid != k.kid || len(to.EncryptedKey()) > 0 ||
		header.Has(jwe.CompressionKey) || header.Has(jwe.CriticalKey) {
		return ErrOpen
	}
	sink.Key(jwa.DIRECT(), k.key)
	return nil
}
