package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// Listening says where and how a server listens.
type Listening struct {
	Address        string // host:port
	MaxConnections int    // more wait until one ends; 0: as many as there are
	Certificate    string // file of a certificate chain in PEM; "": no TLS
	Key            string // file of its key in PEM
	Log            *slog.Logger
}

// Listen listens. A request that says its length in two ways ends its connection. Certificate and key are
// read again when their files change; files that do not go together, or are broken, change nothing and are
// logged.
func Listen(ctx context.Context, l Listening) (net.Listener, error) {
	var files *certificates
	if l.Certificate != "" {
		files = &certificates{files: [2]string{l.Certificate, l.Key}, log: l.Log, now: time.Now}
		if err := files.read(); err != nil {
			return nil, err
		}
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", l.Address)
	if err != nil {
		return nil, err
	}
	if l.MaxConnections > 0 {
		listener = &bounded{Listener: listener, room: make(chan struct{}, l.MaxConnections), closed: make(chan struct{})}
	}
	if files == nil {
		return plain{listener}, nil
	}
	return newSecure(listener, &tls.Config{
		MinVersion: tls.VersionTLS12, CipherSuites: suites, NextProtos: []string{"h2", "http/1.1"}, GetCertificate: files.get,
	}), nil
}

// suites are those of TLS 1.2, without CBC (RFC 7457, 2.2) and with forward secrecy. TLS 1.3 has no others.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// bounded is a listener with room for so many connections. It is golang.org/x/net/netutil's
// LimitListener, whose connections cannot be closed for writing alone: net/http does so to let a caller
// read a refusal while it is still sending.
type bounded struct {
	net.Listener
	room   chan struct{}
	once   sync.Once
	closed chan struct{}
}

func (b *bounded) Accept() (net.Conn, error) {
	select {
	case b.room <- struct{}{}:
	case <-b.closed:
		return nil, net.ErrClosed
	}
	c, err := b.Listener.Accept()
	if err != nil {
		<-b.room
		return nil, err
	}
	return &roomed{Conn: c, leave: sync.OnceFunc(func() { <-b.room })}, nil
}

func (b *bounded) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.Listener.Close()
}

// roomed is a connection that makes room for another when it ends.
type roomed struct {
	net.Conn
	leave func()
}

func (r *roomed) Close() error {
	defer r.leave()
	return r.Conn.Close()
}

// CloseWrite tells the other side that nothing more comes.
func (r *roomed) CloseWrite() error { return closeWrite(r.Conn) }

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// plain is a listener for HTTP without TLS.
type plain struct{ net.Listener }

func (p plain) Accept() (net.Conn, error) {
	c, err := p.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &framed{Conn: c}, nil
}

// secure is a listener for HTTP with TLS. It shakes hands before it gives a connection away, because only
// then it is known whether it will speak HTTP/2, which has one way to say a length.
type secure struct {
	net.Listener
	config *tls.Config
	shaken chan accepted
	once   sync.Once
	closed chan struct{}
}

type accepted struct {
	conn net.Conn
	err  error
}

// handshakeTime is what a handshake may take.
const handshakeTime = 5 * time.Second

func newSecure(l net.Listener, config *tls.Config) *secure {
	s := &secure{Listener: l, config: config, shaken: make(chan accepted), closed: make(chan struct{})}
	go s.accept()
	return s
}

// accept hands on what comes, failures too, until the listener is closed.
func (s *secure) accept() {
	for {
		c, err := s.Listener.Accept()
		switch {
		case err == nil:
			go s.shake(c)
		case !s.give(accepted{err: err}):
			return
		}
	}
}

func (s *secure) give(a accepted) bool {
	select {
	case s.shaken <- a:
		return true
	case <-s.closed:
		return false
	}
}

func (s *secure) shake(raw net.Conn) {
	c := tls.Server(raw, s.config)
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTime)
	defer cancel()
	var ready net.Conn = c
	// net/http asks for the handshake again, gets the same answer, and deals with a failure.
	if c.HandshakeContext(ctx) == nil && c.ConnectionState().NegotiatedProtocol != "h2" {
		ready = &framedTLS{framed{Conn: c}, c}
	}
	if !s.give(accepted{conn: ready}) {
		_ = raw.Close()
	}
}

func (s *secure) Accept() (net.Conn, error) {
	select {
	case a := <-s.shaken:
		return a.conn, a.err
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

func (s *secure) Close() error {
	s.once.Do(func() { close(s.closed) })
	return s.Listener.Close()
}

// framed is a connection of HTTP/1 that ends at a request with both Content-Length and Transfer-Encoding.
// net/http goes by the second and forgets the first, while a proxy before it may have gone by the first:
// then the two do not agree where the next request begins (RFC 9112, 6.1 and 11.2).
type framed struct {
	net.Conn
	seen framing
}

// framedTLS is one with TLS.
type framedTLS struct {
	framed
	tls *tls.Conn
}

var errFraming = errors.New("a request says its length in two ways")

// Read ends with an error before net/http has all of such a request's header, to which it answers 400.
func (f *framed) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	if f.seen.twoWays(p[:n]) {
		return 0, errFraming
	}
	return n, err
}

// CloseWrite tells the other side that nothing more comes.
func (f *framed) CloseWrite() error { return closeWrite(f.Conn) }

// ConnectionState is what net/http tells a handler of TLS.
func (f *framedTLS) ConnectionState() tls.ConnectionState { return f.tls.ConnectionState() }

// framing looks for the two headers between one blank line and the next, line by line. It does not follow
// where bodies begin and end, so as not to disagree with net/http about it: a body with lines that begin
// as those headers do is refused too, and none of JSON, forms or JWE has such lines.
type framing struct {
	line   []byte // the beginning of the line, as far as a name can be long
	length bool
	coding bool
	found  bool
}

var lengthName, codingName = []byte("content-length:"), []byte("transfer-encoding:")

func (f *framing) twoWays(data []byte) bool {
	for !f.found {
		end := bytes.IndexByte(data, '\n')
		part := data
		if end >= 0 {
			part = data[:end]
		}
		f.line = append(f.line, part[:min(len(part), len(codingName)-len(f.line))]...)
		if end < 0 {
			break
		}
		data = data[end+1:]
		switch {
		case len(f.line) == 0 || string(f.line) == "\r":
			f.length, f.coding = false, false
		case len(f.line) >= len(lengthName) && bytes.EqualFold(f.line[:len(lengthName)], lengthName):
			f.length = true
		case bytes.EqualFold(f.line, codingName):
			f.coding = true
		}
		f.line = f.line[:0]
		f.found = f.length && f.coding
	}
	return f.found
}

// certificates is a certificate and its key as their files have them.
type certificates struct {
	files [2]string // certificate chain, key
	log   *slog.Logger
	now   func() time.Time

	mu      sync.Mutex
	current *tls.Certificate
	stamps  [2]stamp // of the files as they were last read
	looked  time.Time
}

// stamp is what tells a file from another in its place.
type stamp struct {
	changed time.Time
	size    int64
}

// lookEvery is how often the files are looked at, at most.
const lookEvery = time.Second

// get is the certificate for a handshake.
func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.looked) >= lookEvery || now.Before(c.looked) {
		c.looked = now
		if c.stamped() != c.stamps {
			if err := c.read(); err != nil {
				c.log.Error("TLS certificate not reloaded, the previous one stays in use", "error", err)
			} else {
				c.log.Info("TLS certificate reloaded", "until", c.current.Leaf.NotAfter)
			}
		}
	}
	return c.current, nil
}

// read reads both files. What was read before stays where that fails.
func (c *certificates) read() error {
	c.stamps = c.stamped() // before reading: what changes meanwhile is read again
	pair, err := tls.LoadX509KeyPair(c.files[0], c.files[1])
	if err != nil {
		return errors.New("TLS certificate: " + strings.TrimPrefix(err.Error(), "tls: "))
	}
	c.current = &pair
	return nil
}

func (c *certificates) stamped() (all [2]stamp) {
	for i, file := range c.files {
		if info, err := os.Stat(file); err == nil {
			all[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return all
}
