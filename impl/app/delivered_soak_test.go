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
	Verified bool   `json:"verified"` // by Standard Webhooks' reference library
	By       string `json:"by"`       // the language that this is written in
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
		line, _ := json.Marshal(arrival{message.ID, message.Data.CardID, message.Data.Sequence,
			verifier.Verify(raw, r.Header) == nil && r.Header.Get("webhook-id") == message.ID, "Go"})
		if _, err := file.Write(append(line, '\n')); err != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})))
}

// receivers are the commands that receive, by turns: this test, and those in other languages that PINVAULT_TEST_RECEIVERS names, a line
// each.
func receivers() [][]string {
	all := [][]string{{os.Args[0]}}
	for line := range strings.Lines(os.Getenv("PINVAULT_TEST_RECEIVERS")) {
		all = append(all, strings.Fields(line))
	}
	return all
}

// receiverProcess starts the n-th receiver at an address that all have, and waits until it answers.
func receiverProcess(t *testing.T, n int, address, file, secret string) *exec.Cmd {
	t.Helper()
	command := receivers()[n%len(receivers())]
	c := exec.CommandContext(t.Context(), command[0], command[1:]...) //nolint:gosec // the test's own
	c.Stderr = os.Stderr
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

// However often a server or the receiver is killed while cards change and checkpoints are made, every event that was committed arrives, those
// of a card in their order, and every signature is right; and whoever follows the audit log sees one log, in which each of the events is proven.
func TestKilledAtAnyMomentNoEventIsLostAndNoneComesBeforeItsPredecessor(t *testing.T) {
	t.Parallel()
	for name, processes := range map[string]int{"SQLite": 1, "PostgreSQL": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := databases[name](t)
			free, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			address := free.Addr().String()
			require.NoError(t, free.Close())
			home := newPremises(t, at)
			outside := home.newOutsider(t)
			front := home.front(t, address)
			serve := func() *apptest.Process {
				return home.serve(t, append(outside.log(), "--limits", "unblocksPerCardAndDay=0", "--webhook-timeout", "1s", "--webhook-networks", "127.0.0.0/8")...)
			}
			servers := make([]*apptest.Process, processes)
			for i := range servers {
				servers[i] = serve()
			}
			file := filepath.Join(t.TempDir(), "arrivals")
			o := home.operator(t, servers[0])
			hook := o.do("POST", "/issuer/v1/webhooks", fmt.Sprintf(`{"url":%q}`, front), 201)
			id, secret := hook["webhookId"].(string), hook["secret"].(string)
			cards := make([]string, 40) // of which four change at a time: an event whose receiver is gone holds up those of its card for seconds
			for i := range cards {
				cards[i] = home.card(o, fmt.Sprintf("99999900001%05d", i))
			}
			receiver, received, met, cut := receiverProcess(t, 0, address, file, secret), 1, 0, 0
			began, kills := time.Now(), make([]time.Time, repetitions(3, 200))
			for round := range kills {
				before := size(file)
				busy := make(chan struct{})
				var all sync.WaitGroup
				for i, s := range servers {
					for n := i; n < 4; n++ {
						all.Go(func() { change(s.URL, o.token, cards[(4*round+n)%len(cards)], busy) })
					}
				}
				for waits := 0; size(file) == before && waits < 300; waits++ {
					<-time.NewTimer(time.Millisecond).C
				}
				victim := round % (len(servers) + 1)
				if victim < len(servers) && round%4 == 0 {
					require.Eventually(t, outside.appending, time.Minute, time.Millisecond, "a checkpoint is made each second")
				}
				<-time.NewTimer(rand.N(150 * time.Millisecond)).C
				if size(file) > before {
					met++
				}
				kills[round] = time.Now()
				if victim < len(servers) {
					servers[victim].Kill(t)
					if outside.cutOff(t) {
						cut++
					}
				} else {
					require.NoError(t, receiver.Process.Kill())
					_ = receiver.Wait()
				}
				close(busy)
				all.Wait()
				if victim < len(servers) {
					servers[victim] = serve()
				} else {
					receiver = receiverProcess(t, received, address, file, secret)
					received++
				}
			}
			t.Logf("killed at %d moments in %s, the receiver at %d of them, while a checkpoint was made at %d; messages came before %d",
				len(kills), time.Since(began).Round(time.Second), received-1, cut, met)
			o.url = servers[0].URL
			require.Eventually(t, func() bool {
				return len(o.do("GET", "/issuer/v1/webhooks/"+id+"/deliveries?state=pending", "", 200)["items"].([]any)) == 0
			}, 10*time.Minute, 100*time.Millisecond, "everything is delivered")
			outside.followsOneLog(t, servers[0].URL)
			for _, s := range servers {
				s.Kill(t)
			}
			noted := arrivals(t, file)
			committed := announced(t, at, id)
			require.NotEmpty(t, committed)
			first, last, by := map[string]bool{}, map[string]int64{}, map[string]int{}
			for _, a := range noted {
				require.True(t, a.Verified, "%v", a)
				by[a.By]++
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
			require.Contains(t, home.run(t, "audit", "verify", "--checkpoint", filepath.Join(outside.folder, "newest")), "all whole")
			outside.checksProofs(t, at, kills)
			t.Logf("%d events were committed, and %d messages arrived, verified in %v", len(committed), len(noted), by)
			require.Len(t, by, min(received, len(receivers())), "every language has received")
		})
	}
}

// size is how much a file holds, 0 where there is none.
func size(file string) int64 {
	about, err := os.Stat(file)
	if err != nil {
		return 0
	}
	return about.Size()
}

// change guesses at a card's PIN and unblocks it until it is told to stop or is not answered.
func change(server, token, card string, stop <-chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		path, body := "/pin/unblock", unblock
		if i%3 == 1 {
			path, body = "/pin/verifications", `{"pinBlock":"0000000000000000","format":"ISO-0","keyId":"zpk"}`
		}
		r, err := http.NewRequest(http.MethodPost, server+"/issuer/v1/cards/"+card+path, strings.NewReader(body)) //nolint:noctx // it ends with the server
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
		<-time.NewTimer(40 * time.Millisecond).C // what waits behind others is to be told of in time, too
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
