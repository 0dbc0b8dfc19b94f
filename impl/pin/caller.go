package pin

import (
	"context"
	"encoding/json"
	"slices"
)

// Caller is who asks, as far as it is known: the audit trail's who, through what and from where. The zero
// Caller is nobody, who reaches no program and may do nothing.
type Caller struct {
	ClientID   string
	ProgramID  string // the one program that the client acts for
	Everywhere bool   // it acts for every program instead
	Operator   bool   // whoever sits at the machine, who is asked for no scope
	Contract   string // thredd, issuer, …
	Scopes     []string
	Settings   json.RawMessage // the client's, shared: read only
	RemoteAddr string          // IP address
	TraceID    string          // W3C trace context, trace-parent form
}

// Operator is whoever sits at the machine, for the whole server. name is what the trail knows them by.
func Operator(name string) Caller { return Caller{ClientID: name, Everywhere: true, Operator: true} }

// Caller is the client as a caller, with all that it has.
func (c Client) Caller() Caller {
	return Caller{ClientID: c.ID, ProgramID: c.ProgramID, Everywhere: c.ProgramID == "", Contract: c.Contract, Scopes: c.Scopes, Settings: c.Settings}
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

// Reaches tells whether the caller may act for the program; "" is the server as a whole.
func (c Caller) Reaches(programID string) bool {
	return c.Everywhere || c.ProgramID != "" && c.ProgramID == programID
}

// In is the caller within one program alone.
func (c Caller) In(programID string) Caller {
	c.ProgramID, c.Everywhere = programID, false
	return c
}

// within is the one program that the caller's lists are of, "" for all of them, and whether they are of
// any: nobody's are not.
func (c Caller) within() (programID string, some bool) {
	if c.Everywhere {
		return "", true
	}
	return c.ProgramID, c.ProgramID != ""
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
