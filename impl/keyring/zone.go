package keyring

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"pinvault/impl/keymaterial"
	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
)

// ZoneKeys finds partners' keys at rest, by id: NotFound, Unavailable. [pin.Store] does.
type ZoneKeys interface {
	ZoneKey(ctx context.Context, id string) (pin.ZoneKey, error)
}

const (
	// zoneKeyLife bounds how long a key is used without a look at its row, and so for how long after its retirement.
	zoneKeyLife = 30 * time.Second
	// maxZoneKeys bounds how many opened keys are kept; one more costs a look at its row.
	maxZoneKeys = 1024
)

// pinCipher is a partner's key at work.
type pinCipher interface {
	// Decrypt takes the PIN's digits out of a block. The caller clears them.
	Decrypt(f pinblock.Format, block []byte, pan string) ([]byte, error)
	// takes says which blocks: the format that partners use with such a key, and the length in bytes.
	takes() (pinblock.Format, int)
}

// symmetric is a TDES or AES key.
type symmetric struct {
	key    BlockKey
	format pinblock.Format
	size   int
}

func (s symmetric) Decrypt(f pinblock.Format, block []byte, pan string) (digits []byte, err error) {
	err = s.key.Use(func(b cipher.Block) (err error) {
		digits, err = pinblock.Lent(b).Decrypt(f, block, pan)
		return err
	})
	if err != nil {
		clear(digits)
		return nil, err
	}
	return digits, nil
}

// encrypt makes a PIN block.
func (s symmetric) encrypt(f pinblock.Format, p pin.PIN, pan string) (block []byte, err error) {
	err = s.key.Use(func(b cipher.Block) (err error) {
		block, err = pinblock.Lent(b).Encrypt(f, p.Digits(), pan, rand.Reader)
		return err
	})
	return block, err
}

func (s symmetric) takes() (pinblock.Format, int) { return s.format, s.size }

// The algorithms of partners' keys.
const (
	TDES = "TDES" // 16 or 24 bytes
	AES  = "AES"  // 16, 24 or 32 bytes
	RSA  = "RSA"  // a private key of 2048 to 4096 bits, PKCS#8 DER
)

// checkValues are the long check values of keys of each algorithm, which fail for what is no such key.
var checkValues = map[string]func(key []byte) (string, error){
	TDES: blockCheckValue(keymaterial.TDES),
	AES:  blockCheckValue(keymaterial.AES),
	RSA: func(der []byte) (string, error) {
		key, err := parseRSA(der)
		if err != nil {
			return "", err
		}
		return rsaCheckValue(&key.PublicKey), nil
	},
}

func blockCheckValue(c keymaterial.Cipher) func(key []byte) (string, error) {
	return func(key []byte) (string, error) {
		block, err := c.New(key)
		if err != nil {
			return "", err
		}
		return keymaterial.CheckValue(block), nil
	}
}

// cipherOf is the key of a row at work in the engine.
func (r *Ring) cipherOf(row pin.ZoneKey) (pinCipher, error) {
	if row.Algorithm == RSA {
		key, err := r.keys.UnwrapRSA(row.Wrapped, row.Bound())
		return &rsaCipher{key: key}, err
	}
	key, err := r.keys.UnwrapBlock(row.Algorithm, row.Wrapped, row.Bound())
	if row.Algorithm == AES {
		return symmetric{key, pinblock.ISO4, aes.BlockSize}, err
	}
	return symmetric{key, pinblock.ISO0, des.BlockSize}, err
}

// zoneKey is an opened zone PIN key. It prints as ****.
type zoneKey struct {
	hidden
	key         pinCipher
	about       PINKey
	certificate func() ([]byte, error)
	programID   string    // "" for a key that serves every program
	read        time.Time // when its row was
}

// PINKey is what a partner's request must fit.
type PINKey struct {
	Algorithm string          // TDES, AES or RSA
	Format    pinblock.Format // of the blocks: ISO4 under AES, otherwise ISO0 is what contracts use
	BlockSize int             // bytes
}

// WrapZoneKey makes the row of a partner's key, version 1 and with its check value (see [pinblock.Key.CheckValue]),
// that [Ring.ZoneKey] opens once it is stored. The algorithm is TDES, AES or RSA. programID is "" for a key that serves
// every program. InvalidField names algorithm or key, the latter for a length that the algorithm does not take. A weak
// key is taken: see [keymaterial.Cipher.Check]. The caller clears key.
func (r *Ring) WrapZoneKey(id, programID string, usage pin.KeyUsage, algorithm string, key []byte) (pin.ZoneKey, error) {
	check, err := LongCheckValue(algorithm, key)
	if err != nil {
		return pin.ZoneKey{}, err
	}
	row := pin.ZoneKey{ID: id, ProgramID: programID, Usage: usage, Algorithm: algorithm, Version: 1,
		CheckValue: check[:6], CreatedAt: r.now().UTC().Truncate(time.Microsecond)} // as exact as every database keeps it
	if row.Wrapped, err = r.wrap(row, key); err != nil {
		return pin.ZoneKey{}, err
	}
	return row, nil
}

// wrap makes a key ready to rest: of a message key, which works in this process's memory, by the vault's own keys alone.
func (r *Ring) wrap(row pin.ZoneKey, key []byte) ([]byte, error) {
	if row.Usage == pin.UsageMessage {
		return r.Seal(pin.UseKeyWrap, key, row.Bound())
	}
	wrapped, err := r.keys.WrapKey(row.Algorithm, key, row.Bound())
	if err != nil {
		return nil, failed(err, err)
	}
	return wrapped, nil
}

// LongCheckValue is the check value of a partner's key in sixteen upper-case hexadecimal digits, of which
// [pin.ZoneKey].CheckValue is the first six: errors as [Ring.WrapZoneKey].
func LongCheckValue(algorithm string, key []byte) (string, error) {
	of, ok := checkValues[algorithm]
	if !ok {
		return "", &pin.Error{Code: pin.InvalidField, Field: "algorithm"}
	}
	check, err := of(key)
	if err != nil {
		return "", &pin.Error{Code: pin.InvalidField, Field: "key"}
	}
	return check, nil
}

// MessageKeySizes are the lengths of the message keys that a contract can use, in bytes: of tokens, and of JWE.
func MessageKeySizes() []int { return []int{TokenKeySize, MessageKeySize} }

// ZoneKey finds a zone PIN key that the program may use. A key that is unknown, of another program, for another usage
// or retired is UnknownKey, without a word about which; a row that does not open is Internal, and what else the store
// reports is passed on.
//
// An opened key is kept, and its row read again after 30 seconds: in between there is no way to the database, and a
// retired key is dead after that time in every process.
func (r *Ring) ZoneKey(ctx context.Context, programID, keyID string) (pin.BlockOpener, error) {
	k, err := r.zoneKey(ctx, programID, keyID)
	if err != nil {
		return nil, err
	}
	return k, nil
}

// PINKey describes a zone PIN key that the program may use: errors as [Ring.ZoneKey].
func (r *Ring) PINKey(ctx context.Context, programID, keyID string) (PINKey, error) {
	k, err := r.zoneKey(ctx, programID, keyID)
	if err != nil {
		return PINKey{}, err
	}
	return k.about, nil
}

// PINCertificate is the X.509 certificate of an RSA key that the program may use, DER and self-signed, the same at
// every call: errors as [Ring.ZoneKey], UnknownKey for another algorithm too.
func (r *Ring) PINCertificate(ctx context.Context, programID, keyID string) ([]byte, error) {
	k, err := r.zoneKey(ctx, programID, keyID)
	if err != nil {
		return nil, err
	}
	if k.certificate == nil {
		return nil, &pin.Error{Code: pin.UnknownKey}
	}
	der, err := k.certificate()
	if err != nil {
		return nil, internal(err)
	}
	return der, nil
}

func (r *Ring) zoneKey(ctx context.Context, programID, keyID string) (*zoneKey, error) {
	now := r.now()
	k, ok := r.opened.Get(keyID)
	if !ok || !k.fresh(now) {
		r.opened.Remove(keyID)
		var err error
		if k, err = r.readZoneKey(ctx, keyID, now); err != nil {
			return nil, err
		}
		r.opened.Add(keyID, k)
	}
	if k.programID != "" && k.programID != programID {
		return nil, &pin.Error{Code: pin.UnknownKey}
	}
	return k, nil
}

// fresh tells whether the row was read less than zoneKeyLife ago, and not later than now by a clock put back.
func (k *zoneKey) fresh(now time.Time) bool {
	age := now.Sub(k.read)
	return age >= 0 && age < zoneKeyLife
}

func (r *Ring) readZoneKey(ctx context.Context, id string, now time.Time) (*zoneKey, error) {
	row, err := r.row(ctx, id, pin.UsageZonePIN)
	if err != nil {
		return nil, err
	}
	key, err := r.cipherOf(row)
	if err != nil {
		return nil, err
	}
	k := &zoneKey{key: key, about: PINKey{Algorithm: row.Algorithm}, programID: row.ProgramID, read: now}
	k.about.Format, k.about.BlockSize = key.takes()
	if c, ok := key.(*rsaCipher); ok {
		k.certificate = sync.OnceValues(func() ([]byte, error) { return c.certificate(row.ID, row.CreatedAt) })
	}
	return k, nil
}

// Fits tells whether a partner's key is for a usage, of so many bytes (0: any), and one that clients of the program,
// "" for those of the whole server, may use. One that is not there may come.
func (r *Ring) Fits(ctx context.Context, programID, id string, usage pin.KeyUsage, size int) (bool, error) {
	row, err := r.zone.ZoneKey(ctx, id)
	switch {
	case errors.Is(err, &pin.Error{Code: pin.NotFound}):
		return true, nil
	case err != nil:
		return false, err
	case row.Usage != usage || !row.RetiredAt.IsZero() || row.ProgramID != "" && row.ProgramID != programID:
		return false, nil
	case size == 0:
		return true, nil
	}
	key, err := r.Open(pin.UseKeyWrap, row.Wrapped, row.Bound())
	defer clear(key)
	return row.Algorithm == AES && len(key) == size, err
}

// row is a partner's key at rest: UnknownKey where no key has the id, or it is for another usage or retired.
func (r *Ring) row(ctx context.Context, id string, usage pin.KeyUsage) (pin.ZoneKey, error) {
	row, err := r.zone.ZoneKey(ctx, id)
	switch {
	case errors.Is(err, &pin.Error{Code: pin.NotFound}):
		return row, &pin.Error{Code: pin.UnknownKey}
	case err != nil:
		return row, err
	case row.Usage != usage || !row.RetiredAt.IsZero():
		return row, &pin.Error{Code: pin.UnknownKey}
	}
	return row, nil
}

// unwrap reads a partner's message key, which works in this process's memory: errors as row. The caller clears the key.
func (r *Ring) unwrap(ctx context.Context, id string, usage pin.KeyUsage) (row pin.ZoneKey, key []byte, err error) {
	row, err = r.row(ctx, id, usage)
	if err != nil {
		return row, nil, err
	}
	key, err = r.Open(pin.UseKeyWrap, row.Wrapped, row.Bound())
	return row, key, err
}

// EncryptBlock makes a PIN block under a zone PIN key that the program may use: errors as [Ring.ZoneKey], and UnfitBlock where the key
// makes no block of the format, an RSA key any, or the PAN is not one for it.
func (r *Ring) EncryptBlock(ctx context.Context, programID, keyID string, format pinblock.Format, p pin.PIN, pan string) ([]byte, error) {
	k, err := r.zoneKey(ctx, programID, keyID)
	if err != nil {
		return nil, err
	}
	of, ok := k.key.(symmetric)
	if !ok {
		return nil, &pin.Error{Code: pin.UnfitBlock}
	}
	block, err := of.encrypt(format, p, pan)
	switch {
	case err == nil:
		return block, nil
	case errors.Is(err, pinblock.ErrRandom):
		return nil, internal(err)
	case pin.CodeOf(err) == pin.Unavailable:
		return nil, err
	}
	return nil, &pin.Error{Code: pin.UnfitBlock}
}

// OpenBlock takes the PIN out of a block. A block of another size or format than the key is for is UnfitBlock, which
// the caller could have known. Whatever else is wrong is the same Unopenable, without a cause: whoever can tell the
// causes apart can work out digits (see package pinblock). The caller clears the PIN.
func (k *zoneKey) OpenBlock(format pinblock.Format, block []byte, pan string) (pin.PIN, error) {
	digits, err := k.key.Decrypt(format, block, pan)
	defer clear(digits)
	switch {
	case errors.Is(err, pinblock.ErrFormat), errors.Is(err, pinblock.ErrKeyFormat), errors.Is(err, pinblock.ErrBlockSize):
		return pin.PIN{}, &pin.Error{Code: pin.UnfitBlock}
	case pin.CodeOf(err) == pin.Unavailable:
		return pin.PIN{}, err
	case err != nil:
		return pin.PIN{}, &pin.Error{Code: pin.Unopenable}
	}
	p, err := pin.New(digits)
	if err != nil {
		return pin.PIN{}, &pin.Error{Code: pin.Unopenable}
	}
	return p, nil
}
