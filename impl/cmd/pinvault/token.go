package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"pinvault/impl/app"
	"pinvault/impl/config"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/store"
)

type tokenCommand struct {
	Seal tokenSealCommand `cmd:"" help:"Read a message from standard input and write the body {\"token\": …} that carries it."`
	Open tokenOpenCommand `cmd:"" help:"Read a token, or a body that contains one, from standard input and write the message inside."`
}

// tokenKeys says by which keys: those of a client in the database, or one that a partner has at hand.
type tokenKeys struct {
	config.Database
	config.Keys
	Sandbox bool   `env:"PINVAULT_SANDBOX" help:"The database is a sandbox's."`
	Client  string `placeholder:"ID" help:"The client whose keys to use, such as accosa-sandbox. They are read from the database."`
	Key     string `env:"PINVAULT_TOKEN_KEY" hidden:"" secret:"" help:"A key of 24 bytes in hex, used if no client is named. Set it as an environment variable: everybody on the machine can see a flag."`
	IV      string `name:"iv" placeholder:"HEX" help:"With PINVAULT_TOKEN_KEY: the fixed IV, 16 bytes in hex. Default: each token begins with its own."`
}

// Validate asks for a key where none is named.
func (k *tokenKeys) Validate() error {
	switch {
	case k.Key == "" && k.Client == "":
		return errors.New("name the client with --client, or set PINVAULT_TOKEN_KEY to a key in hex")
	case k.IV != "" && k.Client != "":
		return errors.New("--iv goes with PINVAULT_TOKEN_KEY; a client's is in its settings")
	case k.Client == "" || k.Sandbox:
		return nil
	}
	return k.Missing()
}

// find returns the keys, the current one first.
func (k *tokenKeys) find(ctx context.Context) (_ []*keyring.TokenKey, err error) {
	if k.Client == "" {
		return k.own()
	}
	ks, err := app.Engine(k.Sandbox, k.Keys)
	if err != nil {
		return nil, err
	}
	db, err := store.Open(ctx, k.DatabaseURL, store.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := app.ReadySchema(ctx, db, k.Sandbox && k.Embedded()); err != nil {
		return nil, err
	}
	ring := keyring.Open(ks, db, nil)
	return app.TokenKeys(ctx, pin.NewVault(db, ring, nil, nil), ring, k.Client)
}

// own is the key that was handed in.
func (k *tokenKeys) own() ([]*keyring.TokenKey, error) {
	key, err := hex.DecodeString(k.Key)
	defer clear(key)
	var iv []byte
	if err == nil && k.IV != "" {
		iv, err = hex.DecodeString(k.IV)
	}
	if err != nil { // whose text quotes a digit
		return nil, errors.New("key and IV are hex digits")
	}
	made, err := keyring.NewTokenKey(key, iv)
	return []*keyring.TokenKey{made}, err
}

type tokenSealCommand struct{ tokenKeys }

// Run seals under the current key.
func (c *tokenSealCommand) Run(ctx context.Context) error {
	keys, err := c.find(ctx)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	defer clear(text)
	token, err := keys[0].Seal(rand.Reader, []byte(strings.TrimRight(string(text), "\r\n")))
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]string{"token": token})
}

type tokenOpenCommand struct{ tokenKeys }

// Run opens under the first key that does.
func (c *tokenOpenCommand) Run(ctx context.Context) error {
	keys, err := c.find(ctx)
	if err != nil {
		return err
	}
	sent, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	token := strings.TrimSpace(string(sent))
	var body struct {
		Token string `json:"token"`
	}
	if json.Unmarshal(sent, &body) == nil {
		token = body.Token
	}
	for _, key := range keys {
		// Under a wrong key one token in 256 is padded rightly by chance; it is no JSON then.
		if text, ok := key.Open(token); ok && json.Valid(text) {
			_, err := fmt.Println(string(text))
			return err
		}
	}
	return errors.New("the token does not open under these keys, or does not contain JSON")
}
