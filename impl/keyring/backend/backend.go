// Package backend opens the vault's keys by a URL, which says where they are and do their work:
//
//	file:PATH?master-key=SOURCE                 a keyset file under a master key, in this process's memory
//	openbao:MOUNT/KEY?address=…&token=SOURCE&…  a keyset file under a key of OpenBao, see package openbao
//	pkcs11:token=…?pin-source=SOURCE&…          a token, and a keyset file under a key of it, see package pkcs11
//
// It knows the backends and what they have in common. Where secrets are read from is its caller's, by the name of a SOURCE.
package backend

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/tink-crypto/tink-go/v2/tink"

	"pinvault/impl/keyring"
	"pinvault/impl/keyring/openbao"
	"pinvault/impl/keyring/pkcs11"
	"pinvault/impl/pin"
)

// Backend is what opens a keyset file, and what may have the keys of some uses itself.
type Backend interface {
	// KEK is what the keyset file is encrypted under.
	KEK() tink.AEAD
	// Init makes what is missing of its own keys, and finds out whether the keyset file may be written.
	Init() error
	// Engine is its own keys at work, and those of a keyset for all other uses.
	Engine(below keyring.Engine) (keyring.Engine, error)
	// Holds tells whether it has the keys of a use itself.
	Holds(use pin.Use) bool
	// Rotate makes a new key for a use that it holds.
	Rotate(use pin.Use) error
	// Close ends what it has begun.
	Close() error
}

// Surroundings are what backends get from outside.
type Surroundings struct {
	Secret func(source string) ([]byte, error) // what opens a backend; who asks clears it
	Log    *slog.Logger                        // nil: nothing is said
	// Observe hears of every call that leaves this process, by the backend's scheme. nil: nobody does.
	Observe func(backend, operation string, took time.Duration, err error)
}

// observe is Observe of one backend.
func (s Surroundings) observe(backend string) func(operation string, took time.Duration, err error) {
	if s.Observe == nil {
		return nil
	}
	return func(operation string, took time.Duration, err error) { s.Observe(backend, operation, took, err) }
}

// Open opens the backend of a URL and says where its keyset file is.
func Open(text string, s Surroundings) (b Backend, keyset string, err error) {
	scheme, _, _ := strings.Cut(text, ":")
	switch scheme {
	case fileScheme:
		return openFile(text, s)
	case openbao.Scheme:
		at, err := openbao.ParseURL(text)
		if err != nil {
			return nil, "", err
		}
		t, err := openbao.Open(openbao.Options{Location: at, Token: read(s, at.TokenSource), Log: s.Log, Observe: s.observe(scheme)})
		if err != nil {
			return nil, "", err
		}
		return t, at.Keyset, nil
	case pkcs11.Scheme:
		at, err := pkcs11.ParseURI(text)
		if err != nil {
			return nil, "", err
		}
		t, err := pkcs11.Open(pkcs11.Options{URI: at, PIN: read(s, at.PINSource), Log: s.Log, Observe: s.observe(scheme)})
		if err != nil {
			return nil, "", err
		}
		return t, at.Keyset, nil
	}
	return nil, "", errors.New("--keys must begin with one of file:, openbao: and pkcs11: (see docs/keys.md)")
}

func read(s Surroundings, source string) func() ([]byte, error) {
	return func() ([]byte, error) { return s.Secret(source) }
}

const fileScheme = "file"

const fileExample = "file:/etc/pinvault/keyset.json?master-key=credential:master-key"

// openFile reads file:PATH?master-key=SOURCE.
func openFile(text string, s Surroundings) (Backend, string, error) {
	path, query, _ := strings.Cut(strings.TrimPrefix(text, fileScheme+":"), "?")
	path, err := url.PathUnescape(strings.TrimPrefix(path, "//"))
	values, errQuery := url.ParseQuery(query)
	if err != nil || errQuery != nil || path == "" || len(values) != 1 || len(values["master-key"]) != 1 {
		return nil, "", fmt.Errorf("the URL of --keys looks like %s", fileExample)
	}
	written, err := s.Secret(values.Get("master-key"))
	if err != nil {
		return nil, "", err
	}
	defer clear(written)
	b, err := File(written)
	return b, path, err
}

// File is the backend of a master key as it was written down. The caller clears it.
func File(written []byte) (Backend, error) {
	master, err := keyring.ParseMasterKey(written)
	if err != nil {
		return nil, err
	}
	defer clear(master)
	kek, err := keyring.MasterKey(master)
	if err != nil {
		return nil, err
	}
	return file{kek: kek, weak: keyring.CheckMasterKey(master)}, nil
}

// file is a keyset file under a master key. It prints as ****.
type file struct {
	keyring.Hidden
	kek  tink.AEAD
	weak error // why no keyset should be written under it
}

func (f file) KEK() tink.AEAD                                { return f.kek }
func (f file) Init() error                                   { return f.weak }
func (file) Engine(k keyring.Engine) (keyring.Engine, error) { return k, nil }
func (file) Holds(pin.Use) bool                              { return false }
func (file) Rotate(pin.Use) error                            { return errors.New("the keys are in the keyset file") }
func (file) Close() error                                    { return nil }
