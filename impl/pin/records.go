package pin

import (
	"context"
	"encoding/json"
)

// ContractRecord is what a contract keeps of an operation on a card besides what the vault keeps, such as a
// line of a helpdesk's log. The vault seals it, writes it with the operation's change and does not read it.
type ContractRecord struct {
	Contract  string // whose it is: the caller's
	ID        string // one for a contract's record in each program
	ProgramID string
	CardID    string
	Body      json.RawMessage
}

// recordID is the id of a contract's record among those of all contracts.
func recordID(contract, id string) string { return contract + ":" + id }

// recorded adds to a deed what its memo keeps of it: the record, the look-up that finds it, and its id on the
// event that tells of it.
func (v *Vault) recorded(ctx context.Context, rec Record, d *deed, events []AuditEvent, m Memo) error {
	if m.Record == nil {
		return nil
	}
	kept, err := m.Record(rec)
	if err != nil {
		return err
	}
	id := recordID(CallerFrom(ctx).Contract, kept.ID)
	row, err := Sealed(v.keys, Row{Table: TableRecords, ID: id, ProgramID: rec.Card.ProgramID, CardID: rec.Card.ID, Version: 1}, kept.Body)
	d.rows, d.add = append(d.rows, row), append(d.add, lookup(rec.Card, KindRecord, id))
	if len(events) > 0 {
		events[0].Subject, events[0].Recorded = kept.ID, true
	}
	return err
}

// ContractRecord finds a contract's record in the caller's reach: NotFound. Of several programs' of one id, a
// caller of the whole server finds none: Ambiguous.
func (v *Vault) ContractRecord(ctx context.Context, contract, id string) (ContractRecord, error) {
	own, some := CallerFrom(ctx).within()
	if !some {
		return ContractRecord{}, &Error{Code: NotFound}
	}
	row, err := v.store.Row(ctx, TableRecords, own, recordID(contract, id))
	if err != nil {
		return ContractRecord{}, err
	}
	found := ContractRecord{Contract: contract, ID: id, ProgramID: row.ProgramID, CardID: row.CardID}
	return found, v.unseal(ctx, row, &found.Body)
}
