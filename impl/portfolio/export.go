package portfolio

import (
	"context"
	"io"

	"pinvault/impl/pin"
)

// ExportOptions say what leaves.
type ExportOptions struct {
	Format    Format
	ProgramID string
	PAN       bool           // in full; otherwise masked
	Packing   *pin.Packing   // nil: no PINs
	Progress  func(rows int) // hears now and then how many rows were written
}

// Export writes the cards of a program to a file, in the order of their ids, and returns how many. That they are about to leave is
// in the trail of the program first, and of each PIN in that of its card.
func Export(ctx context.Context, v Vault, s *Schema, to io.Writer, o ExportOptions) (int, error) {
	keyID := ""
	if o.Packing != nil {
		keyID = o.Packing.KeyID
	}
	if err := v.Departing(ctx, o.ProgramID, o.PAN, keyID); err != nil {
		return 0, err
	}
	rows, err := s.writer(to, o.Format)
	if err != nil {
		return 0, err
	}
	n := 0
	for page := (pin.Page{Limit: batchSize}); ; {
		leaving, err := v.Export(ctx, o.ProgramID, page, o.Packing)
		if err != nil {
			return n, err
		}
		for _, d := range leaving {
			if err := rows.write(s.operator.Departure(d, o.PAN)); err != nil {
				return n, err
			}
			n++
		}
		o.Progress(n)
		if len(leaving) < page.Limit {
			return n, rows.flush()
		}
		page.After = leaving[len(leaving)-1].Card.ID
	}
}
