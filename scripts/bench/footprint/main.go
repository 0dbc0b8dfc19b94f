// Command footprint tells how much of a machine a server takes, in production mode on SQLite: from its start to the first answer, in memory
// while it waits, and while 64 callers set and ask for PINs. It fails above what the README promises.
//
//	go run ./scripts/bench/footprint PROGRAM
//
// A program as it is released is made by scripts/dist/compile.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// What is promised. Other work on the machine makes a start slower, so the fastest one counts.
const (
	maxStart  = 300 * time.Millisecond
	maxIdle   = 64 // MiB
	maxBusy   = 160
	starts    = 7
	callers   = 64
	settle    = 3 * time.Second
	busyFor   = 10 * time.Second
	sampled   = 100 * time.Millisecond
	mebibyte  = 1 << 20
	firstCard = "103169946"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: footprint PROGRAM")
		os.Exit(2)
	}
	if err := run(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "footprint:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, program string) (err error) {
	folder, err := os.MkdirTemp("", "pinvault-footprint")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if program, err = filepath.Abs(program); err != nil {
		return err
	}
	v := &vault{program: program, folder: folder}
	if err := v.furnish(ctx); err != nil {
		return err
	}
	var took []time.Duration
	for range starts {
		s, err := v.start(ctx)
		if err != nil {
			return err
		}
		took = append(took, s.took)
		if err := s.stop(); err != nil {
			return err
		}
	}
	slices.Sort(took)
	s, err := v.start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	time.Sleep(settle)
	idle, err := s.resident()
	if err != nil {
		return err
	}
	busy, calls, err := s.busy(ctx, v)
	if err != nil {
		return err
	}
	fmt.Printf("start to first answer: %d ms (median %d ms), at most %d\n", took[0].Milliseconds(), took[len(took)/2].Milliseconds(), maxStart.Milliseconds())
	fmt.Printf("memory, waiting: %d MiB, at most %d\n", idle/mebibyte, maxIdle)
	fmt.Printf("memory, %d connections: %d MiB, at most %d (%d calls)\n", callers, busy/mebibyte, maxBusy, calls)
	if took[0] > maxStart || idle > maxIdle*mebibyte || busy > maxBusy*mebibyte {
		return errors.New("that is more than promised")
	}
	return nil
}

// vault is a database with a card, a client and their keys.
type vault struct {
	program, folder  string
	clientID, secret string
}

// furnish makes it.
func (v *vault) furnish(ctx context.Context) error {
	var program struct{ ProgramID string }
	var client struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	for _, step := range []struct {
		args []string
		in   string
		out  any
	}{
		{args: []string{"keys", "init"}},
		{args: []string{"migrate"}},
		{args: []string{"programs", "create", "--name", "Footprint"}, out: &program},
	} {
		if err := v.do(ctx, step.in, step.out, step.args...); err != nil {
			return err
		}
	}
	if err := v.do(ctx, "", &client, "clients", "create", "--contract", "thredd", "--program", program.ProgramID, "--name", "Footprint", "--all-scopes"); err != nil {
		return err
	}
	v.clientID, v.secret = client.ID, client.Secret
	return v.do(ctx, "9999990000000014\n", nil, "cards", "create", "--program", program.ProgramID, "--pan-stdin", "--expiry", "3112", "--reference", "publicToken="+firstCard)
}

func (v *vault) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, v.program, args...) //nolint:gosec // it is what is measured
	c.Dir = v.folder
	c.Env = []string{"HOME=" + v.folder, "PINVAULT_KEYSET=keyset.json", "PINVAULT_MASTER_KEY=3q2ZtY0wq8bqFzqk1m7o5Cj0Jt3oX1Zy5dC8mT2vXhE=",
		"PINVAULT_DATABASE_URL=sqlite://" + filepath.Join(v.folder, "pinvault.db")}
	return c
}

func (v *vault) do(ctx context.Context, in string, out any, args ...string) error {
	c := v.command(ctx, args...)
	c.Stdin = strings.NewReader(in)
	var said, wrong bytes.Buffer
	c.Stdout, c.Stderr = &said, &wrong
	if err := c.Run(); err != nil {
		return fmt.Errorf("pinvault %s: %w: %s", args[0], err, &wrong)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(said.Bytes(), out)
}

// server is one that serves.
type server struct {
	*exec.Cmd
	url  string
	took time.Duration // until its first answer
}

func (v *vault) start(ctx context.Context) (*server, error) {
	free, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	at := free.Addr().String()
	if err := free.Close(); err != nil {
		return nil, err
	}
	s := &server{Cmd: v.command(ctx, "serve", "--listen", at), url: "http://" + at}
	began := time.Now()
	if err := s.Start(); err != nil {
		return nil, err
	}
	asking := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	for time.Since(began) < time.Minute {
		if status, _, err := call(ctx, asking, http.MethodGet, s.url+"/readyz", "", "", ""); err == nil && status == http.StatusOK {
			s.took = time.Since(began)
			return s, nil
		}
		time.Sleep(time.Millisecond)
	}
	return nil, errors.Join(errors.New("it does not answer"), s.stop())
}

func (s *server) stop() error {
	if err := s.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return s.Wait()
}

var residentSet = regexp.MustCompile(`VmRSS:\s+(\d+) kB`)

// resident is how much memory the server has, in bytes.
func (s *server) resident() (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Process.Pid))
	if err != nil {
		return 0, err
	}
	found := residentSet.FindSubmatch(text)
	if found == nil {
		return 0, errors.New("the system does not tell the memory of a process")
	}
	kB, err := strconv.Atoi(string(found[1]))
	return kB << 10, err
}

// busy has many call at once, half of them to set the PIN and half to ask for its status, and tells the most memory that was seen.
func (s *server) busy(ctx context.Context, v *vault) (most int, calls int64, err error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}, Timeout: 30 * time.Second}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {v.clientID}, "client_secret": {v.secret}}
	_, body, err := call(ctx, client, http.MethodPost, s.url+"/connect/token", "", "application/x-www-form-urlencoded", form.Encode())
	var token struct {
		Access string `json:"access_token"`
	}
	if err = errors.Join(err, json.Unmarshal(body, &token)); err != nil {
		return 0, 0, err
	}
	during, cancel := context.WithTimeout(ctx, busyFor)
	defer cancel()
	var done atomic.Int64
	failures := make([]error, callers)
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			for during.Err() == nil && failures[i] == nil {
				method, path, send, want := http.MethodGet, "/pin/status", "", http.StatusOK
				if i%2 == 0 {
					method, path, send, want = http.MethodPost, "/pin", `{"pin":"6021"}`, http.StatusNoContent
				}
				status, text, err := call(ctx, client, method, s.url+"/api/v1/cards/"+firstCard+path, token.Access, "application/json", send)
				if done.Add(1); err == nil && status != want && status != http.StatusServiceUnavailable { // SQLite's one writer may be asked too much
					err = fmt.Errorf("%s: %d %s", path, status, text)
				}
				failures[i] = err
			}
		})
	}
	tick := time.NewTicker(sampled)
	defer tick.Stop()
	for during.Err() == nil {
		now, wrong := s.resident()
		most, err = max(most, now), errors.Join(err, wrong)
		<-tick.C
	}
	all.Wait()
	return most, done.Load(), errors.Join(errors.Join(failures...), err)
}

func call(ctx context.Context, client *http.Client, method, at, token, kind, body string) (status int, text []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, method, at, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", kind)
	}
	reply, err := client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	text, err = io.ReadAll(reply.Body)
	return reply.StatusCode, text, errors.Join(err, reply.Body.Close())
}
