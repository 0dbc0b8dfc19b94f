package issuer

import "pinvault/impl/pin"

// set puts what a request names into a field, and leaves the field alone where it names nothing.
func set[T any](field, named *T) {
	if named != nil {
		*field = *named
	}
}

// setText is set between the document's kind of text and the vault's.
func setText[F, N ~string](field *F, named *N) {
	if named != nil {
		*field = F(*named)
	}
}

// setNumber is set between the document's width of integer and the vault's.
func setNumber(field *int, named *int32) {
	if named != nil {
		*field = int(*named)
	}
}

// text leaves an empty text out of a reply.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// list is what a reply shows of a list that may be nil: [] and never null.
func list(texts []string) []string { return append([]string{}, texts...) }

// each renders all rows: none as [] and never null.
func each[R, I any](rows []R, render func(R) I) []I {
	items := make([]I, len(rows))
	for i, row := range rows {
		items[i] = render(row)
	}
	return items
}

// eachOr is each, of what may fail to render.
func eachOr[R, I any](rows []R, render func(R) (I, error)) ([]I, error) {
	items := make([]I, len(rows))
	for i, row := range rows {
		var err error
		if items[i], err = render(row); err != nil {
			return nil, err
		}
	}
	return items, nil
}

// pageSize is the number of items on a page whose size the client leaves open.
const pageSize = 50

// page asks for one row more than the client does: if it is there, another page follows.
func page(limit *int32, cursor *string) pin.Page {
	p := pin.Page{Limit: pageSize}
	setNumber(&p.Limit, limit)
	set(&p.After, cursor)
	p.Limit++
	return p
}

// cut takes the row too many off a page, and returns the cursor of the last one left for the next page.
func cut[R any](p pin.Page, rows []R, cursor func(R) string) (onPage []R, next *string) {
	if len(rows) < p.Limit {
		return rows, nil
	}
	onPage = rows[:p.Limit-1]
	return onPage, text(cursor(onPage[len(onPage)-1]))
}
