package config

import (
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// shared tells whether others than the owner and the group, which is how orchestrators hand secrets to
// a process, can read a file, or others than the owner change it. What is no plain file, such as a pipe
// from another process, has no mode to go by, nor has any file of Windows.
func shared(info fs.FileInfo) bool {
	return runtime.GOOS != "windows" && info.Mode().IsRegular() && info.Mode().Perm()&0o027 != 0
}

// SharedFile tells whether others on this machine can read or change a file. One that is not there is nobody's.
func SharedFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && shared(info)
}

// Weak is a setting with which a server starts and which an operator should know of.
type Weak struct{ Setting, Why string }

// WeakSettings are those of a server in production, whose database file is there by now.
func (s *Serve) WeakSettings() []Weak {
	if s.Sandbox {
		return nil
	}
	var found []Weak
	if host := s.clearPostgres(); host != "" {
		found = append(found, Weak{"database-url", fmt.Sprintf("the connection to PostgreSQL on %s may not use TLS: add sslmode=verify-full to the URL", host)})
	}
	if file := s.file(); file != "" && SharedFile(file) {
		found = append(found, Weak{"database-url", fmt.Sprintf("others on this machine can read or change %s: chmod 600 it", file)})
	}
	if s.TLSKey != "" && SharedFile(s.TLSKey) {
		found = append(found, Weak{"tls-key", fmt.Sprintf("others on this machine can read or change %s: chmod 600 it", s.TLSKey)})
	}
	if slices.ContainsFunc(s.TrustedProxies, func(p netip.Prefix) bool { return p.Bits() == 0 }) {
		found = append(found, Weak{"trusted-proxies", "everybody is trusted, so any caller can forge the address in the audit trail: name the proxies"})
	}
	return found
}

// file is the path of an embedded database, "" for another.
func (d Database) file() string {
	path, embedded := strings.CutPrefix(d.DatabaseURL, "sqlite://")
	if !embedded {
		return ""
	}
	if strings.HasPrefix(path, "//") { // four slashes
		path = "/" + strings.TrimLeft(path, "/")
	}
	return path
}

// clearPostgres is a host of PostgreSQL that may be spoken to without TLS over a network, "" where there
// is none.
func (d Database) clearPostgres() string {
	if d.Embedded() {
		return ""
	}
	c, err := pgconn.ParseConfig(d.DatabaseURL)
	if err != nil { // which the store says better
		return ""
	}
	ways := append([]*pgconn.FallbackConfig{{Host: c.Host, TLSConfig: c.TLSConfig}}, c.Fallbacks...)
	for _, way := range ways {
		if way.TLSConfig == nil && !strings.HasPrefix(way.Host, "/") && !Loopback(way.Host) {
			return way.Host
		}
	}
	return ""
}
