// Package config is what a PinVault process can be told: one struct a command, filled from flags,
// environment variables (PINVAULT_…) and an optional JSON file, in that order of precedence, and
// checked before anything starts.
//
// It knows names, defaults and what contradicts what; not what the settings do.
package config

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Database says where the state is.
type Database struct {
	DatabaseURL string `name:"database-url" env:"PINVAULT_DATABASE_URL" default:"sqlite://pinvault.db" placeholder:"URL" help:"The database: sqlite:///path/to/file.db or postgres://user:password@host/name. Default: pinvault.db in the current folder."`
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

// Keys says where the keys are and what opens them: by a URL, or spelled out for a file.
type Keys struct {
	KeysURL       string `name:"keys" env:"PINVAULT_KEYS" placeholder:"URL" help:"Where the keys are: file:PATH?master-key=…, openbao:MOUNT/KEY?… or pkcs11:token=…?…. What opens them is named in it as env:NAME, file:PATH or credential:NAME. See docs/keys.md."`
	Keyset        string `name:"keyset" env:"PINVAULT_KEYSET" type:"path" placeholder:"FILE" help:"The keyset file. 'pinvault keys init' makes one."`
	MasterKey     string `name:"master-key" env:"PINVAULT_MASTER_KEY" hidden:"" secret:"" help:"The master key, 32 bytes in base64. Set it as an environment variable: everybody on the machine can see a flag."`
	MasterKeyFile string `name:"master-key-file" env:"PINVAULT_MASTER_KEY_FILE" type:"path" placeholder:"FILE" help:"The file that holds the master key (or set PINVAULT_MASTER_KEY)."`

	InsecureKeyFiles    bool `name:"insecure-key-files" env:"PINVAULT_INSECURE_KEY_FILES" help:"Accept a keyset or master key file that others on this machine can read."`
	InsecureSecretFlags bool `name:"insecure-secret-flags" env:"PINVAULT_INSECURE_SECRET_FLAGS" help:"Accept the master key as --master-key, which everybody on this machine can read in the list of processes."`
}

const howToMakeKeys = `
  1. export PINVAULT_MASTER_KEY="$(openssl rand -base64 32)"   # keep it in your secret store
  2. export PINVAULT_KEYSET=keyset.json
  3. pinvault keys init
To try PinVault without keys of your own: pinvault serve --sandbox`

// Missing says what a server without keys must be given, or nil.
func (k Keys) Missing() error {
	if k.KeysURL != "" {
		return k.validateURL()
	}
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

// validateURL asks for one way of saying where the keys are.
func (k Keys) validateURL() error {
	if k.Keyset != "" || k.MasterKey != "" || k.MasterKeyFile != "" {
		return errors.New("--keys says where the keys are, and so do --keyset, --master-key-file and PINVAULT_MASTER_KEY: give the one or the others")
	}
	for _, scheme := range []string{"file:", "openbao:", "pkcs11:"} {
		if strings.HasPrefix(k.KeysURL, scheme) {
			return nil
		}
	}
	return errors.New("--keys must begin with one of file:, openbao: and pkcs11: (see docs/keys.md)")
}

// Secret is what a URL of keys names: env:NAME, file:PATH, or credential:NAME, which systemd hands over
// (LoadCredential=). The caller clears it.
func (k Keys) Secret(source string) ([]byte, error) {
	kind, name, _ := strings.Cut(source, ":")
	switch {
	case kind == "env" && name != "":
		text, ok := os.LookupEnv(name)
		if !ok || text == "" {
			return nil, fmt.Errorf("--keys names the environment variable %s, which is not set", name)
		}
		return []byte(text), nil
	case kind == "file" && name != "":
		return k.readSecret("secret of --keys", strings.TrimPrefix(name, "//"))
	case kind == "credential" && name != "" && filepath.Base(name) == name:
		folder := os.Getenv("CREDENTIALS_DIRECTORY")
		if folder == "" {
			return nil, fmt.Errorf("--keys names the credential %s, but systemd has handed over none: add LoadCredential=%s:PATH to the unit", name, name)
		}
		return k.readSecret("credential of --keys", filepath.Join(folder, name))
	}
	return nil, errors.New("what opens the keys is named in --keys as env:NAME, file:PATH or credential:NAME")
}

// Master is the master key as it was written down, from the environment or its file.
func (k Keys) Master() ([]byte, error) {
	if k.MasterKey != "" {
		return []byte(k.MasterKey), nil
	}
	return k.readSecret("master key", k.MasterKeyFile)
}

// readSecret reads a file, unless others can read it.
func (k Keys) readSecret(what, path string) ([]byte, error) {
	f, err := k.open(what, path)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecret))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return text, nil
}

// maxSecret is more than a secret takes with all that may stand around it, in bytes.
const maxSecret = 4 << 10

// OpenKeyset opens the keyset file at a path, unless others can read it.
func (k Keys) OpenKeyset(path string) (*os.File, error) { return k.open("keyset", path) }

// open opens a file of keys, unless others can read or change it.
func (k Keys) open(what, path string) (*os.File, error) {
	f, err := os.Open(path) //nolint:gosec // whoever starts it says where its own files are
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	info, err := f.Stat()
	if err == nil && !k.InsecureKeyFiles && shared(info) {
		err = fmt.Errorf("others on this machine can read or change %s (its mode is %#o): chmod 600 it, or use --insecure-key-files", path, info.Mode().Perm())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", what, err), f.Close())
	}
	return f, nil
}

// Serve is what 'pinvault serve' can be told.
type Serve struct {
	Database
	Keys
	Sandbox            bool             `name:"sandbox" env:"PINVAULT_SANDBOX" help:"Serve public test data with public keys. Never with a production database."`
	Docs               bool             `name:"docs" env:"PINVAULT_DOCS" default:"true" negatable:"" help:"Serve the documentation at /docs and /openapi. Default: on."`
	Listen             string           `name:"listen" env:"PINVAULT_LISTEN" default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where to listen. Default: ${default}."`
	PublicURL          string           `name:"public-url" env:"PINVAULT_PUBLIC_URL" placeholder:"URL" help:"The URL under which clients reach this server; the issuer of its tokens. Default: http://HOST:PORT."`
	AdminListen        string           `name:"admin-listen" env:"PINVAULT_ADMIN_LISTEN" placeholder:"HOST:PORT" help:"A second listener, for operators: /metrics, which is then not on the public one, /livez, /readyz and profiles at /debug/pprof/. It has no authentication: keep it on an internal network. Default: none."`
	MaxConnections     int              `name:"max-connections" env:"PINVAULT_MAX_CONNECTIONS" default:"1000" placeholder:"N" help:"Maximum number of simultaneous connections; further ones wait. Default: ${default}. 0: no limit."`
	TLSCertificate     string           `name:"tls-certificate" env:"PINVAULT_TLS_CERTIFICATE" type:"path" placeholder:"FILE" help:"Certificate chain in PEM, to serve HTTPS. It and its key are reloaded when their files change."`
	TLSKey             string           `name:"tls-key" env:"PINVAULT_TLS_KEY" type:"path" placeholder:"FILE" help:"The certificate's key in PEM."`
	TrustedProxies     []netip.Prefix   `name:"trusted-proxies" env:"PINVAULT_TRUSTED_PROXIES" placeholder:"CIDR" help:"Proxies whose X-Forwarded-For is trusted, as CIDR, separated by commas. Default: none."`
	PINSessionLifetime time.Duration    `name:"pin-session-lifetime" env:"PINVAULT_PIN_SESSION_LIFETIME" default:"5m" help:"How long a link to the hosted PIN page is valid. Default: ${default}."`
	RequestTimeout     time.Duration    `name:"request-timeout" env:"PINVAULT_REQUEST_TIMEOUT" default:"10s" help:"How long a request may take. Default: ${default}."`
	Drain              time.Duration    `name:"drain" env:"PINVAULT_DRAIN" default:"0s" help:"How long the server goes on answering once it is told to stop, while /readyz answers 503: as long as a load balancer needs to notice. Default: ${default}."`
	Shutdown           time.Duration    `name:"shutdown-timeout" env:"PINVAULT_SHUTDOWN_TIMEOUT" default:"20s" help:"How long running requests may take to finish once the server has stopped taking new ones. Default: ${default}."`
	WebhookNetworks    []netip.Prefix   `name:"webhook-networks" env:"PINVAULT_WEBHOOK_NETWORKS" placeholder:"CIDR" help:"Private networks in which webhooks may be, as CIDR, separated by commas. Default: none."`
	WebhookTimeout     time.Duration    `name:"webhook-timeout" env:"PINVAULT_WEBHOOK_TIMEOUT" default:"10s" help:"How long a webhook may take to accept an event. Default: ${default}."`
	AuditLog           string           `name:"audit-log" env:"PINVAULT_AUDIT_LOG" type:"path" placeholder:"DIR" help:"The folder of a log of checkpoints of the audit trail, which outsiders follow at /audit/tiles. See docs/audit. Default: none."`
	AuditLogOrigin     string           `name:"audit-log-origin" env:"PINVAULT_AUDIT_LOG_ORIGIN" placeholder:"NAME" help:"The name of that log, for ever, such as pin.example.com/audit."`
	AuditLogEvery      time.Duration    `name:"audit-log-every" env:"PINVAULT_AUDIT_LOG_EVERY" default:"1h" help:"How often a checkpoint goes to the log. Each reads every card once. Default: ${default}."`
	AuditLogWitnesses  string           `name:"audit-log-witnesses" env:"PINVAULT_AUDIT_LOG_WITNESSES" type:"path" placeholder:"FILE" help:"A policy of witnesses, who must cosign the log before it is published. Default: none."`
	Limits             map[string]int64 `name:"limits" env:"PINVAULT_LIMITS" mapsep:"," placeholder:"NAME=N,…" help:"How often clients may do what, where their own limits do not say: requestsPerMinute, failedAuthenticationsPerMinute, wrongSecureCodesPerHour, refusedPinsPerMinute, verificationsPerMinute, verificationsPerHour, unblocksPerCardAndDay, mismatchCardsPerMinute, mismatchSharePercent; 0 for no limit. See docs/limits.md for the defaults; in a sandbox there are none."`
	InsecureHTTP       bool             `name:"insecure-http" env:"PINVAULT_INSECURE_HTTP" help:"Accept a public URL that begins with http:// and is not this machine's: PINs and tokens travel in the clear."`
	CheckReplies       *bool            `name:"check-replies" env:"PINVAULT_CHECK_REPLIES" negatable:"" help:"Check every reply against its document; one that does not match is logged as an error and counted. Default: only in a sandbox."`
	OTLPEndpoint       string           `name:"otlp-endpoint" env:"PINVAULT_OTLP_ENDPOINT" placeholder:"URL" help:"Collector of OpenTelemetry traces, by OTLP over HTTP, such as http://127.0.0.1:4318. OpenTelemetry's own variables are read too (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER). Default: none, no traces."`
	LogLevel           slog.Level       `name:"log-level" env:"PINVAULT_LOG_LEVEL" default:"INFO" placeholder:"LEVEL" help:"DEBUG, INFO, WARN or ERROR. Default: ${default}."`
}

// Validate checks what contradicts what.
func (s *Serve) Validate() error {
	if err := s.Database.Validate(); err != nil {
		return err
	}
	if (s.TLSCertificate == "") != (s.TLSKey == "") {
		return errors.New("--tls-certificate and --tls-key go together")
	}
	if _, _, err := net.SplitHostPort(s.Listen); s.Listen != "" && err != nil {
		return errors.New("--listen must be an address such as 127.0.0.1:8080")
	}
	if err := s.validatePublicURL(); err != nil {
		return err
	}
	if s.PINSessionLifetime < time.Second || s.PINSessionLifetime > 24*time.Hour {
		return errors.New("--pin-session-lifetime must be between 1s and 24h")
	}
	if s.RequestTimeout <= 0 {
		return errors.New("--request-timeout must be more than 0, such as 10s")
	}
	if s.WebhookTimeout < 0 || s.WebhookTimeout > time.Minute {
		return errors.New("--webhook-timeout must be at most 1m")
	}
	if u, err := url.Parse(s.OTLPEndpoint); s.OTLPEndpoint != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return errors.New("--otlp-endpoint must be a URL such as http://127.0.0.1:4318")
	}
	if s.MaxConnections < 0 {
		return errors.New("--max-connections must not be less than 0")
	}
	if _, _, err := net.SplitHostPort(s.AdminListen); s.AdminListen != "" && err != nil {
		return errors.New("--admin-listen must be an address such as 127.0.0.1:9090")
	}
	if s.Drain < 0 {
		return errors.New("--drain must not be less than 0")
	}
	if err := s.validateAuditLog(); err != nil {
		return err
	}
	if s.Shutdown < 0 {
		return errors.New("--shutdown-timeout must not be less than 0")
	}
	if s.Sandbox {
		return nil
	}
	return s.Missing()
}

// validateAuditLog asks for the log's name, and refuses one of a trail that is put back on purpose.
func (s *Serve) validateAuditLog() error {
	switch {
	case s.AuditLog == "" && (s.AuditLogOrigin != "" || s.AuditLogWitnesses != ""):
		return errors.New("--audit-log-origin and --audit-log-witnesses need --audit-log")
	case s.AuditLog == "":
		return nil
	case s.AuditLogOrigin == "":
		return errors.New("--audit-log needs --audit-log-origin, the log's name for ever, such as pin.example.com/audit")
	case s.Sandbox:
		return errors.New("--audit-log is not for a sandbox, whose trail is put back by every reset")
	case s.AuditLogEvery < time.Second || s.AuditLogEvery > 24*time.Hour:
		return errors.New("--audit-log-every must be between 1s and 24h")
	}
	return nil
}

// validatePublicURL refuses a public URL that no link could begin with, and in production one that
// sends PINs over the network in clear.
func (s *Serve) validatePublicURL() error {
	u, err := ServerURL("--public-url", s.Public(s.Listen))
	if err == nil && u.Scheme == "http" && !s.Sandbox && !s.InsecureHTTP && !Loopback(u.Hostname()) {
		err = fmt.Errorf("the public URL http://%s is not this machine's, so PINs and tokens would travel in the clear: set --public-url to an https:// URL, or use --insecure-http", u.Host)
	}
	return err
}

// ServerURL is the URL of a server that a flag names, one that links can begin with.
func ServerURL(flag, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return nil, fmt.Errorf("%s must be a URL such as https://pin.example.com", flag)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(text, "#"):
		return nil, fmt.Errorf("%s must be a URL such as https://pin.example.com, without credentials, query and fragment", flag)
	}
	return u, nil
}

// ChecksReplies tells whether replies are held against their documents: as told, otherwise in a sandbox.
func (s *Serve) ChecksReplies() bool {
	if s.CheckReplies != nil {
		return *s.CheckReplies
	}
	return s.Sandbox
}

// Public is the URL under which clients reach a server that listens on address, which is that of
// --listen with the port that it got.
func (s *Serve) Public(address string) string {
	switch {
	case s.PublicURL != "":
		return s.PublicURL
	case s.TLSCertificate != "":
		return "https://" + s.reachable(address)
	}
	return "http://" + s.reachable(address)
}

// reachable is an address that a client on this machine can call: the host is as it was told, and
// localhost where that is every address there is.
func (s *Serve) reachable(address string) string {
	told, _, err := net.SplitHostPort(s.Listen)
	_, port, portErr := net.SplitHostPort(address)
	if err != nil || portErr != nil {
		return address
	}
	if ip, err := netip.ParseAddr(told); told == "" || err == nil && ip.IsUnspecified() {
		told = "localhost"
	}
	return net.JoinHostPort(told, port)
}

// TLS tells whether clients reach the server by TLS, its own or that of a proxy before it.
func (s *Serve) TLS() bool {
	return s.TLSCertificate != "" || strings.HasPrefix(strings.ToLower(s.PublicURL), "https://")
}

// Loopback tells whether a host is this machine to itself: localhost and the names below it (RFC 6761,
// 6.3), 127.0.0.0/8 and ::1.
func Loopback(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// SecureOrigin tells whether a page of this origin cannot have been changed on its way: every origin that
// does not begin with http://, and this machine's own.
func SecureOrigin(origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && (u.Scheme != "http" || Loopback(u.Hostname()))
}
