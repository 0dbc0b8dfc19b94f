package journal

import (
	"fmt"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"pinvault/generated/sandbox"
)

// ofCurl are headers that curl sends by itself.
var ofCurl = map[string]bool{"Accept-Encoding": true, "Connection": true, "Content-Length": true, "Host": true, "User-Agent": true}

// curl is a call in bash, of what may be shown of it.
func curl(url string, r sandbox.EntryRequest, headers []field) string {
	words := []string{"curl"}
	switch {
	case r.Method == http.MethodHead:
		words = append(words, "--head")
	case r.Method != http.MethodGet || r.Body != nil:
		words = append(words, "-X", quote(r.Method))
	}
	if strings.ContainsAny(url, "[]{}") { // of which curl makes several calls
		words = append(words, "--globoff")
	}
	words = append(words, quote(url))
	typed := false
	for _, h := range headers {
		typed = typed || h.name == "Content-Type"
		switch {
		case ofCurl[h.name] || h.name == "Accept" && h.value == "*/*":
		case h.value == "": // which curl takes for the wish to send none, unless it is written like this
			words = append(words, "-H", quote(h.name+";"))
		default:
			words = append(words, "-H", quote(h.name+": "+h.value))
		}
	}
	if r.Body != nil {
		if !typed { // curl would say that it is a form
			words = append(words, "-H", quote("Content-Type:"))
		}
		words = append(words, "--data-raw", quote(*r.Body))
	}
	return strings.Join(words, " ")
}

// quote makes one word of bash of a text.
func quote(s string) string {
	if bare(s) {
		return s
	}
	if utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) < 0 {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	var out strings.Builder
	out.WriteString("$'")
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\'' || c == '\\':
			out.WriteByte('\\')
			out.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&out, `\x%02x`, c)
		default:
			out.WriteByte(c)
		}
	}
	out.WriteByte('\'')
	return out.String()
}

// bare tells whether bash takes a text for one word as it stands.
func bare(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_./:", r)
	}) < 0
}
