package openbao

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/tink"

	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

// aead is a key of transit that seals. It prints as ****.
type aead struct {
	keyring.Hidden
	t    *Transit
	name string
}

// KEK seals the keyset file.
func (t *Transit) KEK() tink.AEAD { return aead{t: t, name: t.at.Key} }

// nameOf is the key of a use.
func (t *Transit) nameOf(use pin.Use) string { return t.at.Key + "-" + string(use) }

var errNotOpened = errors.New("openbao: the ciphertext does not open")

// beginning is what the ciphertexts of transit begin with, before the number of the key's version and a colon.
const beginning = "vault:v"

// Sizes in bytes.
const (
	keyIDSize  = 4
	prefixSize = 1 + keyIDSize // Tink's output prefix: 1 and the key's id
)

func (a aead) Encrypt(plaintext, associated []byte) ([]byte, error) {
	out, err := a.t.do("encrypt", http.MethodPut, a.t.at.Mount+"/encrypt/"+a.name, map[string]any{
		"plaintext": base64.StdEncoding.EncodeToString(plaintext), "associated_data": base64.StdEncoding.EncodeToString(associated)})
	if err != nil {
		return nil, err
	}
	version, sealed, err := split(out["ciphertext"])
	if err != nil {
		return nil, err
	}
	return append(binary.BigEndian.AppendUint32([]byte{1}, version), sealed...), nil
}

func (a aead) Decrypt(ciphertext, associated []byte) ([]byte, error) {
	if len(ciphertext) < prefixSize || ciphertext[0] != 1 {
		return nil, errNotOpened
	}
	version := binary.BigEndian.Uint32(ciphertext[1:])
	out, err := a.t.do("decrypt", http.MethodPut, a.t.at.Mount+"/decrypt/"+a.name, map[string]any{
		"ciphertext":      beginning + strconv.FormatUint(uint64(version), 10) + ":" + base64.StdEncoding.EncodeToString(ciphertext[prefixSize:]),
		"associated_data": base64.StdEncoding.EncodeToString(associated)})
	if errors.Is(err, errRefused) {
		return nil, errNotOpened
	}
	if err != nil {
		return nil, err
	}
	text, ok := out["plaintext"].(string)
	if !ok {
		return nil, errAnswer
	}
	return base64.StdEncoding.DecodeString(text)
}

var errAnswer = &pin.Error{Code: pin.Unavailable, Err: errors.New("openbao: an answer that is none of transit's")}

// split takes what transit made apart: the version of the key, and the bytes.
func split(value any) (version uint32, made []byte, err error) {
	text, _ := value.(string)
	rest, ok := strings.CutPrefix(text, beginning)
	number, digits, cut := strings.Cut(rest, ":")
	n, errNumber := strconv.ParseUint(number, 10, 32)
	made, errText := base64.StdEncoding.DecodeString(digits)
	if !ok || !cut || errNumber != nil || errText != nil {
		return 0, nil, errAnswer
	}
	return uint32(n), made, nil
}

// Init makes the keys that are not there: the one that seals the keyset file, and those of uses.
func (t *Transit) Init() error {
	keys := map[string]string{t.at.Key: "aes256-gcm96"}
	for _, use := range t.at.Uses {
		keys[t.nameOf(use)] = kindOf(use)
	}
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		if _, err := t.versions(name); err == nil {
			continue
		}
		body := map[string]any{"type": keys[name]}
		if keys[name] == "hmac" {
			body["key_size"] = indexKeySize
		}
		if _, err := t.do("create", http.MethodPut, t.at.Mount+"/keys/"+name, body); err != nil {
			return fmt.Errorf("the key %s in OpenBao: %w", name, t.words(err))
		}
	}
	return nil
}

// indexKeySize is that of HMAC-SHA256, in bytes.
const indexKeySize = 32

// kindOf is transit's type of the key of a use.
func kindOf(use pin.Use) string {
	if use == pin.UsePANIndex {
		return "hmac"
	}
	return "aes256-gcm96"
}

// Engine has the keys of some uses in OpenBao, all others in a keyset. It prints as ****.
type Engine struct {
	keyring.Hidden
	below keyring.Engine
	t     *Transit
}

// Engine is the transit engine at work. An error says which of the keys it needs are not there.
func (t *Transit) Engine(below keyring.Engine) (keyring.Engine, error) {
	if len(t.at.Uses) == 0 {
		return below, nil
	}
	for _, use := range t.at.Uses {
		if _, err := t.key(use).refresh(); err != nil {
			return nil, err
		}
	}
	return &Engine{below: below, t: t}, nil
}

// Primitive is the key in OpenBao for what is there.
func (e *Engine) Primitive(use pin.Use) any {
	switch {
	case !e.t.Holds(use):
		return e.below.Primitive(use)
	case kindOf(use) == "hmac":
		return e.t.key(use).index()
	}
	return aead{t: e.t, name: e.t.nameOf(use)}
}

// KeyIDs are the versions of the key in OpenBao for what is there.
func (e *Engine) KeyIDs(use pin.Use) []string {
	if !e.t.Holds(use) {
		return e.below.KeyIDs(use)
	}
	ids, _ := e.t.key(use).known()
	return ids
}

// SigningKeys are the keyset's.
func (e *Engine) SigningKeys() []keyring.SigningKey { return e.below.SigningKeys() }

// CheckpointKeys are the keyset's.
func (e *Engine) CheckpointKeys() []keyring.SigningKey { return e.below.CheckpointKeys() }

// LogKeys are the keyset's.
func (e *Engine) LogKeys() []keyring.SigningKey { return e.below.LogKeys() }

// partners are partners' keys, which work in this process's memory wherever they were sealed.
func (e *Engine) partners() keyring.InMemory {
	return keyring.InMemory{AEAD: e.Primitive(pin.UseKeyWrap).(tink.AEAD)}
}

// WrapKey is [keyring.InMemory]'s.
func (e *Engine) WrapKey(algorithm string, key, associated []byte) ([]byte, error) {
	return e.partners().WrapKey(algorithm, key, associated)
}

// UnwrapBlock is [keyring.InMemory]'s.
func (e *Engine) UnwrapBlock(algorithm string, wrapped, associated []byte) (keyring.BlockKey, error) {
	return e.partners().UnwrapBlock(algorithm, wrapped, associated)
}

// UnwrapRSA is [keyring.InMemory]'s.
func (e *Engine) UnwrapRSA(wrapped, associated []byte) (keyring.RSAKey, error) {
	return e.partners().UnwrapRSA(wrapped, associated)
}

// key is a key of transit, of which it is known what versions there are.
type key struct {
	t    *Transit
	name string

	mu       sync.Mutex
	versions []uint32 // the newest first
	read     time.Time
}

// fresh is how long the versions of a key are believed.
const fresh = 10 * time.Second

// known are the versions and their ids, as they were known last where nobody answers.
func (k *key) known() (ids []string, versions []uint32) {
	k.mu.Lock()
	versions, old := k.versions, time.Since(k.read) > fresh
	if old {
		k.read = time.Now() // for all others that would ask as well
	}
	k.mu.Unlock()
	if old {
		if now, err := k.refresh(); err == nil {
			versions = now
		}
	}
	for _, version := range versions {
		ids = append(ids, keyring.KeyID(version))
	}
	return ids, versions
}

// index is all versions of a key that indexes. What is computed under them says whether anybody answers.
func (k *key) index() keyring.Index {
	ids, versions := k.known()
	keys := make([]prf.PRF, len(versions))
	for i, version := range versions {
		keys[i] = indexKey{k.t, k.name, version}
	}
	return keyring.NewIndex(ids, keys)
}

func (k *key) refresh() ([]uint32, error) {
	versions, err := k.t.versions(k.name)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.versions, k.read = versions, time.Now()
	return versions, nil
}

// versions are those of a key that may be used, the newest first.
func (t *Transit) versions(name string) ([]uint32, error) {
	about, err := t.do("keys", http.MethodGet, t.at.Mount+"/keys/"+name, nil)
	if err != nil {
		return nil, t.words(err)
	}
	var versions []uint32
	for n := number(about["latest_version"]); n > 0 && n >= number(about["min_decryption_version"]); n-- {
		versions = append(versions, n)
	}
	if len(versions) == 0 {
		return nil, fmt.Errorf("OpenBao has no key %s: make the vault's keys with 'pinvault keys init'", name)
	}
	return versions, nil
}

func number(value any) uint32 {
	text, _ := value.(json.Number)
	n, _ := strconv.ParseUint(text.String(), 10, 32)
	return uint32(n)
}

// indexKey is a version of a key that indexes: HMAC-SHA256 there.
type indexKey struct {
	t       *Transit
	name    string
	version uint32
}

// ComputePRF is prf.PRF's.
func (k indexKey) ComputePRF(data []byte, size uint32) ([]byte, error) {
	out, err := k.t.do("hmac", http.MethodPut, k.t.at.Mount+"/hmac/"+k.name+"/sha2-256", map[string]any{
		"input": base64.StdEncoding.EncodeToString(data), "key_version": k.version})
	if err != nil {
		return nil, err
	}
	version, sum, err := split(out["hmac"])
	if err != nil {
		return nil, err
	}
	if version != k.version || len(sum) < int(size) {
		return nil, errAnswer
	}
	return sum[:size], nil
}

// Holds tells whether OpenBao has the keys of a use.
func (t *Transit) Holds(use pin.Use) bool { return slices.Contains(t.at.Uses, use) }

// Rotate makes a new version of the key of a use, which other processes work with within seconds.
func (t *Transit) Rotate(use pin.Use) error {
	switch {
	case !t.Holds(use):
		return fmt.Errorf("OpenBao has no keys for %s", use)
	case kindOf(use) == "hmac":
		return fmt.Errorf("the key for %s in OpenBao cannot be replaced while servers serve: until each has heard of it, they would not find what others keep", use)
	}
	k := t.key(use)
	if _, err := t.do("rotate", http.MethodPut, t.at.Mount+"/keys/"+k.name+"/rotate", nil); err != nil {
		return t.words(err)
	}
	_, err := k.refresh()
	return err
}

// key is what is known of the key of a use.
func (t *Transit) key(use pin.Use) *key {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.keys[use] == nil {
		t.keys[use] = &key{t: t, name: t.nameOf(use)}
	}
	return t.keys[use]
}
