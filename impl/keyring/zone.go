package keyring

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"errors"
	"slices"
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
	// lend lends the key to work, which packs PINs: pinblock.ErrKeyFormat of a key that only opens blocks.
	lend(work func(pinblock.Key) error) error
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
	err = s.lend(func(k pinblock.Key) (err error) {
		digits, err = k.Decrypt(f, block, pan)
		return err
	})
	if err != nil {
		clear(digits)
		return nil, err
	}
	return digits, nil
}

func (s symmetric) lend(work func(pinblock.Key) error) error {
	return s.key.Use(func(b cipher.Block) error { return work(pinblock.Lent(b)) })
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
	row         pin.ZoneKey // without its material
	read        time.Time   // when its row was
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
	return r.wrap(pin.ZoneKey{ID: id, ProgramID: programID, Usage: usage, Algorithm: algorithm, Version: 1, CreatedAt: r.clock()}, key)
}

// wrap puts material into a row: errors as [Ring.WrapZoneKey].
func (r *Ring) wrap(row pin.ZoneKey, key []byte) (pin.ZoneKey, error) {
	check, err := LongCheckValue(row.Algorithm, key)
	if err != nil {
		return pin.ZoneKey{}, err
	}
	row.CheckValue, row.Size = check[:shortCheck], bits(row.Algorithm, key)
	if row.Wrapped, err = r.wrapped(row, key); err != nil {
		return pin.ZoneKey{}, err
	}
	return row, nil
}

// wrapped is a key ready to rest: of one that works in this process's memory (see unwrap) by the vault's own keys alone.
func (r *Ring) wrapped(row pin.ZoneKey, key []byte) ([]byte, error) {
	if row.Usage == pin.UsageMessage || row.Usage == pin.UsageZoneMaster {
		return r.Seal(pin.UseKeyWrap, key, row.Bound())
	}
	wrapped, err := r.keys.WrapKey(row.Algorithm, key, row.Bound())
	if err != nil {
		return nil, failed(err, err)
	}
	return wrapped, nil
}

// bits is the length of a key that its algorithm takes.
func bits(algorithm string, key []byte) int {
	if algorithm != RSA {
		return 8 * len(key)
	}
	parsed, err := parseRSA(key)
	if err != nil {
		return 0
	}
	return parsed.N.BitLen()
}

// shortCheck is the length of a check value, in hexadecimal digits.
const shortCheck = 6

// clock is the time as exact as every database keeps it.
func (r *Ring) clock() time.Time { return r.now().UTC().Truncate(time.Microsecond) }

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

// ZoneKey finds a zone PIN key that the program may use. A key that is unknown, of another program, for another usage,
// pending or retired is UnknownKey, without a word about which; a row that does not open is Internal, and what else the store
// reports is passed on.
//
// An opened key is kept, and its row read again after 30 seconds: in between there is no way to the database, and a
// retired key is dead after that time in every process.
func (r *Ring) ZoneKey(ctx context.Context, programID, keyID string) (pin.BlockOpener, error) {
	k, err := r.zoneKey(ctx, programID, keyID, pin.UsageZonePIN, pin.ZoneKey.Opens)
	if err != nil {
		return nil, err
	}
	return k, nil
}

// PINKey describes a zone PIN key that the program may use: errors as [Ring.ZoneKey].
func (r *Ring) PINKey(ctx context.Context, programID, keyID string) (PINKey, error) {
	k, err := r.zoneKey(ctx, programID, keyID, pin.UsageZonePIN, pin.ZoneKey.Opens)
	if err != nil {
		return PINKey{}, err
	}
	return k.about, nil
}

// PINCertificate is the X.509 certificate of an RSA key that the program may use, DER and self-signed, the same at
// every call: errors as [Ring.ZoneKey], UnknownKey for another algorithm too.
func (r *Ring) PINCertificate(ctx context.Context, programID, keyID string) ([]byte, error) {
	k, err := r.zoneKey(ctx, programID, keyID, pin.UsageZonePIN, pin.ZoneKey.Opens)
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

// zoneKey finds a key of a usage that carries PIN blocks. may is what the key must be allowed to do now.
func (r *Ring) zoneKey(ctx context.Context, programID, keyID string, usage pin.KeyUsage, may func(pin.ZoneKey, time.Time) bool) (*zoneKey, error) {
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
	if k.row.Usage != usage || !may(k.row, now) || !serves(k.row, programID) {
		return nil, &pin.Error{Code: pin.UnknownKey}
	}
	return k, nil
}

// serves tells whether a program may use a key.
func serves(row pin.ZoneKey, programID string) bool {
	return row.ProgramID == "" || row.ProgramID == programID
}

// fresh tells whether the row was read less than zoneKeyLife ago, and not later than now by a clock put back.
func (k *zoneKey) fresh(now time.Time) bool {
	age := now.Sub(k.read)
	return age >= 0 && age < zoneKeyLife
}

func (r *Ring) readZoneKey(ctx context.Context, id string, now time.Time) (*zoneKey, error) {
	row, err := r.row(ctx, r.zone, id, carrying, either)
	if err != nil {
		return nil, err
	}
	key, err := r.cipherOf(row)
	if err != nil {
		return nil, err
	}
	k := &zoneKey{key: key, about: PINKey{Algorithm: row.Algorithm}, row: row.WithoutMaterial(), read: now}
	k.about.Format, k.about.BlockSize = key.takes()
	if c, ok := key.(*rsaCipher); ok {
		k.certificate = sync.OnceValues(func() ([]byte, error) { return c.certificate(row.ID, row.CreatedAt) })
	}
	return k, nil
}

// Fits tells whether a partner's key is for a usage, of so many bytes (0: any), and one that clients of the program,
// "" for those of the whole server, may use. One that is not there, or not whole, may come.
func (r *Ring) Fits(ctx context.Context, programID, id string, usage pin.KeyUsage, size int) (bool, error) {
	row, err := r.zone.ZoneKey(ctx, id)
	switch {
	case errors.Is(err, &pin.Error{Code: pin.NotFound}):
		return true, nil
	case err != nil:
		return false, err
	case row.Usage != usage || !serves(row, programID):
		return false, nil
	case row.StateAt(r.now()) == pin.KeyPending:
		return size == 0 || row.Size == 0 || row.Size == 8*size, nil
	case !row.Opens(r.now()):
		return false, nil
	case size == 0:
		return true, nil
	}
	key, err := r.Open(pin.UseKeyWrap, row.Wrapped, row.Bound())
	defer clear(key)
	return row.Algorithm == AES && len(key) == size, err
}

// carrying are the usages of keys that carry PIN blocks.
var carrying = []pin.KeyUsage{pin.UsageZonePIN, pin.UsagePINMailer}

// either is what a key may do that opens or seals.
func either(row pin.ZoneKey, now time.Time) bool { return row.Opens(now) || row.Seals(now) }

// row is a partner's key at rest: UnknownKey where no key has the id, or it is for another usage, or may not do what is
// asked of it, such as when it is pending or retired.
func (r *Ring) row(ctx context.Context, from ZoneKeys, id string, usages []pin.KeyUsage, may func(pin.ZoneKey, time.Time) bool) (pin.ZoneKey, error) {
	row, err := from.ZoneKey(ctx, id)
	switch {
	case errors.Is(err, &pin.Error{Code: pin.NotFound}):
		return row, &pin.Error{Code: pin.UnknownKey}
	case err != nil:
		return row, err
	case !slices.Contains(usages, row.Usage) || !may(row, r.now()):
		return row, &pin.Error{Code: pin.UnknownKey}
	}
	return row, nil
}

// unwrap reads a partner's message or zone master key, which works in this process's memory: errors as row. The caller
// clears the key.
func (r *Ring) unwrap(ctx context.Context, from ZoneKeys, id string, usages []pin.KeyUsage, may func(pin.ZoneKey, time.Time) bool) (row pin.ZoneKey, key []byte, err error) {
	row, err = r.row(ctx, from, id, usages, may)
	if err != nil {
		return row, nil, err
	}
	key, err = r.Open(pin.UseKeyWrap, row.Wrapped, row.Bound())
	return row, key, err
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
