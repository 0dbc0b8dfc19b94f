package pinvault

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// TokenKey seals and opens Accosa's tokens: base64 of an IV and AES-192 in CBC mode with PKCS#7 padding.
type TokenKey struct{ block cipher.Block }

// NewTokenKey takes 24 bytes in hexadecimal.
func NewTokenKey(key string) (*TokenKey, error) {
	raw, err := hex.DecodeString(key)
	if err != nil || len(raw) != 24 {
		return nil, Refusal("pinvault: a token key has 48 hexadecimal digits")
	}
	block, err := aes.NewCipher(raw)
	return &TokenKey{block}, err
}

// Seal is the token of a text.
func (k *TokenKey) Seal(text []byte) (string, error) {
	iv := make([]byte, aes.BlockSize)
	if _, err := rand.Read(iv); err != nil {
		return "", err
	}
	return k.seal(iv, text), nil
}

func (k *TokenKey) seal(iv, text []byte) string {
	n := aes.BlockSize - len(text)%aes.BlockSize
	body := append(bytes.Clone(text), bytes.Repeat([]byte{byte(n)}, n)...)
	cipher.NewCBCEncrypter(k.block, iv).CryptBlocks(body, body)
	return base64.StdEncoding.EncodeToString(append(bytes.Clone(iv), body...))
}

// Open is the text of a token, or ErrOpen.
func (k *TokenKey) Open(token string) ([]byte, error) {
	sent, err := base64.StdEncoding.Strict().DecodeString(token)
	if err != nil || strings.ContainsAny(token, "\r\n") || len(sent) < 2*aes.BlockSize || len(sent)%aes.BlockSize != 0 {
		return nil, ErrOpen
	}
	iv, text := sent[:aes.BlockSize], sent[aes.BlockSize:]
	cipher.NewCBCDecrypter(k.block, iv).CryptBlocks(text, text)
	n := int(text[len(text)-1])
	if n < 1 || n > aes.BlockSize || !bytes.HasSuffix(text, bytes.Repeat([]byte{byte(n)}, n)) {
		return nil, ErrOpen
	}
	return text[:len(text)-n], nil
}
