package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
)

// isSpread asks the catalogue of the extension Citus whether it keeps the cards in pieces. to_regclass is
// null while there is no such table.
const isSpread = `SELECT count(*) > 0 FROM pg_dist_partition WHERE logicalrelid = to_regclass('cards') AND partmethod = 'h'`

// undefinedTable is the SQLSTATE of a database without the extension.
const undefinedTable = "42P01"

// spread tells whether the tables are spread over machines, as scripts/cluster/citus.sql does it. That may
// only change while no server runs: one that began before goes on as if they were not.
func (s *Store) spread(ctx context.Context) (spread bool, err error) {
	if !s.engine.function {
		return false, nil
	}
	err = s.read(ctx, func(db *gorm.DB) error {
		err := db.Raw(isSpread).Scan(&spread).Error
		if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == undefinedTable {
			return nil
		}
		return err
	})
	return spread, err
}
