package server

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
)

// certificate writes a certificate for localhost with a serial number, and its key.
func certificate(t *testing.T, dir string, serial int64) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	cert, key = filepath.Join(dir, "chain.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
	return cert, key
}

// serving runs a handler on a listener and returns its address.
func serving(t *testing.T, l Listening, h http.HandlerFunc) string {
	t.Helper()
	l.Address = "127.0.0.1:0"
	if l.Log == nil {
		l.Log = slog.New(slog.DiscardHandler)
	}
	listener, err := Listen(t.Context(), l)
	require.NoError(t, err)
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(listener) }()
	t.Cleanup(func() { require.NoError(t, s.Close()); <-done })
	return listener.Addr().String()
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	_, _ = w.Write(body)
}

// insecure trusts the certificate of the test.
func insecure(change func(*tls.Config)) *tls.Config {
	c := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}
	if change != nil {
		change(c)
	}
	return c
}

// A request that says its length in two ways is refused and ends its connection, with and without TLS.
func TestARequestWithTwoLengthsIsRefused(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t, t.TempDir(), 1)
	const chunked = "5\r\nhello\r\n0\r\n\r\n"
	for _, test := range []struct{ name, request, want string }{
		{"a length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", "200 hello"},
		{"chunks", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked, "200 hello"},
		{"a length, and chunks in the next request", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello" +
			"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked, "200 hello 200 hello"},
		{"both", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked, "400"},
		{"both the other way round", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 15\r\n\r\n" + chunked, "400"},
		{"both in other letters", "POST / HTTP/1.1\r\nHost: x\r\ncontent-LENGTH:15\r\nX-Other: 1\r\nTRANSFER-encoding:chunked\r\n\r\n" + chunked, "400"},
		{"both and line ends without CR", "POST / HTTP/1.1\nHost: x\nContent-Length: 15\nTransfer-Encoding: chunked\n\n" + chunked, "400"},
		{"both in HTTP/1.0", "POST / HTTP/1.0\r\nContent-Length: 15\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked, "400"},
		{"both in the second request", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello" +
			"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked, "400"},
		{"a request smuggled behind both", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" +
			"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, secured := range []bool{false, true} {
				var l Listening
				if secured {
					l.Certificate, l.Key = cert, key
				}
				address := serving(t, l, echo)
				c, err := net.Dial("tcp", address)
				require.NoError(t, err)
				if secured {
					c = tls.Client(c, insecure(nil))
				}
				require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
				_, err = io.WriteString(c, test.request)
				require.NoError(t, err)
				got := replies(t, c, strings.Count(test.want, "200"))
				if test.want == "400" {
					require.True(t, strings.HasSuffix(got, "400 400 Bad Request, closed"), got)
				} else {
					require.Equal(t, test.want, got)
				}
				require.NoError(t, c.Close())
			}
		})
	}
}

// replies reads n replies, or as many as come up to the end of the connection, which it tells of.
func replies(t *testing.T, c net.Conn, n int) string {
	t.Helper()
	var all []string
	in := bufio.NewReader(c)
	for n == 0 || len(all) < n {
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			return strings.Join(all, " ") + ", closed"
		}
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.NoError(t, r.Body.Close())
		all = append(all, r.Status[:3]+" "+string(body))
	}
	return strings.Join(all, " ")
}

// However the bytes are cut, the two headers are found, and none where there are none.
func TestFramingIsFoundHoweverItComes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		want bool
	}{
		{"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", true},
		{"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nTransfer-Encoding: chunked\r\n", false},
		{"POST / HTTP/1.1\r\nContent-Length: 5\n\nTransfer-Encoding: chunked\r\n", false},
		{"POST / HTTP/1.1\r\nX-Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", false},
		{"POST / HTTP/1.1\r\nContent-Lengths: 5\r\nTransfer-Encodings: chunked\r\n\r\n", false},
		{"POST / HTTP/1.1\r\nContent-Length: 5\r\n Transfer-Encoding: chunked\r\n\r\n", false},
		{"\r\n\r\nContent-Length: 5\r\nTransfer-Encoding:\r\n", true},
		{"Content-Length:\nTransfer-Encoding: chunked\n", true},
	} {
		for _, cut := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.HalfReader} {
			f, in, buffer := framing{}, cut(strings.NewReader(test.text)), make([]byte, 64)
			for {
				n, err := in.Read(buffer)
				f.twoWays(buffer[:n])
				if err != nil {
					break
				}
			}
			require.Equal(t, test.want, f.found, "%q", test.text)
		}
	}
}

func TestTLSHasNoCBCAndSpeaksHTTP2(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t, t.TempDir(), 1)
	address := serving(t, Listening{Certificate: cert, Key: key}, func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = io.WriteString(w, r.Proto)
	})
	for _, test := range []struct {
		name   string
		change func(*tls.Config)
		taken  bool
	}{
		{"TLS 1.3", func(*tls.Config) {}, true},
		{"TLS 1.2", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, true},
		{"TLS 1.2 with CBC alone", func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA}
		}, false},
		{"TLS 1.1", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, false},
	} {
		c, err := tls.Dial("tcp", address, insecure(test.change))
		require.Equal(t, test.taken, err == nil, test.name)
		if c != nil {
			require.NoError(t, c.Close())
		}
	}
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		transport := &http.Transport{TLSClientConfig: insecure(nil), ForceAttemptHTTP2: proto == "HTTP/2.0"}
		r, err := (&http.Client{Transport: transport}).Get("https://" + address)
		require.NoError(t, err)
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.NoError(t, r.Body.Close())
		require.Equal(t, http.StatusOK, r.StatusCode)
		require.Equal(t, proto, string(body))
		transport.CloseIdleConnections()
	}
}

func TestHTTPToATLSListenerIsToldSo(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t, t.TempDir(), 1)
	r, err := http.Get("http://" + serving(t, Listening{Certificate: cert, Key: key}, echo))
	require.NoError(t, err)
	require.NoError(t, r.Body.Close())
	require.Equal(t, http.StatusBadRequest, r.StatusCode)
}

// Certificate and key are taken when their files change and go together; what is broken changes nothing.
func TestCertificateIsReadAgainWhenItsFilesChange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := certificate(t, dir, 1)
	at := time.Now()
	log := &bytes.Buffer{}
	c := &certificates{files: [2]string{cert, key}, log: NewLogger(log, slog.LevelInfo), now: func() time.Time { return at }}
	require.NoError(t, c.read())
	serial := func() int64 {
		t.Helper()
		at = at.Add(2 * time.Second)
		got, err := c.get(nil)
		require.NoError(t, err)
		return got.Leaf.SerialNumber.Int64()
	}
	older := func(file string) { // files that are written within one tick of the clock look alike
		t.Helper()
		require.NoError(t, os.Chtimes(file, at, at))
	}
	require.Equal(t, int64(1), serial())
	require.Empty(t, log.String())

	certificate(t, dir, 2)
	older(cert)
	require.Equal(t, int64(2), serial())
	require.Contains(t, log.String(), "TLS certificate reloaded")
	got, err := c.get(nil)
	require.NoError(t, err)
	require.Equal(t, int64(2), got.Leaf.SerialNumber.Int64())

	log.Reset()
	good, err := os.ReadFile(key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(key, []byte("-----BEGIN PRIVATE KEY-----\nplanted-secret"), 0o600))
	require.Equal(t, int64(2), serial())
	require.Equal(t, int64(2), serial())
	require.Equal(t, 1, strings.Count(log.String(), `"level":"ERROR"`), "once: %s", log)
	require.NotContains(t, log.String(), "planted-secret")

	require.NoError(t, os.Remove(cert))
	require.Equal(t, int64(2), serial(), "a certificate that is gone")
	certificate(t, dir, 3)
	require.NoError(t, os.WriteFile(key, good, 0o600))
	older(key)
	require.Equal(t, int64(2), serial(), "a certificate whose key has not come yet")
	certificate(t, dir, 4)
	require.Equal(t, int64(4), serial())
}

// However many shake hands, the files are looked at once a second.
func TestCertificateFilesAreLookedAtOnceASecond(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := certificate(t, dir, 1)
	began := time.Now()
	at := began
	c := &certificates{files: [2]string{cert, key}, log: slog.New(slog.DiscardHandler), now: func() time.Time { return at }}
	require.NoError(t, c.read())
	_, err := c.get(nil)
	require.NoError(t, err)
	certificate(t, dir, 2)
	require.NoError(t, os.Chtimes(cert, at.Add(time.Hour), at.Add(time.Hour)))
	for _, test := range []struct {
		after  time.Duration
		serial int64
	}{{0, 1}, {time.Second - 1, 1}, {time.Second, 2}} {
		at = began.Add(test.after)
		got, err := c.get(nil)
		require.NoError(t, err)
		require.Equal(t, test.serial, got.Leaf.SerialNumber.Int64(), test.after)
	}
}

func TestListenRefusesABrokenCertificate(t *testing.T) {
	t.Parallel()
	_, err := Listen(t.Context(), Listening{Address: "127.0.0.1:0", Certificate: "none.pem", Key: "none.pem"})
	require.ErrorContains(t, err, "TLS certificate")
}

// Beyond the limit a connection waits until another ends, and closing ends the wait.
func TestConnectionsHaveALimit(t *testing.T) {
	t.Parallel()
	listener, err := Listen(t.Context(), Listening{Address: "127.0.0.1:0", MaxConnections: 2})
	require.NoError(t, err)
	arrived := make(chan net.Conn)
	var ended sync.WaitGroup
	ended.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			arrived <- c
		}
	})
	var here [3]net.Conn
	for i := range here {
		c, err := net.Dial("tcp", listener.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		if i < 2 {
			here[i] = <-arrived
		}
	}
	select {
	case <-arrived:
		t.Fatal("there was no room")
	case <-time.After(100 * time.Millisecond):
	}
	require.NoError(t, here[0].Close())
	_ = here[0].Close() // which makes room once
	here[2] = <-arrived
	c, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	select {
	case <-arrived:
		t.Fatal("there was no room")
	case <-time.After(100 * time.Millisecond):
	}
	require.NoError(t, listener.Close())
	ended.Wait()
}
