package store

import (
	"bufio"
	"encoding/binary"
	"io"
	"math"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// line is a line to a PostgreSQL server that a test listens in on and can break. It understands so much of
// the protocol as tells one round trip from the next.
type line struct {
	t      testing.TB
	target string
	direct string // URL of the database, and
	url    string // through the line

	mu       sync.Mutex
	listener net.Listener
	conns    []net.Conn
	hear     func(trip) *breakage // asked for each round trip, one at a time; nil: all get through
}

// trip is what a client sends before it waits for an answer: the statements that it has run, or only prepared.
type trip struct {
	run, prepared []string
}

// says tells whether a statement of the trip holds a word.
func (t trip) says(word string) bool {
	return strings.Contains(strings.Join(slices.Concat(t.run, t.prepared), "\n"), word)
}

// breakage is where at a round trip a line breaks: after so many bytes of what is sent, and of the answer.
type breakage struct {
	sent, answered int
	hangUp         bool // the client's end breaks at once; the server notices when it answers
}

// all is more bytes than there are.
const all = math.MaxInt

// The breaks that tests ask for by name.
var (
	beforeItArrives  = &breakage{}
	beforeTheAnswer  = &breakage{sent: all}
	withoutNoticing  = &breakage{sent: all, hangUp: true}
	inTheMiddleOfIt  = &breakage{sent: 20}
	amidTheAnswer    = &breakage{sent: all, answered: 7}
	allKindsOfBreaks = []*breakage{beforeItArrives, beforeTheAnswer, withoutNoticing, inTheMiddleOfIt, amidTheAnswer}
)

// lineTo is an intact line to the database of a URL.
func lineTo(t testing.TB, databaseURL string) *line {
	u, err := url.Parse(databaseURL)
	require.NoError(t, err)
	l := &line{t: t, target: u.Host, direct: databaseURL}
	l.connect("127.0.0.1:0")
	u.Host = l.listener.Addr().String()
	l.url = u.String()
	t.Cleanup(l.cut)
	return l
}

func (l *line) connect(address string) {
	listener, err := net.Listen("tcp", address)
	require.NoError(l.t, err)
	l.listener = listener
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", l.target)
			if err != nil {
				_ = client.Close()
				continue
			}
			l.mu.Lock()
			l.conns = append(l.conns, client, server)
			l.mu.Unlock()
			w := &wire{client: client, server: server, answers: all, named: map[string]string{}, portals: map[string]string{}}
			go w.answer()
			go w.ask(l)
		}
	}()
}

// cut ends all connections and refuses new ones.
func (l *line) cut() {
	_ = l.listener.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.conns = nil
}

// mend lets connections through again.
func (l *line) mend() { l.connect(l.listener.Addr().String()) }

// listen has every round trip heard, one at a time; nil lets all through unheard.
func (l *line) listen(hear func(trip) *breakage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hear = hear
}

// breakOnce breaks the line at the next round trip that says a word.
func (l *line) breakOnce(word string, b *breakage) {
	done := false
	l.listen(func(t trip) *breakage {
		if done || !t.says(word) {
			return nil
		}
		done = true
		return b
	})
}

// record returns the round trips that f takes, except for the driver's question whether a connection that was
// idle for a second still stands.
func (l *line) record(f func()) (trips []trip) {
	l.listen(func(t trip) *breakage {
		if !t.says("-- ping") {
			trips = append(trips, t)
		}
		return nil
	})
	defer l.listen(nil)
	f()
	return trips
}

// wire is one connection.
type wire struct {
	client, server net.Conn
	mu             sync.Mutex
	answers        int // bytes of answers that get through before it breaks
	named, portals map[string]string
}

func (w *wire) close() { _, _ = w.client.Close(), w.server.Close() }

// answer forwards what the server says.
func (w *wire) answer() {
	defer w.close()
	for buffer := make([]byte, 64<<10); ; {
		n, err := w.server.Read(buffer)
		if err != nil {
			return
		}
		w.mu.Lock()
		through := min(n, w.answers)
		if w.answers != all {
			w.answers -= through
		}
		w.mu.Unlock()
		if _, err := w.client.Write(buffer[:through]); err != nil || through < n {
			return
		}
	}
}

// ask forwards what the client says, a round trip at a time.
func (w *wire) ask(l *line) {
	client := bufio.NewReader(w.client)
	sent, err := frame(client, make([]byte, 4)) // the one message that has no type
	for now, ends := (trip{}), true; err == nil; {
		if ends {
			if !w.forward(l, sent, now) {
				return
			}
			sent, now = nil, trip{}
		}
		var message []byte
		if message, err = frame(client, make([]byte, 5)); err == nil {
			w.understand(&now, message)
			sent, ends = append(sent, message...), strings.IndexByte("SQpX", message[0]) >= 0
		}
	}
	w.close()
}

// frame reads a message whose head ends in its length.
func frame(r io.Reader, head []byte) ([]byte, error) {
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	message := append(head, make([]byte, binary.BigEndian.Uint32(head[len(head)-4:])-4)...)
	_, err := io.ReadFull(r, message[len(head):])
	return message, err
}

// understand adds to a trip what a message has run.
func (w *wire) understand(now *trip, message []byte) {
	texts := strings.SplitN(string(message[5:]), "\x00", 3)
	switch message[0] {
	case 'P':
		w.named[texts[0]] = strings.Join(strings.Fields(texts[1]), " ")
		now.prepared = append(now.prepared, w.named[texts[0]])
	case 'B':
		w.portals[texts[0]] = w.named[texts[1]]
	case 'E':
		now.run = append(now.run, w.portals[texts[0]])
	case 'Q':
		now.run = append(now.run, texts[0])
	}
}

// forward sends a trip on, and tells whether the line still stands.
func (w *wire) forward(l *line, sent []byte, now trip) bool {
	var b *breakage
	if len(now.run)+len(now.prepared) > 0 {
		l.mu.Lock()
		if l.hear != nil {
			b = l.hear(now)
		}
		l.mu.Unlock()
	}
	if b == nil {
		b = &breakage{sent: all, answered: all}
	}
	if b.sent < len(sent) {
		_, _ = w.server.Write(sent[:b.sent])
		w.close()
		return false
	}
	w.mu.Lock()
	w.answers = b.answered
	w.mu.Unlock()
	if b.hangUp {
		_ = w.client.Close()
	}
	_, err := w.server.Write(sent)
	return err == nil && !b.hangUp
}
