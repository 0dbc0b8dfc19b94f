package outbox

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"
)

// Networks are where webhooks may be: everywhere that is public, and what is allowed besides.
type Networks struct {
	Allowed []netip.Prefix
	Sandbox bool // loopback too, and plain HTTP
}

// errRefused is the refusal of an address.
var errRefused = errors.New("the address is not one that webhooks may be at")

// public are the networks of addresses that anybody can have; special those within them that nobody has (RFC 6890 and its
// registries), and what would lead to an IPv4 address, which is looked at by itself.
var (
	public  = prefixes("0.0.0.0/0", "2000::/3")
	special = prefixes("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
		"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
		"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
	nat64  = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
	sixTo4 = netip.MustParsePrefix("2002::/16")    // RFC 3056
)

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// Allows tells whether an address is one that webhooks may be at. Every form in which IPv6 holds an IPv4 address is looked at as that
// address; one with a zone is on a link, and nobody's.
func (n Networks) Allows(a netip.Addr) bool {
	if !a.IsValid() || a.Zone() != "" {
		return false
	}
	a = a.Unmap()
	if bytes := a.As16(); nat64.Contains(a) {
		a = netip.AddrFrom4([4]byte(bytes[12:]))
	} else if sixTo4.Contains(a) && !within(n.Allowed, a) {
		a = netip.AddrFrom4([4]byte(bytes[2:6]))
	}
	return within(n.Allowed, a) || n.Sandbox && a.IsLoopback() || within(public, a) && !within(special, a)
}

func within(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Admits tells whether a webhook may have a URL, as far as that tells: its host's addresses are looked at each time it is called.
func (n Networks) Admits(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Hostname() == "" || u.User != nil || u.Fragment != "" || u.Opaque != "" {
		return false
	}
	if u.Scheme != "https" && !(n.Sandbox && u.Scheme == "http") {
		return false
	}
	a, err := netip.ParseAddr(u.Hostname())
	return err != nil || n.Allows(a)
}

// client calls webhooks: whatever their names resolve to is looked at when it is dialled, redirects are not followed, and no proxy
// is asked, which would dial for us.
func (n Networks) client(timeout time.Duration) *http.Client {
	dialer := &net.Dialer{Timeout: timeout, Control: func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil || !n.Allows(to.Addr()) {
			return errRefused
		}
		return nil
	}}
	return &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DialContext: dialer.DialContext, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: timeout, ResponseHeaderTimeout: timeout, MaxResponseHeaderBytes: 64 << 10, MaxIdleConnsPerHost: each, IdleConnTimeout: time.Minute},
	}
}
