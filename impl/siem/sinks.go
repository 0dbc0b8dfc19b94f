package siem

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
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
	f    *os.File
	size int64
}

// File opens a file as the cursor left it: what is behind that is cut off. One that was moved away meanwhile is begun anew; one that
// is there and that the cursor does not know is refused.
func File(path string) func(Cursor) (Sink, error) {
	return func(at Cursor) (Sink, error) {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if errors.Is(err, fs.ErrNotExist) {
			f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			at.Size = 0
		}
		if err != nil {
			return nil, err
		}
		info, err := f.Stat()
		switch {
		case err != nil:
		case info.Size() < at.Size:
			err = fmt.Errorf("%s is shorter than the cursor says: it was changed since", path)
		case at.After == "" && info.Size() > 0:
			err = fmt.Errorf("%s is there already, and the cursor does not know it", path)
		default:
			err = f.Truncate(at.Size)
		}
		if err == nil {
			_, err = f.Seek(at.Size, io.SeekStart)
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return &file{f, at.Size}, nil
	}
}

func (s *file) Put(_ context.Context, batch []Record) error {
	n, err := s.f.Write(lines(batch))
	s.size += int64(n)
	if err == nil {
		err = s.f.Sync()
	}
	return err
}

func (s *file) Size() int64  { return s.size }
func (s *file) Close() error { return s.f.Close() }

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

func (stream) Size() int64  { return 0 }
func (stream) Close() error { return nil }

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

// Size is 0: what a receiver has is not ours to cut off.
func (Syslog) Size() int64 { return 0 }

// Close has nothing to end: each batch has a connection of its own.
func (Syslog) Close() error { return nil }
