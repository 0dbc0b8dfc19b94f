package pin

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Approvals: where a program asks for two on an unblock or for a PIN to leave, one client requests an approval, another one grants it,
// and the client that it is for uses it up by doing what was approved, through whatever contract it speaks.
//
// An approval is a sealed row of its own, but its seal alone authorizes nothing: somebody who can write to the database could put back
// a row as it was before it was used. So the card's value, under the card's seal, holds a [Pledge] for each approval that is open,
// with the version of its row. Request, decision and use are swaps of the card, so that of any number who use one approval at once
// one does.

// ApprovalAction is what an approval is for.
type ApprovalAction string

// The actions.
const (
	ApproveUnblock ApprovalAction = "unblock" // the try counter is put back
	ApproveReveal  ApprovalAction = "reveal"  // the PIN leaves: it is read back, or given to a printer
)

// ApprovalState is how far an approval has come.
type ApprovalState string

// The states. The first two are open; none of the others changes any more.
const (
	ApprovalPending   ApprovalState = "pending"
	ApprovalGranted   ApprovalState = "granted"
	ApprovalRejected  ApprovalState = "rejected"
	ApprovalCancelled ApprovalState = "cancelled" // by who asked for it
	ApprovalUsed      ApprovalState = "used"
	ApprovalExpired   ApprovalState = "expired" // its time was over before, and the trail tells of it
)

// Approval is a second client's word on something that is done with a card's PIN, once.
type Approval struct {
	ID          string         `json:"id"` // UUIDv7
	ProgramID   string         `json:"programId"`
	CardID      string         `json:"cardId"`
	Action      ApprovalAction `json:"action"`
	ClientID    string         `json:"clientId"` // who may do it
	RequestedBy string         `json:"requestedBy"`
	Reason      string         `json:"reason,omitempty"`
	State       ApprovalState  `json:"state"`
	DecidedBy   string         `json:"decidedBy,omitempty"`
	Version     int64          `json:"version"` // counts changes
	CreatedAt   time.Time      `json:"createdAt"`
	ExpiresAt   time.Time      `json:"expiresAt"`
	DecidedAt   time.Time      `json:"decidedAt,omitzero"`
	EndedAt     time.Time      `json:"endedAt,omitzero"` // when it was rejected, cancelled or used, or expired
}

// Pledge is what a card's value says of an approval that is open.
type Pledge struct {
	ID        string         `json:"id"`
	Version   int64          `json:"version"` // of the approval
	Action    ApprovalAction `json:"action"`
	ClientID  string         `json:"clientId"`
	Granted   bool           `json:"granted,omitzero"`
	ExpiresAt time.Time      `json:"expiresAt"`
}

// ApprovalReason says, in the chain of a Conflict, why something about an approval was refused.
type ApprovalReason string

// Error is the reason.
func (r ApprovalReason) Error() string { return string(r) }

// The reasons.
const (
	ApprovalNotAsked ApprovalReason = "approval_not_asked" // the program asks for none
	ApprovalThere    ApprovalReason = "approval_there"     // one is open for this card, action and client
	ApprovalOver     ApprovalReason = "approval_over"      // it was decided or used already, or has expired
	SameClient       ApprovalReason = "same_client"        // who asks and who uses must not decide
)

// ApprovalReasons are all reasons, in the order in which they are declared.
func ApprovalReasons() []ApprovalReason {
	return []ApprovalReason{ApprovalNotAsked, ApprovalThere, ApprovalOver, SameClient}
}

func refusedApproval(r ApprovalReason) error { return &Error{Code: Conflict, Err: r} }

// How long an approval is good, from its request on, in seconds.
const (
	DefaultApprovalSeconds = 15 * 60
	minApprovalSeconds     = 60
	maxApprovalSeconds     = 24 * 60 * 60
)

// ApprovalLifetime is how long an approval of the program is good.
func (p Program) ApprovalLifetime() time.Duration {
	return time.Duration(cmp.Or(p.ApprovalSeconds, DefaultApprovalSeconds)) * time.Second
}

// Asks tells whether the program asks for an approval of an action.
func (p Program) Asks(a ApprovalAction) bool {
	return a == ApproveUnblock && p.DualUnblock || a == ApproveReveal && p.DualReveal
}

// open tells whether the approval can still come to something.
func (a Approval) open() bool { return a.State == ApprovalPending || a.State == ApprovalGranted }

// pledge is what the card says of it.
func (a Approval) pledge() Pledge {
	return Pledge{ID: a.ID, Version: a.Version, Action: a.Action, ClientID: a.ClientID, Granted: a.State == ApprovalGranted, ExpiresAt: a.ExpiresAt}
}

// told is the happening that a step of it is.
func (a Approval) told(t EventType) Happening {
	return Happening{Type: t, Subject: a.ID, Changes: []FieldChange{{Field: "action", New: string(a.Action)}, {Field: "clientId", New: a.ClientID}}}
}

// decided is the approval granted or rejected by a client: SameClient, ApprovalOver.
func (a Approval) decided(by string, grant bool, at time.Time) (Approval, error) {
	switch {
	case by == a.RequestedBy || by == a.ClientID:
		return a, refusedApproval(SameClient)
	case a.State != ApprovalPending || !at.Before(a.ExpiresAt):
		return a, refusedApproval(ApprovalOver)
	}
	a.DecidedBy, a.DecidedAt = by, at
	if !grant {
		return a.ended(ApprovalRejected, at), nil
	}
	a.State = ApprovalGranted
	a.Version++
	return a, nil
}

// ended is the approval in its last state.
func (a Approval) ended(s ApprovalState, at time.Time) Approval {
	a.State, a.EndedAt = s, at
	a.Version++
	return a
}

// Approves is the pledge by which a client may do something now.
func (v Value) Approves(a ApprovalAction, clientID string, now time.Time) (Pledge, bool) {
	i := slices.IndexFunc(v.Pledges, func(p Pledge) bool {
		return p.Granted && p.Action == a && p.ClientID == clientID && clientID != "" && now.Before(p.ExpiresAt)
	})
	if i < 0 {
		return Pledge{}, false
	}
	return v.Pledges[i], true
}

// Pledged is the value with what it says of an approval: as that now is where it is open, and nothing where it has ended.
func (v Value) Pledged(a Approval) Value {
	v.Pledges = slices.DeleteFunc(slices.Clone(v.Pledges), func(p Pledge) bool { return p.ID == a.ID })
	if a.open() {
		v.Pledges = append(v.Pledges, a.pledge())
	}
	return v
}

// asked tells whether an approval of an action, for a client, is open.
func (v Value) asked(a ApprovalAction, clientID string, now time.Time) bool {
	return slices.ContainsFunc(v.Pledges, func(p Pledge) bool {
		return p.Action == a && p.ClientID == clientID && now.Before(p.ExpiresAt)
	})
}

// requestable is why no approval of an action can be asked for: CardStatus, what [Value.Reveal] refuses, ApprovalNotAsked, and
// ApprovalThere.
func (r Record) requestable(a ApprovalAction, clientID string, now time.Time) error {
	if err := r.operable(); err != nil {
		return err
	}
	if a == ApproveReveal {
		if refusal := r.PIN.Reveal(r.Program).Refusal; refusal != "" {
			return &Error{Code: refusal}
		}
	}
	switch {
	case !r.Program.Asks(a):
		return refusedApproval(ApprovalNotAsked)
	case r.PIN.asked(a, clientID, now):
		return refusedApproval(ApprovalThere)
	}
	return nil
}

// step is what a step of an approval does to its card.
func (v *Vault) step(rec Record, a Approval, t EventType) (deed, error) {
	row, err := v.sealApproval(a)
	s := rec.PIN.Noted(a.told(t))
	s.Next = s.Next.Pledged(a)
	return deed{Step: s, result: a, rows: []Row{row}}, err
}

// NewApproval describes an approval to be asked for.
type NewApproval struct {
	ID       string // "": a fresh UUIDv7
	Action   ApprovalAction
	ClientID string        // who is to do it; "": the caller
	Lifetime time.Duration // 0: the program's
}

// RequestApproval asks for an approval of an action on a card: NotFound, Ambiguous, CardStatus, of a reveal NoPIN and RetrievalOff; InvalidField (clientId) for a client that does not reach the card;
// Forbidden for an operator, who is nobody in particular; Conflict with ApprovalNotAsked or ApprovalThere.
func (v *Vault) RequestApproval(ctx context.Context, q Query, n NewApproval, m Memo) (Approval, error) {
	who := CallerFrom(ctx)
	if who.Operator {
		return Approval{}, &Error{Code: Forbidden}
	}
	if n.ID == "" {
		id, err := uuid.NewV7FromReader(v.rand)
		if err != nil {
			return Approval{}, &Error{Code: Internal, Err: err}
		}
		n.ID = id.String()
	}
	by, err := v.doer(ctx, n.ClientID)
	if err != nil {
		return Approval{}, err
	}
	var a Approval
	_, err = v.act(ctx, q, m, func(rec Record) (deed, error) {
		now := v.clock()
		if !by.Reaches(rec.Card.ProgramID) {
			return deed{}, &Error{Code: InvalidField, Field: "clientId"}
		}
		if err := rec.requestable(n.Action, by.ClientID, now); err != nil {
			return deed{}, err
		}
		a = Approval{ID: n.ID, ProgramID: rec.Card.ProgramID, CardID: rec.Card.ID, Action: n.Action, ClientID: by.ClientID, RequestedBy: who.ClientID,
			Reason: MaskNumbers(m.Description), State: ApprovalPending, Version: 1, CreatedAt: now, ExpiresAt: now.Add(cmp.Or(n.Lifetime, rec.Program.ApprovalLifetime()))}
		d, err := v.step(rec, a, EventApprovalRequested)
		d.add = []Lookup{lookup(rec.Card, KindApproval, a.ID)}
		return d, err
	})
	return a, err
}

// doer is the client that is to do what is approved, as a caller; "" is who asks: InvalidField (clientId).
func (v *Vault) doer(ctx context.Context, clientID string) (Caller, error) {
	who := CallerFrom(ctx)
	if clientID == "" || clientID == who.ClientID {
		return who, nil
	}
	c, err := v.Client(ctx, clientID)
	if CodeOf(err) == NotFound {
		err = &Error{Code: InvalidField, Field: "clientId"}
	}
	return c.Caller(), err
}

// DecideApproval grants or rejects an approval: NotFound, Forbidden for an operator, Conflict with SameClient or ApprovalOver.
func (v *Vault) DecideApproval(ctx context.Context, id string, grant bool, m Memo) (Approval, error) {
	t := EventApprovalRejected
	if grant {
		t = EventApprovalGranted
	}
	return v.moveApproval(ctx, id, t, m, func(a Approval, by string) (Approval, error) { return a.decided(by, grant, v.clock()) })
}

// CancelApproval takes a request back, granted or not: NotFound, Forbidden for all but who asked, Conflict with ApprovalOver.
func (v *Vault) CancelApproval(ctx context.Context, id string, m Memo) (Approval, error) {
	return v.moveApproval(ctx, id, EventApprovalCancelled, m, func(a Approval, by string) (Approval, error) {
		now := v.clock()
		switch {
		case by != a.RequestedBy:
			return a, &Error{Code: Forbidden}
		case !a.open() || !now.Before(a.ExpiresAt):
			return a, refusedApproval(ApprovalOver)
		}
		return a.ended(ApprovalCancelled, now), nil
	})
}

func (v *Vault) moveApproval(ctx context.Context, id string, t EventType, m Memo, move func(a Approval, by string) (Approval, error)) (Approval, error) {
	who := CallerFrom(ctx)
	a, err := v.Approval(ctx, id)
	if err == nil && who.Operator {
		err = &Error{Code: Forbidden}
	}
	if err != nil {
		return Approval{}, err
	}
	next, err := move(a, who.ClientID)
	if err != nil {
		return Approval{}, err
	}
	_, err = v.act(ctx, Query{ProgramID: a.ProgramID, CardID: a.CardID}, m, func(rec Record) (deed, error) {
		if !slices.Contains(rec.PIN.Pledges, a.pledge()) { // somebody was faster, or has put the row back
			return deed{}, refusedApproval(ApprovalOver)
		}
		return v.step(rec, next, t)
	})
	if err != nil {
		return Approval{}, err
	}
	return next, nil
}

// approved has a deed use up an approval, where the program asks for one: ApprovalNeeded where the caller has none.
func (v *Vault) approved(ctx context.Context, rec Record, action ApprovalAction, d *deed) error {
	if !rec.Program.Asks(action) {
		return nil
	}
	now := v.clock()
	pledge, ok := rec.PIN.Approves(action, CallerFrom(ctx).ClientID, now)
	if !ok {
		return &Error{Code: ApprovalNeeded}
	}
	a, err := v.redeemable(ctx, rec, pledge)
	if err != nil {
		return err
	}
	used, err := v.step(rec, a.ended(ApprovalUsed, now), EventApprovalUsed)
	d.Next.Pledges = used.Next.Pledges
	d.Happenings = append(d.Happenings, used.Happenings...) // a contract's record goes with the first
	d.rows = append(d.rows, used.rows...)
	return err
}

// redeemable is the approval that a pledge is for. A row that is newer has been used or taken back since the card was read: under the
// card's lock that is decided once more. One that is older was put back.
func (v *Vault) redeemable(ctx context.Context, rec Record, p Pledge) (Approval, error) {
	rows, err := v.store.RowsOf(ctx, TableApprovals, []string{rec.Card.ID}, []string{p.ID})
	switch {
	case err != nil:
		return Approval{}, err
	case len(rows) == 0 || rows[0].Version > p.Version:
		return Approval{}, &Error{Code: ApprovalNeeded, Err: errBehind}
	}
	a, err := v.openApproval(ctx, rows[0])
	if err == nil && a.pledge() != p {
		err = v.broken(ctx, string(TableApprovals), p.ID)
	}
	return a, err
}

// unapproved tells the trail where an error is that nobody has approved of what the caller wanted to do.
func (v *Vault) unapproved(ctx context.Context, action ApprovalAction, err error) error {
	if CodeOf(err) == ApprovalNeeded {
		who := CallerFrom(ctx)
		v.refused(ctx, EventAccessRefused, who.ClientID+" "+string(action), who.ClientID, ApprovalNeeded)
	}
	return err
}

// ExpireApproval ends an approval whose time is over, and tells the trail of it; of one that has ended already it does nothing.
func (v *Vault) ExpireApproval(ctx context.Context, row Row) error {
	a, err := v.openApproval(ctx, row)
	if err != nil || !a.open() || v.clock().Before(a.ExpiresAt) {
		return err
	}
	_, err = v.act(WithCaller(ctx, Caller{}.In(a.ProgramID)), Query{ProgramID: a.ProgramID, CardID: a.CardID}, Memo{}, func(rec Record) (deed, error) {
		if !slices.Contains(rec.PIN.Pledges, a.pledge()) {
			return deed{}, refusedApproval(ApprovalOver)
		}
		return v.step(rec, a.ended(ApprovalExpired, a.ExpiresAt), EventApprovalExpired)
	})
	if CodeOf(err) == Conflict { // somebody else has moved it
		err = nil
	}
	return err
}

func (v *Vault) sealApproval(a Approval) (Row, error) {
	return Sealed(v.keys, Row{Table: TableApprovals, ID: a.ID, ProgramID: a.ProgramID, CardID: a.CardID, Version: a.Version, ExpiresAt: micros(a.ExpiresAt)}, a)
}

func (v *Vault) openApproval(ctx context.Context, row Row) (Approval, error) {
	var a Approval
	if err := v.unseal(ctx, row, &a); err != nil {
		return Approval{}, err
	}
	if a.ID != row.ID || a.CardID != row.CardID || a.ProgramID != row.ProgramID || a.Version != row.Version || micros(a.ExpiresAt) != row.ExpiresAt {
		return Approval{}, v.broken(ctx, string(TableApprovals), row.ID)
	}
	return a, nil
}

// Approval finds an approval in the caller's reach: NotFound.
func (v *Vault) Approval(ctx context.Context, id string) (Approval, error) {
	row, err := v.store.Row(ctx, TableApprovals, "", id)
	if err != nil {
		return Approval{}, err
	}
	a, err := v.openApproval(ctx, row)
	if err == nil && !CallerFrom(ctx).Reaches(a.ProgramID) {
		err = &Error{Code: NotFound}
	}
	if err != nil {
		return Approval{}, err
	}
	return a.at(v.clock()), nil
}

// at is the approval as it is at a time: nobody need have ended it yet.
func (a Approval) at(now time.Time) Approval {
	if a.open() && !now.Before(a.ExpiresAt) {
		a.State, a.EndedAt = ApprovalExpired, a.ExpiresAt
	}
	return a
}

// Approvals lists the approvals in the caller's reach, oldest first; a state, unless "", narrows them.
func (v *Vault) Approvals(ctx context.Context, state ApprovalState, page Page) ([]Approval, error) {
	own, some := CallerFrom(ctx).within()
	var out []Approval
	for some && len(out) < page.Limit {
		rows, err := v.store.List(ctx, TableApprovals, own, page)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			a, err := v.openApproval(ctx, row)
			if err != nil {
				return nil, err
			}
			page.After, a = a.ID, a.at(v.clock())
			if (state == "" || a.State == state) && len(out) < page.Limit {
				out = append(out, a)
			}
		}
		if len(rows) < page.Limit {
			break
		}
	}
	return out, nil
}
