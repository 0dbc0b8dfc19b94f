package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/pin"
	"pinvault/impl/store/storetest"
)

// arrival is a message as the receiver's process noted it.
type arrival struct {
	ID       string `json:"id"`
	Card     string `json:"card"`
	Sequence int64  `json:"sequence"`
	Verified bool   `json:"verified"`
}

// receiveInProcess is the receiver as a process of its own, which TestMain runs where it is told an address: it notes what it gets in a file and
// then answers, so that what was answered is noted however it ends.
func receiveInProcess(address string) {
	file, err := os.OpenFile(os.Getenv("RECEIVER_FILE"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	verifier, err := standardwebhooks.NewWebhook(os.Getenv("RECEIVER_SECRET"))
	if err != nil {
		panic(err)
	}
	panic(http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:gosec // a test's
		raw, err := io.ReadAll(r.Body)
		var message struct {
			ID   string `json:"id"`
			Data struct {
				CardID   string `json:"cardId"`
				Sequence int64  `json:"sequence"`
			} `json:"data"`
		}
		if err != nil || json.Unmarshal(raw, &message) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		line, _ := json.Marshal(arrival{message.ID, message.Data.CardID, message.Data.Sequence, verifier.Verify(raw, r.Header) == nil && r.Header.Get("webhook-id") == message.ID})
		if _, err := file.Write(append(line, '\n')); err != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})))
}

// receiverProcess starts the receiver at an address that it keeps, and waits until it answers.
func receiverProcess(t *testing.T, address, file, secret string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // the test itself
	c.Env = append(os.Environ(), "RECEIVER_ADDRESS="+address, "RECEIVER_FILE="+file, "RECEIVER_SECRET="+secret)
	require.NoError(t, c.Start())
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, 20*time.Second, 5*time.Millisecond)
	return c
}

// However often a server or the receiver is killed while cards change, every event that was committed arrives, those of a card in their order,
// and every signature is right.
func TestKilledAtAnyMomentNoEventIsLostAndNoneComesBeforeItsPredecessor(t *testing.T) {
	t.Parallel()
	for name, processes := range map[string]int{"SQLite": 1, "PostgreSQL": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := databases[name](t)
			serve := func() *apptest.Process {
				return apptest.Serve(t, nil, "--sandbox", "--webhook-timeout", "1s", "--database-url", at)
			}
			servers := make([]*apptest.Process, processes)
			for i := range servers {
				servers[i] = serve()
			}
			free, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			address := free.Addr().String()
			require.NoError(t, free.Close())
			file := filepath.Join(t.TempDir(), "arrivals")
			o := &operator{t, servers[0].URL, newCrowd(t, servers[0].URL).issuer}
			hook := o.do("POST", "/issuer/v1/webhooks", fmt.Sprintf(`{"url":"http://%s/"}`, address), 201)
			id, secret := hook["webhookId"].(string), hook["secret"].(string)
			receiver := receiverProcess(t, address, file, secret)

			for round := range repetitions(3, 200) {
				busy := make(chan struct{})
				var all sync.WaitGroup
				for i, s := range servers {
					for card := 1 + i; card <= 4; card++ {
						all.Go(func() { change(s.URL, o.token, card, busy) })
					}
				}
				<-time.NewTimer(50*time.Millisecond + rand.N(200*time.Millisecond)).C
				victim := round % (len(servers) + 1)
				if victim < len(servers) {
					servers[victim].Kill(t)
				} else {
					require.NoError(t, receiver.Process.Kill())
					_ = receiver.Wait()
				}
				close(busy)
				all.Wait()
				if victim < len(servers) {
					servers[victim] = serve()
				} else {
					receiver = receiverProcess(t, address, file, secret)
				}
			}
			o.url = servers[0].URL
			require.Eventually(t, func() bool {
				return len(o.do("GET", "/issuer/v1/webhooks/"+id+"/deliveries?state=pending", "", 200)["items"].([]any)) == 0
			}, 3*time.Minute, 100*time.Millisecond, "everything is delivered")
			for _, s := range servers {
				s.Kill(t)
			}
			noted := arrivals(t, file)
			t.Logf("%d messages arrived", len(noted))
			committed := announced(t, at, id)
			require.NotEmpty(t, committed)
			first, last := map[string]bool{}, map[string]int64{}
			for _, a := range noted {
				require.True(t, a.Verified, "%v", a)
				if first[a.ID] {
					continue
				}
				first[a.ID] = true
				if a.Card != "" {
					require.Greater(t, a.Sequence, last[a.Card], "%v comes before what came already", a)
					last[a.Card] = a.Sequence
				}
			}
			for _, e := range committed {
				require.True(t, first[e.ID], "lost: %s %s %d", e.Type, e.CardID, e.Seq)
			}
			auditContent(t, at)
		})
	}
}

// change guesses at a card's PIN and unblocks it until it is told to stop or is not answered.
func change(server, token string, card int, stop <-chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		path, body := "/pin/unblock", unblock
		if i%3 == 1 {
			path, body = "/pin/verifications", `{"pinBlock":"0000000000000000","format":"ISO-0","keyId":"zpk-sandbox"}`
		}
		r, err := http.NewRequest(http.MethodPost, fmt.Sprintf("%s/issuer/v1/cards/00000000-0000-7000-8000-%012d%s", server, card, path), strings.NewReader(body)) //nolint:noctx // it ends with the server
		if err != nil {
			return
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		reply, err := http.DefaultClient.Do(r)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, reply.Body)
		_ = reply.Body.Close()
	}
}

// arrivals are what was noted; a line that was cut off was not answered.
func arrivals(t *testing.T, file string) (all []arrival) {
	t.Helper()
	text, err := os.ReadFile(file) //nolint:gosec // the test's own
	require.NoError(t, err)
	for line := range bytes.Lines(text) {
		var a arrival
		if json.Unmarshal(line, &a) == nil {
			all = append(all, a)
		}
	}
	return all
}

// announced are the events in the trail that webhooks are told of, since the one was made.
func announced(t *testing.T, at, webhookID string) (all []pin.AuditEvent) {
	t.Helper()
	s := apptest.OpenStore(t, at)
	rows, err := s.Events(t.Context(), pin.AuditQuery{Page: pin.Page{Limit: 1_000_000}})
	require.NoError(t, err)
	since := ""
	for _, r := range rows {
		var e pin.AuditEvent
		require.NoError(t, json.Unmarshal(r.Body, &e))
		e.ID, e.Seq = r.ID, r.Seq
		switch {
		case e.Type == pin.EventWebhookCreated && e.Subject == webhookID:
			since = e.ID
		case since != "" && e.Announced() != "":
			all = append(all, e)
		}
	}
	return all
}

// Processes that share a database share the work: what one of them was told of, another one sends when the first is gone.
func TestWhatAProcessHasLeftAnotherOneSends(t *testing.T) {
	t.Parallel()
	at := storetest.Postgres(t)
	r := receive(t)
	first := apptest.Serve(t, nil, "--sandbox", "--webhook-timeout", "1s", "--database-url", at)
	o := &operator{t, first.URL, newCrowd(t, first.URL).issuer}
	o.do("POST", "/issuer/v1/webhooks", fmt.Sprintf(`{"url":%q,"types":["pin.unblocked"]}`, r.URL), 201)
	o.do("POST", "/sandbox/rules", `{"event":"pin.unblocked","delivery":"fail"}`, 201)
	o.do("POST", aCard+"/pin/unblock", unblock, 204)
	first.Kill(t)
	require.Empty(t, r.got)
	apptest.Serve(t, nil, "--sandbox", "--database-url", at)
	require.Equal(t, "pin.unblocked", r.messages(t, 1)[0].kind())
}
