package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"pinvault/impl/app"
	"pinvault/impl/config"
	"pinvault/impl/keylife"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

type keysChangeMasterKeyCommand struct {
	keeperFlags
	NewMasterKey     string `name:"new-master-key" env:"PINVAULT_NEW_MASTER_KEY" hidden:"" secret:"" help:"The new master key, 32 bytes in base64. Set it as an environment variable."`
	NewMasterKeyFile string `name:"new-master-key-file" env:"PINVAULT_NEW_MASTER_KEY_FILE" type:"path" placeholder:"FILE" help:"The file that holds the new master key (or set PINVAULT_NEW_MASTER_KEY)."`
}

// Help says what servers do meanwhile.
func (*keysChangeMasterKeyCommand) Help() string {
	return `Encrypts the keyset file under another master key. The keys in it stay as they are. Servers work on, and read nothing new
from the file until they are started with the new master key, one after the other.

  PINVAULT_NEW_MASTER_KEY="$(openssl rand -base64 32)" pinvault keys change-master-key`
}

// Validate asks for both master keys.
func (c *keysChangeMasterKeyCommand) Validate() error {
	if c.NewMasterKey == "" && c.NewMasterKeyFile == "" {
		return errors.New("set PINVAULT_NEW_MASTER_KEY or --new-master-key-file")
	}
	if c.KeysURL != "" && !strings.HasPrefix(c.KeysURL, "file:") {
		return errors.New("the keyset file is under a key of the token or of OpenBao, and not under a master key: rotate that key there")
	}
	return c.keeperFlags.Validate()
}

// Run encrypts the keyset file anew.
func (c *keysChangeMasterKeyCommand) Run(ctx context.Context) error {
	fresh := config.Keys{MasterKey: c.NewMasterKey, MasterKeyFile: c.NewMasterKeyFile, InsecureKeyFiles: c.InsecureKeyFiles}
	backend, _, err := app.Backend(fresh)
	if err == nil {
		err = backend.Init() // which refuses a weak one
	}
	if err != nil {
		return fmt.Errorf("the new master key: %w", err)
	}
	path := ""
	err = c.keep(ctx, "change-master-key", func(ctx context.Context, k *keylife.Keeper, f keylife.File) ([]keyring.Standing, error) {
		path = f.Path
		return nil, k.Rewrap(ctx, f, backend.KEK(), pin.Memo{})
	})
	if err == nil {
		fmt.Println(path, "is encrypted under the new master key. Back up both, apart, and start every server with it.")
	}
	return err
}
