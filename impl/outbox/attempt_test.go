package outbox

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

func TestTheSignatureIsThatOfStandardWebhooks(t *testing.T) {
	t.Parallel()
	secret, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	require.NoError(t, err)
	keys := []pin.SigningKeys{{Secret: secret, Private: ed25519.NewKeyFromSeed(make([]byte, 32))}, {Secret: []byte("another secret of 24 bytes"), Private: ed25519.NewKeyFromSeed([]byte(strings.Repeat("x", 32)))}}
	signed, err := sign(keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	require.NoError(t, err)
	parts := strings.Split(signed, " ")
	require.Len(t, parts, 4)
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", parts[0])
	for i, at := range []int{1, 3} {
		v1a, found := strings.CutPrefix(parts[at], "v1a,")
		require.True(t, found)
		raw, err := base64.StdEncoding.DecodeString(v1a)
		require.NoError(t, err)
		require.True(t, ed25519.Verify(keys[i].Private.Public().(ed25519.PublicKey), []byte(`msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}`), raw))
	}
}

func TestAttemptsAreFurtherAndFurtherApart(t *testing.T) {
	t.Parallel()
	for attempts, want := range map[int64]time.Duration{0: 5 * time.Second, 1: 5 * time.Second, 2: 10 * time.Second, 3: 20 * time.Second, 10: 2560 * time.Second,
		12: 10240 * time.Second, 13: 4 * time.Hour, 14: 4 * time.Hour, 1 << 40: 4 * time.Hour} {
		require.Equal(t, want, wait(attempts, 0.5), attempts)
		require.Equal(t, want*3/4, wait(attempts, 0), attempts)
		require.Less(t, wait(attempts, 0.999), want*5/4, attempts)
	}
}

func TestADeliveryIsTakenTriedAgainOrParked(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	first := pin.Delivery{State: pin.DeliveryPending, Attempts: 1, FirstAt: at.UnixMicro()}
	for _, test := range []struct {
		name string
		a    answer
		now  time.Time
		want pin.Delivery
	}{
		{"taken", answer{status: 204}, at, pin.Delivery{State: pin.DeliveryDelivered, Attempts: 1, FirstAt: at.UnixMicro(), DoneAt: at.UnixMicro(), Status: 204}},
		{"refused", answer{status: 500, failure: "answer"}, at, pin.Delivery{State: pin.DeliveryPending, Attempts: 1, FirstAt: at.UnixMicro(), DueAt: at.Add(5 * time.Second).UnixMicro(), Status: 500, Failure: "answer"}},
		{"refused for a while", answer{status: 429, failure: "answer", after: time.Minute}, at, pin.Delivery{State: pin.DeliveryPending, Attempts: 1, FirstAt: at.UnixMicro(), DueAt: at.Add(time.Minute).UnixMicro(), Status: 429, Failure: "answer"}},
		{"refused for longer than is waited", answer{status: 503, failure: "answer", after: 100 * time.Hour}, at, pin.Delivery{State: pin.DeliveryPending, Attempts: 1, FirstAt: at.UnixMicro(), DueAt: at.Add(4 * time.Hour).UnixMicro(), Status: 503, Failure: "answer"}},
		{"refused just before three days", answer{failure: "timeout"}, at.Add(72*time.Hour - time.Second), pin.Delivery{State: pin.DeliveryPending, Attempts: 1, FirstAt: at.UnixMicro(), DueAt: at.Add(72*time.Hour + 4*time.Second).UnixMicro(), Failure: "timeout"}},
		{"refused after three days", answer{failure: "timeout"}, at.Add(72 * time.Hour), pin.Delivery{State: pin.DeliveryParked, Attempts: 1, FirstAt: at.UnixMicro(), DoneAt: at.Add(72 * time.Hour).UnixMicro(), Failure: "timeout"}},
	} {
		require.Equal(t, test.want, settle(first, test.a, test.now, 0.5), test.name)
	}
}

func TestOnlyPublicAddressesAreSentTo(t *testing.T) {
	t.Parallel()
	for address, want := range map[string][2]bool{ // in production, in a sandbox
		"8.8.8.8": {true, true}, "1.1.1.1": {true, true}, "2606:4700:4700::1111": {true, true}, "::ffff:8.8.8.8": {true, true}, "64:ff9b::8.8.8.8": {true, true},
		"127.0.0.1": {false, true}, "127.255.255.254": {false, true}, "::1": {false, true}, "::ffff:127.0.0.1": {false, true}, "64:ff9b::7f00:1": {false, true},
		"0.0.0.0": {}, "0.1.2.3": {}, "10.0.0.1": {}, "10.255.255.255": {}, "100.64.0.1": {}, "100.127.255.255": {}, "169.254.169.254": {}, "172.16.0.1": {}, "172.31.255.255": {},
		"192.168.1.1": {}, "192.0.0.8": {}, "192.0.2.1": {}, "198.18.0.1": {}, "198.19.255.255": {}, "198.51.100.1": {}, "203.0.113.1": {}, "224.0.0.1": {}, "255.255.255.255": {}, "240.0.0.1": {},
		"::": {}, "::ffff:10.0.0.1": {}, "::ffff:169.254.169.254": {}, "::10.0.0.1": {}, "64:ff9b::10.0.0.1": {}, "64:ff9b::a9fe:a9fe": {}, "64:ff9b:1::1": {}, "fc00::1": {}, "fd00:ec2::254": {},
		"fe80::1": {}, "fe80::1%eth0": {}, "2606:4700:4700::1111%1": {}, "fec0::1": {}, "ff02::1": {}, "100::1": {}, "2001:db8::1": {}, "2001::1": {}, "2001:10::1": {}, "3fff::1": {}, "5f00::1": {},
		"2002:0a00:0001::1": {}, "2002:7f00:0001::1": {false, true}, "2002:a9fe:a9fe::": {}, "2002:808:808::1": {true, true},
		"172.15.255.255": {true, true}, "172.32.0.1": {true, true}, "100.63.255.255": {true, true}, "100.128.0.1": {true, true}, "9.255.255.255": {true, true}, "11.0.0.1": {true, true}, "169.253.0.1": {true, true},
	} {
		a := netip.MustParseAddr(address)
		require.Equal(t, want, [2]bool{(Networks{}).Allows(a), (Networks{Sandbox: true}).Allows(a)}, address)
	}
	require.False(t, (Networks{}).Allows(netip.Addr{}))
	own := Networks{Allowed: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8")}}
	for address, want := range map[string]bool{"10.1.2.3": true, "10.2.0.1": false, "::ffff:10.1.2.3": true, "64:ff9b::10.1.2.3": true, "fd12::1": true, "fc00::1": false, "127.0.0.1": false} {
		require.Equal(t, want, own.Allows(netip.MustParseAddr(address)), address)
	}
}

func TestAURLIsOneThatMessagesMayBeSentTo(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]bool{
		"https://receiver.example/pins?a=b": {true, true}, "https://receiver.example:8443/": {true, true}, "http://receiver.example/": {false, true}, "http://localhost:9009/": {false, true},
		"https://127.0.0.1/": {false, true}, "https://[::1]/": {false, true}, "https://10.0.0.1/": {}, "https://[fe80::1%25eth0]/": {}, "https://169.254.169.254/latest": {}, "https://[::ffff:10.0.0.1]/": {},
		"https://user@receiver.example/": {}, "https://user:password@receiver.example/": {}, "https://receiver.example/#part": {}, "ftp://receiver.example/": {}, "https://": {}, "https:///path": {}, "https:opaque": {},
		"receiver.example": {}, "https://:443/": {}, "://": {}, "https://8.8.8.8/": {true, true},
	} {
		require.Equal(t, want, [2]bool{(Networks{}).Admits(text), (Networks{Sandbox: true}).Admits(text)}, text)
	}
}

// sendTo sends an event to a URL from production or a sandbox.
func sendTo(t *testing.T, n Networks, at string) answer {
	t.Helper()
	d := New(nil, nil, Options{Networks: n, Timeout: 2 * time.Second})
	e := pin.AuditEvent{ID: "id", Type: pin.EventPINSet, CardID: "card", At: time.Unix(1, 0)}
	return d.send(t.Context(), pin.Webhook{URL: at}, e, []pin.SigningKeys{{Secret: make([]byte, 32), Private: ed25519.NewKeyFromSeed(make([]byte, 32))}})
}

func TestWhereANameLeadsIsLookedAtWhenItIsCalled(t *testing.T) {
	t.Parallel()
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer s.Close()
	u, err := url.Parse(s.URL)
	require.NoError(t, err)
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "127.1", "2130706433", "0x7f.1"} {
		a := sendTo(t, Networks{}, "http://"+host+":"+u.Port())
		require.Contains(t, []string{"refused", "lookup"}, a.failure, "%s", host)
	}
	require.Zero(t, asked)
	require.Equal(t, answer{status: 200}, sendTo(t, Networks{Sandbox: true}, s.URL))
	require.Equal(t, answer{status: 200}, sendTo(t, Networks{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, s.URL))
	require.Equal(t, 2, asked)
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	private := 0
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { private++ }))
	defer target.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target.URL, status) }))
		require.Equal(t, answer{status: status, failure: "answer"}, sendTo(t, Networks{Sandbox: true}, s.URL))
		s.Close()
	}
	require.Zero(t, private)
}

func TestAReceiverIsNotWaitedForAndItsAnswerNotReadForEver(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			select {
			case <-release:
			case <-r.Context().Done():
			}
		case "/endless":
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		case "/later":
			w.Header().Set("Retry-After", "90")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}))
	defer s.Close()
	defer close(release)
	require.Equal(t, answer{failure: "timeout"}, sendTo(t, Networks{Sandbox: true}, s.URL+"/slow"))
	require.Equal(t, answer{status: 200}, sendTo(t, Networks{Sandbox: true}, s.URL+"/endless"))
	require.Equal(t, answer{status: 429, failure: "answer", after: 90 * time.Second}, sendTo(t, Networks{Sandbox: true}, s.URL+"/later"))
	gone := s.Listener.Addr().String()
	s.CloseClientConnections()
	for err, want := range map[error]string{&net.DNSError{}: "lookup", context.DeadlineExceeded: "timeout", errors.New("https://secret"): "connection", fmt.Errorf("%w", errRefused): "refused"} {
		require.Equal(t, want, failureOf(err), gone)
	}
}
