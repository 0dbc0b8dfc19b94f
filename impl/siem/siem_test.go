package siem_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/uuid"
	"github.com/leodido/go-syslog/v4"
	"github.com/leodido/go-syslog/v4/octetcounting"
	"github.com/leodido/go-syslog/v4/rfc5424"
	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
	"pinvault/impl/siem"
)

// idAt is an id that was drawn at a time.
func idAt(at time.Time, n int) string {
	var id uuid.UUID
	ms := at.UnixMilli()
	for i := range 6 {
		id[i] = byte(ms >> (8 * (5 - i)))
	}
	id[6], id[8], id[15] = 0x70, 0x80, byte(n)
	return id.String()
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// trail is a trail in memory, in the order of ids, all of it settled.
type trail []pin.EventRow

func (tr trail) Events(_ context.Context, q pin.AuditQuery) (out []pin.EventRow, err error) {
	if !q.Settled {
		return nil, errors.New("events before which others may come are not asked for")
	}
	for _, r := range tr {
		if r.ID > q.After && len(out) < q.Limit {
			out = append(out, r)
		}
	}
	return out, nil
}

// some are so many events, one a second up to noon.
func some(n int) (tr trail) {
	for i := range n {
		at := noon.Add(-time.Duration(n-1-i) * time.Second)
		body, _ := json.Marshal(pin.AuditEvent{Type: pin.EventPINSet, CardID: "card", At: at})
		tr = append(tr, pin.EventRow{Chain: "card", Seq: int64(i + 1), ID: idAt(at, i), Body: body})
	}
	return tr
}

// ids renders events as their ids.
func ids(e pin.AuditEvent) ([]byte, error) { return []byte(e.ID), nil }

func options(out string) siem.Options {
	return siem.Options{Open: siem.File(out), Output: out, Render: ids}
}

func TestEventsAreHandedOverAsTheyAreSettled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out, cursor := filepath.Join(dir, "out"), filepath.Join(dir, "cursor")
	tr := some(2500)
	o := options(out)
	n, err := siem.Export(t.Context(), tr[:2500-30], cursor, o)
	require.NoError(t, err)
	require.EqualValues(t, 2500-30, n)
	n, err = siem.Export(t.Context(), tr, cursor, o)
	require.NoError(t, err)
	require.EqualValues(t, 30, n)
	text, err := os.ReadFile(out)
	require.NoError(t, err)
	var want strings.Builder
	for _, r := range tr {
		want.WriteString(r.ID + "\n")
	}
	require.Equal(t, want.String(), string(text))
	n, err = siem.Export(t.Context(), tr, cursor, o)
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestCursorTellsHowFarAnExportHasCome(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out, cursor := filepath.Join(dir, "out"), filepath.Join(dir, "cursor")
	require.NoError(t, os.WriteFile(out, nil, 0o600), "a file that is empty is as good as none")
	tr, o := some(2000), options(out)
	var told []string
	o.Progress = func(what string, n int64) { told = append(told, fmt.Sprint(n, " ", what)) }
	for _, upTo := range []int{1500, 2000} {
		_, err := siem.Export(t.Context(), tr[:upTo], cursor, o)
		require.NoError(t, err)
		text, err := os.ReadFile(cursor)
		require.NoError(t, err)
		var at siem.Cursor
		require.NoError(t, json.Unmarshal(text, &at))
		info, err := os.Stat(out)
		require.NoError(t, err)
		require.Equal(t, siem.Cursor{After: tr[upTo-1].ID, Events: int64(upTo), Output: out, Size: info.Size()}, at)
	}
	require.Equal(t, []string{"1000 events", "1500 events", "500 events"}, told)
	left, err := filepath.Glob(cursor + ".*")
	require.NoError(t, err)
	require.Equal(t, []string{cursor + ".lock"}, left)
}

// dying is a sink whose process is killed after it has written, and before that was noted.
type dying struct{ siem.Sink }

var errKilled = errors.New("killed")

func (d dying) Put(ctx context.Context, batch []siem.Record) error {
	return errors.Join(d.Sink.Put(ctx, batch[:len(batch)/2]), errKilled)
}

func TestWhatWasWrittenAndNotNotedIsWrittenAnew(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]int{"of the first batch": 0, "of a later one": 50} {
		for _, moved := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, moved away before: %t", name, moved), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				out, cursor := filepath.Join(dir, "out"), filepath.Join(dir, "cursor")
				tr := some(100)
				o := options(out)
				_, err := siem.Export(t.Context(), tr[:before], cursor, o)
				require.NoError(t, err)
				first, err := os.ReadFile(out)
				require.NoError(t, err)
				if moved {
					require.NoError(t, os.Remove(out))
				}
				o.Open = func(at siem.Cursor) (siem.Sink, error) {
					s, err := siem.File(out)(at)
					return dying{s}, err
				}
				_, err = siem.Export(t.Context(), tr, cursor, o)
				require.ErrorIs(t, err, errKilled)
				o.Open = siem.File(out)
				_, err = siem.Export(t.Context(), tr, cursor, o)
				require.NoError(t, err)
				text, err := os.ReadFile(out)
				require.NoError(t, err)
				if moved {
					text = append(first, text...)
				}
				require.Equal(t, 100, strings.Count(string(text), "\n"))
				for _, r := range tr {
					require.Equal(t, 1, strings.Count(string(text), r.ID))
				}
			})
		}
	}
}

// By a cursor of its own another export would write between the lines.
func TestFileIsWrittenToByOneProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	s, err := siem.File(out)(siem.Cursor{})
	require.NoError(t, err)
	_, err = siem.Export(t.Context(), some(10), filepath.Join(dir, "cursor"), options(out))
	require.ErrorIs(t, err, siem.ErrBusy)
	require.ErrorContains(t, err, out)
	require.NoError(t, s.Close())
	_, err = siem.Export(t.Context(), some(10), filepath.Join(dir, "cursor"), options(out))
	require.NoError(t, err)
}

// What a file has behind the cursor, and its export has not written, is not cut off.
func TestFileThatWasAddedToIsLeftAsItIs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out, cursor := filepath.Join(dir, "out"), filepath.Join(dir, "cursor")
	_, err := siem.Export(t.Context(), some(10), cursor, options(out))
	require.NoError(t, err)
	f, err := os.OpenFile(out, os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	_, err = f.WriteString("another's\n")
	require.NoError(t, errors.Join(err, f.Close()))
	is, err := os.ReadFile(out)
	require.NoError(t, err)
	_, err = siem.Export(t.Context(), some(10), cursor, options(out))
	require.ErrorContains(t, err, "has something that this export has not written")
	still, err := os.ReadFile(out)
	require.NoError(t, err)
	require.Equal(t, string(is), string(still))
	require.NoError(t, os.Truncate(out, 0))
	_, err = siem.Export(t.Context(), some(10), cursor, options(out))
	require.NoError(t, err, "one that was emptied is begun anew")
}

func TestCursorIsGoodForOneOutputAndOneProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out, cursor := filepath.Join(dir, "out"), filepath.Join(dir, "cursor")
	tr := some(100)
	require.NoError(t, os.WriteFile(out, []byte("another's\n"), 0o600))
	_, err := siem.Export(t.Context(), tr, cursor, options(out))
	require.ErrorContains(t, err, "is there already")
	require.NoError(t, os.Remove(out))
	_, err = siem.Export(t.Context(), tr, cursor, options(out))
	require.NoError(t, err)
	_, err = siem.Export(t.Context(), tr, cursor, options(filepath.Join(dir, "other")))
	require.ErrorContains(t, err, "is the cursor of an export to "+out)
	require.NoError(t, os.Truncate(out, 3))
	_, err = siem.Export(t.Context(), tr, cursor, options(out))
	require.ErrorContains(t, err, "shorter than the cursor says")
	require.NoError(t, os.Rename(out, out+".1"))
	_, err = siem.Export(t.Context(), tr, cursor, options(out))
	require.NoError(t, err, "one that was moved away is begun anew")

	lock := flock.New(cursor + ".lock")
	require.NoError(t, lock.Lock())
	_, err = siem.Export(t.Context(), tr, cursor, options(out))
	require.ErrorIs(t, err, siem.ErrBusy)
	require.NoError(t, lock.Unlock())
	require.NoError(t, os.WriteFile(cursor, []byte("{"), 0o600))
	_, err = siem.Export(t.Context(), tr, cursor, options(out))
	require.ErrorContains(t, err, "is no cursor")
}

// growing is a trail of which more is settled each time somebody looks, and that tells when all was seen.
type growing struct {
	trail
	by, settled int
	end         func()
}

func (g *growing) Events(ctx context.Context, q pin.AuditQuery) ([]pin.EventRow, error) {
	if g.settled == len(g.trail) {
		g.end()
	}
	g.settled = min(g.settled+g.by, len(g.trail))
	return g.trail[:g.settled].Events(ctx, q)
}

func TestFollowingGoesOnUntilItIsToldToEnd(t *testing.T) {
	t.Parallel()
	ctx, end := context.WithCancel(t.Context())
	defer end()
	var out bytes.Buffer
	o := siem.Options{Open: siem.Stream(&out), Output: "stream", Render: ids, Follow: time.Millisecond}
	n, err := siem.Export(ctx, &growing{trail: some(40), by: 20, end: end}, filepath.Join(t.TempDir(), "cursor"), o)
	require.NoError(t, err)
	require.EqualValues(t, 40, n)
	require.Equal(t, 40, strings.Count(out.String(), "\n"))
}

func TestEventInCEF(t *testing.T) {
	t.Parallel()
	left := 2
	for name, test := range map[string]struct {
		event pin.AuditEvent
		want  string
	}{
		"a wrong PIN": {pin.AuditEvent{ID: "id", Chain: "card", Seq: 7, ProgramID: "program", Type: pin.EventPINFailed, CardID: "card", Outcome: "mismatch", Left: &left, At: noon,
			Contract: "issuer", ClientID: "client", RemoteAddr: "192.0.2.7", TraceID: "00-1"},
			"CEF:0|PinVault|PinVault|1.0|pin.failed|pin failed|5|rt=1772366400000 externalId=id cat=audit act=pin.failed outcome=mismatch src=192.0.2.7 suid=client app=issuer " +
				"cs1=card cs1Label=chain cn1=7 cn1Label=sequence cs2=card cs2Label=cardId cs3=program cs3Label=programId cs5=00-1 cs5Label=traceId cn2=2 cn2Label=triesLeft"},
		"what people write is escaped": {pin.AuditEvent{ID: "id", Chain: "server", Seq: 1, Type: pin.EventProgramUpdated, At: noon, Description: "a=b\\c|d\ne=f", UpdatedBy: "x\ry",
			Changes: []pin.FieldChange{{Field: "name", Old: "one", New: "two"}, {Field: "address"}, {Field: "fresh", New: "now"}, {Field: "former", Old: "then"}}},
			`CEF:0|PinVault|PinVault|1.0|program.updated|program updated|3|rt=1772366400000 externalId=id cat=audit act=program.updated suser=x\ry msg=a\=b\\c|d\ne\=f ` +
				`cs1=server cs1Label=chain cn1=1 cn1Label=sequence cs6=name: one -> two; address; fresh:  -> now; former: then ->  cs6Label=changes`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := siem.CEF("1.0")(test.event)
			require.NoError(t, err)
			require.Equal(t, test.want, string(got))
		})
	}
}

// receiver is a syslog server: it parses frames and messages by another's code, and answers close_notify, or ends before.
type receiver struct {
	net.Listener
	roots *x509.CertPool

	mu      sync.Mutex
	got     []*rfc5424.SyslogMessage
	faults  []error
	breaks  []func(*net.TCPConn) error // how connections end before their end is confirmed
	serving sync.WaitGroup
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	about := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "siem"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	require.NoError(t, err)
	r := &receiver{Listener: l, roots: x509.NewCertPool()}
	r.roots.AddCert(certificate)
	r.serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.serving.Go(func() { r.take(c) })
		}
	})
	t.Cleanup(func() { require.NoError(t, l.Close()); r.serving.Wait() })
	return r
}

func (r *receiver) take(c net.Conn) {
	text, err := io.ReadAll(c)
	r.mu.Lock()
	defer r.mu.Unlock()
	octetcounting.NewParser(syslog.WithListener(func(m *syslog.Result) {
		if m.Error != nil {
			r.faults = append(r.faults, m.Error)
			return
		}
		r.got = append(r.got, m.Message.(*rfc5424.SyslogMessage))
	})).Parse(bytes.NewReader(text))
	if err != nil {
		r.faults = append(r.faults, err)
	}
	if len(r.breaks) > 0 {
		_ = r.breaks[0](c.(*tls.Conn).NetConn().(*net.TCPConn))
		r.breaks = r.breaks[1:]
		return
	}
	_ = c.Close()
}

func TestSyslogIsTakenByAReceiver(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	cursor := filepath.Join(t.TempDir(), "cursor")
	to := siem.Syslog{Address: r.Addr().String(), TLS: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: r.roots}, Hostname: "pin.example.com", Patience: 10 * time.Second}
	o := siem.Options{Open: to.Open, Output: "syslog", Render: siem.CEF("1.0")}
	tr := some(1200)
	tr[3].Body, _ = json.Marshal(pin.AuditEvent{Type: pin.EventPINBlocked, CardID: "card", At: noon, Description: "Größe 10, 𝛑"})
	n, err := siem.Export(t.Context(), tr, cursor, o)
	require.NoError(t, err)
	require.EqualValues(t, 1200, n)
	r.mu.Lock()
	require.Empty(t, r.faults)
	require.Len(t, r.got, 1200)
	for i, m := range r.got {
		require.Contains(t, *m.Message, "externalId="+tr[i].ID+" ")
		require.Equal(t, "pinvault", *m.Appname)
		require.Equal(t, "pin.example.com", *m.Hostname)
		require.EqualValues(t, 13, *m.Facility)
	}
	require.Equal(t, "pin.blocked", *r.got[3].MsgID)
	require.EqualValues(t, 4, *r.got[3].Severity)
	require.EqualValues(t, 6, *r.got[4].Severity)
	require.True(t, r.got[3].Timestamp.Equal(noon))
	require.Contains(t, *r.got[3].Message, "Größe 10, 𝛑")
	r.got, r.breaks = nil, []func(*net.TCPConn) error{
		func(c *net.TCPConn) error { return errors.Join(c.SetLinger(0), c.Close()) }, // reset
		(*net.TCPConn).Close, // the end of a process that was killed
	}
	r.mu.Unlock()

	more := append(tr, some(1)...)
	more[1200].ID = idAt(noon.Add(time.Second), 1)
	for range 2 {
		_, err = siem.Export(t.Context(), more, cursor, o)
		require.ErrorContains(t, err, "has not confirmed")
	}
	n, err = siem.Export(t.Context(), more, cursor, o)
	require.NoError(t, err)
	require.EqualValues(t, 1, n, "what was not confirmed is sent again")

	r.mu.Lock()
	r.breaks = []func(*net.TCPConn) error{(*net.TCPConn).Close}
	r.mu.Unlock()
	believing := to
	believing.Unconfirmed = true
	o.Open = believing.Open
	more = append(more, more[1200])
	more[1201].ID = idAt(noon.Add(2*time.Second), 1)
	n, err = siem.Export(t.Context(), more, cursor, o)
	require.NoError(t, err)
	require.EqualValues(t, 1, n, "who says so believes a receiver that confirms nothing")

	to.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	o.Open = to.Open
	more = append(more, more[1200])
	more[1202].ID = idAt(noon.Add(3*time.Second), 1)
	_, err = siem.Export(t.Context(), more, cursor, o)
	require.Error(t, err, "a receiver that nobody vouches for is told nothing")
}

func TestEventThatCannotBeReadEndsTheExport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tr := some(100)
	tr[5].Body = []byte("{")
	_, err := siem.Export(t.Context(), tr, filepath.Join(dir, "cursor"), options(filepath.Join(dir, "out")))
	require.ErrorContains(t, err, fmt.Sprintf("event %q", tr[5].ID))
}
