// Package app wires a server together: the store and the keys to the vault, the vault to the contracts, the
// contracts to HTTP. It is the only package that knows all the others but the command line, and it decides
// nothing of its own: what a flag says is checked in impl/config, what a request gets is said by its contract.
package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"go.opentelemetry.io/otel/trace"

	"pinvault/generated/served"
	"pinvault/impl/accosa"
	"pinvault/impl/capability"
	"pinvault/impl/config"
	"pinvault/impl/contract"
	"pinvault/impl/creditplus"
	"pinvault/impl/custody"
	"pinvault/impl/docs"
	"pinvault/impl/hashdt"
	"pinvault/impl/hosted"
	"pinvault/impl/idempotency"
	"pinvault/impl/issuer"
	"pinvault/impl/keylife"
	"pinvault/impl/keyring"
	"pinvault/impl/limits"
	"pinvault/impl/metrics"
	"pinvault/impl/networkintl"
	"pinvault/impl/oauth"
	"pinvault/impl/outbox"
	"pinvault/impl/pin"
	"pinvault/impl/pinservices"
	"pinvault/impl/pinsession"
	"pinvault/impl/sandbox"
	"pinvault/impl/seed"
	"pinvault/impl/server"
	"pinvault/impl/settings"
	"pinvault/impl/space"
	"pinvault/impl/thredd"
	"pinvault/openapi"
)

// Database is what the wiring needs of the store besides pin.Store.
type Database = space.Database

// Surroundings are what a server gets from outside. Tests put their own in.
type Surroundings struct {
	Database Database
	Store    pin.Store // the same database, or what stands before it
	Log      *slog.Logger
	Now      func() time.Time // nil: the clock
	Rand     io.Reader        // nil: the system's random source
	Sleep    space.Sleep      // how a sandbox waits where it is told to; nil: by the clock

	Documents map[string]*contract.Document // nil: they are loaded
	Stopping  <-chan struct{}               // closed once the server is told to stop, nil: never
	Traces    trace.TracerProvider          // makes spans, nil: nobody does
	Version   string                        // of the program, "": nobody has said
	Keys      keyring.Engine                // what the vault works with, nil: the keys that the configuration names
	Seed      *seed.File                    // what a sandbox holds besides the fixtures, nil: nothing
}

// App is a server that was wired.
type App struct {
	Public http.Handler // answers callers
	Admin  http.Handler // answers operators, where they have a listener of their own
	Tokens *oauth.Server
	Vault  *pin.Vault
	Keys   *custody.Custody
	Keyset *keylife.Watcher // of the keyset file, nil in a sandbox

	rehearsal *keylife.Rehearsal // of a sandbox

	Spaces *space.Host // of a sandbox, whose first space the others are of; nil in production

	background *background
}

// New wires a server. It changes the database only in what a fresh one lacks.
func New(ctx context.Context, c config.Serve, s Surroundings) (*App, error) {
	if s.Documents == nil {
		var err error
		if s.Documents, err = documentsFor(c.Sandbox); err != nil {
			return nil, err
		}
	}
	if c.Sandbox {
		return sandboxed(ctx, c, s)
	}
	if err := sandbox.Refuse(ctx, s.Database); err != nil {
		return nil, err
	}
	s.Documents = maps.Clone(s.Documents)
	delete(s.Documents, space.Name)
	return wire(ctx, c, s, nil)
}

// wire wires one server: that of production, or of a space.
func wire(ctx context.Context, c config.Serve, s Surroundings, in *inside) (*App, error) {
	registry := metrics.New(s.Version)
	own, err := ownKeys(c.Sandbox, c.Keys, s.Now, s.Log, observing(metrics.NewBackend(registry), s.Traces))
	if err != nil {
		return nil, err
	}
	if s.Keys != nil {
		own.engine = s.Keys
	}
	announcing := outbox.Announce(s.Store)
	s.Store = announcing
	ring := keyring.Open(own.engine, s.Store, s.Now)
	vault := pin.NewVault(s.Store, ring, s.Now, s.Rand)
	vault.GrantBy(issuer.Granted)
	once := idempotency.New(vault, ring, s.Now)
	signing, err := in.signing(signingKeys(own.engine))
	if err != nil {
		return nil, err
	}
	tokens, err := oauth.New(vault, signing, c.PublicURL, s.Now, s.Rand)
	if err != nil {
		return nil, err
	}
	vault.OnClientChanged(tokens.Recheck)
	vault.OnKeysChanged(ring.Recheck)
	own.measure(registry, s.Now)
	counts := metrics.NewDomain(registry, slices.Sorted(maps.Keys(s.Documents)))
	vault.OnOutcome(counts.Outcome)
	vault.OnTampered(tampered(s.Log, counts))
	serverLimits, err := limit(vault, c, s, counts)
	if err != nil {
		return nil, err
	}
	behind := newBackground(c, s, vault, registry, in)
	announcing.Wakes(behind.sender.Wake)
	if behind.log, err = newCheckpoints(c, s, vault, own.engine, registry); err != nil {
		return nil, err
	}
	o := server.Options{Tokens: tokens, Refused: vault.AccessRefused, Limit: vault.AdmitRequest, Ready: readiness(s.Store, own), Stopping: s.Stopping, Log: s.Log, Metrics: registry, Traces: s.Traces,
		PrivateMetrics: c.AdminListen != "", HSTS: c.TLS(), TrustedProxies: c.TrustedProxies, RequestTimeout: c.RequestTimeout, CheckReplies: c.ChecksReplies()}
	if behind.log != nil {
		o.Tile = behind.log.Folder.Tile
	}
	if err := issuer.CheckGrants(s.Documents); err != nil {
		return nil, err
	}
	if _, err := capability.Ways(s.Documents); err != nil {
		return nil, err
	}
	sessions := pinsession.New(vault, ring, c.PINSessionLifetime, s.Now, s.Rand)
	sessions.OnOpened(contract.Opened)
	pages, err := hosted.New(sessions, hosted.Options{PublicURL: c.PublicURL, Sandbox: c.Sandbox, Embeds: embeds(c.Sandbox), Now: s.Now, Rand: s.Rand})
	if err != nil {
		return nil, err
	}
	known := contracts(vault, ring, serverLimits, c.Sandbox, s.Now, func() (map[string]*contract.Document, error) { return s.Documents, nil })
	known.PINSession = sessions.Status
	known.Outbox = issuer.Outbox{Feed: behind.feed, PublicKey: outbox.PublicKey, Admits: behind.sender.Networks.Admits}
	keys := custody.New(vault, ring, s.Now, s.Rand)
	apis := map[string]server.API{
		"issuer":    issuer.New(vault, keys, pinservices.New(vault, ring, s.Rand), known, once).WithVaultKeys(own.keeper(vault, s)),
		thredd.Name: thredd.New(vault, once, threddTokens(tokens), s.Now),

		accosa.Name:      accosa.New(vault, ring, s.Documents[accosa.Name], once, s.Now, s.Rand),
		creditplus.Name:  creditplus.New(vault, ring, s.Documents[creditplus.Name], once, s.Now),
		networkintl.Name: networkintl.New(vault, ring, once, s.Now),
		hashdt.Name:      hashdt.New(vault, sessions, once, hashdtBearer(tokens), c.PublicURL),
		hosted.Name:      pages,
	}
	if in == nil {
		err = vault.Initialize(ctx)
	} else {
		apis[space.Name], err = in.furnish(ctx, s, vault, ring, tokens, &o)
	}
	if err != nil {
		return nil, err
	}
	o.Common = s.Documents["common"]
	for name, api := range apis {
		o.Contracts = append(o.Contracts, server.Contract{Document: s.Documents[name], API: api})
	}
	if c.Docs {
		if o.Docs, err = docsOf(s.Documents, c.PublicURL); err != nil {
			return nil, err
		}
	}
	public, err := server.New(o)
	if err != nil {
		return nil, err
	}
	return &App{Public: public, Admin: server.Admin(public, registry), Tokens: tokens, Vault: vault, Keys: keys, Keyset: own.watcher, rehearsal: own.rehearsal, background: behind}, nil
}

// contracts are what the issuer's API asks of the contracts.
func contracts(vault *pin.Vault, ring *keyring.Ring, serverLimits pin.Limits, sandbox bool, now func() time.Time, documents func() (map[string]*contract.Document, error)) issuer.Contracts {
	if now == nil {
		now = time.Now
	}
	ways := sync.OnceValues(func() ([]capability.Way, error) {
		all, err := documents()
		if err != nil {
			return nil, err
		}
		return capability.Ways(all)
	})
	return issuer.Contracts{
		Settings: issuer.Settings{
			thredd.Name:      thredd.Settings(),
			accosa.Name:      accosa.Settings(),
			creditplus.Name:  creditplus.Settings(),
			networkintl.Name: networkintl.Settings(),
			hosted.Name:      hosted.Settings(embeds(sandbox)),
		},
		Fits: func(ctx context.Context, programID string, k settings.Key) (bool, error) {
			return ring.Fits(ctx, programID, k.ID, k.Usage, k.Size)
		},
		ServiceRequest: creditplus.ServiceRequests(vault),
		Capabilities: func(rec pin.Record, clients []pin.Client) ([]capability.Capability, error) {
			all, err := ways()
			return capability.Of(rec, clients, serverLimits, all, now()), err
		},
		Steps: hosted.Steps,
		References: sync.OnceValues(func() (contract.References, error) {
			all, err := documents()
			return contract.ReferencesOf(slices.Collect(maps.Values(all))...), err
		}),
	}
}

// embeds tells which origins may embed the hosted page: a sandbox's may be tried from everywhere.
func embeds(sandbox bool) func(origin string) bool {
	if sandbox {
		return func(string) bool { return true }
	}
	return config.SecureOrigin
}

// Documents loads all contracts, by name, with prose and examples.
func Documents() (map[string]*contract.Document, error) {
	return documents(func(name string) (*contract.Document, error) { return contract.Load(openapi.Documents, name) })
}

// documentsFor loads what a server needs of the contracts. A sandbox tells all that is in them and makes it come out; in production they are
// what requests are held against.
func documentsFor(sandbox bool) (map[string]*contract.Document, error) {
	if sandbox {
		return Documents()
	}
	return documents(serving)
}

// serving loads what requests of a contract are held against.
func serving(name string) (*contract.Document, error) {
	return contract.Serving(served.Forms, openapi.Documents, name)
}

// documents loads all contracts side by side: it is most of what a start costs.
func documents(load func(name string) (*contract.Document, error)) (map[string]*contract.Document, error) {
	names, err := contract.Names(openapi.Documents)
	if err != nil {
		return nil, err
	}
	loaded := make([]*contract.Document, len(names))
	var loading errgroup.Group
	for i, name := range names {
		loading.Go(func() (err error) {
			loaded[i], err = load(name)
			return err
		})
	}
	if err := loading.Wait(); err != nil {
		return nil, err
	}
	all := map[string]*contract.Document{}
	for i, name := range names {
		all[name] = loaded[i]
	}
	return all, nil
}

// docsOf are the documents as the server at this URL shows them.
func docsOf(documents map[string]*contract.Document, url string) (*docs.Site, error) {
	return docs.New(slices.Collect(maps.Values(documents)), openapi.Documents, url)
}

// signingKeys are an engine's keys of access tokens, as they are when they are asked for.
func signingKeys(engine keyring.Engine) func() []oauth.SigningKey {
	return func() []oauth.SigningKey {
		var keys []oauth.SigningKey
		for _, k := range engine.SigningKeys() {
			keys = append(keys, oauth.SigningKey{KID: k.KID, Key: k.Key})
		}
		return keys
	}
}

// threddTokens is the token endpoint as Thredd's contract sees it.
func threddTokens(tokens *oauth.Server) thredd.Tokens {
	return func(ctx context.Context, authorization string, form url.Values, contract string, ttl time.Duration) (string, []string, error) {
		request, err := oauth.ParseRequest(authorization, form)
		var token oauth.Token
		if err == nil {
			token, err = tokens.Exchange(ctx, request, contract, ttl)
		}
		if refused, ok := errors.AsType[*oauth.Error](err); ok {
			err = &thredd.TokenError{Code: string(refused.Code), Status: refused.Status, Challenge: refused.Challenge(), Err: err}
		}
		return token.AccessToken, token.Scopes, err
	}
}

// hashdtBearer is the check of a bearer token as the issuing API sees it.
func hashdtBearer(tokens *oauth.Server) hashdt.Bearer {
	return func(ctx context.Context, authorization string) (pin.Caller, error) {
		token, ok := oauth.Bearer(authorization)
		if !ok {
			return pin.Caller{}, &pin.Error{Code: pin.Unauthorized}
		}
		return tokens.Verify(ctx, token)
	}
}

// tampered is the alarm for a broken seal: a log line and a metric, neither with what the row holds.
func tampered(log *slog.Logger, counts *metrics.Domain) func(ctx context.Context, table, id string) {
	return func(ctx context.Context, table, id string) {
		counts.Tampered(table)
		log.ErrorContext(ctx, "tampered", "table", table, "id", id, "trace", pin.CallerFrom(ctx).TraceID)
	}
}

// limit has clients limited, and returns the server's limits.
func limit(vault *pin.Vault, c config.Serve, s Surroundings, counts *metrics.Domain) (pin.Limits, error) {
	asked, err := limitsAsked(c, s.Documents["issuer"])
	if err != nil {
		return nil, err
	}
	server := asked.Over(limitsUnlessAsked(c.Sandbox))
	vault.LimitBy(limits.New(s.Database, s.Now), server, counts.OverLimit)
	return server, nil
}

// limitsUnlessAsked are a server's without --limits: a sandbox limits nobody.
func limitsUnlessAsked(sandbox bool) pin.Limits {
	if sandbox {
		return nil
	}
	return pin.DefaultLimits()
}

// limitsAsked are those of --limits, if the document has them so.
func limitsAsked(c config.Serve, doc *contract.Document) (pin.Limits, error) {
	asked, err := pin.NamedLimits(c.Limits)
	if err != nil {
		return nil, fmt.Errorf("--limits: %w", err)
	}
	text, err := json.Marshal(asked)
	if err != nil {
		return nil, err
	}
	if _, broken := doc.CheckMessage("ClientLimits", text); len(broken) > 0 {
		return nil, errors.New(issuer.Sentence(broken[0], strings.TrimSpace("--limits "+broken[0].Label)))
	}
	return asked, nil
}

// CheckSettings refuses what a server would not start with, and only a document tells.
func CheckSettings(c config.Serve) error {
	documents, err := Documents()
	if err != nil {
		return err
	}
	_, err = limitsAsked(c, documents["issuer"])
	return err
}
