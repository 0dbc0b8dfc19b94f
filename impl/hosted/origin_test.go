package hosted

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIsOrigin(t *testing.T) {
	for text, want := range map[string]bool{
		"https://bank.example":                       true,
		"https://app.bank.example:8443":              true,
		"http://localhost:3000":                      true,
		"http://127.0.0.1:8080":                      true,
		"capacitor://localhost":                      true,
		"ionic://localhost":                          true,
		"app://localhost":                            true,
		"capacitor://localhost/":                     false,
		"capacitor://localhost:8080":                 false,
		"Capacitor://localhost":                      false,
		"capacitor://bank.example":                   false,
		"capacitor:":                                 false,
		"file://localhost":                           false,
		"":                                           false,
		"*":                                          false,
		"null":                                       false,
		"https://*":                                  false,
		"https://*.bank.example":                     false,
		"https://bank.example/":                      false,
		"https://bank.example/path":                  false,
		"https://bank.example?":                      false,
		"https://bank.example?q":                     false,
		"https://bank.example#":                      false,
		"https://user@bank.example":                  false,
		"https://Bank.example":                       false, // a browser writes it in lower case, and compares so
		"https://bank.example:443":                   false, // a browser leaves its own port out
		"http://bank.example:80":                     false,
		"https://bank.example:":                      false,
		"https://bank.example:0":                     false,
		"https://bank.example:08443":                 false,
		"https://bank.example:65536":                 false,
		"https://":                                   false,
		"https://-bank.example":                      false,
		"https://bank..example":                      false,
		"https://bank.example.":                      false,
		"https://1.2.3":                              false,
		"https://256.1.1.1":                          false,
		"https://bank.example;":                      false,
		"https://bank.example; script-src *":         false,
		"https://bank.example https://other.example": false,
		"https://bank.example\r\nSet-Cookie: a=b":    false,
		"https://bank.example\n":                     false,
		"https://bänk.example":                       false,
		"javascript:alert(1)":                        false,
		"data://bank.example":                        false,
		"ftp://bank.example":                         false,
		"//bank.example":                             false,
	} {
		require.Equal(t, want, isOrigin(text), "%q", text)
	}
}

func TestAHostNameIsAsLongAsDNSHasThem(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("a.", 126) + "a"
	require.Len(t, longest, 253)
	require.True(t, isOrigin("https://"+longest))
	require.False(t, isOrigin("https://"+longest+"a"))
}

func TestIsBrand(t *testing.T) {
	for _, c := range []struct {
		name, value string
		want        bool
	}{
		{"accent", "#0a7", true},
		{"--accent", "#00aa77", true},
		{"dark-accent", "hsl(160 80% 40%)", true},
		{"paper", "rgb(255, 255, 255)", true},
		{"radius", "12px", true},
		{"radius", "0", true},
		{"font", "Noto Sans, sans-serif", true},
		{"accent", "", false},
		{"accent", "red", false},
		{"accent", "#12", false},
		{"accent", "url(a)", false},
		{"accent", "var(--ink)", false},
		{"accent", "#000;background:url(a)", false},
		{"accent", "#000}body{display:none", false},
		{"radius", "100vw", false},
		{"font", "'a'", false},
		{"background-image", "#000", false},
		{"", "#000", false},
		{"----accent", "#000", false},
	} {
		require.Equal(t, c.want, isBrand(c.name, c.value), "%s: %s", c.name, c.value)
	}
}
