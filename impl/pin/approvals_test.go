package pin_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

// approval is a program's card with an approval that is for the client "asker" and was granted by "decider".
func (w *world) approval(t testing.TB, action pin.ApprovalAction) pin.Approval {
	t.Helper()
	ctx := by(t)
	p, err := w.UpdateProgram(ctx, w.program.ID, func(p *pin.Program) error { p.DualUnblock, p.DualReveal = true, true; return nil }, pin.Memo{})
	require.NoError(t, err)
	a, err := w.RequestApproval(w.as(t, "asker"), w.q, pin.NewApproval{Action: action}, pin.Memo{})
	require.NoError(t, err)
	a, err = w.DecideApproval(w.as(t, "decider"), a.ID, true, pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, pin.ApprovalGranted, a.State)
	_, err = w.UpdateProgram(ctx, w.program.ID, func(was *pin.Program) error {
		was.DualUnblock, was.DualReveal = w.program.DualUnblock, w.program.DualReveal
		return nil
	}, pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, w.program.ID, p.ID)
	return a
}

// as is the test's context, called by a client of the program.
func (w *world) as(t testing.TB, clientID string) context.Context {
	t.Helper()
	return pin.WithCaller(t.Context(), pin.Caller{ClientID: clientID, ProgramID: w.program.ID, Contract: "issuer"})
}

// dual has a program ask for approvals of everything.
func dual(p *pin.Program) { p.DualUnblock, p.DualReveal = true, true }

// reasoned is the reason in a Conflict.
func reasoned(t testing.TB, err error, want pin.ApprovalReason) {
	t.Helper()
	require.Equal(t, pin.Conflict, pin.CodeOf(err))
	require.ErrorIs(t, err, want)
}

func TestAnApprovalLetsItsClientDoOneThingOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dual)
	w.block(t)
	asker, decider := w.as(t, "asker"), w.as(t, "decider")
	require.Equal(t, pin.ApprovalNeeded, pin.CodeOf(w.Unblock(asker, w.q, pin.Memo{})))
	require.Zero(t, w.remaining(t))

	a, err := w.RequestApproval(asker, w.q, pin.NewApproval{Action: pin.ApproveUnblock}, pin.Memo{Description: "on 9999990000000014"})
	require.NoError(t, err)
	require.Equal(t, pin.Approval{ID: a.ID, ProgramID: w.program.ID, CardID: w.card.ID, Action: pin.ApproveUnblock, ClientID: "asker", RequestedBy: "asker",
		Reason: "on ****************", State: pin.ApprovalPending, Version: 1, CreatedAt: w.clock(), ExpiresAt: w.clock().Add(15 * time.Minute)}, a)
	require.Equal(t, pin.ApprovalNeeded, pin.CodeOf(w.Unblock(asker, w.q, pin.Memo{})), "it is not granted yet")
	_, err = w.RequestApproval(asker, w.q, pin.NewApproval{Action: pin.ApproveUnblock}, pin.Memo{})
	reasoned(t, err, pin.ApprovalThere)
	_, err = w.DecideApproval(asker, a.ID, true, pin.Memo{})
	reasoned(t, err, pin.SameClient)

	granted, err := w.DecideApproval(decider, a.ID, true, pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, pin.ApprovalGranted, granted.State)
	require.Equal(t, "decider", granted.DecidedBy)
	for _, grant := range []bool{true, false} {
		_, err = w.DecideApproval(w.as(t, "third"), a.ID, grant, pin.Memo{})
		reasoned(t, err, pin.ApprovalOver)
	}
	read, err := w.Approval(asker, a.ID)
	require.NoError(t, err)
	require.Equal(t, granted, read)

	require.Equal(t, pin.ApprovalNeeded, pin.CodeOf(w.Unblock(decider, w.q, pin.Memo{})), "it is the asker's")
	_, err = w.RevealPIN(asker, w.q)
	require.Equal(t, pin.ApprovalNeeded, pin.CodeOf(err), "it is for something else")
	require.NoError(t, w.Unblock(asker, w.q, pin.Memo{}))
	require.Equal(t, 3, w.remaining(t))
	require.Equal(t, pin.ApprovalNeeded, pin.CodeOf(w.Unblock(asker, w.q, pin.Memo{})), "it is used up")
	read, err = w.Approval(asker, a.ID)
	require.NoError(t, err)
	require.Equal(t, pin.ApprovalUsed, read.State)
	require.Empty(t, w.record(t).PIN.Pledges)
	told := w.told(t, w.card.ID)
	require.Equal(t, []string{"approval.requested", "approval.granted", "pin.unblocked", "approval.used"}, told[len(told)-4:])
	last := w.events(t, w.card.ID)
	require.Equal(t, a.ID, last[len(last)-1].Subject)
	require.Equal(t, []pin.FieldChange{{Field: "action", New: "unblock"}, {Field: "clientId", New: "asker"}}, last[len(last)-1].Changes)
	w.agree(t)
}

func TestAnApprovalIsOfItsCardActionAndClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dual)
	other := w.second(t, pin.NewCard{PAN: "9999990000000022"})
	a := w.approval(t, pin.ApproveReveal)
	_, err := w.RevealPIN(w.as(t, "asker"), pin.Query{CardID: other.ID})
	require.Equal(t, pin.ApprovalNeeded, pin.CodeOf(err), "the approval is of another card")
	_, err = w.RevealPIN(by(t), w.q)
	require.Equal(t, pin.ApprovalNeeded, pin.CodeOf(err), "an operator has none either")
	_, err = w.RevealPIN(pin.WithCaller(t.Context(), pin.Caller{ProgramID: w.program.ID}), w.q)
	require.Equal(t, pin.ApprovalNeeded, pin.CodeOf(err), "nor has nobody")
	p, err := w.RevealPIN(w.as(t, "asker"), w.q)
	require.NoError(t, err)
	require.Equal(t, right, string(p.Digits()))
	_, err = w.RevealPIN(w.as(t, "asker"), w.q)
	require.Equal(t, pin.ApprovalNeeded, pin.CodeOf(err))

	outside := pin.WithCaller(t.Context(), pin.Caller{ClientID: "stranger", ProgramID: "another program"})
	_, err = w.Approval(outside, a.ID)
	require.Equal(t, pin.NotFound, pin.CodeOf(err))
	_, err = w.DecideApproval(outside, a.ID, true, pin.Memo{})
	require.Equal(t, pin.NotFound, pin.CodeOf(err))
	_, err = w.CancelApproval(outside, a.ID, pin.Memo{})
	require.Equal(t, pin.NotFound, pin.CodeOf(err))
	listed, err := w.Approvals(outside, "", pin.Page{Limit: 10})
	require.NoError(t, err)
	require.Empty(t, listed)
	for _, err := range []error{
		fails(w.RequestApproval(by(t), w.q, pin.NewApproval{Action: pin.ApproveUnblock}, pin.Memo{})),
		fails(w.DecideApproval(by(t), a.ID, true, pin.Memo{})), fails(w.CancelApproval(by(t), a.ID, pin.Memo{})),
	} {
		require.Equal(t, pin.Forbidden, pin.CodeOf(err), "an operator is nobody in particular")
	}
}

func fails[T any](_ T, err error) error { return err }

// The trail, not the approval, tells that somebody tried without one.
// With an offset, and the natural PIN that needs no PIN, whoever has the key has the PIN.
func TestAValueOfTheKeptPINIsAReveal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dual, func(p *pin.Program) { p.RetrievalAllowed = true })
	made := 0
	derive := func() error {
		_, err := w.UsePIN(w.as(t, "asker"), w.q, nil, pin.Happening{Type: pin.EventPINDerived}, func(pin.Record, pin.PIN, string) error { made++; return nil })
		return err
	}
	require.Equal(t, pin.ApprovalNeeded, pin.CodeOf(derive()))
	require.Zero(t, made)
	w.approval(t, pin.ApproveReveal)
	require.NoError(t, derive())
	require.Equal(t, 1, made)
	require.Equal(t, pin.ApprovalNeeded, pin.CodeOf(derive()), "once")
}

func TestWhatNobodyApprovedIsInTheTrail(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dual)
	for range 3 {
		require.Equal(t, pin.ApprovalNeeded, pin.CodeOf(w.Unblock(w.as(t, "asker"), w.q, pin.Memo{})))
	}
	events := w.events(t, "server")
	last := events[len(events)-1]
	require.Equal(t, []string{"access.refused", "asker", "approval_needed"}, []string{string(last.Type), last.Subject, last.Outcome})
	require.NotEqual(t, pin.EventAccessRefused, events[len(events)-2].Type, "the first of several alone")
}

func TestAnApprovalForAnotherClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dual)
	helpdesk, _, err := w.CreateClient(by(t), pin.Client{ID: "helpdesk", ProgramID: w.program.ID, Contract: "creditplus", Name: "x"}, "", pin.Memo{})
	require.NoError(t, err)
	elsewhere, err := w.CreateProgram(by(t), pin.NewProgram("elsewhere"), pin.Memo{})
	require.NoError(t, err)
	_, _, err = w.CreateClient(by(t), pin.Client{ID: "stranger", ProgramID: elsewhere.ID, Contract: "creditplus", Name: "x"}, "", pin.Memo{})
	require.NoError(t, err)
	everywhere := pin.WithCaller(t.Context(), pin.Caller{ClientID: "asker", Everywhere: true})
	for _, unfit := range []string{"nobody", "stranger"} {
		_, err := w.RequestApproval(everywhere, w.q, pin.NewApproval{Action: pin.ApproveUnblock, ClientID: unfit}, pin.Memo{})
		require.Equal(t, []string{"invalid_field", "clientId"}, []string{string(pin.CodeOf(err)), pin.FieldOf(err)}, unfit)
	}
	a, err := w.RequestApproval(everywhere, w.q, pin.NewApproval{Action: pin.ApproveUnblock, ClientID: "helpdesk"}, pin.Memo{})
	require.NoError(t, err)
	_, err = w.DecideApproval(pin.WithCaller(t.Context(), helpdesk.Caller()), a.ID, true, pin.Memo{})
	reasoned(t, err, pin.SameClient)
	_, err = w.DecideApproval(w.as(t, "decider"), a.ID, true, pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, pin.ApprovalNeeded, pin.CodeOf(w.Unblock(everywhere, w.q, pin.Memo{})), "who asked may not do it")
	require.NoError(t, w.Unblock(pin.WithCaller(t.Context(), helpdesk.Caller()), w.q, pin.Memo{}))
}

func TestWhatCannotBeApproved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.RequestApproval(w.as(t, "asker"), w.q, pin.NewApproval{Action: pin.ApproveUnblock}, pin.Memo{})
	reasoned(t, err, pin.ApprovalNotAsked)
	require.NoError(t, w.Unblock(w.as(t, "asker"), w.q, pin.Memo{}), "and need not be")
	_, err = w.UpdateProgram(by(t), w.program.ID, func(p *pin.Program) error { dual(p); return nil }, pin.Memo{})
	require.NoError(t, err)
	none := w.second(t, pin.NewCard{PAN: "9999990000000022", NoPIN: true})
	lost := w.second(t, pin.NewCard{PAN: "9999990000000030", Status: pin.StatusLost})
	for _, c := range []struct {
		card   string
		action pin.ApprovalAction
		want   pin.Code
	}{{none.ID, pin.ApproveReveal, pin.NoPIN}, {lost.ID, pin.ApproveReveal, pin.CardStatus}, {lost.ID, pin.ApproveUnblock, pin.CardStatus}, {"nobody", pin.ApproveUnblock, pin.NotFound}} {
		_, err := w.RequestApproval(w.as(t, "asker"), pin.Query{CardID: c.card}, pin.NewApproval{Action: c.action}, pin.Memo{})
		require.Equal(t, c.want, pin.CodeOf(err), "%s %s", c.card, c.action)
	}
	for seconds, ok := range map[int]bool{0: true, 59: false, 60: true, 86400: true, 86401: false, -1: false} {
		_, err := w.UpdateProgram(by(t), w.program.ID, func(p *pin.Program) error { p.ApprovalSeconds = seconds; return nil }, pin.Memo{})
		require.Equal(t, ok, err == nil, "%d: %v", seconds, err)
	}
}

func TestAnApprovalEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end   func(w *world, a pin.Approval) error
		state pin.ApprovalState
	}{
		"when it is taken back": {func(w *world, a pin.Approval) error {
			_, err := w.CancelApproval(w.as(t, "asker"), a.ID, pin.Memo{})
			return err
		}, pin.ApprovalCancelled},
		"when its time is over": {func(w *world, _ pin.Approval) error { w.later(15 * time.Minute); return nil }, pin.ApprovalExpired},
	} {
		w := newWorld(t, dual)
		w.block(t)
		a := w.approval(t, pin.ApproveUnblock)
		_, err := w.CancelApproval(w.as(t, "decider"), a.ID, pin.Memo{})
		require.Equal(t, pin.Forbidden, pin.CodeOf(err), "only who asked takes it back")
		require.NoError(t, c.end(w, a), name)
		require.Equal(t, pin.ApprovalNeeded, pin.CodeOf(w.Unblock(w.as(t, "asker"), w.q, pin.Memo{})), name)
		read, err := w.Approval(by(t), a.ID)
		require.NoError(t, err)
		require.Equal(t, c.state, read.State)
		_, err = w.CancelApproval(w.as(t, "asker"), a.ID, pin.Memo{})
		reasoned(t, err, pin.ApprovalOver)
		_, err = w.RequestApproval(w.as(t, "asker"), w.q, pin.NewApproval{Action: pin.ApproveUnblock}, pin.Memo{})
		require.NoError(t, err, "another one can be asked for")
	}

	w := newWorld(t, dual)
	a, err := w.RequestApproval(w.as(t, "asker"), w.q, pin.NewApproval{Action: pin.ApproveUnblock}, pin.Memo{})
	require.NoError(t, err)
	rejected, err := w.DecideApproval(w.as(t, "decider"), a.ID, false, pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, pin.ApprovalRejected, rejected.State)
	require.Empty(t, w.record(t).PIN.Pledges)
	b, err := w.RequestApproval(w.as(t, "asker"), w.q, pin.NewApproval{Action: pin.ApproveUnblock}, pin.Memo{})
	require.NoError(t, err)
	w.later(15 * time.Minute)
	_, err = w.DecideApproval(w.as(t, "decider"), b.ID, true, pin.Memo{})
	reasoned(t, err, pin.ApprovalOver)
	for state, want := range map[pin.ApprovalState]int{"": 2, pin.ApprovalRejected: 1, pin.ApprovalExpired: 1, pin.ApprovalPending: 0} {
		listed, err := w.Approvals(w.as(t, "decider"), state, pin.Page{Limit: 10})
		require.NoError(t, err)
		require.Len(t, listed, want, state)
	}
}

func TestAnApprovalWhoseTimeIsOverIsToldOfOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dual)
	a := w.approval(t, pin.ApproveUnblock)
	for _, step := range []struct {
		later time.Duration
		want  []string
	}{{0, []string{"approval.requested", "approval.granted"}}, {15 * time.Minute, []string{"approval.granted", "approval.expired"}}, {time.Minute, []string{"approval.granted", "approval.expired"}}} {
		w.later(step.later)
		row, err := w.store.Row(by(t), pin.TableApprovals, "", a.ID)
		require.NoError(t, err)
		require.NoError(t, w.ExpireApproval(by(t), row))
		told := w.told(t, w.card.ID)
		require.Equal(t, step.want, told[len(told)-2:])
	}
	require.Empty(t, w.record(t).PIN.Pledges)
	w.agree(t)
}

// Of any number who use one approval at once, in several processes, one does.
func TestAnApprovalIsUsedOnceHoweverManyTry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dual)
	for round := range 5 {
		w.block(t)
		w.approval(t, pin.ApproveUnblock)
		codes := make([]pin.Code, 8)
		var all sync.WaitGroup
		for i := range codes {
			v := w.sibling()
			all.Go(func() { codes[i] = pin.CodeOf(v.Unblock(w.as(t, "asker"), w.q, pin.Memo{})) })
		}
		all.Wait()
		done := 0
		for _, code := range codes {
			if code == "" {
				done++
				continue
			}
			require.Equal(t, pin.ApprovalNeeded, code)
		}
		require.Equal(t, 1, done, fmt.Sprint("round ", round))
	}
	w.agree(t)
}

// Somebody with every right on the database and no key gets nothing approved.
func TestARowAuthorizesNothing(t *testing.T) {
	t.Parallel()
	alter := func(t *testing.T, w *world, r pin.Row) {
		t.Helper()
		db := w.store.(*memory)
		db.rows[[3]string{string(pin.TableApprovals), r.CardID, r.ID}] = r
	}
	held := func(t *testing.T, w *world, id string) pin.Row {
		t.Helper()
		r, err := w.store.Row(by(t), pin.TableApprovals, "", id)
		require.NoError(t, err)
		return r
	}
	for name, c := range map[string]struct {
		tamper func(t *testing.T, w *world) (approvalID string)
		want   pin.Code
	}{
		"a row that says granted and is not": {func(t *testing.T, w *world) string {
			a, err := w.RequestApproval(w.as(t, "asker"), w.q, pin.NewApproval{Action: pin.ApproveUnblock}, pin.Memo{})
			require.NoError(t, err)
			r := held(t, w, a.ID)
			r.Body = []byte(`{"state":"granted"}`)
			alter(t, w, r)
			return a.ID
		}, pin.ApprovalNeeded},
		"another card's": {func(t *testing.T, w *world) string {
			other := w.second(t, pin.NewCard{PAN: "9999990000000022"})
			mine := w.q
			w.q = pin.Query{CardID: other.ID}
			a := w.approval(t, pin.ApproveUnblock)
			w.q = mine
			r := held(t, w, a.ID)
			r.CardID = w.card.ID
			alter(t, w, r)
			return a.ID
		}, pin.ApprovalNeeded},
		"one that was changed": {func(t *testing.T, w *world) string {
			a := w.approval(t, pin.ApproveUnblock)
			r := held(t, w, a.ID)
			r.ExpiresAt++
			alter(t, w, r)
			return a.ID
		}, pin.Internal},
		"one that was put back after it was used": {func(t *testing.T, w *world) string {
			a := w.approval(t, pin.ApproveUnblock)
			r := held(t, w, a.ID)
			require.NoError(t, w.Unblock(w.as(t, "asker"), w.q, pin.Memo{}))
			alter(t, w, r)
			return a.ID
		}, pin.ApprovalNeeded},
		"one that was put back from before it was granted": {func(t *testing.T, w *world) string {
			a, err := w.RequestApproval(w.as(t, "asker"), w.q, pin.NewApproval{Action: pin.ApproveUnblock}, pin.Memo{})
			require.NoError(t, err)
			r := held(t, w, a.ID)
			_, err = w.DecideApproval(w.as(t, "decider"), a.ID, true, pin.Memo{})
			require.NoError(t, err)
			alter(t, w, r)
			return a.ID
		}, pin.Internal},
		"one that was removed": {func(t *testing.T, w *world) string {
			a := w.approval(t, pin.ApproveUnblock)
			delete(w.store.(*memory).rows, [3]string{string(pin.TableApprovals), w.card.ID, a.ID})
			return ""
		}, pin.ApprovalNeeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newMemoryWorld(t, dual)
			alarms := 0
			w.OnTampered(func(context.Context, string, string) { alarms++ })
			id := c.tamper(t, w)
			err := w.Unblock(w.as(t, "asker"), w.q, pin.Memo{})
			require.Equal(t, c.want, pin.CodeOf(err))
			require.Equal(t, c.want == pin.Internal, pin.Tampered(err))
			require.Equal(t, c.want == pin.Internal, alarms > 0)
			if id != "" {
				_, err = w.DecideApproval(w.as(t, "third"), id, true, pin.Memo{})
				require.Error(t, err)
			}
		})
	}
}

// It sees the card before the approval is used up, and there is another one when its answer is found.
func TestAnApprovalThatIsUsedMeanwhileIsDecidedOnceMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dual)
	w.approval(t, pin.ApproveUnblock)
	asker, q, between := w.as(t, "asker"), w.q, true
	q.Check = func(pin.Record) error {
		if between {
			between = false
			require.NoError(t, w.Unblock(asker, w.q, pin.Memo{}))
			w.approval(t, pin.ApproveUnblock)
		}
		return nil
	}
	require.NoError(t, w.Unblock(asker, q, pin.Memo{}))
	require.False(t, between)
	require.Equal(t, pin.ApprovalNeeded, pin.CodeOf(w.Unblock(asker, q, pin.Memo{})))
}
