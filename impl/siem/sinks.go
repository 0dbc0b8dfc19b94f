package siem

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"time"

	"github.com/leodido/go-syslog/v4/rfc5424"
)

// lines are records one below the other.
func lines(batch []Record) []byte {
	var out bytes.Buffer
	for _, r := range batch {
		out.Write(r.Line)
		out.WriteByte('\n')
	}
	return out.Bytes()
}

// file is a file that grows.
type file struct {
	handle
	path string
	size int64
}

// File opens a file as the cursor left it: what a process that was killed wrote behind that is cut off. One that was moved away
// meanwhile, or emptied, is begun anew. One that has anything else in it is refused, and left as it is.
func File(path string) func(Cursor) (Sink, error) { return fileOn(machine{}, path) }

func fileOn(d disk, path string) func(Cursor) (Sink, error) {
	return func(at Cursor) (Sink, error) {
		f, err := d.open(path)
		if err != nil {
			return nil, err
		}
		s := &file{f, path, 0}
		err = s.resume(at)
		if err == nil {
			err = d.sync(filepath.Dir(path))
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return s, nil
	}
}

// resume cuts off what is behind the cursor, if it is what the cursor says may be there.
func (s *file) resume(at Cursor) error {
	size, err := s.handle.Size()
	switch {
	case err != nil || size == 0:
		return err
	case at.After == "" && at.Ahead == nil:
		return fmt.Errorf("%s is there already, and the cursor does not know it", s.path)
	case size < at.Size:
		return fmt.Errorf("%s is shorter than the cursor says: it was changed since", s.path)
	}
	s.size = at.Size
	behind := make([]byte, min(size-at.Size, int64(len(at.Ahead))+1))
	switch _, err := s.ReadAt(behind, at.Size); {
	case err != nil:
		return err
	case !begun(behind, at.Ahead):
		return fmt.Errorf("%s has something that this export has not written, behind what the cursor knows: byte %d. Moved away, it is begun anew", s.path, at.Size)
	case len(behind) == 0:
		return nil
	}
	return errors.Join(s.Truncate(at.Size), s.Sync())
}

// begun tells whether bytes of a file are what comes of writing others there, as far as that came: all, the first of them, and after the
// machine has lost its power zeros, too, in the place of some.
func begun(is, ahead []byte) bool {
	if len(is) > len(ahead) {
		return false
	}
	for i, b := range is {
		if b != ahead[i] && b != 0 {
			return false
		}
	}
	return true
}

// Put appends to what it has left, and to nothing else.
func (s *file) Put(_ context.Context, batch []Record) error {
	switch size, err := s.handle.Size(); {
	case err != nil:
		return err
	case size != s.size:
		return fmt.Errorf("%s was changed while it was written to: it has %d bytes, and had %d", s.path, size, s.size)
	}
	n, err := s.Write(lines(batch))
	s.size += int64(n)
	if err == nil {
		err = s.Sync()
	}
	return err
}

func (s *file) Size() (int64, bool) { return s.size, true }

// stream is written to and no more is known of it.
type stream struct{ w io.Writer }

// Stream writes to w.
func Stream(w io.Writer) func(Cursor) (Sink, error) {
	return func(Cursor) (Sink, error) { return stream{w}, nil }
}

func (s stream) Put(_ context.Context, batch []Record) error {
	_, err := s.w.Write(lines(batch))
	return err
}

func (stream) Size() (int64, bool) { return 0, false }
func (stream) Close() error        { return nil }

// Syslog is a server that takes messages over TLS.
type Syslog struct {
	Address  string // host:port
	TLS      *tls.Config
	Hostname string        // of this machine
	Patience time.Duration // for a batch, and for the receiver to confirm its end
	// Unconfirmed takes the end of a connection for a confirmation where nothing was confirmed. A receiver that is killed while it
	// reads may then lack what it was sent.
	Unconfirmed bool
}

// Open is an Options.Open.
func (s Syslog) Open(Cursor) (Sink, error) { return s, nil }

// Facility 13 of RFC 5424 (6.2.1), log audit, and its severities.
const (
	facility      = 13 << 3
	warning       = 4
	informational = 6
)

// Put sends a batch over a connection of its own, and waits until the receiver has read it to its end: it answers the sender's
// close_notify by its own (RFC 5425, 4.4).
func (s Syslog) Put(ctx context.Context, batch []Record) (err error) {
	ctx, cancel := context.WithTimeout(ctx, s.Patience)
	defer cancel()
	c, err := s.dial(ctx)
	if err != nil {
		return fmt.Errorf("syslog: %w", err)
	}
	defer func() { _ = c.Close() }() // its end was confirmed, or there is another error
	var out bytes.Buffer
	for _, r := range batch {
		m, err := s.message(r)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(&out, "%d %s", len(m), m)
	}
	if _, err := c.Write(out.Bytes()); err != nil {
		return fmt.Errorf("syslog: %w", err)
	}
	if err := c.CloseWrite(); err != nil {
		return fmt.Errorf("syslog: %w", err)
	}
	if _, err := io.Copy(io.Discard, c); err != nil && !(s.Unconfirmed && errors.Is(err, ErrCut)) {
		return fmt.Errorf("syslog: the receiver has not confirmed what was sent: %w", err)
	}
	return nil
}

// dial connects. The connection ends with the context's time.
func (s Syslog) dial(ctx context.Context) (*tls.Conn, error) {
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.Address)
	if err != nil {
		return nil, err
	}
	config := s.TLS.Clone()
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(s.Address) // which was dialled
	}
	c := tls.Client(closing{raw}, config)
	until, _ := ctx.Deadline()
	if err := errors.Join(c.SetDeadline(until), c.HandshakeContext(ctx)); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return c, nil
}

// ErrCut is a connection that ends without its receiver's close_notify: so does that of one that was killed.
var ErrCut = errors.New("the connection has ended without close_notify")

// closing is a connection whose end is ErrCut. Where it were io.EOF, crypto/tls would take it for a close_notify.
type closing struct{ net.Conn }

func (c closing) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, io.EOF) {
		err = ErrCut
	}
	return n, err
}

// message is a record as RFC 5424 has it.
func (s Syslog) message(r Record) (string, error) {
	severity := uint8(informational)
	if gravity(r.Event) >= grave {
		severity = warning
	}
	m := &rfc5424.SyslogMessage{}
	m.SetPriority(facility | severity).SetVersion(1).SetTimestamp(r.Event.At.UTC().Format("2006-01-02T15:04:05.000000Z07:00")).
		SetHostname(s.Hostname).SetAppname("pinvault").SetMsgID(string(r.Event.Type)).SetMessage(string(r.Line))
	return m.String()
}

// Size is not known: what a receiver has is not ours to cut off.
func (Syslog) Size() (int64, bool) { return 0, false }

// Close has nothing to end: each batch has a connection of its own.
func (Syslog) Close() error { return nil }
