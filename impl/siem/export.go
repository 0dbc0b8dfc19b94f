package siem

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
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
	// Size is how long the output is, in bytes, 0 where that cannot be known.
	Size() int64
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
}

// Options say where events go, and how long.
type Options struct {
	Open     func(Cursor) (Sink, error) // the output, as it was left
	Output   string                     // its name: a cursor is good for one
	Render   Render
	Follow   time.Duration              // goes on until the context ends, and looks so often; 0: ends with the last event
	Progress func(what string, n int64) // hears how many were handed over, nil: nobody does
}

// ErrBusy says that another process exports by this cursor.
var ErrBusy = errors.New("another process works with this cursor")

// Export hands over what comes after the cursor's event, and moves the cursor. It returns how many events that were.
func Export(ctx context.Context, from Source, cursor string, o Options) (handed int64, err error) {
	if o.Progress == nil {
		o.Progress = func(string, int64) {}
	}
	lock := flock.New(cursor + ".lock")
	held, err := lock.TryLock()
	if err != nil {
		return 0, err
	}
	if !held {
		return 0, ErrBusy
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	at, err := readCursor(cursor)
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
			if err := sink.Put(ctx, records); err != nil {
				return handed, err
			}
			at.After, at.Size = records[len(records)-1].Event.ID, sink.Size()
			at.Events += int64(len(records))
			if err := at.write(cursor); err != nil {
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

func readCursor(path string) (c Cursor, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Cursor{}, nil
	}
	if err == nil && json.Unmarshal(text, &c) != nil {
		err = fmt.Errorf("%s is no cursor, or it is damaged", path)
	}
	return c, err
}

// write replaces the cursor's file.
func (c Cursor) write(path string) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	out, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = out.Write(append(text, '\n'))
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err == nil {
		err = os.Rename(out.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(out.Name()))
	}
	return nil
}
