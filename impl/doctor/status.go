package doctor

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"pinvault/impl/keyring"
	"pinvault/impl/metrics"
	"pinvault/impl/pin"
	"pinvault/impl/store"
)

// Status is what there is.
type Status struct {
	Version    string             `json:"version"`
	Database   DatabaseStatus     `json:"database"`
	Counts     map[string]int64   `json:"counts"` // at most a million of each is counted
	Keys       []keyring.Standing `json:"keys"`   // of the keyset file, except for destroyed ones
	Sessions   map[string]int64   `json:"pinSessions"`
	Webhooks   []Webhook          `json:"webhooks"`
	Waiting    WaitingStatus      `json:"waiting"`
	Checkpoint *time.Time         `json:"checkpoint"` // when the last one was made, null for never
}

// DatabaseStatus is what a database says of itself.
type DatabaseStatus struct {
	Engine        string `json:"engine"`
	Size          int64  `json:"size"` // bytes
	SchemaVersion int64  `json:"schemaVersion"`
	SchemaNeeded  int64  `json:"schemaNeeded"`
}

// Webhook is where events are sent, without its URL, which may be a secret.
type Webhook struct {
	ID        string           `json:"id"`
	ProgramID string           `json:"programId,omitempty"`
	State     pin.WebhookState `json:"state"`
	PausedFor pin.PauseReason  `json:"pausedFor,omitempty"`
	Waiting   int64            `json:"waiting"` // events; of one that is paused nothing is counted
}

// WaitingStatus is what waits for all webhooks that are not paused.
type WaitingStatus struct {
	Events     int64 `json:"events"`
	LagSeconds int64 `json:"lagSeconds"` // how long the oldest has waited
}

// Look is what there is in a database and in a keyset. keys are those of the file, now as it stands.
func Look(ctx context.Context, version string, db *store.Store, vault *pin.Vault, keys []keyring.Standing, now time.Time) (s Status, err error) {
	s.Version = version
	facts, err := db.Facts(ctx)
	if err != nil {
		return s, err
	}
	s.Database.Engine, s.Database.Size = facts.Engine, facts.Size
	schema, err := db.Schema(ctx)
	if err != nil {
		return s, err
	}
	s.Database.SchemaVersion, s.Database.SchemaNeeded = schema.Have, schema.Want
	if s.Counts, err = db.Counts(ctx); err != nil {
		return s, err
	}
	s.Keys = slices.DeleteFunc(slices.Clone(keys), func(k keyring.Standing) bool { return k.State == keyring.Destroyed })
	live, err := db.LiveSessions(ctx, now)
	if err != nil {
		return s, err
	}
	s.Sessions = map[string]int64{}
	for state, n := range live {
		s.Sessions[string(state)] = n
	}
	if s.Webhooks, err = webhooksOf(pin.WithCaller(ctx, pin.Operator("pinvault status")), vault); err != nil {
		return s, err
	}
	waiting, err := db.WaitingDeliveries(ctx)
	if err != nil {
		return s, err
	}
	for _, w := range waiting {
		if i := slices.IndexFunc(s.Webhooks, func(known Webhook) bool { return known.ID == w.WebhookID }); i >= 0 {
			s.Webhooks[i].Waiting = w.Count
		}
	}
	count, lag := metrics.Waiting(waiting, now)
	s.Waiting = WaitingStatus{count, int64(lag.Seconds())}
	made, err := db.Marked(ctx, metrics.CheckpointMade)
	if err == nil && !made.IsZero() {
		s.Checkpoint = &made
	}
	return s, err
}

// webhooksOf are all webhooks but those that were deleted.
func webhooksOf(ctx context.Context, v *pin.Vault) (all []Webhook, err error) {
	ctx = pin.WithCaller(ctx, pin.Operator("pinvault doctor"))
	all = []Webhook{}
	for page := (pin.Page{Limit: 100}); ; {
		found, err := v.Webhooks(ctx, page)
		if err != nil {
			return nil, err
		}
		for _, w := range found {
			all = append(all, Webhook{ID: w.ID, ProgramID: w.ProgramID, State: w.State, PausedFor: w.PausedFor})
			page.After = w.ID
		}
		if len(found) < page.Limit {
			return all, nil
		}
	}
}

// Print prints a status for people.
func (s Status) Print(to io.Writer, now time.Time) error {
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		_, _ = fmt.Fprintf(table, name+"\t"+format+"\n", args...)
	}
	row("version", "%s", s.Version)
	row("database", "%s, %s, schema %d", s.Database.Engine, size(s.Database.Size), s.Database.SchemaVersion)
	for _, name := range slices.Sorted(maps.Keys(s.Counts)) {
		more := ""
		if s.Counts[name] == store.MostCounted {
			more = " or more"
		}
		row(name, "%d%s", s.Counts[name], more)
	}
	for _, k := range s.Keys {
		row("key", "%s %s, made %s", k.Name(), k.State, k.CreatedAt.Format(time.RFC3339))
	}
	for _, state := range slices.Sorted(maps.Keys(s.Sessions)) {
		row("PIN sessions", "%d %s", s.Sessions[state], state)
	}
	for _, w := range s.Webhooks {
		why := ""
		if w.PausedFor != "" {
			why = " (" + string(w.PausedFor) + ")"
		}
		row("webhook", "%s %s%s, %d events wait", w.ID, w.State, why, w.Waiting)
	}
	row("waiting", "%d events, the oldest for %ds", s.Waiting.Events, s.Waiting.LagSeconds)
	if s.Checkpoint == nil {
		row("checkpoint", "never")
	} else {
		row("checkpoint", "%s, %s ago", s.Checkpoint.Format(time.RFC3339), now.Sub(*s.Checkpoint).Round(time.Second))
	}
	return table.Flush()
}
