package hosted

import (
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// What a program may say about the hosted page ends up in a response header, in a style sheet and in
// the target of messages. It is checked when it is set, so that none of these has to escape it.

var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`)

// appOrigins are those of web views in iOS apps, whose pages come from the app itself: no host is behind them that
// could be somebody else's.
var appOrigins = []string{"capacitor://localhost", "ionic://localhost", "app://localhost"}

// isOrigin tells whether text is an origin as a browser writes it (RFC 6454, 6.2): https, or http for
// tests, a host name or IPv4 address, and a port unless it is the scheme's own; or one of an app. Nothing else.
func isOrigin(text string) bool {
	if slices.Contains(appOrigins, text) {
		return true
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme+"://"+u.Host != text || u.Scheme != "https" && u.Scheme != "http" {
		return false
	}
	host, port, hasPort := strings.Cut(u.Host, ":")
	if hasPort {
		n, err := strconv.ParseUint(port, 10, 16)
		if own := map[string]uint64{"https": 443, "http": 80}[u.Scheme]; err != nil || n == 0 || n == own || strconv.FormatUint(n, 10) != port {
			return false
		}
	}
	if last := host[strings.LastIndex(host, ".")+1:]; last != "" && strings.Trim(last, "0123456789") == "" {
		_, err := netip.ParseAddr(host) // of IPv4: there is no colon in it
		return err == nil
	}
	return len(host) <= 253 && host == strings.ToLower(host) && hostName.MatchString(host)
}

var (
	length = regexp.MustCompile(`^(0|[0-9]{1,2}(\.[0-9]{1,2})?(px|rem|em))$`)
	family = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9 ,-]{0,63}$`)
)

// isBrand tells whether a program may set a variable of the page's style sheet to the value. Names may be written as
// those of CSS, with two hyphens before them; colours for the dark have dark- before them.
func isBrand(name, value string) bool {
	name = strings.TrimPrefix(name, "--")
	switch name {
	case "radius":
		return length.MatchString(value)
	case "font":
		return family.MatchString(value)
	}
	_, known := light[strings.TrimPrefix(name, "dark-")]
	_, isColour := parseColour(value)
	return known && isColour
}

func areBranding(all map[string]string) bool {
	for name, value := range all {
		if !isBrand(name, value) {
			return false
		}
	}
	return true
}
