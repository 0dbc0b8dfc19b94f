package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The peers are mock servers that answer from Thredd's document: what a team uses that has no PinVault. They keep nothing, check
// no token and draw no line in a log, or a short one, so what they need is what it costs to answer at all.

// peer is a server that is started for its measurement and ended after it.
type peer struct {
	name string
	does string // what its answers are
	dir  string
	args []string // of which {port} is the port
}

// peers are the servers that scripts/bench/peers/run has installed in a folder. The documents are those that PinVault serves.
func peers(tools, dir string) ([]peer, error) {
	document, err := filepath.Abs(dir + "/site/openapi/thredd.json")
	if err != nil {
		return nil, err
	}
	mappings := dir + "/wiremock"
	if err := stubs(document, mappings+"/mappings"); err != nil {
		return nil, err
	}
	bin := tools + "/node_modules/"
	jar, err := filepath.Glob(tools + "/wiremock-standalone-*.jar")
	if err != nil || len(jar) != 1 {
		return nil, errors.New("WireMock is not there: run scripts/bench/peers/run")
	}
	return []peer{
		{"Prism", "the document's example; holds requests against it", dir,
			[]string{"node", bin + ".bin/prism", "mock", "--verboseLevel", "silent", "--host", "127.0.0.1", "--port", "{port}", document}},
		{"Mockoon", "the document's example", dir,
			[]string{"node", bin + ".bin/mockoon-cli", "start", "--data", document, "--hostname", "127.0.0.1", "--port", "{port}", "--disable-log-to-file"}},
		{"Specmatic stub", "made up by the document's schema; holds requests against it", dir,
			[]string{"java", "-jar", bin + "specmatic/specmatic.jar", "stub", "--host", "127.0.0.1", "--port", "{port}", document}},
		{"WireMock", "the document's example, from stubs made of it", dir,
			[]string{"java", "-jar", jar[0], "--bind-address", "127.0.0.1", "--port", "{port}", "--root-dir", mappings, "--no-request-journal", "--disable-banner"}},
	}, nil
}

// stubs writes WireMock's stubs for the two calls. It does not read OpenAPI itself.
func stubs(document, folder string) error {
	text, err := os.ReadFile(document) //nolint:gosec // a file that was written just now
	if err != nil {
		return err
	}
	type example struct {
		Value json.RawMessage `json:"value"`
	}
	var parsed struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct {
				Content map[string]struct {
					Examples map[string]example `json:"examples"`
				} `json:"content"`
			} `json:"responses"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(text, &parsed); err != nil {
		return fmt.Errorf("the document: %w", err)
	}
	unblocked := parsed.Paths["/api/v1/cards/{publicToken}/pin/status"]["get"].Responses["200"].Content["application/json"].Examples["status-unblocked"].Value
	if unblocked == nil {
		return errors.New("the document has no example status-unblocked any more")
	}
	type object = map[string]any
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	for name, stub := range map[string]object{
		"status": {"request": object{"method": "GET", "urlPathPattern": "/api/v1/cards/[^/]+/pin/status"},
			"response": object{"status": http.StatusOK, "jsonBody": unblocked, "headers": object{"Content-Type": "application/json"}}},
		"set": {"request": object{"method": "POST", "urlPathPattern": "/api/v1/cards/[^/]+/pin"},
			"response": object{"status": http.StatusNoContent}},
	} {
		text, err := json.Marshal(stub)
		if err != nil {
			return err
		}
		if err := os.WriteFile(folder+"/"+name+".json", text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// start starts a peer and returns when it answers a call, and how long that took. Its output is nobody's, unless it fails.
func (p peer) start(ctx context.Context, logs, token string) (r running, pid int, took time.Duration, err error) {
	port, err := free(ctx)
	if err != nil {
		return running{}, 0, 0, err
	}
	var args []string
	for _, a := range p.args {
		args = append(args, strings.ReplaceAll(a, "{port}", port))
	}
	ctx, cancel := context.WithCancel(ctx)
	c := child(ctx, nil, args[0], args[1:]...)
	c.Dir = p.dir
	log, err := os.Create(filepath.Join(logs, strings.ReplaceAll(p.name, " ", "-")+".log"))
	if err != nil {
		cancel()
		return running{}, 0, 0, err
	}
	c.Stdout, c.Stderr = log, log
	began := time.Now()
	if err := c.Start(); err != nil {
		cancel()
		return running{}, 0, 0, errors.Join(err, log.Close())
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = c.Wait() // it is told to end
	}()
	r = running{"http://127.0.0.1:" + port, func() error {
		cancel()
		<-ended
		return log.Close()
	}}
	took, err = answers(ctx, r.base, token, began, ended)
	if err != nil {
		said, _ := os.ReadFile(log.Name())
		return running{}, 0, 0, errors.Join(fmt.Errorf("%s: %w\n%s", p.name, err, said), r.stop())
	}
	return r, c.Process.Pid, took, nil
}

// answers waits for the first PIN status.
func answers(ctx context.Context, base, token string, began time.Time, ended <-chan struct{}) (time.Duration, error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var err error
	for late := time.After(time.Minute); ; {
		select {
		case <-tick.C:
			if _, err = do(ctx, http.MethodGet, base+"/api/v1/cards/100000001/pin/status", "", "", token); err == nil {
				return time.Since(began), nil
			}
		case <-ended:
			return 0, errors.New("it ended")
		case <-late:
			return 0, fmt.Errorf("no PIN status after a minute: %w", err)
		}
	}
}

// free is a port that nobody listens on.
func free(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

// memory is what a process and its children have in memory, in MB (proc(5), VmRSS).
func memory(pid int) (mb float64) {
	kb := 0
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range bytes.Lines(status) {
		if value, ok := bytes.CutPrefix(line, []byte("VmRSS:")); ok {
			kb, _ = strconv.Atoi(string(bytes.Fields(value)[0]))
		}
	}
	mb = float64(kb) / 1024
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for child := range strings.FieldsSeq(string(children)) {
		if pid, err := strconv.Atoi(child); err == nil {
			mb += memory(pid)
		}
	}
	return mb
}

// beside is what was measured of a server.
type beside struct {
	name, does  string
	start       time.Duration
	idle, busy  float64 // MB
	status, set []float64
}

// comparePeers measures PinVault and its peers, one after the other: each alone has the machine, except for wrk and PinVault's database.
func (b *bench) comparePeers(ctx context.Context, tools string) ([]beside, error) {
	if err := command(ctx, nil, "bin/pinvault", "docs", "--out", b.dir+"/site"); err != nil {
		return nil, err
	}
	all, err := peers(tools, b.dir)
	if err != nil {
		return nil, err
	}
	// The tokens are made once and hold for every start, for the public URL stays the same.
	r, err := b.vault.start(ctx, b.dir, b.vault.url)
	if err != nil {
		return nil, err
	}
	b.tokens, err = tokens(ctx, r.base)
	if err := errors.Join(err, r.stop()); err != nil {
		return nil, err
	}
	ours := peer{"PinVault", "true: it reads and writes the card on PostgreSQL, with tokens, contract check, log, metrics and audit trail", ".",
		append([]string{b.vault.path}, append(b.vault.args, "--database-url", b.vault.url)...)}
	for i, a := range ours.args {
		if a == "127.0.0.1:0" {
			ours.args[i] = "127.0.0.1:{port}"
		}
	}
	var results []beside
	for _, p := range append([]peer{ours}, all...) {
		say("measuring %s", p.name)
		one, err := b.measurePeer(ctx, p)
		if err != nil {
			return nil, err
		}
		results = append(results, one)
	}
	return results, nil
}

func (b *bench) measurePeer(ctx context.Context, p peer) (of beside, err error) {
	for _, setting := range b.vault.env { // the peers do not look at them
		name, value, _ := strings.Cut(setting, "=")
		if err := os.Setenv(name, value); err != nil {
			return beside{}, err
		}
	}
	r, pid, took, err := p.start(ctx, b.dir, b.tokens["thredd"])
	if err != nil {
		return beside{}, err
	}
	defer func() { err = errors.Join(err, r.stop()) }()
	of = beside{name: p.name, does: p.does, start: took, idle: memory(pid)}
	for round := range b.rounds + 1 {
		for _, c := range calls {
			if c.name != "status" && c.name != "set" {
				continue
			}
			length := b.settings.round
			rate, err := b.drive(ctx, r.base, c, b.cards, targetAt, round, length)
			if err != nil {
				return beside{}, fmt.Errorf("%s, %s: %w", p.name, c.what, err)
			}
			switch {
			case round == 0: // to warm up
			case c.name == "status":
				of.status = append(of.status, rate)
			default:
				of.set = append(of.set, rate)
			}
		}
	}
	of.busy = memory(pid)
	return of, nil
}

// peersSection is what is kept of the comparison, in Markdown.
func (a about) peersSection(s settings, all []beside) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n", s.label)
	b.WriteString(a.where())
	fmt.Fprintf(&b, "Thredd's document, %d connections, medians of %d rounds of %s after one to warm up. PinVault does the work, on %d cards; the others make up\n"+
		"an answer and keep nothing. Memory of PostgreSQL is not counted.\n\n", targetAt, s.rounds, s.round, s.cards)
	b.WriteString("| server | its answers are | start to first answer | memory idle | under load | PIN status, calls/s | PIN set, calls/s |\n|---|---|---|---|---|---|---|\n")
	for _, p := range all {
		fmt.Fprintf(&b, "| %s | %s | %.2f s | %.0f MB | %.0f MB | %.0f | %.0f |\n", p.name, p.does, p.start.Seconds(), p.idle, p.busy, median(p.status), median(p.set))
	}
	return b.String()
}
