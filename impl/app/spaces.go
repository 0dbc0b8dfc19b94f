package app

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"log/slog"
	"time"

	"pinvault/impl/config"
	"pinvault/impl/journal"
	"pinvault/impl/keyring"
	"pinvault/impl/oauth"
	"pinvault/impl/ondemand"
	"pinvault/impl/pin"
	"pinvault/impl/sandbox"
	"pinvault/impl/sandboxapi"
	"pinvault/impl/server"
	"pinvault/impl/space"
)

// sandboxed wires a sandbox: its first space over the server's database, and others when they are asked for.
func sandboxed(ctx context.Context, c config.Serve, s Surroundings) (*App, error) {
	rows := ondemand.NewCatalogue(s.Documents)
	reader := journal.NewReader(journal.Reading{Documents: s.Documents, CardName: cardNames(s), PINs: knownPINs(s), Docs: func(contract, row string) string {
		if documented := rows.Row(contract, row); documented != nil && c.Docs {
			return documented.Docs()
		}
		return ""
	}})
	var first *App
	build := func(ctx context.Context, of *space.Space, db space.Database, store pin.Store, seeded bool) (*space.Made, error) {
		own, in := s, &inside{space: of, rows: rows, seeded: seeded}
		own.Database, own.Store, own.Now = db, store, of.Clock.Now
		at := c
		if at.PublicURL = of.URL; of.ID != "" {
			at.Docs, own.Log = false, s.Log.With(slog.String("space", of.ID))
		}
		app, err := wire(ctx, at, own, in)
		if err != nil {
			return nil, err
		}
		if first == nil {
			first = app
		}
		return &space.Made{Handler: app.Public, Fixtures: in.box.Fixtures, Seed: in.box.Reset, Stop: begin(ctx, app.background.run),
			Reread: app.Vault.Reread, Forget: app.Forget}, nil
	}
	host, err := space.NewHost(ctx, space.Options{URL: c.PublicURL, Now: s.Now, Rows: rows,
		Fates: ondemand.FateRules(rows.Fates(), sandbox.CardID), Reader: reader, Sleep: s.Sleep, Build: build}, s.Database, s.Store)
	if err != nil {
		return nil, err
	}
	return &App{Public: host, Admin: first.Admin, Tokens: first.Tokens, Vault: first.Vault, Keys: first.Keys, Spaces: host, rehearsal: first.rehearsal, background: first.background}, nil
}

// inside is a space whose server is wired.
type inside struct {
	space  *space.Space
	rows   *ondemand.Catalogue
	seeded bool
	box    *sandbox.Sandbox
}

// signing are the keys that tokens are signed by. Each space but the first has one of its own, so that a token of one that
// was removed is nobody's in another of the same name.
func (in *inside) signing(usual func() []oauth.SigningKey) (func() []oauth.SigningKey, error) {
	if in == nil || in.space.ID == "" {
		return usual, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	own := []oauth.SigningKey{{KID: rand.Text(), Key: key}}
	return func() []oauth.SigningKey { return own }, err
}

// furnish seeds the space, and makes what the server has besides the contracts.
func (in *inside) furnish(ctx context.Context, s Surroundings, vault *pin.Vault, ring *keyring.Ring, tokens *oauth.Server, o *server.Options) (server.API, error) {
	in.box = sandbox.New(vault, sandbox.Looking(s.Store, ring, s.Now), s.Database, ring, func(c pin.Client, ttl time.Duration) (string, error) {
		t, err := tokens.Mint(c, ttl)
		return t.AccessToken, err
	}, seedOf(s, vault, ring))
	if !in.seeded {
		if err := in.box.Open(ctx); err != nil {
			return nil, err
		}
	}
	vault.OnOffer(in.space.Offered)
	o.Rehearsal, o.Fixtures = in.space, in.space.Fixtures
	var err error
	o.Console, err = sandboxapi.Console()
	return sandboxapi.New(in.space, in.rows, in.box), err
}
