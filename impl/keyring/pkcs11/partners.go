//go:build cgo

package pkcs11

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"

	lru "github.com/hashicorp/golang-lru/v2"
	p11 "github.com/miekg/pkcs11"

	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

// algorithm is how the token has a partner's key.
type algorithm struct {
	class, kind uint
	keyWrap     uint // mechanism
	ecb         uint // mechanism, of block ciphers
	blockSize   int
}

var algorithms = map[string]algorithm{
	keyring.TDES: {p11.CKO_SECRET_KEY, p11.CKK_DES3, p11.CKM_AES_KEY_WRAP, p11.CKM_DES3_ECB, des.BlockSize},
	keyring.AES:  {p11.CKO_SECRET_KEY, p11.CKK_AES, p11.CKM_AES_KEY_WRAP, p11.CKM_AES_ECB, aes.BlockSize},
	keyring.RSA:  {p11.CKO_PRIVATE_KEY, p11.CKK_RSA, p11.CKM_AES_KEY_WRAP_PAD, 0, 0},
}

var errAlgorithm = errors.New("pkcs11: the token is given no such key")

// WrapKey has the token wrap the key, and seals what comes of it.
func (e *Engine) WrapKey(name string, key, associated []byte) ([]byte, error) {
	a, ok := algorithms[name]
	if !ok {
		return nil, errAlgorithm
	}
	template, err := a.importing(key)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, nonceSize)
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return e.do("wrap", func(c *connection, s p11.SessionHandle) ([]byte, error) {
		version, wrapping, err := c.primary(partnersKey)
		if err != nil {
			return nil, err
		}
		object, err := c.t.module.CreateObject(s, template)
		if err != nil {
			return nil, err
		}
		wrapped, err := c.t.module.WrapKey(s, mechanism(a.keyWrap, nil), wrapping, object)
		if err = errors.Join(err, c.t.module.DestroyObject(s, object)); err != nil {
			return nil, err
		}
		return c.seal(s, string(pin.UseKeyWrap), nonce, append(binary.BigEndian.AppendUint32(nil, version), wrapped...), associated)
	})
}

// importing describes a key that comes from outside and lives no longer than it takes to wrap it.
func (a algorithm) importing(key []byte) ([]*p11.Attribute, error) {
	template := []*p11.Attribute{
		p11.NewAttribute(p11.CKA_CLASS, a.class), p11.NewAttribute(p11.CKA_KEY_TYPE, a.kind), p11.NewAttribute(p11.CKA_TOKEN, false),
		p11.NewAttribute(p11.CKA_PRIVATE, true), p11.NewAttribute(p11.CKA_SENSITIVE, true), p11.NewAttribute(p11.CKA_EXTRACTABLE, true),
	}
	if a.class == p11.CKO_SECRET_KEY {
		if a.kind == p11.CKK_DES3 && len(key) == 16 { // K1 K2 is K1 K2 K1
			key = append(append(make([]byte, 0, 24), key...), key[:8]...)
		}
		return append(template, p11.NewAttribute(p11.CKA_VALUE, key)), nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(key)
	k, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok || len(k.Primes) != 2 {
		return nil, errAlgorithm
	}
	return append(template, p11.NewAttribute(p11.CKA_MODULUS, k.N.Bytes()), p11.NewAttribute(p11.CKA_PUBLIC_EXPONENT, big.NewInt(int64(k.E)).Bytes()),
		p11.NewAttribute(p11.CKA_PRIVATE_EXPONENT, k.D.Bytes()), p11.NewAttribute(p11.CKA_PRIME_1, k.Primes[0].Bytes()),
		p11.NewAttribute(p11.CKA_PRIME_2, k.Primes[1].Bytes()), p11.NewAttribute(p11.CKA_EXPONENT_1, k.Precomputed.Dp.Bytes()),
		p11.NewAttribute(p11.CKA_EXPONENT_2, k.Precomputed.Dq.Bytes()), p11.NewAttribute(p11.CKA_COEFFICIENT, k.Precomputed.Qinv.Bytes())), nil
}

// partnerKey is a partner's key that works in the token. It prints as ****.
type partnerKey struct {
	keyring.Hidden
	t                   *Token
	algorithm           algorithm
	wrapped, associated []byte
}

func (e *Engine) unwrap(name string, wrapped, associated []byte) (partnerKey, error) {
	k := partnerKey{t: e.Token, algorithm: algorithms[name], wrapped: wrapped, associated: associated}
	_, err := k.do("unwrap", func(*connection, p11.SessionHandle, p11.ObjectHandle) ([]byte, error) { return nil, nil })
	if err != nil && pin.CodeOf(err) != pin.Unavailable {
		err = &pin.Error{Code: pin.Internal, Err: err}
	}
	return k, err
}

// do has a session do work with the key, which is unwrapped if it is not there.
func (k partnerKey) do(operation string, work func(c *connection, s p11.SessionHandle, key p11.ObjectHandle) ([]byte, error)) ([]byte, error) {
	return k.t.do(operation, func(c *connection, s p11.SessionHandle) ([]byte, error) {
		handle, err := c.partners.handle(s, k)
		if err != nil {
			return nil, err
		}
		return work(c, s, handle)
	})
}

// partnerKeys are the partners' keys that a connection's sessions hold, by what they were unwrapped from. Those least used
// give way.
type partnerKeys struct {
	c       *connection
	handles *lru.Cache[[32]byte, p11.ObjectHandle]
}

// maxPartnerKeys bounds how many keys of partners the token holds for a process.
const maxPartnerKeys = 1024

func newPartnerKeys(c *connection) partnerKeys {
	handles, err := lru.New[[32]byte, p11.ObjectHandle](maxPartnerKeys)
	if err != nil {
		panic(err) // the size is a constant
	}
	return partnerKeys{c, handles}
}

func (p partnerKeys) handle(s p11.SessionHandle, k partnerKey) (p11.ObjectHandle, error) {
	digest := sha256.New()
	_ = binary.Write(digest, binary.BigEndian, uint64(len(k.wrapped))) // a hash takes everything
	digest.Write(k.wrapped)
	digest.Write(k.associated)
	of := [32]byte(digest.Sum(nil))
	if handle, ok := p.handles.Get(of); ok {
		return handle, nil
	}
	inner, err := p.c.open(s, string(pin.UseKeyWrap), k.wrapped, k.associated)
	if err != nil {
		return 0, err
	}
	if len(inner) < keyIDSize {
		return 0, errNotOpened
	}
	wrapping, ok, err := p.c.version(s, partnersKey, binary.BigEndian.Uint32(inner))
	if err != nil || !ok {
		return 0, errors.Join(err, errNotOpened)
	}
	a := k.algorithm
	template := []*p11.Attribute{
		p11.NewAttribute(p11.CKA_CLASS, a.class), p11.NewAttribute(p11.CKA_KEY_TYPE, a.kind), p11.NewAttribute(p11.CKA_TOKEN, false),
		p11.NewAttribute(p11.CKA_PRIVATE, true), p11.NewAttribute(p11.CKA_SENSITIVE, true), p11.NewAttribute(p11.CKA_EXTRACTABLE, false),
		p11.NewAttribute(p11.CKA_DECRYPT, true),
	}
	if a.class == p11.CKO_PRIVATE_KEY {
		template = append(template, p11.NewAttribute(p11.CKA_SIGN, true)) // its certificate
	} else {
		template = append(template, p11.NewAttribute(p11.CKA_ENCRYPT, true))
	}
	handle, err := p.c.t.module.UnwrapKey(s, mechanism(a.keyWrap, nil), wrapping, inner[keyIDSize:], template)
	if err != nil {
		return 0, err
	}
	if old, there, _ := p.handles.PeekOrAdd(of, handle); there { // another session was quicker
		_ = p.c.t.module.DestroyObject(s, handle)
		return old, nil
	}
	if p.handles.Len() == maxPartnerKeys {
		if _, oldest, ok := p.handles.RemoveOldest(); ok {
			_ = p.c.t.module.DestroyObject(s, oldest)
		}
	}
	return handle, nil
}

// UnwrapBlock is a key in the token.
func (e *Engine) UnwrapBlock(name string, wrapped, associated []byte) (keyring.BlockKey, error) {
	if algorithms[name].ecb == 0 {
		return nil, &pin.Error{Code: pin.Internal, Err: errAlgorithm}
	}
	k, err := e.unwrap(name, wrapped, associated)
	if err != nil {
		return nil, err
	}
	return blockKey{k}, nil
}

type blockKey struct{ partnerKey }

// Use lends a cipher that notes what goes wrong.
func (k blockKey) Use(work func(cipher.Block) error) error {
	b := &block{key: k.partnerKey}
	err := work(b)
	if b.err != nil {
		return b.err
	}
	return err
}

// block is a key of the token as a cipher.Block. After an error it does nothing any more.
type block struct {
	key partnerKey
	err error
}

func (b *block) BlockSize() int { return b.key.algorithm.blockSize }

func (b *block) Encrypt(dst, src []byte) {
	b.crypt(dst, src, (*p11.Ctx).EncryptInit, (*p11.Ctx).Encrypt)
}

func (b *block) Decrypt(dst, src []byte) {
	b.crypt(dst, src, (*p11.Ctx).DecryptInit, (*p11.Ctx).Decrypt)
}

func (b *block) crypt(dst, src []byte, begin func(*p11.Ctx, p11.SessionHandle, []*p11.Mechanism, p11.ObjectHandle) error,
	crypt func(*p11.Ctx, p11.SessionHandle, []byte) ([]byte, error)) {
	size := b.BlockSize()
	if b.err != nil {
		clear(dst[:size])
		return
	}
	in := append(make([]byte, 0, size), src[:size]...)
	out, err := b.key.do("block", func(c *connection, s p11.SessionHandle, key p11.ObjectHandle) ([]byte, error) {
		if err := begin(c.t.module, s, mechanism(b.key.algorithm.ecb, nil), key); err != nil {
			return nil, err
		}
		return crypt(c.t.module, s, in)
	})
	if err == nil && len(out) != size {
		err = errors.New("pkcs11: the token gives a block of another size")
	}
	if err != nil {
		if pin.CodeOf(err) != pin.Unavailable {
			err = unavailable(err) // a block has no wrong content
		}
		b.err = err
		clear(dst[:size])
		return
	}
	copy(dst, out)
	clear(in)
	clear(out)
}

// UnwrapRSA is a key in the token.
func (e *Engine) UnwrapRSA(wrapped, associated []byte) (keyring.RSAKey, error) {
	k, err := e.unwrap(keyring.RSA, wrapped, associated)
	if err != nil {
		return nil, err
	}
	public := &rsa.PublicKey{N: new(big.Int)}
	for attribute, set := range map[uint]func([]byte){
		p11.CKA_MODULUS:         func(v []byte) { public.N.SetBytes(v) },
		p11.CKA_PUBLIC_EXPONENT: func(v []byte) { public.E = int(new(big.Int).SetBytes(v).Int64()) },
	} {
		value, err := k.do("unwrap", func(c *connection, s p11.SessionHandle, key p11.ObjectHandle) ([]byte, error) {
			a, err := c.t.module.GetAttributeValue(s, key, []*p11.Attribute{p11.NewAttribute(attribute, nil)})
			if err != nil {
				return nil, err
			}
			return a[0].Value, nil
		})
		if err != nil {
			return nil, fmt.Errorf("pkcs11: public half of an RSA key: %w", err)
		}
		set(value)
	}
	return rsaKey{k, public}, nil
}

type rsaKey struct {
	partnerKey
	public *rsa.PublicKey
}

func (k rsaKey) Public() crypto.PublicKey { return k.public }

// sha256Info is what goes before a SHA-256 in a PKCS#1 v1.5 signature (RFC 8017, 9.2).
var sha256Info = []byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}

// Sign is PKCS#1 v1.5 with SHA-256, which is what certificates are signed by.
func (k rsaKey) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != crypto.SHA256 || len(digest) != sha256.Size {
		return nil, errors.New("pkcs11: an RSA key signs SHA-256 only")
	}
	input := append(append(make([]byte, 0, len(sha256Info)+sha256.Size), sha256Info...), digest...)
	return k.do("rsa", func(c *connection, s p11.SessionHandle, key p11.ObjectHandle) ([]byte, error) {
		if err := c.t.module.SignInit(s, mechanism(p11.CKM_RSA_PKCS, nil), key); err != nil {
			return nil, err
		}
		return c.t.module.Sign(s, input)
	})
}

var errRSA = errors.New("pkcs11: RSA decryption is of session keys in PKCS#1 v1.5 below the modulus")

// Decrypt takes the padding off here, in constant time: a token's own error would tell wrong padding from right, which is
// enough to decrypt anything (Bleichenbacher). Where the padding is wrong, random bytes take the place of what is inside.
func (k rsaKey) Decrypt(random io.Reader, ciphertext []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	o, ok := opts.(*rsa.PKCS1v15DecryptOptions) //nolint:staticcheck // the contract has no other padding, and this is its safe form
	size := k.public.Size()
	if !ok || o.SessionKeyLen <= 0 || o.SessionKeyLen > size-11 || len(ciphertext) != size || new(big.Int).SetBytes(ciphertext).Cmp(k.public.N) >= 0 {
		return nil, errRSA
	}
	inside := make([]byte, o.SessionKeyLen)
	if _, err := io.ReadFull(random, inside); err != nil {
		return nil, err
	}
	padded, err := k.do("rsa", func(c *connection, s p11.SessionHandle, key p11.ObjectHandle) ([]byte, error) {
		if err := c.t.module.DecryptInit(s, mechanism(p11.CKM_RSA_X_509, nil), key); err != nil {
			return nil, err
		}
		return c.t.module.Decrypt(s, ciphertext)
	})
	if err != nil {
		return nil, err
	}
	whole := make([]byte, size)
	copy(whole[size-min(size, len(padded)):], padded)
	unpad(whole, inside)
	clear(whole)
	clear(padded)
	return inside, nil
}

// unpad puts what is behind PKCS#1 v1.5 padding into inside if it is of that length, and leaves inside as it is
// otherwise, with the same steps (RFC 8017, 7.2.2).
func unpad(padded, inside []byte) {
	at := len(padded) - len(inside)
	valid := subtle.ConstantTimeByteEq(padded[0], 0) & subtle.ConstantTimeByteEq(padded[1], 2) & subtle.ConstantTimeByteEq(padded[at-1], 0)
	for _, b := range padded[2 : at-1] {
		valid &= 1 - subtle.ConstantTimeByteEq(b, 0)
	}
	subtle.ConstantTimeCopy(valid, inside, padded[at:])
}
