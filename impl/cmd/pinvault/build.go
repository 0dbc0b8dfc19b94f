package main

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"pinvault/impl/accosa"
	"pinvault/impl/config"
	"pinvault/impl/contract"
	"pinvault/impl/creditplus"
	"pinvault/impl/hashdt"
	"pinvault/impl/hosted"
	"pinvault/impl/idempotency"
	"pinvault/impl/issuer"
	"pinvault/impl/keyring"
	"pinvault/impl/networkintl"
	"pinvault/impl/oauth"
	"pinvault/impl/pin"
	"pinvault/impl/pinsession"
	"pinvault/impl/sandbox"
	"pinvault/impl/server"
	"pinvault/impl/thredd"
	"pinvault/openapi"
)

// database is what the wiring needs of the store besides pin.Store.
type database interface {
	sandbox.Store
	Stats() sql.DBStats
}

// surroundings are what a server gets from outside. Tests put their own in.
type surroundings struct {
	db    database
	store pin.Store        // the same database, or what stands before it
	log   *slog.Logger     //
	now   func() time.Time // nil: the clock
	rand  io.Reader        // nil: the system's random source
	token func(*oauth.Server)
	vault func(*pin.Vault)
	admin func(http.Handler) // takes what operators are answered by; nil: there is no listener for them

	documents func() (map[string]*contract.Document, error) // loadDocuments
}

// build wires a server: store and keys to the vault, the vault to the contracts, the contracts to HTTP.
func build(ctx context.Context, c config.Serve, s surroundings) (http.Handler, error) {
	ks, err := loadKeyset(c.Sandbox, c.Keys)
	if err != nil {
		return nil, err
	}
	ring := keyring.Open(ks, s.store, s.now)
	vault := pin.NewVault(s.store, ring, s.now, s.rand)
	once := idempotency.New(vault, ring, s.now)
	tokens, err := oauth.New(vault, signingKeys(ks), c.PublicURL, s.now, s.rand)
	if err != nil {
		return nil, err
	}
	if s.token != nil {
		s.token(tokens)
	}
	if s.vault != nil {
		s.vault(vault)
	}
	registry := metrics(s.db)
	vault.OnTampered(tampered(s.log, registry))
	o := server.Options{Tokens: tokens, Refused: vault.AccessRefused, Ready: s.store.Ping, Log: s.log, Metrics: registry,
		PrivateMetrics: s.admin != nil, HSTS: c.TLS(), TrustedProxies: c.TrustedProxies, RequestTimeout: c.RequestTimeout, CheckReplies: c.ChecksReplies()}
	if c.Sandbox {
		box := sandbox.New(vault, s.db, ring, func(c pin.Client, ttl time.Duration) (string, error) {
			t, err := tokens.Mint(c, ttl)
			return t.AccessToken, err
		})
		if err := box.Open(ctx); err != nil {
			return nil, err
		}
		o.Sandbox = box
	} else if err := errors.Join(sandbox.Refuse(ctx, s.db), vault.Initialize(ctx)); err != nil {
		return nil, err
	}
	documents, err := s.documents()
	if err != nil {
		return nil, err
	}
	sessions := pinsession.New(vault, ring, c.PINSessionLifetime, s.now, s.rand)
	pages, err := hosted.New(sessions, hosted.Options{PublicURL: c.PublicURL, Sandbox: c.Sandbox, Embeds: embeds(c.Sandbox), Now: s.now, Rand: s.rand})
	if err != nil {
		return nil, err
	}
	apis := map[string]server.API{
		"issuer":    issuer.New(vault, contracts(vault, c.Sandbox, func() (map[string]*contract.Document, error) { return documents, nil }), once),
		thredd.Name: thredd.New(vault, once, threddTokens(tokens)),

		accosa.Name:      accosa.New(vault, ring, documents[accosa.Name], once, s.now, s.rand),
		creditplus.Name:  creditplus.New(vault, ring, documents[creditplus.Name], s.now),
		networkintl.Name: networkintl.New(vault, ring, once, s.now),
		hashdt.Name:      hashdt.New(vault, sessions, once, hashdtBearer(tokens), c.PublicURL),
		hosted.Name:      pages,
	}
	o.Common = documents["common"]
	for name, api := range apis {
		o.Contracts = append(o.Contracts, server.Contract{Document: documents[name], API: api})
	}
	if c.Docs {
		if o.Docs, err = server.NewDocs(slices.Collect(maps.Values(documents)), openapi.Documents); err != nil {
			return nil, err
		}
	}
	app, err := server.New(o)
	if err == nil && s.admin != nil {
		s.admin(server.Admin(app, registry))
	}
	return app, err
}

// contracts are what the issuer's API asks of the contracts.
func contracts(vault *pin.Vault, sandbox bool, documents func() (map[string]*contract.Document, error)) issuer.Contracts {
	return issuer.Contracts{
		Settings: issuer.Settings{
			thredd.Name:      thredd.Settings(),
			accosa.Name:      accosa.Settings(),
			creditplus.Name:  creditplus.Settings(),
			networkintl.Name: networkintl.Settings(),
			hosted.Name:      hosted.Settings(embeds(sandbox)),
		},
		ServiceRequest: creditplus.ServiceRequests(vault),
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

// loadDocuments loads all contracts, by name.
func loadDocuments() (map[string]*contract.Document, error) {
	names, err := contract.Names(openapi.Documents)
	if err != nil {
		return nil, err
	}
	documents := map[string]*contract.Document{}
	for _, name := range names {
		if documents[name], err = contract.Load(openapi.Documents, name); err != nil {
			return nil, err
		}
	}
	return documents, nil
}

func signingKeys(ks *keyring.Keyset) []oauth.SigningKey {
	var keys []oauth.SigningKey
	for _, k := range ks.SigningKeys() {
		keys = append(keys, oauth.SigningKey{KID: k.KID, Key: k.Key})
	}
	return keys
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
			err = &thredd.TokenError{Code: string(refused.Code), Status: refused.Status, Challenge: refused.Challenge()}
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
func tampered(log *slog.Logger, registry *prometheus.Registry) func(ctx context.Context, table, id string) {
	count := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pinvault_tampered_total", Help: "Rows met whose seal is broken, by table.",
	}, []string{"table"})
	registry.MustRegister(count)
	return func(ctx context.Context, table, id string) {
		count.WithLabelValues(table).Inc()
		log.ErrorContext(ctx, "tampered", "table", table, "id", id, "trace", pin.CallerFrom(ctx).TraceID)
	}
}

// metrics starts a registry with what is known of the process and its database connections.
func metrics(db database) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for name, value := range map[string]func(sql.DBStats) int{
		"open":   func(s sql.DBStats) int { return s.OpenConnections },
		"in_use": func(s sql.DBStats) int { return s.InUse },
		"idle":   func(s sql.DBStats) int { return s.Idle },
	} {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pinvault_database_connections_" + name, Help: "Database connections: " + strings.ReplaceAll(name, "_", " ") + ".",
		}, func() float64 { return float64(value(db.Stats())) }))
	}
	return r
}
