package siem

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"pinvault/impl/pin"
)

// Source is the trail at rest: a store.
type Source interface {
	Events(ctx context.Context, q pin.AuditQuery) ([]pin.EventRow, error)
}

// Record is an event and the line that it is written as, without its end.
type Record struct {
	Event pin.AuditEvent
	Line  []byte
}

// Render makes an event's line.
type Render func(pin.AuditEvent) ([]byte, error)

// Sink takes records.
type Sink interface {
	// Put returns when they are there for good.
	Put(ctx context.Context, batch []Record) error
	// Size is how long the output is, in bytes, and whether that can be known: what is behind it can then be cut off.
	Size() (n int64, known bool)
	Close() error
}

// batch bounds how many events are read, and handed over, at once.
const batch = 1000

// Cursor is how far an export has come.
type Cursor struct {
	After  string `json:"after"`            // id of the newest event that was handed over
	Events int64  `json:"events"`           // that were
	Output string `json:"output,omitempty"` // what they were handed to
	Size   int64  `json:"size,omitempty"`   // how long that is then
	Ahead  []byte `json:"ahead,omitempty"`  // what may stand behind that, whole or in part: it is noted before it is written
}

// Options say where events go, and how long.
type Options struct {
	Open     func(Cursor) (Sink, error) // the output, as it was left
	Output   string                     // its name: a cursor is good for one
	Render   Render
	Follow   time.Duration              // goes on until the context ends, and looks so often; 0: ends with the last event
	Progress func(what string, n int64) // hears how many were handed over, nil: nobody does
}

// ErrBusy says that another process exports by a cursor, or to a file.
var ErrBusy = errors.New("another process works with it")

// Export hands over what comes after the cursor's event, and moves the cursor. It returns how many events that were.
func Export(ctx context.Context, from Source, cursor string, o Options) (handed int64, err error) {
	return export(ctx, machine{}, from, cursor, o)
}

func export(ctx context.Context, d disk, from Source, cursor string, o Options) (handed int64, err error) {
	if o.Progress == nil {
		o.Progress = func(string, int64) {}
	}
	lock := flock.New(cursor + ".lock")
	held, err := lock.TryLock()
	if err != nil {
		return 0, err
	}
	if !held {
		return 0, fmt.Errorf("%s: %w", cursor, ErrBusy)
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	at, err := readCursor(d, cursor)
	if err != nil {
		return 0, err
	}
	if at.Output != "" && at.Output != o.Output {
		return 0, fmt.Errorf("%s is the cursor of an export to %s", cursor, at.Output)
	}
	at.Output = o.Output
	sink, err := o.Open(at)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, sink.Close()) }()
	for {
		records, more, err := next(ctx, from, at.After, o)
		if err != nil {
			return handed, err
		}
		if len(records) > 0 {
			if at, err = at.hand(ctx, d, cursor, sink, records); err != nil {
				return handed, err
			}
			handed += int64(len(records))
			o.Progress("events", handed)
		}
		switch {
		case more:
		case o.Follow == 0:
			return handed, nil
		default:
			select {
			case <-time.After(o.Follow):
			case <-ctx.Done():
				return handed, nil
			}
		}
	}
}

// next reads the events after one that none can come before any more, and tells whether there may be more of these.
func next(ctx context.Context, from Source, after string, o Options) (out []Record, more bool, err error) {
	rows, err := from.Events(ctx, pin.AuditQuery{Settled: true, Page: pin.Page{After: after, Limit: batch}})
	if err != nil {
		return nil, false, err
	}
	for _, row := range rows {
		e, err := row.Event()
		if err != nil {
			return nil, false, fmt.Errorf("event %q: %w", row.ID, err)
		}
		line, err := o.Render(e)
		if err != nil {
			return nil, false, err
		}
		out = append(out, Record{e, line})
	}
	return out, len(rows) == batch, nil
}

func readCursor(d disk, path string) (c Cursor, err error) {
	text, err := d.read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Cursor{}, nil
	}
	if err == nil && json.Unmarshal(text, &c) != nil {
		err = fmt.Errorf("%s is no cursor, or it is damaged", path)
	}
	return c, err
}

// hand gives a batch to a sink, and returns the cursor after it. Where it could be cut off again the batch is noted first, so that whoever
// comes after a process that was killed knows its bytes from another's.
func (c Cursor) hand(ctx context.Context, d disk, path string, to Sink, batch []Record) (Cursor, error) {
	if size, known := to.Size(); known {
		c.Size, c.Ahead = size, lines(batch)
		if err := c.write(d, path); err != nil {
			return c, err
		}
	}
	if err := to.Put(ctx, batch); err != nil {
		return c, err
	}
	c.After, c.Ahead = batch[len(batch)-1].Event.ID, nil
	c.Size, _ = to.Size()
	c.Events += int64(len(batch))
	return c, c.write(d, path)
}

// write replaces the cursor's file, for good.
func (c Cursor) write(d disk, path string) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	fresh := path + ".new"
	out, err := d.create(fresh)
	if err != nil {
		return err
	}
	_, err = out.Write(append(text, '\n'))
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err == nil {
		err = d.rename(fresh, path)
	}
	if err != nil {
		return errors.Join(err, d.remove(fresh))
	}
	return d.sync(filepath.Dir(path))
}
