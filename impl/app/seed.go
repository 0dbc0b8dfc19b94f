package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"pinvault/impl/contract"
	"pinvault/impl/issuer"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/sandbox"
	"pinvault/impl/scratch"
	"pinvault/impl/seed"
	"pinvault/impl/store"
	"pinvault/openapi"
)

// readSeed reads a file that sandboxes are seeded with, and sows it into a database of its own, which is gone
// afterwards: what a vault would refuse is refused before anything is changed. What is wrong with it is a [*seed.Error].
func readSeed(ctx context.Context, file string, documents map[string]*contract.Document) (*seed.File, error) {
	text, err := os.ReadFile(file) //nolint:gosec // whoever runs the command says which
	if err != nil {
		return nil, fmt.Errorf("seed: %w", err)
	}
	schema, err := seed.NewSchema(openapi.Documents)
	if err != nil {
		return nil, err
	}
	read, err := seed.Read(file, text, schema)
	if err != nil {
		return nil, err
	}
	return read, try(ctx, read, documents)
}

// SeedSchema is the JSON Schema of such a file.
func SeedSchema() ([]byte, error) {
	schema, err := seed.NewSchema(openapi.Documents)
	if err != nil {
		return nil, err
	}
	return schema.JSON()
}

func try(ctx context.Context, read *seed.File, documents map[string]*contract.Document) (err error) {
	folder, err := scratch.New()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Remove()) }()
	db, err := store.Open(ctx, "sqlite://"+filepath.Join(folder.Path, "try.db"), store.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.Migrate(ctx); err != nil {
		return err
	}
	ring := keyring.Open(keyring.Sandbox(), db, nil)
	vault := pin.NewVault(db, ring, nil, nil)
	vault.GrantBy(issuer.Granted)
	return sandbox.New(vault, vault, db, ring, nil, read.Strictly(groundOf(documents, vault, ring))).Open(ctx)
}

// seedOf is the seed of a sandbox's vault, nil where there is none.
func seedOf(s Surroundings, vault *pin.Vault, ring *keyring.Ring) sandbox.Seed {
	if s.Seed == nil {
		return nil
	}
	return s.Seed.On(groundOf(s.Documents, vault, ring))
}

// cardNames tells the names of cards, in the fixtures or the seed, by their ids.
func cardNames(s Surroundings) func(id string) string {
	if s.Seed == nil {
		return sandbox.CardName
	}
	return func(id string) string { return cmp.Or(sandbox.CardName(id), s.Seed.CardName(id)) }
}

// knownPINs are those of the cards of the fixtures and the seed.
func knownPINs(s Surroundings) []string {
	if s.Seed == nil {
		return sandbox.PINs()
	}
	return append(sandbox.PINs(), s.Seed.PINs()...)
}

func groundOf(documents map[string]*contract.Document, vault *pin.Vault, ring *keyring.Ring) seed.Ground {
	known := contracts(vault, ring, nil, true, nil, func() (map[string]*contract.Document, error) { return documents, nil })
	return seed.Ground{
		Vault: vault, Keys: ring,
		Operator: issuer.OperatorOf(issuer.New(vault, nil, nil, known, nil), documents["issuer"], serving),
		ByAPIKey: func(name string) bool { return documents[name] != nil && documents[name].ByAPIKey() },
	}
}
