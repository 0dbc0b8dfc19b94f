package store

import (
	"strconv"
	"strings"

	"pinvault/impl/pin"
)

// swap_card in plain SQL. PostgreSQL runs one statement with its parts in two thirds of the time that a function takes which runs them
// one by one, if it need not plan it each time: so it is for sessions of our own, which keep it prepared, and for tables that stand on one
// machine. Its shape is the change's: how many events, which rows.
//
//	moved  is the card, where it stood as it was read, and waits for whoever else is moving it; everything else is written only with it
//	part…  are the events and the rows
//
// At its end it lets the events in, as admit_event does, and looks for parts that found something in their way: either undoes all.

// classOfEvents is the class of the locks by which events are let in, as admit_event has it.
const classOfEvents = 1347833428

// plain builds the statement of a change.
type plain struct {
	parts, checks strings.Builder
	args          []any
	n             int
}

// arg is a value's place in the statement.
func (p *plain) arg(value any, kind string) string {
	p.args = append(p.args, value)
	return "$" + strconv.Itoa(len(p.args)) + "::" + kind
}

// insert adds a row of values, and what to do with one that is there.
func (p *plain) insert(into, conflict string, values ...string) string {
	return p.part("INSERT INTO " + into + " SELECT " + strings.Join(values, ", ") + " FROM moved" + conflict)
}

func (p *plain) part(statement string) (name string) {
	p.n++
	name = "part" + strconv.Itoa(p.n)
	p.parts.WriteString(", " + name + " AS (" + statement + ")")
	return name
}

// must refuses the whole change where a part did nothing.
func (p *plain) must(name, state, about string) {
	p.refuse("NOT EXISTS (SELECT FROM "+name+")", state, about)
}

// refuse refuses the whole change where something holds, by an SQLSTATE that is swap_card's, too.
func (p *plain) refuse(where, state, about string) {
	p.checks.WriteString("CASE WHEN " + where + " THEN refuse_change('" + state + "', " + p.arg(about, "text") + ") END, ")
}

// admit is admit_event for an id that was drawn at a time, in milliseconds since 1970: the lock of its second, and then the time.
func (p *plain) admit(drawn int64) {
	late := " THEN " + p.arg(drawn, "bigint") + " < extract(epoch FROM clock_timestamp()) * 1000 - " + strconv.FormatInt(pin.EventLate.Milliseconds(), 10)
	p.refuse("CASE WHEN pg_try_advisory_xact_lock_shared("+p.arg(classOfEvents<<32|drawn/1000, "bigint")+")"+late+" ELSE true END", "PV001", "audit_events")
}

// plainSwap is the statement of a change that swap_card would make. It has none for a change without events, or with such as do not say
// when their ids were drawn, and for one of many events: whose shape is rare is not worth a statement of its own.
func plainSwap(c pin.Change) (statement string, args []any) {
	drawn, says := pin.EventDrawn(oldest([]pin.Change{c}))
	if c.Card == nil || !says || len(c.Events) > 4 || len(c.Rows)+len(c.Add) > 4 {
		return "", nil
	}
	p := &plain{args: make([]any, 0, 40)}
	card, program := p.arg(c.Card.ID, "text"), p.arg(c.Card.ProgramID, "text")
	p.parts.WriteString("WITH moved AS (UPDATE cards SET revision = " + p.arg(c.Card.Revision, "bigint") + ", value = " + p.arg(string(c.Card.Value), "text") +
		", seal = " + p.arg(c.Card.Seal, "bytea"))
	if c.DetailsToo {
		p.parts.WriteString(", details = " + p.arg(string(c.Card.Details), "text"))
	}
	p.parts.WriteString(" WHERE id = " + card + " AND revision = " + p.arg(c.Card.Revision-1, "bigint") + " RETURNING id)")
	p.admit(drawn.UnixMilli())
	p.events(c.Events, card, program)
	for _, r := range c.Rows {
		p.row(r, c.Now)
	}
	for _, l := range c.Add {
		kind := p.arg(string(l.Kind), "text")
		p.must(p.insert("card_lookup (kind, value, program_id, slot, card_id)", " ON CONFLICT DO NOTHING RETURNING 1",
			kind, p.arg(l.Value, "text"), p.arg(l.ProgramID, "text"), p.arg(l.Slot, "text"), p.arg(l.CardID, "text")), "PV002", string(l.Kind))
	}
	if topics := topicsOf(c.Events); topics != nil {
		ids := make([]string, len(c.Events))
		for i, e := range c.Events {
			ids[i] = e.ID
		}
		p.checks.WriteString("CASE WHEN EXISTS (SELECT FROM webhook_endpoints WHERE program_id IN ('', " + program + ")) THEN announce_events(" +
			strings.Join([]string{card, program, p.arg(c.Events[0].Seq, "bigint"), p.arg(ids, "text[]"), p.arg(topics, "text[]"), p.arg(c.Now, "bigint")}, ", ") + ") END, ")
	}
	return p.parts.String() + " SELECT CASE WHEN m.id IS NULL THEN false ELSE coalesce(" + p.checks.String() + "true) END FROM (SELECT) one LEFT JOIN moved m ON true", p.args
}

// events adds a card's events, all by one part: what a part costs is the table and its indexes, not the row.
func (p *plain) events(events []pin.EventRow, card, program string) {
	rows := make([]string, len(events))
	for i, e := range events {
		rows[i] = "(" + strings.Join([]string{p.arg(e.Seq, "bigint"), p.arg(e.ID, "text"), p.arg(string(e.Body), "text"), p.arg(e.MAC, "bytea")}, ", ") + ")"
	}
	p.part("INSERT INTO audit_events (chain, seq, id, program_id, body, mac) SELECT " + card + ", e.seq, e.id, " + program +
		", e.body, e.mac FROM moved, (VALUES " + strings.Join(rows, ", ") + ") e (seq, id, body, mac)")
}

// row adds a row that comes with the card.
func (p *plain) row(r pin.Row, now int64) {
	// A seal of nothing is no NULL, as it is none in the JSON that swap_card is given.
	id, version, body, seal := p.arg(r.ID, "text"), p.arg(r.Version, "bigint"), p.arg(string(r.Body), "text"), p.arg(append([]byte{}, r.Seal...), "bytea")
	switch {
	case r.Table == pin.TableReplays:
		p.must(p.insert("replays AS old (id, version, expires_at, body, seal)", " ON CONFLICT (id) DO UPDATE "+
			"SET version = excluded.version, expires_at = excluded.expires_at, body = excluded.body, seal = excluded.seal "+
			"WHERE old.expires_at <= "+p.arg(now, "bigint")+" RETURNING 1", id, version, p.arg(r.ExpiresAt, "bigint"), body, seal), "PV002", string(r.Table))
	case r.Table == pin.TableRecords:
		p.must(p.insert("contract_records (card_id, id, program_id, version, body, seal)", " ON CONFLICT DO NOTHING RETURNING 1",
			p.arg(r.CardID, "text"), id, p.arg(r.ProgramID, "text"), version, body, seal), "PV002", string(r.Table))
	case r.Version == 1:
		p.must(p.insert("pin_sessions (card_id, id, program_id, version, expires_at, body, seal)", " ON CONFLICT DO NOTHING RETURNING 1",
			p.arg(r.CardID, "text"), id, p.arg(r.ProgramID, "text"), version, p.arg(r.ExpiresAt, "bigint"), body, seal), "PV001", string(r.Table))
	default:
		p.must(p.part("UPDATE pin_sessions s SET version = "+version+", expires_at = "+p.arg(r.ExpiresAt, "bigint")+", body = "+body+", seal = "+seal+
			" FROM moved WHERE s.card_id = "+p.arg(r.CardID, "text")+" AND s.id = "+id+" AND s.version = "+version+" - 1 RETURNING 1"), "PV001", string(r.Table))
	}
}
