//go:build cgo

package pkcs11

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	p11 "github.com/miekg/pkcs11"
	"github.com/tink-crypto/tink-go/v2/tink"

	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

// What keys besides those of uses are for, as their labels have it.
const (
	keysetKey     = "keyset"   // seals the keyset file
	partnersKey   = "partners" // wraps partners' keys
	signingKey    = string(keyring.UseTokens)
	checkpointKey = string(keyring.UseCheckpoints)
)

// signers are the pairs of keys.
var signers = []string{signingKey, checkpointKey}

// versions are the handles of a key's versions.
type versions struct {
	newest  uint32
	handles map[uint32]p11.ObjectHandle // of the secret or private key
	points  map[uint32][]byte           // CKA_EC_POINT of pairs
}

func (t *Token) label(name string) string { return t.uri.Object + "/" + name }

// names are all keys that a token has for a vault.
func names() []string {
	all := []string{keysetKey, partnersKey, signingKey, checkpointKey}
	for _, use := range Uses {
		all = append(all, string(use))
	}
	return all
}

// scan finds the keys.
func (c *connection) scan(s p11.SessionHandle) error {
	found := map[string]versions{}
	for _, name := range names() {
		v, err := c.find(s, name)
		if err != nil {
			return err
		}
		found[name] = v
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys, c.scanned = found, time.Now()
	c.t.known(found)
	return nil
}

// known keeps which versions there are, for when the token is away.
func (t *Token) known(found map[string]versions) {
	ids := map[string][]string{}
	for name, v := range found {
		for _, version := range slices.Backward(slices.Sorted(maps.Keys(v.handles))) {
			ids[name] = append(ids[name], keyring.KeyID(version))
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ids = ids
}

// find finds the versions of a key. Of a pair it is those of which both halves are there.
func (c *connection) find(s p11.SessionHandle, name string) (v versions, err error) {
	if !slices.Contains(signers, name) {
		v.handles, err = c.list(s, p11.CKO_SECRET_KEY, name)
	} else if v.handles, err = c.list(s, p11.CKO_PRIVATE_KEY, name); err == nil {
		v.points, err = c.points(s, name)
		maps.DeleteFunc(v.handles, func(version uint32, _ p11.ObjectHandle) bool { return v.points[version] == nil })
	}
	for version := range v.handles {
		v.newest = max(v.newest, version)
	}
	return v, err
}

// points are the public halves of a pair's versions.
func (c *connection) points(s p11.SessionHandle, name string) (map[uint32][]byte, error) {
	handles, err := c.list(s, p11.CKO_PUBLIC_KEY, name)
	if err != nil {
		return nil, err
	}
	points := map[uint32][]byte{}
	for version, handle := range handles {
		a, err := c.t.module.GetAttributeValue(s, handle, []*p11.Attribute{p11.NewAttribute(p11.CKA_EC_POINT, nil)})
		if err != nil {
			return nil, err
		}
		points[version] = a[0].Value
	}
	return points, nil
}

// list finds the versions of objects of a class.
func (c *connection) list(s p11.SessionHandle, class uint, name string) (map[uint32]p11.ObjectHandle, error) {
	m := c.t.module
	if err := m.FindObjectsInit(s, []*p11.Attribute{p11.NewAttribute(p11.CKA_CLASS, class),
		p11.NewAttribute(p11.CKA_TOKEN, true), p11.NewAttribute(p11.CKA_LABEL, c.t.label(name))}); err != nil {
		return nil, err
	}
	found, _, err := m.FindObjects(s, maxVersions)
	if err = errors.Join(err, m.FindObjectsFinal(s)); err != nil {
		return nil, err
	}
	handles := map[uint32]p11.ObjectHandle{}
	for _, handle := range found {
		a, err := m.GetAttributeValue(s, handle, []*p11.Attribute{p11.NewAttribute(p11.CKA_ID, nil)})
		if err != nil {
			return nil, err
		}
		id := a[0].Value
		if len(id) != keyIDSize {
			continue
		}
		version := binary.BigEndian.Uint32(id)
		if _, twice := handles[version]; twice {
			return nil, fmt.Errorf("there are two keys %q with the id %x: two processes made the vault's keys at once; destroy them and run 'pinvault keys init' again", c.t.label(name), id)
		}
		handles[version] = handle
	}
	return handles, nil
}

// maxVersions bounds how many versions of a key are looked at.
const maxVersions = 1000

// primary is the newest version of a key.
func (c *connection) primary(name string) (version uint32, handle p11.ObjectHandle, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.keys[name]
	if v.newest == 0 {
		return 0, 0, errMissing(c.t.label(name))
	}
	return v.newest, v.handles[v.newest], nil
}

func errMissing(label string) error {
	return fmt.Errorf("the token has no key %q: make the vault's keys with 'pinvault keys init'", label)
}

// version is one version of a key. One that is not known may have been made since by another process: the token is asked,
// not all the time.
func (c *connection) version(s p11.SessionHandle, name string, version uint32) (handle p11.ObjectHandle, ok bool, err error) {
	c.mu.Lock()
	handle, ok = c.keys[name].handles[version]
	old := version == c.keys[name].newest+1 || time.Since(c.scanned) > pause
	c.mu.Unlock()
	if ok || !old {
		return handle, ok, nil
	}
	if err := c.scan(s); err != nil {
		return 0, false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	handle, ok = c.keys[name].handles[version]
	return handle, ok, nil
}

// Init makes the keys that a vault needs and that the token does not have.
func (t *Token) Init() error {
	for _, name := range names() {
		_, err := t.do("create", func(c *connection, s p11.SessionHandle) ([]byte, error) {
			if _, _, err := c.primary(name); err == nil {
				return nil, nil
			}
			return nil, c.generate(s, name, 1)
		})
		if err != nil {
			return fmt.Errorf("the token makes no key %q: %w", t.label(name), err)
		}
	}
	return nil
}

// Holds tells whether the token has the keys of a use.
func (t *Token) Holds(use pin.Use) bool {
	return slices.Contains(Uses, use) || use == keyring.UseTokens || use == keyring.UseCheckpoints
}

// Rotate makes a new version of the key of a use. A process works with it from its next look at the token on, at the latest
// when it meets an output of it; what signs is read when a process starts.
func (t *Token) Rotate(use pin.Use) error {
	name := string(use)
	if !t.Holds(use) {
		return fmt.Errorf("the token has no keys for %s", use)
	}
	_, err := t.do("rotate", func(c *connection, s p11.SessionHandle) ([]byte, error) {
		if err := c.scan(s); err != nil {
			return nil, err
		}
		newest, _, err := c.primary(name)
		if err != nil {
			return nil, err
		}
		return nil, c.generate(s, name, newest+1)
	})
	return err
}

// generate makes a version of a key, in the token and for good.
func (c *connection) generate(s p11.SessionHandle, name string, version uint32) error {
	m := c.t.module
	id := binary.BigEndian.AppendUint32(nil, version)
	secret := []*p11.Attribute{
		p11.NewAttribute(p11.CKA_LABEL, c.t.label(name)), p11.NewAttribute(p11.CKA_ID, id), p11.NewAttribute(p11.CKA_TOKEN, true),
		p11.NewAttribute(p11.CKA_PRIVATE, true), p11.NewAttribute(p11.CKA_SENSITIVE, true), p11.NewAttribute(p11.CKA_EXTRACTABLE, false),
	}
	var err error
	if slices.Contains(signers, name) {
		public := []*p11.Attribute{
			p11.NewAttribute(p11.CKA_LABEL, c.t.label(name)), p11.NewAttribute(p11.CKA_ID, id), p11.NewAttribute(p11.CKA_TOKEN, true),
			p11.NewAttribute(p11.CKA_VERIFY, true), p11.NewAttribute(p11.CKA_EC_PARAMS, p256),
		}
		_, _, err = m.GenerateKeyPair(s, mechanism(p11.CKM_EC_KEY_PAIR_GEN, nil), public, append(secret, p11.NewAttribute(p11.CKA_SIGN, true)))
	} else {
		seals := name != partnersKey
		_, err = m.GenerateKey(s, mechanism(p11.CKM_AES_KEY_GEN, nil), append(secret,
			p11.NewAttribute(p11.CKA_CLASS, p11.CKO_SECRET_KEY), p11.NewAttribute(p11.CKA_KEY_TYPE, p11.CKK_AES), p11.NewAttribute(p11.CKA_VALUE_LEN, 32),
			p11.NewAttribute(p11.CKA_ENCRYPT, seals), p11.NewAttribute(p11.CKA_DECRYPT, seals),
			p11.NewAttribute(p11.CKA_WRAP, !seals), p11.NewAttribute(p11.CKA_UNWRAP, !seals)))
	}
	if err != nil {
		return err
	}
	return c.scan(s)
}

// p256 is the curve's object identifier, DER.
var p256 = []byte{0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07}

func mechanism(m uint, parameter any) []*p11.Mechanism {
	return []*p11.Mechanism{p11.NewMechanism(m, parameter)}
}

// Sizes in bytes.
const (
	keyIDSize  = 4
	prefixSize = 1 + keyIDSize // Tink's output prefix: 1 and the key's id
	nonceSize  = 12
	tagSize    = 16
)

// aead is a key that seals: AES-256-GCM in the token. It prints as ****.
type aead struct {
	keyring.Hidden
	t    *Token
	name string
}

var errNotOpened = errors.New("pkcs11: the ciphertext does not open")

// KEK seals the keyset file.
func (t *Token) KEK() tink.AEAD { return aead{t: t, name: keysetKey} }

func (a aead) Encrypt(plaintext, associated []byte) ([]byte, error) {
	nonce := make([]byte, nonceSize)
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return a.t.do("encrypt", func(c *connection, s p11.SessionHandle) ([]byte, error) {
		return c.seal(s, a.name, nonce, plaintext, associated)
	})
}

func (c *connection) seal(s p11.SessionHandle, name string, nonce, plaintext, associated []byte) ([]byte, error) {
	version, key, err := c.primary(name)
	if err != nil {
		return nil, err
	}
	params := p11.NewGCMParams(nonce, associated, 8*tagSize)
	defer params.Free()
	if err := c.t.module.EncryptInit(s, mechanism(p11.CKM_AES_GCM, params), key); err != nil {
		return nil, err
	}
	sealed, err := c.t.module.Encrypt(s, plaintext)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, prefixSize+nonceSize+len(sealed))
	out = append(binary.BigEndian.AppendUint32(append(out, 1), version), nonce...)
	return append(out, sealed...), nil
}

func (a aead) Decrypt(ciphertext, associated []byte) ([]byte, error) {
	return a.t.do("decrypt", func(c *connection, s p11.SessionHandle) ([]byte, error) {
		return c.open(s, a.name, ciphertext, associated)
	})
}

func (c *connection) open(s p11.SessionHandle, name string, ciphertext, associated []byte) ([]byte, error) {
	if len(ciphertext) < prefixSize+nonceSize+tagSize || ciphertext[0] != 1 {
		return nil, errNotOpened
	}
	key, ok, err := c.version(s, name, binary.BigEndian.Uint32(ciphertext[1:]))
	if err != nil || !ok {
		return nil, errors.Join(err, errNotOpened)
	}
	params := p11.NewGCMParams(ciphertext[prefixSize:prefixSize+nonceSize], associated, 8*tagSize)
	defer params.Free()
	if err := c.t.module.DecryptInit(s, mechanism(p11.CKM_AES_GCM, params), key); err != nil {
		return nil, err
	}
	out, err := c.t.module.Decrypt(s, ciphertext[prefixSize+nonceSize:])
	if err != nil {
		return nil, c.blame(s, name, err)
	}
	return out, nil
}

// blame says whose fault it is that something did not open. Modules report a forged ciphertext by errors that a broken
// token has too: one that still seals is not broken.
func (c *connection) blame(s p11.SessionHandle, name string, err error) error {
	if is(err, p11.CKR_ENCRYPTED_DATA_INVALID, p11.CKR_ENCRYPTED_DATA_LEN_RANGE) {
		return errNotOpened
	}
	if _, sealErr := c.seal(s, name, make([]byte, nonceSize), nil, nil); sealErr != nil {
		return err
	}
	return errNotOpened
}

// Engine has the keys of some uses in the token, all others in a keyset. It prints as ****.
type Engine struct {
	keyring.Hidden
	*Token
	below               keyring.Engine
	signing, checkpoint []keyring.SigningKey
}

// Engine is the token at work. An error says which of the keys it needs are not there.
func (t *Token) Engine(below keyring.Engine) (keyring.Engine, error) {
	e := &Engine{Token: t, below: below}
	c, err := t.connection()
	if err != nil {
		return nil, unavailable(err)
	}
	for _, name := range names() {
		if _, _, err := c.primary(name); err != nil {
			return nil, err
		}
	}
	if e.signing, err = t.signers(signingKey); err != nil {
		return nil, err
	}
	if e.checkpoint, err = t.signers(checkpointKey); err != nil {
		return nil, err
	}
	return e, nil
}

// Primitive is the token's key for what is in it.
func (e *Engine) Primitive(use pin.Use) any {
	if slices.Contains(Uses, use) {
		return aead{t: e.Token, name: string(use)}
	}
	return e.below.Primitive(use)
}

// KeyIDs are the versions of the token's key for what is in it, as they were last seen.
func (e *Engine) KeyIDs(use pin.Use) []string {
	if !slices.Contains(Uses, use) {
		return e.below.KeyIDs(use)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ids[string(use)]
}

// SigningKeys sign in the token.
func (e *Engine) SigningKeys() []keyring.SigningKey { return slices.Clone(e.signing) }

// CheckpointKeys sign in the token.
func (e *Engine) CheckpointKeys() []keyring.SigningKey { return slices.Clone(e.checkpoint) }

// LogKeys are the keyset's: not every token has Ed25519.
func (e *Engine) LogKeys() []keyring.SigningKey { return e.below.LogKeys() }
