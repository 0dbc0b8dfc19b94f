package pinvault

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

type vector struct{ Name, IV, Clear, Sealed string }

func vectors(t *testing.T, of string, into any) {
	t.Helper()
	data, err := os.ReadFile(os.Getenv("SDK_VECTORS"))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(all[of], into); err != nil {
		t.Fatal(err)
	}
}

func check(t *testing.T, what, got, want string, err error) {
	t.Helper()
	if err != nil || got != want {
		t.Fatalf("%s: %q, %v; want %q", what, got, err, want)
	}
}

func refused(t *testing.T, got []byte, err error) {
	t.Helper()
	if !errors.Is(err, ErrOpen) {
		t.Fatalf("%q, %v; want %v", got, err, ErrOpen)
	}
}

func TestMessages(t *testing.T) {
	var v struct {
		Key, KID     string
		Seal, Refuse []vector
	}
	vectors(t, "jwe", &v)
	key, err := NewMessageKey(v.Key, v.KID)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range v.Seal {
		t.Run(s.Name, func(t *testing.T) {
			text, err := key.Open([]byte(s.Sealed))
			check(t, "opened", string(text), s.Clear, err)
			again, err := key.Seal([]byte(s.Clear))
			if err != nil {
				t.Fatal(err)
			}
			text, err = key.Open(again)
			check(t, "sealed and opened", string(text), s.Clear, err)
		})
	}
	for _, r := range v.Refuse {
		t.Run("refused: "+r.Name, func(t *testing.T) {
			text, err := key.Open([]byte(r.Sealed))
			refused(t, text, err)
		})
	}
}

func TestTokens(t *testing.T) {
	var v struct {
		Key          string
		Seal, Refuse []vector
	}
	vectors(t, "token", &v)
	key, err := NewTokenKey(v.Key)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range v.Seal {
		t.Run(s.Name, func(t *testing.T) {
			text, err := key.Open(s.Sealed)
			check(t, "opened", string(text), s.Clear, err)
			iv, err := hex.DecodeString(s.IV)
			check(t, "sealed", key.seal(iv, []byte(s.Clear)), s.Sealed, err)
			again, err := key.Seal([]byte(s.Clear))
			if err != nil {
				t.Fatal(err)
			}
			text, err = key.Open(again)
			check(t, "sealed and opened", string(text), s.Clear, err)
		})
	}
	for _, r := range v.Refuse {
		t.Run("refused: "+r.Name, func(t *testing.T) {
			text, err := key.Open(r.Sealed)
			refused(t, text, err)
		})
	}
}

func TestPINBlocks(t *testing.T) {
	var v []struct{ Name, Format, Key, PAN, PIN, Fill, Block string }
	vectors(t, "pinBlock", &v)
	for _, b := range v {
		t.Run(b.Name, func(t *testing.T) {
			block, err := pinBlock(b.Format, b.Key, b.PAN, b.PIN, b.Fill)
			check(t, "block", block, b.Block, err)
			fill, err := draw(b.Format, b.PIN)
			if err != nil || len(fill) != len(b.Fill) {
				t.Fatalf("drew %d digits, %v; want %d", len(fill), err, len(b.Fill))
			}
			if drawn, err := PINBlock(b.Format, b.Key, b.PAN, b.PIN); err != nil || len(drawn) != len(b.Block) {
				t.Fatalf("block of %d digits, %v; want %d", len(drawn), err, len(b.Block))
			}
		})
	}
}

// busyServer answers its first call with 503, and keeps what reaches it.
type busyServer struct {
	sent   []*http.Request
	bodies []string
	after  string // how long it asks callers to wait
}

func (s *busyServer) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	s.sent, s.bodies = append(s.sent, r), append(s.bodies, string(body))
	status := http.StatusOK
	if len(s.sent) == 1 {
		status = http.StatusServiceUnavailable
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}, "Retry-After": {s.after}}, Body: io.NopCloser(strings.NewReader("{}"))}, err
}

func TestWhatAsksForMorePatienceIsAnErrorAtOnce(t *testing.T) {
	for after, want := range map[string]struct {
		attempts int
		told     time.Duration
	}{
		"0":                             {2, 0},
		"1":                             {2, 0},
		"11":                            {1, 11 * time.Second},
		"86400":                         {1, 24 * time.Hour},
		"Wed, 21 Oct 2015 07:28:00 GMT": {2, 0},
	} {
		t.Run(after, func(t *testing.T) {
			server := &busyServer{after: after}
			repeats := []Repeat{{Method: http.MethodPost, Path: regexp.MustCompile("")}}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://host/", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			_, err = NewDoer(&Contract{Name: "x", Repeats: repeats}, nil, Nobody, Over(server)).Do(request)
			told := time.Duration(0)
			if e := (*Error)(nil); errors.As(err, &e) {
				told = e.RetryAfter
			}
			if len(server.sent) != want.attempts || (err == nil) != (want.attempts == 2) || told != want.told {
				t.Fatalf("%d attempts, %v, after %v", len(server.sent), err, told)
			}
		})
	}
}

func TestOnlyWhatTheContractLetsBeRepeatedIs(t *testing.T) {
	key, err := NewMessageKey(strings.Repeat("00", 32), "kid")
	if err != nil {
		t.Fatal(err)
	}
	const path = "/apis/v2/x"
	repeat := Repeat{Method: http.MethodPost, Path: regexp.MustCompile(path + "$")}
	for name, c := range map[string]struct {
		header, value string
		envelope      Envelope
		attempts      int
	}{
		"a call that may":                  {"", "", nil, 2},
		"a call with a key":                {"Idempotency-Key", "", nil, 2},
		"a sealed message":                 {"Content-Type", "application/jose", key, 2},
		"a message that is to be sealed":   {"Content-Type", "application/jose", nil, 1},
		"a call that no contract promises": {"elsewhere", "", nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := repeat
			r.Header, r.Value = c.header, c.value
			if c.header == "elsewhere" {
				r.Path, r.Header = regexp.MustCompile("/elsewhere$"), ""
			}
			server := &busyServer{}
			doer := NewDoer(&Contract{Name: "x", Repeats: []Repeat{r}}, c.envelope, Nobody, Over(server))
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://host/prefix"+path, strings.NewReader(`{"pin":"1234"}`))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", "application/json")
			_, err = doer.Do(request)
			if e := (*Error)(nil); c.attempts == 1 && (!errors.As(err, &e) || e.Status != 503 || e.Code != "503") || c.attempts == 2 && err != nil {
				t.Fatalf("%v", err)
			}
			if len(server.sent) != c.attempts || server.bodies[0] != server.bodies[len(server.bodies)-1] {
				t.Fatalf("%d attempts, %q", len(server.sent), server.bodies)
			}
			if c.header == "Idempotency-Key" {
				first, second := server.sent[0].Header.Get(c.header), server.sent[1].Header.Get(c.header)
				if first == "" || first != second {
					t.Fatalf("keys %q and %q", first, second)
				}
			}
		})
	}
}
