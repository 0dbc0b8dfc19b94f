package store

import (
	"context"

	"pinvault/impl/pin"
	"pinvault/models"
)

func serviceRequestRow(r pin.ServiceRequest) *models.ServiceRequest {
	return &models.ServiceRequest{
		Number: r.Number, ProgramID: r.ProgramID, CardID: r.CardID, ClientID: r.ClientID, Contract: r.Contract, Version: r.Version,
		ServiceCode: r.ServiceCode, Notes: r.Notes, Source: r.Source, LoggedAt: utc(r.LoggedAt),
	}
}

func serviceRequest(r models.ServiceRequest) pin.ServiceRequest {
	return pin.ServiceRequest{
		Number: r.Number, ProgramID: r.ProgramID, CardID: r.CardID, ClientID: r.ClientID, Contract: r.Contract, Version: r.Version,
		ServiceCode: r.ServiceCode, Notes: r.Notes, Source: r.Source, LoggedAt: r.LoggedAt.UTC(),
	}
}

// ServiceRequest is pin.Store's.
func (s *Store) ServiceRequest(ctx context.Context, number string) (pin.ServiceRequest, error) {
	return one(ctx, s, serviceRequest, "number = ?", number)
}

func (t *tx) InsertServiceRequest(r pin.ServiceRequest) error {
	return t.create(serviceRequestRow(r), "serviceRequest")
}

// numbers is how a database counts: the statement that takes the next number of a sequence, and the
// one that starts all of them again.
type numbers struct{ next, restart string }

var sqliteNumbers = numbers{
	next:    `UPDATE sequences SET last = last + 1 WHERE name = ? RETURNING last`,
	restart: `UPDATE sequences SET last = 0`,
}

// postgresNumbers are real sequences: a row that is counted up would keep everybody else waiting until
// the transaction ends.
var postgresNumbers = numbers{
	next:    `SELECT nextval(CAST(? AS regclass))`,
	restart: `SELECT setval('service_request', 1, false), setval('accosa_ref', 1, false)`,
}

func (t *tx) NextNumber(sequence string) (int64, error) {
	var taken []int64
	if err := t.db.Raw(t.numbers.next, sequence).Find(&taken).Error; err != nil {
		return 0, t.fail(err, "")
	}
	if len(taken) == 0 {
		t.failed = &pin.Error{Code: pin.Internal, Err: &fault{text: "no such sequence"}}
		return 0, t.failed
	}
	return taken[0], nil
}
