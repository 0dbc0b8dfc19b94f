// Package compactjwe takes apart a JWE in compact serialization (RFC 7516, 7.1) under A256GCM, and opens it.
//
// It knows two kinds of message: those of Credit+ ("dir") and those of the hosted page ("ECDH-ES"). It reads them itself, strictly and once,
// and has the library compute: key agreement and decryption. The library reads a header twice, for each name of the format, and takes
// a name twice or in other letters.
//
// A message is read in one way or not at all: what else the format offers (other algorithms, an encrypted key, compression) is none, nor is one
// that demands anything ("crit", RFC 7516, 4.1.13), since nothing that could stand there is understood here. And one message has one text:
// base64url that says the same in other letters (RFC 4648, 3.5) is refused, and so are bytes that moved from one part to the next.
package compactjwe

import (
	"bytes"
	"crypto/ecdh"
	"encoding/base64"
	"errors"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/lestrrat-go/jwx/v3/jwe/jwebb"
)

// Algorithm is how the key of a message is come by (RFC 7518, 4.1).
type Algorithm string

// The algorithms.
const (
	Direct Algorithm = "dir"     // both sides have it
	ECDHES Algorithm = "ECDH-ES" // they agree on it, for one message
)

const (
	encryption = "A256GCM"
	// KeySize is that of A256GCM (RFC 7518, 5.3), in bytes.
	KeySize = 32
	ivSize  = 12
	tagSize = 16
	// coordinate is the length of a P-256 coordinate, in bytes.
	coordinate = 32
)

// encoded is what is written in base64url (RFC 7515, 2).
type encoded []byte

// UnmarshalText is encoding.TextUnmarshaler's.
func (e *encoded) UnmarshalText(text []byte) (err error) {
	if bytes.ContainsAny(text, "\r\n") { // which the decoder passes over
		return errors.New("compactjwe: a line end")
	}
	*e, err = base64.RawURLEncoding.Strict().AppendDecode(nil, text)
	return err
}

// header is what is read of a message's header. No name may stand there twice.
type header struct {
	Algorithm   Algorithm      `json:"alg"`
	Encryption  string         `json:"enc"`
	KeyID       string         `json:"kid"`
	Compression jsontext.Value `json:"zip"`
	Critical    jsontext.Value `json:"crit"`

	// RFC 7518, 4.6.1
	Ephemeral struct {
		Type  string  `json:"kty"`
		Curve string  `json:"crv"`
		X     encoded `json:"x"`
		Y     encoded `json:"y"`
	} `json:"epk"`
	Sender   jsontext.Value `json:"apu"`
	Receiver jsontext.Value `json:"apv"`
}

// Message is one that was taken apart, and not opened yet: nothing that it says of itself is proven.
type Message struct {
	header              header
	associated          []byte // the header as it was sent
	iv, ciphertext, tag encoded
}

// Parse takes a message apart whose key is come by as said.
func Parse(compact []byte, by Algorithm) (m Message, ok bool) {
	parts := bytes.Split(compact, []byte{'.'})
	if len(parts) != 5 || len(parts[1]) > 0 { // no key is sent by either
		return Message{}, false
	}
	m.associated = parts[0]
	var text encoded
	err := errors.Join(text.UnmarshalText(parts[0]), m.iv.UnmarshalText(parts[2]), m.ciphertext.UnmarshalText(parts[3]), m.tag.UnmarshalText(parts[4]))
	if err != nil || len(m.iv) != ivSize || len(m.tag) != tagSize || json.Unmarshal(text, &m.header) != nil {
		return Message{}, false
	}
	// Names are told apart by their case (RFC 7515, 4). Some readers take "ALG" for "alg": beside it, it is a second one.
	if json.Unmarshal(text, new(header), json.MatchCaseInsensitiveNames(true)) != nil {
		return Message{}, false
	}
	h := m.header
	return m, h.Algorithm == by && h.Encryption == encryption && h.Compression == nil && h.Critical == nil
}

// KeyID names the key that the sender says it has used, "" where it says nothing.
func (m Message) KeyID() string { return m.header.KeyID }

// Agree is the key of a message to the holder of a private key of P-256 (RFC 7518, 4.6.2), of [KeySize]. The sender's key must be a
// point of that curve, and the key is nobody's by name.
func (m Message) Agree(private *ecdh.PrivateKey) (key []byte, ok bool) {
	h, e := m.header, m.header.Ephemeral
	if h.Sender != nil || h.Receiver != nil || e.Type != "EC" || e.Curve != "P-256" || len(e.X) != coordinate {
		return nil, false
	}
	public, err := ecdh.P256().NewPublicKey(slices.Concat([]byte{4}, e.X, e.Y)) // 4: uncompressed
	if err != nil {
		return nil, false
	}
	key, err = jwebb.DeriveECDHES(encryption, nil, nil, private, public, KeySize)
	return key, err == nil
}

// Open opens a message under its key, of [KeySize].
func (m Message) Open(key []byte) (plain []byte, ok bool) {
	content, err := jwebb.CreateContentCipher(encryption)
	if err != nil {
		return nil, false
	}
	plain, err = content.Decrypt(key, m.iv, m.ciphertext, m.tag, m.associated)
	return plain, err == nil
}
