//go:build !cgo

package pkcs11

import (
	"errors"

	"github.com/tink-crypto/tink-go/v2/tink"

	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

var errWithout = errors.New("this pinvault was built without cgo and cannot load a PKCS#11 module: build the one that can with 'make build-pkcs11' (it takes a C compiler) and run bin/pinvault-pkcs11")

// Token is never there without cgo.
type Token struct{}

// Open says what is missing.
func Open(Options) (*Token, error) { return nil, errWithout }

// The methods of a token that is there.
func (*Token) Init() error                                   { return errWithout }
func (*Token) KEK() tink.AEAD                                { return nil }
func (*Token) Engine(keyring.Engine) (keyring.Engine, error) { return nil, errWithout }
func (*Token) Holds(pin.Use) bool                            { return false }
func (*Token) Rotate(pin.Use) error                          { return errWithout }
func (*Token) Close() error                                  { return nil }
