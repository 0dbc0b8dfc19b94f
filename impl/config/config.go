// Package config is what a PinVault process can be told: one struct a command, filled from flags,
// environment variables (PINVAULT_…) and an optional JSON file, in that order of precedence, and
// checked before anything starts.
//
// It knows names, defaults and what contradicts what; not what the settings do.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"
)

// Database says where the state is.
type Database struct {
	DatabaseURL string `name:"database-url" env:"PINVAULT_DATABASE_URL" default:"sqlite://pinvault.db" placeholder:"URL" help:"The database: sqlite:///path/to/file.db or postgres://user:password@host/name. Default: pinvault.db in this folder."`
}

// Validate checks the URL's scheme, so that a slip does not become a file of that name.
func (d Database) Validate() error {
	for _, scheme := range []string{"sqlite://", "postgres://", "postgresql://"} {
		if strings.HasPrefix(d.DatabaseURL, scheme) {
			return nil
		}
	}
	return errors.New("--database-url must begin with sqlite:// or postgres://")
}

// Embedded tells whether the database is a file of this process's own.
func (d Database) Embedded() bool { return strings.HasPrefix(d.DatabaseURL, "sqlite://") }

// Keys says where the keys are and what opens them.
type Keys struct {
	Keyset        string `name:"keyset" env:"PINVAULT_KEYSET" type:"path" placeholder:"FILE" help:"The keyset file. 'pinvault keys init' makes one."`
	MasterKey     string `name:"master-key" env:"PINVAULT_MASTER_KEY" hidden:"" help:"The master key, 32 bytes in base64. Set it as an environment variable: a flag is seen by everybody on the machine."`
	MasterKeyFile string `name:"master-key-file" env:"PINVAULT_MASTER_KEY_FILE" type:"path" placeholder:"FILE" help:"The file that holds the master key (or set PINVAULT_MASTER_KEY)."`
}

const howToMakeKeys = `
  1. export PINVAULT_MASTER_KEY="$(openssl rand -base64 32)"   # keep it in your secret store
  2. export PINVAULT_KEYSET=keyset.json
  3. pinvault keys init
To try PinVault without keys of your own: pinvault serve --sandbox`

// Missing says what a server without keys must be given, or nil.
func (k Keys) Missing() error {
	var missing []string
	if k.Keyset == "" {
		missing = append(missing, "PINVAULT_KEYSET (the keyset file)")
	}
	if k.MasterKey == "" && k.MasterKeyFile == "" {
		missing = append(missing, "PINVAULT_MASTER_KEY or PINVAULT_MASTER_KEY_FILE (the key that opens it)")
	}
	if missing == nil {
		return nil
	}
	return fmt.Errorf("no keys: set %s.\n%s", strings.Join(missing, " and "), howToMakeKeys)
}

// Master is the master key as it was written down, from the environment or its file.
func (k Keys) Master() ([]byte, error) {
	if k.MasterKey != "" {
		return []byte(k.MasterKey), nil
	}
	text, err := os.ReadFile(k.MasterKeyFile)
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	return text, nil
}

// Serve is what 'pinvault serve' can be told.
type Serve struct {
	Database
	Keys
	Sandbox            bool           `name:"sandbox" env:"PINVAULT_SANDBOX" help:"Serve public test data with public keys. Never with a production database."`
	Docs               bool           `name:"docs" env:"PINVAULT_DOCS" default:"true" negatable:"" help:"Serve the contracts at /docs and /openapi. On unless --no-docs."`
	Listen             string         `name:"listen" env:"PINVAULT_LISTEN" default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where to listen. Default: ${default}."`
	PublicURL          string         `name:"public-url" env:"PINVAULT_PUBLIC_URL" placeholder:"URL" help:"The URL under which clients reach this server; the issuer of its tokens. Default: http://HOST:PORT."`
	TLSCertificate     string         `name:"tls-certificate" env:"PINVAULT_TLS_CERTIFICATE" type:"path" placeholder:"FILE" help:"Certificate chain in PEM, to serve HTTPS."`
	TLSKey             string         `name:"tls-key" env:"PINVAULT_TLS_KEY" type:"path" placeholder:"FILE" help:"The certificate's key in PEM."`
	TrustedProxies     []netip.Prefix `name:"trusted-proxies" env:"PINVAULT_TRUSTED_PROXIES" placeholder:"CIDR,…" help:"Proxies whose X-Forwarded-For is believed, as CIDR. Default: none."`
	PINSessionLifetime time.Duration  `name:"pin-session-lifetime" env:"PINVAULT_PIN_SESSION_LIFETIME" default:"5m" help:"How long a link to the hosted PIN page serves. Default: ${default}."`
	RequestTimeout     time.Duration  `name:"request-timeout" env:"PINVAULT_REQUEST_TIMEOUT" default:"10s" help:"How long a request may take. Default: ${default}."`
	Shutdown           time.Duration  `name:"shutdown-timeout" env:"PINVAULT_SHUTDOWN_TIMEOUT" default:"20s" help:"How long requests under way may take once the server is told to stop. Default: ${default}."`
	CheckReplies       *bool          `name:"check-replies" env:"PINVAULT_CHECK_REPLIES" negatable:"" help:"Hold every reply against its document; one that breaks it is logged as an error and counted. Default: in a sandbox only."`
	LogLevel           slog.Level     `name:"log-level" env:"PINVAULT_LOG_LEVEL" default:"INFO" placeholder:"LEVEL" help:"DEBUG, INFO, WARN or ERROR. Default: ${default}."`
}

// Validate checks what contradicts what.
func (s *Serve) Validate() error {
	if err := s.Database.Validate(); err != nil {
		return err
	}
	if (s.TLSCertificate == "") != (s.TLSKey == "") {
		return errors.New("--tls-certificate and --tls-key go together")
	}
	if u, err := url.Parse(s.Public(s.Listen)); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return errors.New("--public-url must be a URL such as https://pin.example.com")
	}
	if s.PINSessionLifetime < time.Second || s.PINSessionLifetime > 24*time.Hour {
		return errors.New("--pin-session-lifetime must be between 1s and 24h")
	}
	if s.Sandbox {
		return nil
	}
	return s.Missing()
}

// ChecksReplies tells whether replies are held against their documents: as told, otherwise in a sandbox.
func (s *Serve) ChecksReplies() bool {
	if s.CheckReplies != nil {
		return *s.CheckReplies
	}
	return s.Sandbox
}

// Public is the URL under which clients reach a server that listens on address.
func (s *Serve) Public(address string) string {
	switch {
	case s.PublicURL != "":
		return s.PublicURL
	case s.TLSCertificate != "":
		return "https://" + address
	}
	return "http://" + address
}
