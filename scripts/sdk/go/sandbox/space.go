package sandbox

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"pinvault.example/sdk"
	"pinvault.example/sdk/accosa"
	"pinvault.example/sdk/common"
	"pinvault.example/sdk/creditplus"
	"pinvault.example/sdk/hashdt"
	"pinvault.example/sdk/hosted"
	"pinvault.example/sdk/issuer"
	"pinvault.example/sdk/networkintl"
	"pinvault.example/sdk/thredd"
)

// TB is what is needed of a *testing.T.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, arguments ...any)
}

// Test is a space of a sandbox for one test, which no other sees, with clients that are ready to be used, rules, a clock
// and a journal of its own. What cannot be done fails the test.
type Test struct {
	ID  string
	URL string // the server's, in this space: contracts' paths follow it

	t        TB
	own      *ClientWithResponses
	fixtures func() *Fixtures
}

// TestOption says where a test's space is made, and of what.
type TestOption func(*testSettings)

type testSettings struct{ url, program, seed, snapshot string }

// At is the URL of a sandbox that runs. Unless given, PINVAULT_URL.
func At(url string) TestOption { return func(s *testSettings) { s.url = url } }

// Program is the pinvault that is started where there is no URL, once for all tests of a process, with which it ends.
// Unless given, PINVAULT, or the one on the PATH.
func Program(path string) TestOption { return func(s *testSettings) { s.program = path } }

// Seed is a YAML file with what a started sandbox holds besides the fixtures.
func Seed(file string) TestOption { return func(s *testSettings) { s.seed = file } }

// From is the snapshot that the space begins with. Unless given, the fixtures.
func From(snapshot string) TestOption { return func(s *testSettings) { s.snapshot = snapshot } }

// New makes a space, which is gone when the test is over.
func New(t TB, options ...TestOption) *Test {
	t.Helper()
	var s testSettings
	for _, option := range options {
		option(&s)
	}
	server, err := s.server()
	if err != nil {
		t.Fatalf("%v", err)
	}
	client := of(Connect(server)).to(t)
	made := of(client.CreateSpaceWithResponse(context.Background(), SpaceRequest{Snapshot: optional(s.snapshot)})).to(t).JSON201
	space := &Test{ID: made.ID, URL: server + "/spaces/" + made.ID, t: t}
	space.own = of(Connect(space.URL)).to(t)
	space.fixtures = sync.OnceValue(func() *Fixtures {
		return of(space.own.GetSandboxFixturesWithResponse(context.Background(), nil)).to(t).JSON200
	})
	t.Cleanup(func() {
		_, err := client.DeleteSpaceWithResponse(context.Background(), space.ID)
		if refused := (*pinvault.Error)(nil); errors.As(err, &refused) && refused.Status == http.StatusNotFound {
			return // which a repeated call hears, too
		}
		if err != nil {
			t.Fatalf("%v", err)
		}
	})
	return space
}

// gave is what a call gave.
type gave[R any] struct {
	reply R
	err   error
}

func of[R any](reply R, err error) gave[R] { return gave[R]{reply, err} }

// to hands it to a test, which an error fails.
func (g gave[R]) to(t TB) R {
	t.Helper()
	if g.err != nil {
		t.Fatalf("%v", g.err)
	}
	return g.reply
}

// optional is a text, or nil for "".
func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// server is the URL of the sandbox that was asked for.
func (s testSettings) server() (string, error) {
	url := s.url
	if url == "" && s.program == "" && s.seed == "" {
		url = os.Getenv("PINVAULT_URL")
	}
	if url != "" {
		return strings.TrimRight(url, "/"), nil
	}
	s.program = cmp.Or(s.program, os.Getenv("PINVAULT"), "pinvault")
	starting.Lock()
	defer starting.Unlock()
	asked := testSettings{program: s.program, seed: s.seed}
	if started[asked] == "" {
		url, err := asked.start()
		if err != nil {
			return "", err
		}
		started[asked] = url
	}
	return started[asked], nil
}

// started are the URLs of the sandboxes that this process has started.
var (
	starting sync.Mutex
	started  = map[testSettings]string{}
	alive    []io.Closer // their standard inputs: with this process they are closed, and so the sandboxes end
)

func (s testSettings) start() (string, error) {
	arguments := []string{"sandbox", "--port", "0", "--until-stdin-closes", "--database-url=", "--log-level", "WARN"}
	if s.seed != "" {
		arguments = append(arguments, "--seed", s.seed)
	}
	command := exec.Command(s.program, arguments...)
	var log bytes.Buffer
	command.Stderr = &log
	in, err := command.StdinPipe()
	if err != nil {
		return "", err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := command.Start(); err != nil {
		return "", fmt.Errorf("pinvault sandbox did not start; name the program with PINVAULT, or a server with PINVAULT_URL: %w", err)
	}
	late := time.AfterFunc(time.Minute, func() { _ = command.Process.Kill() })
	line, err := bufio.NewReader(out).ReadBytes('\n')
	late.Stop()
	var ready struct{ URL string }
	if err != nil || json.Unmarshal(line, &ready) != nil {
		_ = command.Wait()
		return "", fmt.Errorf("pinvault sandbox did not start: %s", strings.TrimSpace(log.String()))
	}
	alive = append(alive, in)
	return ready.URL, nil
}

// Credential is what a client of the fixtures or the seed has under a name, such as client_secret: the space's own.
func (s *Test) Credential(client, name string) string {
	s.t.Helper()
	value, ok := s.fixtures().Clients[client][name].(string)
	if !ok {
		s.t.Fatalf("the client %q has no %q", client, name)
	}
	return value
}

// Card is a card of the fixtures or the seed, with its PIN and references.
func (s *Test) Card(name string) map[string]any {
	s.t.Helper()
	card, ok := s.fixtures().Cards[name]
	if !ok {
		s.t.Fatalf("there is no card %q", name)
	}
	return card
}

// Cards are all cards as they stand, with their tries and what has happened to them.
func (s *Test) Cards() []CardState {
	s.t.Helper()
	return of(s.own.ListSandboxCardsWithResponse(context.Background(), nil)).to(s.t).JSON200.Cards
}

// Sandbox is a client of the sandbox's own contract.
func (s *Test) Sandbox() *ClientWithResponses { return s.own }

// secret is what a client proves itself by, at the space's URL.
func (s *Test) secret(client string) (url, id, secret string) {
	s.t.Helper()
	return s.URL, s.Credential(client, "client_id"), s.Credential(client, "client_secret")
}

// named is the client that is asked for.
func named(unless string, client []string) string { return append(client, unless)[0] }

// Common is a client of what all contracts share.
func (s *Test) Common() *common.ClientWithResponses {
	s.t.Helper()
	return of(common.Connect(s.URL)).to(s.t)
}

// Issuer is a client of the issuer API: unless another one is named, issuer of the fixtures.
func (s *Test) Issuer(client ...string) *issuer.ClientWithResponses {
	s.t.Helper()
	return of(issuer.Connect(s.secret(named("issuer", client)))).to(s.t)
}

// Thredd is a client of Thredd's contract: unless another one is named, thredd of the fixtures.
func (s *Test) Thredd(client ...string) *thredd.ClientWithResponses {
	s.t.Helper()
	return of(thredd.Connect(s.secret(named("thredd", client)))).to(s.t)
}

// CreditPlus is a client of Credit+'s contract, which seals its requests: unless another one is named, creditplus of the
// fixtures.
func (s *Test) CreditPlus(client ...string) *creditplus.ClientWithResponses {
	s.t.Helper()
	name := named("creditplus", client)
	key := of(pinvault.NewMessageKey(s.Credential(name, "key_hex"), s.Credential(name, "key_id"))).to(s.t)
	url, id, secret := s.secret(name)
	return of(creditplus.Connect(url, id, secret, key)).to(s.t)
}

// Accosa is a client of Accosa's contract: unless another one is named, accosa of the fixtures.
func (s *Test) Accosa(client ...string) *accosa.ClientWithResponses {
	s.t.Helper()
	name := named("accosa", client)
	key := of(pinvault.NewTokenKey(s.Credential(name, "key_hex"))).to(s.t)
	return of(accosa.Connect(s.URL, s.Credential(name, "x-api-key"), key)).to(s.t)
}

// NetworkIntl is a client of Network International's contract: unless another one is named, networkintl of the fixtures.
func (s *Test) NetworkIntl(client ...string) *networkintl.ClientWithResponses {
	s.t.Helper()
	return of(networkintl.Connect(s.secret(named("networkintl", client)))).to(s.t)
}

// Hashdt is a client of the issuing API: unless another one is named, hashdt of the fixtures.
func (s *Test) Hashdt(client ...string) *hashdt.ClientWithResponses {
	s.t.Helper()
	return of(hashdt.Connect(s.URL, s.Credential(named("hashdt", client), "x-api-key"))).to(s.t)
}

// Hosted is a client of the hosted page's contract.
func (s *Test) Hosted() *hosted.ClientWithResponses {
	s.t.Helper()
	return of(hosted.Connect(s.URL)).to(s.t)
}

// withoutSpace is a client's id as the space itself knows it.
func withoutSpace(client *string) *string {
	if client == nil {
		return nil
	}
	id, _, _ := strings.Cut(*client, "@")
	return &id
}

// Rule has a row, fault, drop or delay come out of the calls that it fits, until [Test.ClearRules].
func (s *Test) Rule(r RuleRequest) Rule {
	s.t.Helper()
	r.Client = withoutSpace(r.Client)
	return *of(s.own.CreateRuleWithResponse(context.Background(), nil, r)).to(s.t).JSON201
}

// ClearRules removes all rules.
func (s *Test) ClearRules() {
	s.t.Helper()
	of(s.own.DeleteRulesWithResponse(context.Background(), nil)).to(s.t)
}

// Now is what time it is here.
func (s *Test) Now() time.Time {
	s.t.Helper()
	return of(s.own.GetClockWithResponse(context.Background(), nil)).to(s.t).JSON200.Now
}

// Advance moves the time on, in whole seconds; what expires by then has expired at once.
func (s *Test) Advance(by time.Duration) time.Time {
	s.t.Helper()
	seconds := int64(by / time.Second)
	return s.moved(ClockChange{AdvanceSeconds: &seconds})
}

// SetTime makes it the time that is given, and goes on from there or stands still.
func (s *Test) SetTime(now time.Time, running bool) time.Time {
	s.t.Helper()
	return s.moved(ClockChange{Now: &now, Running: &running})
}

// ResetTime makes it the server's time.
func (s *Test) ResetTime() time.Time {
	s.t.Helper()
	yes := true
	return s.moved(ClockChange{Reset: &yes})
}

func (s *Test) moved(change ClockChange) time.Time {
	s.t.Helper()
	return of(s.own.MoveClockWithResponse(context.Background(), nil, change)).to(s.t).JSON200.Now
}

// Journal is what was sent here and answered, newest first.
func (s *Test) Journal(only ListJournalParams) []Entry {
	s.t.Helper()
	only.Client = withoutSpace(only.Client)
	return of(s.own.ListJournalWithResponse(context.Background(), &only)).to(s.t).JSON200.Entries
}

// ClearJournal forgets what was sent.
func (s *Test) ClearJournal() {
	s.t.Helper()
	of(s.own.ClearJournalWithResponse(context.Background(), nil)).to(s.t)
}

// Snapshot keeps what the space holds, to restore it or to begin others with, and returns the snapshot's id.
func (s *Test) Snapshot() string {
	s.t.Helper()
	return of(s.own.CreateSnapshotWithResponse(context.Background(), nil, SnapshotRequest{ID: strings.ToLower(rand.Text())})).to(s.t).JSON201.ID
}

// Restore puts the space back.
func (s *Test) Restore(snapshot string) {
	s.t.Helper()
	of(s.own.RestoreSnapshotWithResponse(context.Background(), snapshot, nil)).to(s.t)
}

// Reset makes the space what it was at first.
func (s *Test) Reset() {
	s.t.Helper()
	of(s.own.ResetSandboxWithResponse(context.Background(), nil)).to(s.t)
}
