package keyring

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "****"

// hidden makes the type that embeds it print as **** in every way that Go can print a value.
type hidden struct{}

// Hidden is that for the engines of other packages.
type Hidden = hidden

// String is ****.
func (hidden) String() string { return redacted }

// GoString is ****.
func (hidden) GoString() string { return redacted }

// Format prints **** for every verb.
func (hidden) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue is ****.
func (hidden) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON is "****".
func (hidden) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
