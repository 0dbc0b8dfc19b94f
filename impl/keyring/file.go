package keyring

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"pinvault/impl/pin"
)

const (
	fileFormat  = "pinvault-keyset/1"
	maxFileSize = 1 << 20
)

// file is a keyset at rest. What is secret in it is encrypted under the master key, each part bound to its name, so
// that parts cannot change places. The rest, Tink's keysetInfo included, tells an operator about the file and decides
// nothing.
type file struct {
	Format     string                      `json:"format"`
	CreatedAt  time.Time                   `json:"createdAt"`
	Keysets    map[pin.Use]json.RawMessage `json:"keysets"`    // Tink's EncryptedKeyset as JSON
	Signing    []byte                      `json:"signing"`    // encrypted JWK set
	Checkpoint []byte                      `json:"checkpoint"` // another one
}

// signers are the lists of signing keys in the file, by their names.
func (f *file) signers() map[string]*[]byte {
	return map[string]*[]byte{tokenSigners: &f.Signing, checkpointSigners: &f.Checkpoint}
}

// What stands in the way of a keyset file. The texts are for whoever starts the server: they say what to do, and hold
// nothing of the file or of the master key, since either may have been given in the other's place.
var (
	errMasterKey = errors.New("keyring: the master key is not 32 bytes in base64: make one with `openssl rand -base64 32`")
	errWeakKey   = errors.New("keyring: the master key was not generated at random: make one with `openssl rand -base64 32`")
	errNotAFile  = errors.New("keyring: this is not a keyset file, or it is damaged: check the path, or restore the file from a backup")
	errFormat    = errors.New("keyring: the keyset file is not in the format " + fileFormat + ": run the version of pinvault that wrote it")
	errWrongKey  = errors.New("keyring: nothing in the keyset file opens under this master key: give the master key that the file was written with")
	errNewerUse  = errors.New("keyring: the keyset file has keys for a use that is unknown here: run the version of pinvault that wrote it")
)

func errMissing(name string) error {
	return fmt.Errorf("keyring: the keyset file has no keys for %s: restore it from a backup", name)
}

func errDamaged(names []string) error {
	return fmt.Errorf("keyring: the keys for %s do not open although others in the keyset file do: it was damaged or changed, restore it from a backup",
		strings.Join(names, ", "))
}

// ParseMasterKey reads a master key from configuration: 32 bytes in base64 of either alphabet, padded or not, with
// blanks and line ends around it. The caller clears the key.
func ParseMasterKey(text []byte) ([]byte, error) {
	plain := bytes.TrimRight(bytes.TrimSpace(text), "=")
	encoding := base64.RawStdEncoding
	if bytes.ContainsAny(plain, "-_") {
		encoding = base64.RawURLEncoding
	}
	key := make([]byte, encoding.DecodedLen(len(plain)))
	n, err := encoding.Strict().Decode(key, plain)
	if err != nil || n != keySize {
		clear(key)
		return nil, errMasterKey
	}
	return key[:n], nil
}

// minDistinct is how many different bytes a random key of 32 has at the very least: it has fewer once in 10^15 times.
const minDistinct = 16

// CheckMasterKey refuses 32 bytes that no random source would give: a text, one byte or a few over and over, a series.
func CheckMasterKey(key []byte) error {
	if len(key) != keySize {
		return errMasterKey
	}
	last := key[0]
	seen, steps := map[byte]bool{last: true}, map[byte]bool{}
	for _, b := range key[1:] {
		seen[b], steps[b-last] = true, true
		last = b
	}
	text := utf8.Valid(key) && !bytes.ContainsFunc(key, func(r rune) bool { return !unicode.IsPrint(r) && !unicode.IsSpace(r) })
	if len(seen) < minDistinct || len(steps) == 1 || text || bytes.Equal(key[:keySize/2], key[keySize/2:]) {
		return errWeakKey
	}
	return nil
}

// MasterKey is the key-encryption key that a master key of 32 bytes is: AES-256-GCM. The caller clears master.
func MasterKey(master []byte) (tink.AEAD, error) {
	if len(master) != keySize {
		return nil, errMasterKey
	}
	return subtle.NewAESGCM(master)
}

// associated binds a part of the file to its name.
func associated(name string) []byte { return []byte(fileFormat + "/" + name) }

// Write writes the keyset file, encrypted under a key-encryption key such as [MasterKey]. Losing either is losing every
// PIN and PAN: keep copies of both, and apart.
func (ks *Keyset) Write(w io.Writer, kek tink.AEAD) (err error) {
	f := file{Format: fileFormat, CreatedAt: ks.createdAt, Keysets: make(map[pin.Use]json.RawMessage, len(uses))}
	for _, u := range uses {
		var text bytes.Buffer
		err := ks.handles[u.use].WriteWithAssociatedData(keyset.NewJSONWriter(&text), kek, associated(string(u.use)))
		if err != nil {
			return fmt.Errorf("keyring: encrypt the keys for %s: %w", u.use, err)
		}
		f.Keysets[u.use] = text.Bytes()
	}
	for name, part := range f.signers() {
		if *part, err = sealSigning(name, ks.signing[name], kek); err != nil {
			return fmt.Errorf("keyring: encrypt the keys for %s: %w", name, err)
		}
	}
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("keyring: keyset file: %w", err)
	}
	if _, err := w.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("keyring: write the keyset file: %w", err)
	}
	return nil
}

// Read reads what [Keyset.Write] wrote. Whatever is wrong with the file or the key, the error says what to do
// about it.
func Read(r io.Reader, kek tink.AEAD) (*Keyset, error) {
	f, err := parseFile(r)
	if err != nil {
		return nil, err
	}
	handles := make(map[pin.Use]*keyset.Handle, len(uses))
	var closed []string
	for _, u := range uses {
		from := keyset.NewJSONReader(bytes.NewReader(f.Keysets[u.use]))
		h, err := keyset.ReadWithAssociatedData(from, kek, associated(string(u.use)))
		if err != nil {
			closed = append(closed, string(u.use))
		}
		handles[u.use] = h
	}
	parts, signing := f.signers(), make(map[string][]SigningKey, len(signers))
	for _, name := range signers {
		if signing[name], err = openSigning(name, *parts[name], kek); err != nil {
			closed = append(closed, name)
		}
	}
	switch len(closed) {
	case 0:
		return newKeyset(f.CreatedAt, handles, signing)
	case len(uses) + len(signers):
		return nil, errWrongKey
	}
	return nil, errDamaged(closed)
}

// parseFile reads a file that is whole as far as that shows without the master key.
func parseFile(r io.Reader) (file, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxFileSize))
	if err != nil {
		return file{}, fmt.Errorf("keyring: read the keyset file: %w", err)
	}
	var head struct{ Format string }
	var f file
	switch {
	case json.Unmarshal(text, &head) != nil:
		return file{}, errNotAFile
	case head.Format != fileFormat: // before the rest, which another format may write differently
		return file{}, errFormat
	case json.Unmarshal(text, &f) != nil:
		return file{}, errNotAFile
	}
	for _, u := range uses {
		if len(f.Keysets[u.use]) == 0 {
			return file{}, errMissing(string(u.use))
		}
	}
	if len(f.Keysets) > len(uses) {
		return file{}, errNewerUse
	}
	for _, name := range signers {
		if len(*f.signers()[name]) == 0 {
			return file{}, errMissing(name)
		}
	}
	return f, nil
}

func sealSigning(name string, keys []SigningKey, kek tink.AEAD) ([]byte, error) {
	text, err := marshalSigning(keys)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	return kek.Encrypt(text, associated(name))
}

func openSigning(name string, ciphertext []byte, kek tink.AEAD) ([]SigningKey, error) {
	text, err := kek.Decrypt(ciphertext, associated(name))
	if err != nil {
		return nil, err
	}
	defer clear(text)
	return parseSigning(text)
}
