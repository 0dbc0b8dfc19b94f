package keyring

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/tink"

	"pinvault/impl/pin"
)

const (
	fileFormat  = "pinvault-keyset/2"
	maxFileSize = 1 << 20
)

// file is a keyset at rest. What it says of keys is there to be read, and nothing of it can be changed without the
// master key: the material is encrypted together with it.
type file struct {
	Format   string          `json:"format"`
	Check    []byte          `json:"check"`    // the format, encrypted: it opens under the master key that the file was written with
	Keyset   json.RawMessage `json:"keyset"`   // a manifest
	Material []byte          `json:"material"` // the keys' material by their names, encrypted
}

// manifest is what may be known of a keyset, and decides what its keys may do.
type manifest struct {
	Revision  int64     `json:"revision"`
	CreatedAt time.Time `json:"createdAt"`
	Keys      []Key     `json:"keys"`
}

// What stands in the way of a keyset file. The texts are for whoever starts the server: they say what to do, and hold
// nothing of the file or of the master key, since either may have been given in the other's place.
var (
	errMasterKey = errors.New("keyring: the master key is not 32 bytes in base64: make one with `openssl rand -base64 32`")
	errWeakKey   = errors.New("keyring: the master key was not generated at random: make one with `openssl rand -base64 32`")
	errNotAFile  = errors.New("keyring: this is not a keyset file, or it is damaged: check the path, or restore the file from a backup")
	errFormat    = errors.New("keyring: the keyset file is not in the format " + fileFormat + ": run the version of pinvault that wrote it")
	errWrongKey  = errors.New("keyring: the keyset file does not open under this master key: give the master key that the file was written with")
	errDamaged   = errors.New("keyring: the keyset file was damaged or changed: restore it from a backup")
	errNewer     = errors.New("keyring: the keyset file has keys of a kind that is unknown here: run the version of pinvault that wrote it")
)

func errMissing(name string) error {
	return fmt.Errorf("keyring: the keyset file has no keys for %s: restore it from a backup", name)
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

// associated binds a part of the file to its name and to what the file says of keys.
func associated(name string, manifest []byte) []byte {
	return append([]byte(fileFormat+"/"+name+"\n"), manifest...)
}

// Write writes the keyset file, encrypted under a key-encryption key such as [MasterKey]. Losing either is losing every
// PIN and PAN: keep copies of both, and apart.
func (ks *Keyset) Write(w io.Writer, kek tink.AEAD) error {
	about, err := json.Marshal(manifest{Revision: ks.revision, CreatedAt: ks.createdAt, Keys: known(ks.keys)})
	if err != nil {
		return fmt.Errorf("keyring: keyset file: %w", err)
	}
	material := map[string][]byte{}
	for _, k := range ks.keys {
		if k.material != nil {
			material[k.Name()] = k.material
		}
	}
	secret, err := json.Marshal(material)
	if err != nil {
		return fmt.Errorf("keyring: keyset file: %w", err)
	}
	defer clear(secret)
	f := file{Format: fileFormat, Keyset: about}
	if f.Check, err = kek.Encrypt([]byte(fileFormat), associated("check", nil)); err == nil {
		f.Material, err = kek.Encrypt(secret, associated("material", about))
	}
	if err != nil {
		return fmt.Errorf("keyring: encrypt the keyset: %w", err)
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
	if _, err := kek.Decrypt(f.Check, associated("check", nil)); err != nil {
		return nil, unless(err, errWrongKey)
	}
	var about bytes.Buffer
	if json.Compact(&about, f.Keyset) != nil {
		return nil, errDamaged
	}
	secret, err := kek.Decrypt(f.Material, associated("material", about.Bytes()))
	if err != nil {
		return nil, unless(err, errDamaged)
	}
	defer clear(secret)
	var m manifest
	material := map[string][]byte{}
	if json.Unmarshal(about.Bytes(), &m) != nil || json.Unmarshal(secret, &material) != nil {
		return nil, errNewer
	}
	keys, err := joined(m.Keys, material)
	if err != nil {
		return nil, err
	}
	return newKeyset(m.CreatedAt, m.Revision, keys)
}

// unless is what the file's not opening says, unless the key-encryption key is Unavailable.
func unless(err, says error) error {
	if pin.CodeOf(err) == pin.Unavailable {
		return err
	}
	return says
}

// joined are the keys of a file with their material: what they are said to be.
func joined(keys []Key, material map[string][]byte) ([]heldKey, error) {
	out := make([]heldKey, len(keys))
	for i, k := range keys {
		kind, ok := kindOf(k.Use)
		if !ok || k.Algorithm != kind.algorithm {
			return nil, errNewer
		}
		if out[i].Key = k; !k.DestroyedAt.IsZero() {
			continue
		}
		own := material[k.Name()]
		if len(own) != keySize {
			return nil, errMissing(string(k.Use))
		}
		about, err := kind.about(own)
		if err != nil || about.checkValue != k.CheckValue || about.id != "" && about.id != k.ID {
			return nil, errDamaged
		}
		out[i].material = own
	}
	return out, nil
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
	return f, nil
}
