package keyring

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"pinvault/impl/pin"
)

// TokenKeySize is that of AES-192, in bytes.
const TokenKeySize = 24

// ErrTokenKey is the refusal of a token key that has not 24 bytes, or of a fixed IV that has not 16.
var ErrTokenKey = errors.New("keyring: a token key has 24 bytes and a fixed IV 16")

// TokenKey seals and opens tokens: AES-192 in CBC mode (NIST SP 800-38A, 6.2) with PKCS#7 padding (RFC 5652, 6.3), in
// base64 (RFC 4648, 4). A token begins with its IV, or all tokens have a fixed one that is not sent.
//
// CBC authenticates nothing. Whoever lets callers tell a token that does not unpad from one whose content makes no
// sense tells them the content (Vaudenay's padding oracle): see [TokenKey.Open]. It is safe for concurrent use and
// prints as ****.
type TokenKey struct {
	hidden
	block cipher.Block
	fixed []byte // the IV of all tokens; nil: each has its own
}

// NewTokenKey makes a token key of 24 bytes. fixedIV is nil, or 16 bytes that both sides know: then equal messages
// give equal tokens. ErrTokenKey for other lengths. The caller clears key.
func NewTokenKey(key, fixedIV []byte) (*TokenKey, error) {
	if len(key) != TokenKeySize || fixedIV != nil && len(fixedIV) != aes.BlockSize {
		return nil, ErrTokenKey
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, ErrTokenKey
	}
	return &TokenKey{block: block, fixed: fixedIV}, nil
}

// TokenKeys are a message key and those that came in its place, as far as the program may use them for tokens, the newest
// first. Where none is, because they are unknown, of another program, for another usage or algorithm, pending or retired,
// the error is UnknownKey, without a word about which; a row that does not open is Internal, and what else the store reports
// is passed on. A retired key is dead within a second, see messageKeyLife.
func (r *Ring) TokenKeys(ctx context.Context, programID, keyID string, fixedIV []byte) ([]*TokenKey, error) {
	var found []*TokenKey
	for range maxSuccessors {
		row, err := r.recent.ZoneKey(ctx, keyID)
		if err != nil && pin.CodeOf(err) != pin.NotFound {
			return nil, err
		}
		k, err := r.tokenKey(row, programID, fixedIV)
		if err != nil {
			return nil, err
		}
		if k != nil {
			found = append([]*TokenKey{k}, found...)
		}
		if keyID = row.Successor; keyID == "" {
			break
		}
	}
	if found == nil {
		return nil, &pin.Error{Code: pin.UnknownKey}
	}
	return found, nil
}

// maxSuccessors bounds how many keys are looked at that came in one's place, one after the other.
const maxSuccessors = 100

// tokenKey is the key of a row, nil where it must not be used.
func (r *Ring) tokenKey(row pin.ZoneKey, programID string, fixedIV []byte) (*TokenKey, error) {
	if row.Usage != pin.UsageMessage || row.Algorithm != AES || !row.Opens(r.now()) || !serves(row, programID) {
		return nil, nil
	}
	raw, err := r.Open(pin.UseKeyWrap, row.Wrapped, row.Bound())
	if err != nil {
		return nil, err
	}
	defer clear(raw)
	k, err := NewTokenKey(raw, fixedIV)
	if errors.Is(err, ErrTokenKey) {
		return nil, nil
	}
	return k, err
}

// Seal makes the token of a text, with an IV from random unless the key's is fixed.
func (k *TokenKey) Seal(random io.Reader, text []byte) (string, error) {
	iv, head := k.fixed, 0
	if iv == nil {
		iv, head = make([]byte, aes.BlockSize), aes.BlockSize
		if _, err := io.ReadFull(random, iv); err != nil {
			return "", internal(fmt.Errorf("keyring: random source: %w", err))
		}
	}
	padding := aes.BlockSize - len(text)%aes.BlockSize
	out := make([]byte, head+len(text)+padding)
	copy(out[:head], iv)
	body := out[head:]
	for i := copy(body, text); i < len(body); i++ {
		body[i] = byte(padding)
	}
	cipher.NewCBCEncrypter(k.block, iv).CryptBlocks(body, body)
	return base64.StdEncoding.EncodeToString(out), nil
}

// Open decrypts a token, which may be broken into lines, as MIME has it (RFC 2045, 6.8), and lack its =. ok is false when
// it is not base64, not whole blocks or not padded as it should be; the text is then what was decrypted all the same, or zeros. The padding is looked at in constant time. The caller does the same
// with the text in either case, looks at ok only afterwards, and answers every failure alike; and clears the text.
func (k *TokenKey) Open(token string) (text []byte, ok bool) {
	sent, whole := decode(token)
	whole = whole && len(sent)%aes.BlockSize == 0
	iv := k.fixed
	if iv == nil {
		if whole = whole && len(sent) >= 2*aes.BlockSize; !whole {
			sent = make([]byte, 2*aes.BlockSize)
		}
		iv, sent = sent[:aes.BlockSize], sent[aes.BlockSize:]
	} else if whole = whole && len(sent) >= aes.BlockSize; !whole {
		sent = make([]byte, aes.BlockSize)
	}
	cipher.NewCBCDecrypter(k.block, iv).CryptBlocks(sent, sent)
	n, padded := unpad(sent)
	return sent[:n], whole && padded == 1
}

// decode reads base64 as clients send it: with blanks and line breaks anywhere, and padded with = rightly or not at all.
func decode(token string) (sent []byte, ok bool) {
	token = strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\r\n", r) {
			return -1
		}
		return r
	}, token)
	digits := strings.TrimRight(token, "=")
	sent, err := base64.RawStdEncoding.Strict().DecodeString(digits)
	padding := len(token) - len(digits)
	return sent, err == nil && (padding == 0 || padding <= 2 && len(token)%4 == 0)
}

// unpad is the length of a padded text without its padding and 1, or its whole length and 0 where the padding is not
// PKCS#7's. It takes the same steps for every content.
func unpad(text []byte) (n, padded int) {
	last := text[len(text)-1]
	size := int(last)
	padded = subtle.ConstantTimeLessOrEq(1, size) & subtle.ConstantTimeLessOrEq(size, aes.BlockSize)
	for i := 1; i <= aes.BlockSize; i++ {
		outside := subtle.ConstantTimeLessOrEq(size+1, i)
		padded &= outside | subtle.ConstantTimeByteEq(text[len(text)-i], last)
	}
	return len(text) - subtle.ConstantTimeSelect(padded, size, 0), padded
}
