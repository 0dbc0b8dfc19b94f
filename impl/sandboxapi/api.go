// Package sandboxapi answers the sandbox's own contract: rows on demand, rules, the clock, spaces and the journal. Each
// space has one, which is about this space.
//
// It fills the interface generated from openapi/sandbox.yaml over impl/space, impl/ondemand and impl/journal, which do
// what it answers.
package sandboxapi

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"pinvault/generated/sandbox"
	"pinvault/impl/contract"
	"pinvault/impl/ondemand"
	"pinvault/impl/pin"
	"pinvault/impl/problem"
	box "pinvault/impl/sandbox"
	"pinvault/impl/space"
	"pinvault/impl/store"
)

// Sandbox is what a space's database holds.
type Sandbox interface {
	// Cards are all cards as they stand.
	Cards(ctx context.Context) ([]box.State, error)
	// Has tells whether there is a card.
	Has(ctx context.Context, cardID string) (bool, error)
}

// API answers the contract in one space.
type API struct {
	host  *space.Host
	space *space.Space
	rows  *ondemand.Catalogue
	box   Sandbox
}

// New makes the API of a space.
func New(s *space.Space, rows *ondemand.Catalogue, box Sandbox) *API {
	return &API{host: s.Host(), space: s, rows: rows, box: box}
}

// Mount registers the operations. Errors go to fail.
func (a *API) Mount(r gin.IRouter, fail func(*gin.Context, error)) { sandbox.Mount(r, a, fail) }

// GetSandboxFixtures lists the space's clients and cards.
func (a *API) GetSandboxFixtures(ctx context.Context, _ sandbox.GetSandboxFixturesRequestObject) (sandbox.GetSandboxFixturesResponseObject, error) {
	clients, cards, err := a.space.Fixtures(ctx)
	return sandbox.GetSandboxFixtures200JSONResponse{Clients: clients, Cards: cards}, err
}

// ResetSandbox makes the space what it was at first.
func (a *API) ResetSandbox(ctx context.Context, _ sandbox.ResetSandboxRequestObject) (sandbox.ResetSandboxResponseObject, error) {
	return sandbox.ResetSandbox204Response{}, a.space.Reset(ctx)
}

// ListSandboxCards lists the space's cards as they stand.
func (a *API) ListSandboxCards(ctx context.Context, _ sandbox.ListSandboxCardsRequestObject) (sandbox.ListSandboxCardsResponseObject, error) {
	cards, err := a.box.Cards(ctx)
	all := make([]sandbox.CardState, len(cards))
	for i, c := range cards {
		all[i] = a.cardState(c)
	}
	return sandbox.ListSandboxCards200JSONResponse{Cards: all}, err
}

func (a *API) cardState(c box.State) sandbox.CardState {
	limit := int32(c.Program.TryLimit) //nolint:gosec // 1..15
	state := sandbox.CardState{
		Name: told(c.Name), CardID: c.Card.ID, ProgramID: c.Card.ProgramID, Status: string(c.Card.Status), Pan: c.PAN, Pin: told(c.PIN),
		PinState: sandbox.CardStatePinState(c.Record.PIN.State), RemainingTries: int32(c.RemainingTries()), TryLimit: &limit, //nolint:gosec // as above
		History: make([]sandbox.CardEvent, len(c.History)),
	}
	for i, e := range c.History {
		left := int32(e.RemainingTries) //nolint:gosec // as above
		state.History[i] = sandbox.CardEvent{At: e.At, Type: string(e.Type), Contract: told(e.Contract), Client: told(e.ClientID), Outcome: told(e.Outcome), RemainingTries: &left}
	}
	for _, f := range a.rows.Fates() {
		if f.Card != "" && f.Card == c.Name {
			state.Fate = &sandbox.Fate{Text: f.Text, Rows: f.Rows}
		}
	}
	return state
}

// GetClock tells the space's time.
func (a *API) GetClock(context.Context, sandbox.GetClockRequestObject) (sandbox.GetClockResponseObject, error) {
	now, running := a.space.Clock.Move(space.Shift{})
	return sandbox.GetClock200JSONResponse{Now: now.UTC(), Running: running}, nil
}

// MoveClock moves the space's time.
func (a *API) MoveClock(_ context.Context, r sandbox.MoveClockRequestObject) (sandbox.MoveClockResponseObject, error) {
	now, running := a.space.Clock.Move(space.Shift{
		Reset: value(r.Body.Reset), To: value(r.Body.Now), Running: r.Body.Running, By: time.Duration(value(r.Body.AdvanceSeconds)) * time.Second,
	})
	return sandbox.MoveClock200JSONResponse{Now: now.UTC(), Running: running}, nil
}

// ListSpaces lists all spaces but the first.
func (a *API) ListSpaces(_ context.Context, _ sandbox.ListSpacesRequestObject) (sandbox.ListSpacesResponseObject, error) {
	all := []sandbox.Space{}
	for _, s := range a.host.Spaces() {
		all = append(all, spaceOf(s))
	}
	return sandbox.ListSpaces200JSONResponse{Spaces: all}, nil
}

// CreateSpace makes a space.
func (a *API) CreateSpace(ctx context.Context, r sandbox.CreateSpaceRequestObject) (sandbox.CreateSpaceResponseObject, error) {
	made, err := a.host.Make(ctx, value(r.Body.ID), value(r.Body.Snapshot))
	if err != nil {
		return nil, err
	}
	described, err := a.whole(ctx, made)
	return sandbox.CreateSpace201JSONResponse(described), err
}

// GetSpace describes a space.
func (a *API) GetSpace(ctx context.Context, r sandbox.GetSpaceRequestObject) (sandbox.GetSpaceResponseObject, error) {
	found, err := a.host.Space(r.SpaceID)
	if err != nil {
		return nil, err
	}
	described, err := a.whole(ctx, found)
	return sandbox.GetSpace200JSONResponse(described), err
}

// DeleteSpace removes a space, whether or not a call of it is still under way.
func (a *API) DeleteSpace(ctx context.Context, r sandbox.DeleteSpaceRequestObject) (sandbox.DeleteSpaceResponseObject, error) {
	return sandbox.DeleteSpace204Response{}, a.host.Remove(ctx, r.SpaceID, a.space)
}

func spaceOf(s *space.Space) sandbox.Space {
	return sandbox.Space{ID: s.ID, URL: s.URL, CreatedAt: s.Created.UTC(), ExpiresAt: s.Expires.UTC()}
}

// whole is a space with its clients' credentials, unless it has been removed meanwhile.
func (a *API) whole(ctx context.Context, s *space.Space) (sandbox.Space, error) {
	described := spaceOf(s)
	clients, _, err := s.Fixtures(ctx)
	if now, gone := a.host.Space(s.ID); err != nil && (gone != nil || now != s) {
		err = space.ErrNoSuch
	}
	described.Clients = &clients
	return described, err
}

// ListSnapshots lists the snapshots of all spaces.
func (a *API) ListSnapshots(context.Context, sandbox.ListSnapshotsRequestObject) (sandbox.ListSnapshotsResponseObject, error) {
	all := []sandbox.Snapshot{}
	for _, s := range a.host.Snapshots() {
		all = append(all, snapshotOf(s))
	}
	return sandbox.ListSnapshots200JSONResponse{Snapshots: all}, nil
}

// CreateSnapshot keeps the space as it is.
func (a *API) CreateSnapshot(ctx context.Context, r sandbox.CreateSnapshotRequestObject) (sandbox.CreateSnapshotResponseObject, error) {
	kept, err := a.host.Keep(ctx, a.space, r.Body.ID)
	if err != nil {
		return nil, err
	}
	return sandbox.CreateSnapshot201JSONResponse(snapshotOf(kept)), nil
}

// RestoreSnapshot puts the space back.
func (a *API) RestoreSnapshot(ctx context.Context, r sandbox.RestoreSnapshotRequestObject) (sandbox.RestoreSnapshotResponseObject, error) {
	return sandbox.RestoreSnapshot204Response{}, a.host.Restore(ctx, a.space, r.SnapshotID)
}

// DeleteSnapshot removes a snapshot.
func (a *API) DeleteSnapshot(_ context.Context, r sandbox.DeleteSnapshotRequestObject) (sandbox.DeleteSnapshotResponseObject, error) {
	return sandbox.DeleteSnapshot204Response{}, a.host.Discard(r.SnapshotID)
}

func snapshotOf(s *space.Snapshot) sandbox.Snapshot {
	return sandbox.Snapshot{ID: s.ID, Space: told(s.Space), CreatedAt: s.Created.UTC()}
}

// value is what a member has that may be left out.
func value[T any](of *T) (v T) {
	if of != nil {
		v = *of
	}
	return v
}

// told leaves an empty text out.
func told(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// rows of the error table that are the sandbox's own.
var (
	duplicate  = problem.Row{Status: http.StatusConflict, Code: "duplicate", Title: "The id is taken."}
	tooMany    = problem.Row{Status: http.StatusConflict, Code: "too_many", Title: "There are too many; remove some first."}
	firstSpace = problem.Row{Status: http.StatusConflict, Code: "first_space", Title: "The first space keeps no snapshots, since its database is not SQLite."}
)

// problems are the rows of errors that are not the vault's.
var problems = []struct {
	err error
	row problem.Row
}{
	{space.ErrNoSuch, space.NotFound},
	{space.ErrTaken, duplicate},
	{space.ErrTooMany, tooMany},
	{store.ErrNoSnapshots, firstSpace},
	{ondemand.ErrDuplicate, duplicate},
	{ondemand.ErrTooMany, tooMany},
	{ondemand.ErrNoEffect, effectMissing},
	{ondemand.ErrRowUnknown, rowUnknown},
	{ondemand.ErrDelayCrossed, invalidField},
	{errNoCard, cardUnknown},
	{ondemand.ErrMixed, invalidField},
	{&pin.Error{Code: pin.NotFound}, space.NotFound},
	{&pin.Error{Code: pin.Unavailable}, problem.Unavailable},
}

// Render says how an error is answered.
func (*API) Render(r *http.Request, op *contract.Operation, err error) contract.Reply {
	if row, ok := errors.AsType[problem.Row](err); ok {
		return row.Reply(r.Context(), nil)
	}
	if broken, ok := errors.AsType[contract.Broken](err); ok {
		return problem.Breach(broken).Reply(r.Context(), broken)
	}
	if unknown, ok := errors.AsType[ondemand.UnknownOperation](err); ok {
		known := op.Violation("/operation", problem.RuleKnown)
		if len(unknown.Near) > 0 {
			known.Limit = " Near: " + strings.Join(unknown.Near, ", ") + "."
		}
		return operationUnknown.Reply(r.Context(), contract.Broken{known})
	}
	row, broken := problem.Internal, contract.Broken(nil)
	for _, p := range problems {
		if errors.Is(err, p.err) {
			row = p.row
			break
		}
	}
	switch {
	case errors.Is(err, ondemand.ErrMixed):
		broken = contract.Broken{op.Violation("/delivery", contract.RuleValue)}
	case row == invalidField:
		broken = contract.Broken{op.Violation("/delay/maxMs", contract.RuleValue)}
	case row == cardUnknown:
		broken = contract.Broken{op.Violation("/card", problem.RuleKnown)}
	}
	return row.Reply(r.Context(), broken)
}
