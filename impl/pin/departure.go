package pin

import (
	"context"
	"errors"
	"runtime"
	"strconv"

	"golang.org/x/sync/errgroup"
)

// Departure is a card that moves out: with its PIN in a block, with what stands in place of one, or without either.
type Departure struct {
	Record
	PAN     string
	Block   *Block
	Brought VerificationValue
}

// Packing is how PINs leave.
type Packing struct {
	KeyID string // under which partner's key, for the trail
	Pack  func(p PIN, pan string) (*Block, VerificationValue, error)
}

// Departing tells the trail of a program that cards are about to move out, with PANs or without, and under which key their
// PINs leave, "" for none: NotFound, Forbidden.
func (v *Vault) Departing(ctx context.Context, programID string, pans bool, keyID string) error {
	if _, err := v.Program(ctx, programID); err != nil {
		return err
	}
	return v.enter(ctx, entry{event: AuditEvent{Type: EventPortfolioExported, ProgramID: programID, Subject: keyID,
		Changes: []FieldChange{{Field: "pans", New: strconv.FormatBool(pans)}}}}, Memo{})
}

// Export is a page of the program's cards, in the order of their ids, as they move out. With a packing, those whose PIN may be read
// back leave with it, and those that brought a verification value along and have never shown their PIN with that: each is told
// in its card's chain, as [Vault.RevealPIN] does it, before it is returned. A card's status does not matter: one that is
// restricted today has its PIN where it moves to. Forbidden, and the errors of the packing.
func (v *Vault) Export(ctx context.Context, programID string, page Page, packing *Packing) ([]Departure, error) {
	if !CallerFrom(ctx).Reaches(programID) || programID == "" {
		return nil, &Error{Code: Forbidden}
	}
	rows, err := v.store.Cards(ctx, programID, page)
	if err != nil {
		return nil, err
	}
	out := make([]Departure, 0, len(rows))
	at := map[string]int{}
	for atOnce := len(rows); len(rows) > 0; {
		now := rows[:min(atOnce, len(rows))]
		rows = rows[len(now):]
		leaving, changes, err := v.leave(ctx, now, packing)
		if err != nil {
			return nil, err
		}
		again, err := v.tell(ctx, changes)
		if err != nil {
			return nil, err
		}
		for _, d := range leaving {
			i, again := at[d.Card.ID]
			if !again {
				i = len(out)
				at[d.Card.ID], out = i, append(out, Departure{})
			}
			out[i] = d
		}
		if len(again) > 0 { // somebody changed them meanwhile, or the keys are slow
			atOnce = fewer(now)
			changed, err := v.store.CardsOf(ctx, again)
			if err != nil {
				return nil, err
			}
			rows = append(changed, rows...)
		}
	}
	return out, nil
}

// leave makes departures of rows, in their order, and the changes that tell of PINs that leave.
func (v *Vault) leave(ctx context.Context, rows []CardRow, packing *Packing) ([]Departure, []Change, error) {
	out, changes := make([]Departure, len(rows)), make([]*Change, len(rows))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for from := 0; from < len(rows); from += leaveAtOnce {
		group.Go(func() error {
			for i := from; i < min(from+leaveAtOnce, len(rows)); i++ {
				var err error
				if out[i], changes[i], err = v.leaveOne(ctx, rows[i], packing); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := group.Wait()
	var all []Change
	for _, c := range changes {
		if c != nil {
			all = append(all, *c)
		}
	}
	return out, all, err
}

// leaveAtOnce is how many cards one goroutine sees to.
const leaveAtOnce = 50

func (v *Vault) leaveOne(ctx context.Context, row CardRow, packing *Packing) (Departure, *Change, error) {
	rec, err := v.record(ctx, row)
	if err != nil {
		return Departure{}, nil, err
	}
	d := Departure{Record: rec}
	if d.PAN, err = v.pan(rec.Card); err != nil || packing == nil {
		return d, nil, err
	}
	switch {
	case rec.PIN.Brought != nil:
		d.Brought, err = v.brought(rec.Card, rec.PIN.Brought)
	case rec.PIN.Readable(rec.Program):
		d.Block, d.Brought, err = v.pack(rec, d.PAN, packing)
	}
	if err != nil || d.Block == nil && d.Brought == (VerificationValue{}) {
		return d, nil, err
	}
	told := Happening{Type: EventPINRevealed, Subject: packing.KeyID}
	if d.Brought.KeyID != "" {
		told.Subject = d.Brought.KeyID
	}
	change, err := v.change(ctx, rec, deed{Step: rec.PIN.Noted(told)}, Memo{})
	return d, &change, err
}

// pack reads a PIN back for somebody who gets it under a key.
func (v *Vault) pack(rec Record, pan string, packing *Packing) (*Block, VerificationValue, error) {
	digits, err := v.keys.Open(UsePIN, rec.PIN.Ciphertext, frame(rec.Program.ID, rec.Card.ID))
	defer clear(digits)
	if err != nil {
		return nil, VerificationValue{}, err
	}
	p, err := New(digits)
	if err != nil {
		return nil, VerificationValue{}, &Error{Code: Internal, Err: errors.New("what was kept is no PIN")}
	}
	defer p.Clear()
	return packing.Pack(p, pan)
}

// tell writes what the trail is to know before anything leaves, and returns the cards of which that has to be decided
// once more.
func (v *Vault) tell(ctx context.Context, changes []Change) (again []string, err error) {
	if len(changes) == 0 {
		return nil, nil
	}
	errs, err := v.store.SwapAll(ctx, changes)
	if err != nil {
		return nil, err
	}
	for i, err := range errs {
		switch {
		case err == nil:
		case overtaken(err):
			again = append(again, changes[i].Card.ID)
		default:
			return nil, err
		}
	}
	return again, nil
}
