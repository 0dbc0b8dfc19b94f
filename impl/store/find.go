package store

import (
	"context"
	"strings"
	"sync"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"pinvault/impl/pin"
	"pinvault/models"
)

// found is a row of [Store.Find]: a card with all that its operations need. The prefixes are the
// aliases of the tables in the statement.
type found struct {
	Card       models.Card    `gorm:"embedded;embeddedPrefix:c_"`
	Program    models.Program `gorm:"embedded;embeddedPrefix:p_"`
	PIN        models.PIN     `gorm:"embedded;embeddedPrefix:n_"`
	References [][2]string    `gorm:"serializer:json"` // kind and value
}

// foundColumns lists found's columns for SELECT, but for the references.
func foundColumns() (string, error) {
	s, err := schema.Parse(&found{}, &sync.Map{}, schema.NamingStrategy{})
	if err != nil {
		return "", err
	}
	var columns []string
	for _, name := range s.DBNames {
		if table, column, ok := strings.Cut(name, "_"); ok {
			columns = append(columns, table+"."+column+" AS "+name)
		}
	}
	return strings.Join(columns, ", "), nil
}

// findStatement is one statement, the same text for all searches of one form.
//
// It goes from the references to the cards and on: CROSS JOIN keeps SQLite, which has no statistics, to
// that order, where it might walk through all cards of the program. Both indexes on references are
// partial, so what they hold must stand in the text and cannot be a parameter.
func (s *Store) findStatement(q pin.Search) (statement string, args []any) {
	from, where := "cards c", []string{"p.id = c.program_id", "n.card_id = c.id"}
	for i, c := range q.Criteria {
		hits, values := "SELECT DISTINCT r.card_id FROM card_references r WHERE r.kind <> 'alias' AND r.kind = ? AND r.value IN ?", []any{c.Kind, c.Values}
		if c.Kind == pin.KindAlias {
			hits, values = "SELECT DISTINCT r.card_id FROM card_references r WHERE r.kind = 'alias' AND r.value IN ?", []any{c.Values}
		}
		if q.ProgramID != "" {
			hits, values = hits+" AND r.program_id = ?", append(values, q.ProgramID)
		}
		if args = append(args, values...); i == 0 {
			from = hits
		} else {
			from += " INTERSECT " + hits
		}
	}
	if len(q.Criteria) > 0 {
		from, where = "("+from+") h CROSS JOIN cards c", append(where, "c.id = h.card_id")
	}
	for _, equal := range []struct{ column, value string }{
		{"c.id", q.CardID}, {"c.program_id", q.ProgramID}, {"c.program_code", q.ProgramCode}, {"c.device_plan_code", q.DevicePlanCode},
		{"c.customer_id", q.CustomerID}, {"c.mobile_number", q.MobileNumber}, {"c.card_profile_id", q.CardProfileID},
	} {
		if equal.value != "" {
			where, args = append(where, equal.column+" = ?"), append(args, equal.value)
		}
	}
	if q.NotCustomerID != "" {
		where, args = append(where, "c.customer_id <> ?"), append(args, q.NotCustomerID)
	}
	statement = "SELECT " + s.columns +
		", (SELECT " + s.engine.references + ` FROM card_references r WHERE r.card_id = c.id AND r.kind <> 'pan') AS "references"` +
		" FROM " + from + " CROSS JOIN programs p CROSS JOIN pins n WHERE " + strings.Join(where, " AND ") + " ORDER BY c.id LIMIT ?"
	return statement, append(args, q.Limit)
}

// Find is pin.Store's. References come ordered by kind and value.
func (s *Store) Find(ctx context.Context, q pin.Search) ([]pin.Record, error) {
	statement, args := s.findStatement(q)
	var rows []found
	err := s.read(ctx, func(db *gorm.DB) error { return db.Raw(statement, args...).Find(&rows).Error })
	if err != nil {
		return nil, err
	}
	records := make([]pin.Record, len(rows))
	for i, row := range rows {
		records[i] = pin.Record{Card: card(row.Card), Program: program(row.Program), PIN: pinRecord(row.PIN)}
		for _, r := range row.References {
			records[i].Card.References = append(records[i].Card.References, pin.Reference{Kind: pin.Kind(r[0]), Value: r[1]})
		}
		pin.SortReferences(records[i].Card.References)
	}
	return records, nil
}
