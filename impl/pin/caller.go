package pin

import (
	"context"
	"encoding/json"
	"slices"
)

// Caller is who asks, as far as it is known: the audit trail's who, through what and from where.
type Caller struct {
	ClientID   string
	ProgramID  string // the one program that the client acts for; "" for a client of the whole server
	Contract   string // thredd, issuer, …
	Scopes     []string
	Settings   json.RawMessage // the client's, shared: read only
	RemoteAddr string          // IP address
	TraceID    string          // W3C trace context, trace-parent form
}

// May tells whether the caller holds every one of the scopes.
func (c Caller) May(scopes ...string) bool {
	for _, s := range scopes {
		if !slices.Contains(c.Scopes, s) {
			return false
		}
	}
	return true
}

// Reaches tells whether the caller may act on cards of the program.
func (c Caller) Reaches(programID string) bool {
	return c.ProgramID == "" || c.ProgramID == programID
}

type callerKey struct{}

// WithCaller hands the caller down to the vault.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerFrom is the caller handed down by [WithCaller], or the zero Caller.
func CallerFrom(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}
