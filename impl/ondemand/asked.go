package ondemand

import (
	"net/http"
	"strconv"
	"strings"
)

const canonical = "Pinvault-Row" // rows.AskHeader as net/http has it

// Ask is the row that a call asks for.
type Ask struct {
	Row    string // as rows.AskHeader has it; else
	Status int    // by Prefer's code, 0 for any, and
	Name   string // by its example, "" for any

	Must bool // by rows.AskHeader: a preference that cannot be met is passed over (RFC 7240, 2)
}

// Asked reads which row a call asks for, if any: rows.AskHeader, else the preferences code and example of Prefer (RFC 7240),
// of which each counts as it was said first.
func Asked(header http.Header) (Ask, bool) {
	if row := strings.TrimSpace(strings.Join(header[canonical], ", ")); row != "" { // several are no row's name
		return Ask{Row: row, Must: true}, true
	}
	if len(header["Prefer"]) == 0 {
		return Ask{}, false
	}
	var ask Ask
	said := map[string]bool{}
	for _, preference := range preferences(header["Prefer"]) {
		if said[preference.name] {
			continue
		}
		said[preference.name] = true
		switch preference.name {
		case "code":
			if status, err := strconv.Atoi(preference.value); err == nil && status > 0 {
				ask.Status = status
			}
		case "example":
			ask.Name = preference.value
		}
	}
	return ask, ask.Status != 0 || ask.Name != ""
}

type preference struct{ name, value string }

// preferences reads lists of `token [= word] *(; parameter)`. Parameters say more of a preference, and are passed over.
func preferences(lines []string) (all []preference) {
	for _, line := range lines {
		for _, one := range split(line, ',') {
			first := split(one, ';')[0]
			name, value, _ := strings.Cut(first, "=")
			if name = strings.ToLower(strings.TrimSpace(name)); name != "" {
				all = append(all, preference{name, word(strings.TrimSpace(value))})
			}
		}
	}
	return all
}

// split parts a text at a separator that stands outside of quotes.
func split(text string, separator byte) (parts []string) {
	from, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++ // a quoted-pair (RFC 9110, 5.6.4)
		case c == '"':
			quoted = !quoted
		case c == separator && !quoted:
			parts = append(parts, text[from:i])
			from = i + 1
		}
	}
	return append(parts, text[from:])
}

// word is a token or what is in a quoted-string.
func word(text string) string {
	inside, opened := strings.CutPrefix(text, `"`)
	inside, closed := strings.CutSuffix(inside, `"`)
	if !opened || !closed {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(inside); i++ {
		if inside[i] == '\\' && i+1 < len(inside) {
			i++
		}
		b.WriteByte(inside[i])
	}
	return b.String()
}
