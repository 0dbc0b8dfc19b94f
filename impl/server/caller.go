package server

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// proxies are those whose X-Forwarded-For is believed. X-Real-IP never is: it has no list to walk, and a
// proxy that does not set it hands on what the caller wrote.
type proxies []netip.Prefix

func (p proxies) trust(ip netip.Addr) bool {
	return slices.ContainsFunc(p, func(known netip.Prefix) bool { return known.Contains(ip) })
}

// caller is the address that a request comes from: that of the connection or, as far as trusted proxies
// tell, the one behind them. Each proxy adds the address that called it at the end of X-Forwarded-For, so
// the list is read from there up to the first that is not trusted, who may have written what stands
// before. "" when the connection has no address.
func (p proxies) caller(r *http.Request) string {
	ip, ok := address(r.RemoteAddr)
	if !ok {
		return ""
	}
	list := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for _, told := range slices.Backward(list) {
		next, ok := address(strings.TrimSpace(told))
		if !ok || !p.trust(ip) {
			break
		}
		ip = next
	}
	return ip.String()
}

// address reads an IP address with or without a port, IPv6 with or without brackets.
func address(text string) (netip.Addr, bool) {
	if at, err := netip.ParseAddrPort(text); err == nil {
		return at.Addr().Unmap(), true
	}
	ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	return ip.Unmap(), err == nil
}

// credentials are the headers that say who is calling.
var credentials = []string{"Authorization", "X-Api-Key"}

// oneCredential puts repeated credentials together, as RFC 9110, 5.3 has it for a header that is sent
// several times. The result is a credential of nobody, so that each contract answers as to a wrong one:
// whoever took the first would admit a caller whom a proxy before it knows by the last.
func oneCredential(h http.Header) {
	for _, name := range credentials {
		if values := h[name]; len(values) > 1 {
			h.Set(name, strings.Join(values, ", "))
		}
	}
}
