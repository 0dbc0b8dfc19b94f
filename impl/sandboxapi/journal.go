package sandboxapi

import (
	"context"
	"net/http"

	"pinvault/generated/sandbox"
	"pinvault/impl/journal"
)

// ListJournal lists what was sent and answered.
func (a *API) ListJournal(_ context.Context, r sandbox.ListJournalRequestObject) (sandbox.ListJournalResponseObject, error) {
	p := r.Params
	limit := 100
	if p.Limit != nil {
		limit = int(*p.Limit)
	}
	return sandbox.ListJournal200JSONResponse{Entries: a.space.Journal.List(journal.Filter{
		Client: a.client(p.Client), Card: value(p.Card), Operation: value(p.Operation), Row: value(p.Row), Before: value(p.Before), Limit: limit,
	})}, nil
}

// ClearJournal forgets what was sent and answered.
func (a *API) ClearJournal(context.Context, sandbox.ClearJournalRequestObject) (sandbox.ClearJournalResponseObject, error) {
	a.space.Journal.Clear()
	return sandbox.ClearJournal204Response{}, nil
}

// WatchJournal tells what is sent and answered from now on.
func (a *API) WatchJournal(ctx context.Context, r sandbox.WatchJournalRequestObject) (sandbox.WatchJournalResponseObject, error) {
	w := journal.Watch{Filter: journal.Filter{Client: a.client(r.Params.Client), Card: value(r.Params.Card)}, Seen: r.Params.LastEventID}
	if r.Params.Entries != nil {
		count := int(*r.Params.Entries)
		w.Count = &count
	}
	return stream{ctx, a.space.Journal, w}, nil
}

// stream is a reply that lasts.
type stream struct {
	ctx     context.Context //nolint:containedctx // of the one call that it answers
	journal *journal.Journal
	watch   journal.Watch
}

// VisitWatchJournalResponse writes the reply.
func (s stream) VisitWatchJournalResponse(w http.ResponseWriter) error {
	return s.journal.Live(s.ctx, w, s.watch)
}

// ReplayEntry sends a call again.
func (a *API) ReplayEntry(ctx context.Context, r sandbox.ReplayEntryRequestObject) (sandbox.ReplayEntryResponseObject, error) {
	entry, err := a.space.Journal.Replay(ctx, r.Number, a.space)
	return sandbox.ReplayEntry200JSONResponse(entry), err
}
