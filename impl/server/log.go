package server

import (
	"context"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
)

// NewLogger writes JSON lines to w and hides what must not be in a log, should it ever get there:
// values under names such as pin or token, digits that could be a PAN, and tokens in a text.
func NewLogger(w io.Writer, level slog.Leveler) *slog.Logger {
	return slog.New(&lines{
		Handler: slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: (&redactor{}).redact}),
		plain:   slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}),
	})
}

// lines looks through every line for secrets, except those of requests that ended well: they hold names of
// the documents, ids and figures, and there are so many of them that looking cost a twentieth of the server's time.
type lines struct {
	slog.Handler
	plain slog.Handler
}

// Handle writes a line.
func (h *lines) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == requestLine && r.Level == slog.LevelInfo {
		return h.plain.Handle(ctx, r)
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs and WithGroup give up the distinction: nobody who logs requests uses them.
func (h *lines) WithAttrs(attrs []slog.Attr) slog.Handler { return h.Handler.WithAttrs(attrs) }

// WithGroup is as WithAttrs.
func (h *lines) WithGroup(name string) slog.Handler { return h.Handler.WithGroup(name) }

// requestLine is the message of the line that each request has.
const requestLine = "request"

// redactor remembers which names are secret: a program's log has few, and each line has most of them.
type redactor struct {
	names sync.Map // string -> bool
	count atomic.Int64
}

// maxNames bounds what is remembered, should names ever come from outside.
const maxNames = 1000

func (r *redactor) secret(name string) bool {
	if known, ok := r.names.Load(name); ok {
		return known.(bool)
	}
	is := secretNames[separators.Replace(strings.ToLower(name))]
	if len(name) < 64 && r.count.Add(1) <= maxNames {
		r.names.Store(name, is)
	}
	return is
}

const redacted = "****"

// secretNames are names, in lower case and without separators, whose values are never logged.
var secretNames = map[string]bool{
	"pin": true, "newpin": true, "oldpin": true, "pinblock": true, "encryptedoldpin": true, "encryptednewpin": true,
	"pan": true, "cardnumber": true, "number": true, "token": true, "accesstoken": true, "authorization": true, "cookie": true,
	"secret": true, "clientsecret": true, "password": true, "key": true, "apikey": true, "xapikey": true, "body": true,
}

var (
	separators = strings.NewReplacer("_", "", "-", "", ".", "")
	uuid       = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	// 12 digits and more, single blanks and hyphens between them notwithstanding; PIN blocks and keys
	// in hexadecimal; and anything that begins as a JWT does.
	secrets = regexp.MustCompile(`(?:[0-9][ -]?){11,}[0-9]|\b[0-9A-Fa-f]{16,}\b|eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_.-]*`)
)

func (r *redactor) redact(_ []string, a slog.Attr) slog.Attr {
	switch {
	case a.Key == "trace" || a.Key == slog.TimeKey || a.Key == slog.LevelKey:
		return a
	case r.secret(a.Key):
		return slog.String(a.Key, redacted)
	}
	switch v := a.Value.Resolve(); v.Kind() {
	case slog.KindString:
		if text := v.String(); suspicious(text) {
			return slog.String(a.Key, mask(text))
		}
	case slog.KindAny:
		if err, ok := v.Any().(error); ok {
			return slog.String(a.Key, mask(err.Error()))
		}
	}
	return a
}

// mask hides secrets in a text. UUIDs, which are ids of cards and programs, stay.
func mask(text string) string {
	if !suspicious(text) {
		return text
	}
	var out strings.Builder
	at := 0
	for _, id := range uuid.FindAllStringIndex(text, -1) {
		out.WriteString(secrets.ReplaceAllString(text[at:id[0]], redacted))
		out.WriteString(text[id[0]:id[1]])
		at = id[1]
	}
	out.WriteString(secrets.ReplaceAllString(text[at:], redacted))
	return out.String()
}

// suspicious tells cheaply, for every text that is logged, whether secrets could match in it.
func suspicious(text string) bool {
	run := 0
	for i := range len(text) {
		switch c := text[i]; {
		case c >= '0' && c <= '9' || c >= 'A' && c <= 'F' || c >= 'a' && c <= 'f':
			if run++; run >= 12 {
				return true
			}
		case c != ' ' && c != '-':
			run = 0
		}
	}
	return strings.Contains(text, "eyJ")
}
