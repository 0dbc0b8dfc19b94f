package app

import (
	"context"
	"fmt"

	"pinvault/impl/accosa"
	"pinvault/impl/contract"
	"pinvault/impl/custody"
	"pinvault/impl/issuer"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

// Operator is whoever works on a vault, a sandbox's or one in production, from the command line, by the rules
// of the issuer's document.
func Operator(vault *pin.Vault, ring *keyring.Ring, sandbox bool) *issuer.Operator {
	documents := func() (map[string]*contract.Document, error) { return documentsFor(false) }
	return issuer.NewOperator(vault, custody.New(vault, ring, nil, nil), contracts(vault, ring, limitsUnlessAsked(sandbox), sandbox, nil, documents), serving)
}

// TokenKeys are the keys under which the tokens of a client of Accosa's contract are made, the current one
// first.
func TokenKeys(ctx context.Context, vault *pin.Vault, ring *keyring.Ring, clientID string) ([]*keyring.TokenKey, error) {
	c, err := vault.Client(pin.WithCaller(ctx, pin.Caller{Everywhere: true}), clientID)
	if pin.CodeOf(err) == pin.NotFound || err == nil && c.Contract != accosa.Name {
		return nil, fmt.Errorf("the database has no active client %q of Accosa's contract", clientID)
	}
	if err != nil {
		return nil, err
	}
	keys, err := accosa.TokenKeys(ctx, ring, c)
	if pin.CodeOf(err) == pin.UnknownKey {
		err = fmt.Errorf("the client %q has no key that may be used", clientID)
	}
	return keys, err
}

// WriteDocs writes what the server at this URL serves at /docs and /openapi into a folder, without the calls to
// try: they would have to leave the static site.
func WriteDocs(folder, url string) error {
	documents, err := Documents()
	if err != nil {
		return err
	}
	site, err := docsOf(documents, url)
	if err != nil {
		return err
	}
	return site.Write(folder)
}
