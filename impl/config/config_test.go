package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// production is a server's settings that nothing is wrong with.
func production(change func(*Serve)) *Serve {
	s := &Serve{
		Database: Database{DatabaseURL: "sqlite:///var/lib/pinvault.db"}, Keys: Keys{Keyset: "k", MasterKey: "m"},
		Listen: "127.0.0.1:8080", PINSessionLifetime: time.Minute, RequestTimeout: time.Second,
	}
	change(s)
	return s
}

func TestServeRefusesSettingsThatCannotWork(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*Serve)
		says   string // "": it is taken
	}{
		"as a newcomer starts it":                {func(*Serve) {}, ""},
		"an https public URL":                    {func(s *Serve) { s.PublicURL = "https://pin.example.com" }, ""},
		"a public URL below a path":              {func(s *Serve) { s.PublicURL = "https://example.com/pin/" }, ""},
		"an http public URL on the network":      {func(s *Serve) { s.PublicURL = "http://pin.example.com" }, "--insecure-http"},
		"that, and told so":                      {func(s *Serve) { s.PublicURL, s.InsecureHTTP = "http://pin.example.com", true }, ""},
		"that in a sandbox":                      {func(s *Serve) { s.PublicURL, s.Sandbox = "http://pin.example.com", true }, ""},
		"an http public URL to localhost":        {func(s *Serve) { s.PublicURL = "http://localhost:8080" }, ""},
		"an http public URL below localhost":     {func(s *Serve) { s.PublicURL = "http://pin.localhost" }, ""},
		"an http public URL to 127.0.0.2":        {func(s *Serve) { s.PublicURL = "http://127.0.0.2" }, ""},
		"an http public URL to ::1":              {func(s *Serve) { s.PublicURL = "http://[::1]:8080" }, ""},
		"a name that only begins with localhost": {func(s *Serve) { s.PublicURL = "http://localhost.example.com" }, "--insecure-http"},
		"an address of the network and no TLS":   {func(s *Serve) { s.Listen = "192.0.2.1:8080" }, "--insecure-http"},
		"every address and no public URL":        {func(s *Serve) { s.Listen = ":8080" }, ""},
		"an address of the network and TLS":      {func(s *Serve) { s.Listen, s.TLSCertificate, s.TLSKey = "192.0.2.1:8443", "c", "k" }, ""},
		"a public URL with a query":              {func(s *Serve) { s.PublicURL = "https://pin.example.com/?a=b" }, "without credentials, query and fragment"},
		"a public URL with an empty query":       {func(s *Serve) { s.PublicURL = "https://pin.example.com?" }, "without credentials, query and fragment"},
		"a public URL with a fragment":           {func(s *Serve) { s.PublicURL = "https://pin.example.com/#a" }, "without credentials, query and fragment"},
		"a public URL with an empty fragment":    {func(s *Serve) { s.PublicURL = "https://pin.example.com/#" }, "without credentials, query and fragment"},
		"a public URL with credentials":          {func(s *Serve) { s.PublicURL = "https://user:hunter2@pin.example.com" }, "without credentials, query and fragment"},
		"a public URL without a host":            {func(s *Serve) { s.PublicURL = "https://:8443" }, "must be a URL"},
		"a public URL that is a name":            {func(s *Serve) { s.PublicURL = "pin.example.com" }, "must be a URL"},
		"a request timeout before the request":   {func(s *Serve) { s.RequestTimeout = -time.Second }, "--request-timeout"},
		"no time for a request":                  {func(s *Serve) { s.RequestTimeout = 0 }, "--request-timeout"},
		"a drain that ends before it begins":     {func(s *Serve) { s.Drain = -time.Second }, "--drain"},
		"a shutdown that ends before it begins":  {func(s *Serve) { s.Shutdown = -time.Second }, "--shutdown-timeout"},
		"room for less than no connection":       {func(s *Serve) { s.MaxConnections = -1 }, "--max-connections"},
		"a listener without a port":              {func(s *Serve) { s.Listen = "pin.example.com" }, "--listen"},
		"an operators' listener without a port":  {func(s *Serve) { s.AdminListen = "127.0.0.1" }, "--admin-listen"},
		"an operators' listener":                 {func(s *Serve) { s.AdminListen = ":9090" }, ""},
		"an audit log": {func(s *Serve) {
			s.AuditLog, s.AuditLogOrigin, s.AuditLogEvery = "log", "pin.example.com/audit", time.Hour
		}, ""},
		"an audit log without a name":               {func(s *Serve) { s.AuditLog = "log" }, "--audit-log-origin"},
		"a name without an audit log":               {func(s *Serve) { s.AuditLogOrigin = "pin.example.com/audit" }, "need --audit-log"},
		"an audit log of a sandbox":                 {func(s *Serve) { s.AuditLog, s.AuditLogOrigin, s.Sandbox = "log", "x", true }, "not for a sandbox"},
		"an audit log that never rests":             {func(s *Serve) { s.AuditLog, s.AuditLogOrigin = "log", "x" }, "--audit-log-every"},
		"no keys":                                   {func(s *Serve) { s.Keys = Keys{} }, "no keys"},
		"half of a TLS pair":                        {func(s *Serve) { s.TLSKey = "k" }, "go together"},
		"a database of an unknown kind":             {func(s *Serve) { s.DatabaseURL = "mysql://x" }, "sqlite:// or postgres://"},
		"a link to the hosted page for a whole day": {func(s *Serve) { s.PINSessionLifetime = 25 * time.Hour }, "--pin-session-lifetime"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := production(test.change).Validate()
			if test.says == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.says)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func TestPublicURLIsOneThatWorks(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ listen, got, certificate, public, want string }{
		{"127.0.0.1:0", "127.0.0.1:40001", "", "", "http://127.0.0.1:40001"},
		{":8080", "[::]:8080", "", "", "http://localhost:8080"},
		{"0.0.0.0:8080", "0.0.0.0:8080", "", "", "http://localhost:8080"},
		{"[::]:0", "[::]:40001", "", "", "http://localhost:40001"},
		{"pin.example.com:443", "192.0.2.1:443", "chain.pem", "", "https://pin.example.com:443"},
		{"[::1]:8080", "[::1]:8080", "", "", "http://[::1]:8080"},
		{":8080", "[::]:8080", "", "https://pin.example.com", "https://pin.example.com"},
	} {
		s := Serve{Listen: test.listen, TLSCertificate: test.certificate, PublicURL: test.public}
		require.Equal(t, test.want, s.Public(test.got), test.listen)
	}
}

func TestTLSIsTheServersOwnOrThatOfItsPublicURL(t *testing.T) {
	t.Parallel()
	require.True(t, (&Serve{TLSCertificate: "chain.pem"}).TLS())
	require.True(t, (&Serve{PublicURL: "HTTPS://pin.example.com"}).TLS())
	require.False(t, (&Serve{PublicURL: "http://localhost"}).TLS())
	require.False(t, (&Serve{}).TLS())
}

// Files of keys are the owner's, and the group's to read: so orchestrators hand them to a process.
func TestKeysAreReadFromFilesThatOthersCannotRead(t *testing.T) {
	t.Parallel()
	for mode, taken := range map[os.FileMode]bool{0o400: true, 0o600: true, 0o440: true, 0o640: true, 0o644: false, 0o604: false, 0o602: false, 0o660: false, 0o606: false} {
		file := filepath.Join(t.TempDir(), "key")
		require.NoError(t, os.WriteFile(file, []byte("text"), 0o600))
		require.NoError(t, os.Chmod(file, mode))
		k := Keys{Keyset: file, MasterKeyFile: file}
		_, err := k.Master()
		require.Equal(t, taken, err == nil, "%o", mode)
		f, err := k.OpenKeyset(k.Keyset)
		require.Equal(t, taken, err == nil, "%o", mode)
		if taken {
			require.NoError(t, f.Close())
			continue
		}
		require.ErrorContains(t, err, "chmod 600")
		require.ErrorContains(t, err, "--insecure-key-files")
		k.InsecureKeyFiles = true
		text, err := k.Master()
		require.NoError(t, err)
		require.Equal(t, "text", string(text))
	}
	_, err := Keys{MasterKeyFile: filepath.Join(t.TempDir(), "none")}.Master()
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestMasterKeyIsReadFromAPipe(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	_, err = w.WriteString("text")
	require.NoError(t, err)
	require.NoError(t, w.Close())
	info, err := r.Stat()
	require.NoError(t, err)
	require.False(t, shared(info))
	require.NoError(t, r.Close())
}

func TestWeakSettingsAreToldOf(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pinvault.db")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	open := filepath.Join(t.TempDir(), "pinvault.db")
	require.NoError(t, os.WriteFile(open, nil, 0o600))
	require.NoError(t, os.Chmod(open, 0o644))
	everybody, machine := netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("192.0.2.1/32")
	for name, test := range map[string]struct {
		change func(*Serve)
		want   []string // settings
	}{
		"a database file of the owner's":           {func(s *Serve) { s.DatabaseURL = "sqlite://" + file }, nil},
		"a database file that others can read":     {func(s *Serve) { s.DatabaseURL = "sqlite://" + open }, []string{"database-url"}},
		"that with four slashes":                   {func(s *Serve) { s.DatabaseURL = "sqlite:///" + open }, []string{"database-url"}},
		"that in a sandbox, whose data are public": {func(s *Serve) { s.DatabaseURL, s.Sandbox = "sqlite://"+open, true }, nil},
		"PostgreSQL on this machine":               {func(s *Serve) { s.DatabaseURL = "postgres://u:p@127.0.0.1/d?sslmode=disable" }, nil},
		"PostgreSQL by a socket":                   {func(s *Serve) { s.DatabaseURL = "postgres:///d?host=/run/postgresql" }, nil},
		"PostgreSQL with TLS":                      {func(s *Serve) { s.DatabaseURL = "postgres://u:p@db.example.com/d?sslmode=require" }, nil},
		"PostgreSQL with TLS if it has any":        {func(s *Serve) { s.DatabaseURL = "postgres://u:p@db.example.com/d" }, []string{"database-url"}},
		"PostgreSQL without TLS":                   {func(s *Serve) { s.DatabaseURL = "postgres://u:p@db.example.com/d?sslmode=disable" }, []string{"database-url"}},
		"the second PostgreSQL without TLS":        {func(s *Serve) { s.DatabaseURL = "postgres://u:p@localhost,db2.example.com/d?sslmode=disable" }, []string{"database-url"}},
		"a TLS key that others can read":           {func(s *Serve) { s.TLSKey = open }, []string{"tls-key"}},
		"a proxy that is trusted":                  {func(s *Serve) { s.TrustedProxies = []netip.Prefix{machine} }, nil},
		"everybody as a proxy":                     {func(s *Serve) { s.TrustedProxies = []netip.Prefix{machine, everybody} }, []string{"trusted-proxies"}},
		"everybody of IPv6 as a proxy":             {func(s *Serve) { s.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("::/0")} }, []string{"trusted-proxies"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, weak := range production(test.change).WeakSettings() {
				got = append(got, weak.Setting)
				require.NotContains(t, weak.Why, "u:p")
			}
			require.Equal(t, test.want, got)
		})
	}
}

func TestOriginsAreSecureUnlessTheyAreHTTPOnTheNetwork(t *testing.T) {
	t.Parallel()
	for origin, want := range map[string]bool{
		"https://bank.example": true, "http://bank.example": false, "http://bank.example:8080": false, "http://192.0.2.1": false,
		"http://localhost:3000": true, "http://127.0.0.1:3000": true, "http://app.localhost": true, "http://localhost.bank.example": false,
		"capacitor://localhost": true, "://": false,
	} {
		require.Equal(t, want, SecureOrigin(origin), origin)
	}
}
