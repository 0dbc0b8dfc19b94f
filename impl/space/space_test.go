package space_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
)

// caller calls a sandbox in one of the ways that choose a space.
type caller struct {
	t    testing.TB
	s    *apptest.Server
	id   string
	way  string // path, header, credentials
	auth string
}

// The ways in which a call can choose its space.
var ways = []string{"path", "header", "credentials"}

type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r reply) json(t testing.TB) (value map[string]any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(r.body, &value), "%s", r.body)
	return value
}

func (c *caller) do(method, path, body string, header ...string) reply {
	c.t.Helper()
	if c.way == "path" {
		path = "/spaces/" + c.id + path
	}
	r, err := http.NewRequestWithContext(context.WithoutCancel(c.t.Context()), method, c.s.URL+path, strings.NewReader(body))
	require.NoError(c.t, err)
	if c.way == "header" || c.way == "credentials" && strings.HasPrefix(path, "/sandbox/") {
		r.Header.Set("PinVault-Space", c.id)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.auth != "" {
		r.Header.Set("Authorization", "Bearer "+c.auth)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	require.NoError(c.t, err)
	defer func() { _ = answer.Body.Close() }()
	data, err := io.ReadAll(answer.Body)
	require.NoError(c.t, err)
	return reply{answer.StatusCode, answer.Header, data}
}

// logIn asks for a token of the space's client with its own credentials, or the fixtures' where the way tells the space.
func (c *caller) logIn(client string) {
	c.t.Helper()
	id := client + "-sandbox"
	if c.way == "credentials" {
		id += "@" + c.id
	}
	c.auth = ""
	answer := c.do("POST", "/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {client + "-sandbox-secret"}}.Encode(),
		"Content-Type", "application/x-www-form-urlencoded")
	require.Equal(c.t, 200, answer.status, "%s %s %s", c.way, id, answer.body)
	c.auth = answer.json(c.t)["access_token"].(string)
}

func newSpace(t testing.TB, s *apptest.Server, way string) *caller {
	t.Helper()
	c := &caller{t: t, s: s}
	answer := c.do("POST", "/sandbox/spaces", "{}")
	require.Equal(t, 201, answer.status, "%s", answer.body)
	c.id, c.way = answer.json(t)["id"].(string), way
	return c
}

// Each test plants a PIN, a status, a rule, a time and calls in a space of its own, and finds no other's.
func TestNoTestSeesAnothersSpace(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, "")
	const spaces, atOnce = 100, 50
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i := range spaces {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			c := newSpace(t, s, ways[i%len(ways)])
			c.logIn("thredd")
			mine := fmt.Sprintf("%04d", 2000+i)
			for range 3 { // in turns with the others
				require.Equal(t, 204, c.do("POST", "/api/v1/cards/103169946/pin", `{"pin":"`+mine+`"}`).status)
				require.Equal(t, 201, c.do("POST", "/sandbox/rules", `{"operation":"getLiveness","times":1,"row":"getLiveness/alive"}`).status)
				moved := c.do("POST", "/sandbox/clock", fmt.Sprintf(`{"now":"2030-01-01T00:00:00Z","running":false,"advanceSeconds":%d}`, i))
				require.Equal(t, 200, moved.status)
				require.Equal(t, 200, c.do("POST", "/sandbox/clock", `{"reset":true}`).status)
				if rand.IntN(3) == 0 {
					require.Equal(t, 204, c.do("POST", "/sandbox/reset", "").status)
					c.logIn("thredd")
				}
			}
			require.Equal(t, 204, c.do("POST", "/api/v1/cards/103169946/pin", `{"pin":"`+mine+`"}`).status)
			cards := c.do("GET", "/sandbox/cards", "").json(t)["cards"].([]any)
			require.Equal(t, mine, cards[0].(map[string]any)["pin"])
			rules := c.do("GET", "/sandbox/rules", "").json(t)["rules"].([]any)
			require.LessOrEqual(t, len(rules), 3)
			require.Equal(t, 204, c.do("DELETE", "/sandbox/journal", "").status)
			require.Equal(t, 200, c.do("GET", "/api/v1/cards/103169946/pin", "").status)
			entries := c.do("GET", "/sandbox/journal", "").json(t)["entries"].([]any)
			require.Len(t, entries, 1, "of the calls of %d spaces", spaces)
		})
	}
	all.Wait()
	first := &caller{t: t, s: s}
	require.Equal(t, "7010", first.do("GET", "/sandbox/cards", "").json(t)["cards"].([]any)[0].(map[string]any)["pin"], "of the first space")
	require.Len(t, first.do("GET", "/sandbox/spaces", "").json(t)["spaces"], spaces)
}

func TestASpaceEndsWithAllThatIsInIt(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	s := apptest.Start(t, "")
	c := newSpace(t, s, "path")
	files := func() []string {
		found, err := filepath.Glob(filepath.Join(temporary, "pinvault-scratch-*", "*.db"))
		require.NoError(t, err)
		return slices.DeleteFunc(found, func(f string) bool { return strings.HasSuffix(f, "seeded.db") })
	}
	require.Len(t, files(), 1)
	require.Equal(t, 204, (&caller{t: t, s: s}).do("DELETE", "/sandbox/spaces/"+c.id, "").status)
	require.Empty(t, files())
	require.Equal(t, 404, c.do("GET", "/livez", "").status)

	c = newSpace(t, s, "header")
	s.Clock.Forward(24*time.Hour - time.Second)
	require.Equal(t, 200, c.do("GET", "/livez", "").status)
	s.Clock.Forward(time.Second)
	require.Equal(t, 404, c.do("GET", "/livez", "").status, "after a day")
	require.Empty(t, files())
}

// Whoever removes a space is answered when the last of its calls has ended, delays and streams among them.
func TestASpaceIsGoneWhenItsCallsHaveEnded(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, "")
	host := &caller{t: t, s: s}
	for _, by := range []string{"another", "itself"} {
		c := newSpace(t, s, "path")
		stream, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/spaces/"+c.id+"/sandbox/journal/live", http.NoBody)
		require.NoError(t, err)
		live, err := http.DefaultClient.Do(stream)
		require.NoError(t, err)
		remove := host
		if by == "itself" {
			remove = c
		}
		require.Equal(t, 204, remove.do("DELETE", "/sandbox/spaces/"+c.id, "").status, by)
		_, err = io.ReadAll(live.Body)
		require.NoError(t, err, "the stream has ended")
		require.NoError(t, live.Body.Close())
		require.Equal(t, 404, c.do("GET", "/livez", "").status, by)
	}
	require.Empty(t, host.do("GET", "/sandbox/spaces", "").json(t)["spaces"])
}

// A call whose body never comes is not waited for without an end.
func TestASpaceIsRemovedWhileACallIsUnderWay(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, "")
	c, host := newSpace(t, s, "path"), &caller{t: t, s: s}
	c.logIn("thredd")
	body, more := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/spaces/"+c.id+"/api/v1/cards/103169946/pin", body)
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+c.auth)
	r.Header.Set("Expect", "100-continue")
	patient := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}
	status := make(chan int)
	go func() {
		answer, err := patient.Do(r)
		if err == nil {
			_ = answer.Body.Close()
			status <- answer.StatusCode
		}
		close(status)
	}()
	_, err = more.Write([]byte(`{"pin":`)) // it is taken when the server has asked for it
	require.NoError(t, err)
	require.Equal(t, 204, host.do("DELETE", "/sandbox/spaces/"+c.id, "").status)
	require.Equal(t, 404, c.do("GET", "/livez", "").status)
	_, err = more.Write([]byte(`"7193"}`))
	require.NoError(t, err)
	require.NoError(t, more.Close())
	require.Equal(t, 204, <-status, "it ends as it would have")
}

func TestATokenOfASpaceThatIsGoneIsNobodysInTheNext(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, "")
	host := &caller{t: t, s: s}
	c := &caller{t: t, s: s, id: "again", way: "path"}
	for range 2 {
		require.Equal(t, 201, host.do("POST", "/sandbox/spaces", `{"id":"again"}`).status)
		if c.auth != "" {
			require.Equal(t, 401, c.do("GET", "/api/v1/cards/103169946/pin", "").status)
		}
		c.logIn("thredd")
		require.Equal(t, 200, c.do("GET", "/api/v1/cards/103169946/pin", "").status)
		require.Equal(t, 204, c.do("POST", "/sandbox/reset", "").status)
		require.Equal(t, 200, c.do("GET", "/api/v1/cards/103169946/pin", "").status, "a reset ends no token")
		require.Equal(t, 204, host.do("DELETE", "/sandbox/spaces/again", "").status)
	}
}

func TestACallThatNamesTwoSpacesIsRefusedWhateverItAsksFor(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, "")
	for path, named := range map[string][]string{"/livez": {"first", "first"}, "/sandbox/clock": {"first", "other"}, "/api/v1/cards/103169946/pin": {"first, first"},
		"/docs": {"first,"}, "/nothing": {"first", "first"}} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, http.NoBody)
		require.NoError(t, err)
		r.Header["Pinvault-Space"] = named
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, 400, answer.StatusCode, path)
		require.Contains(t, string(text), "PinVault-Space is sent more than once.", path)
	}
}

func TestASpaceIsKeptAndPutBackByItself(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, "")
	a, b := newSpace(t, s, "path"), newSpace(t, s, "header")
	pin := func(c *caller) any {
		return c.do("GET", "/sandbox/cards", "").json(t)["cards"].([]any)[0].(map[string]any)["pin"]
	}
	set := func(c *caller, digits string) {
		c.logIn("thredd")
		require.Equal(t, 204, c.do("POST", "/api/v1/cards/103169946/pin", `{"pin":"`+digits+`"}`).status)
	}
	set(a, "1111")
	require.Equal(t, 201, a.do("POST", "/sandbox/snapshots", `{"id":"ones"}`).status)
	set(a, "2222")
	set(b, "3333")
	require.Equal(t, 204, a.do("POST", "/sandbox/snapshots/ones/restore", "").status)
	require.Equal(t, []any{"1111", "3333"}, []any{pin(a), pin(b)})
	require.Equal(t, 204, b.do("POST", "/sandbox/snapshots/ones/restore", "").status)
	require.Equal(t, "1111", pin(b), "another's")
	made := (&caller{t: t, s: s}).do("POST", "/sandbox/spaces", `{"snapshot":"ones"}`).json(t)
	require.Equal(t, "1111", pin(&caller{t: t, s: s, id: made["id"].(string), way: "path"}))
	require.Equal(t, 204, a.do("POST", "/sandbox/reset", "").status)
	require.Equal(t, "7010", pin(a))
	require.Equal(t, 204, a.do("DELETE", "/sandbox/snapshots/ones", "").status)
	require.Equal(t, 404, a.do("POST", "/sandbox/snapshots/ones/restore", "").status)
}

func TestACallIsOfTheSpaceThatItNames(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, "")
	a, b := newSpace(t, s, "path"), newSpace(t, s, "path")
	a.logIn("thredd")
	first := &caller{t: t, s: s, auth: a.auth}
	require.Equal(t, 200, first.do("GET", "/api/v1/cards/103169946/pin", "").status, "the token's")
	require.Equal(t, 401, first.do("GET", "/api/v1/cards/103169946/pin", "", "PinVault-Space", b.id).status, "the header's, to which the token is strange")
	b.auth = a.auth
	require.Equal(t, 401, b.do("GET", "/api/v1/cards/103169946/pin", "").status, "the path's")
	first.auth = ""
	require.Equal(t, 404, first.do("GET", "/livez", "", "PinVault-Space", "nowhere").status)
	for _, path := range []string{"/livez", "/docs", "/docs/thredd", "/openapi/thredd.yaml", "/sandbox", "/sandbox/console.js", "/metrics", "/nothing", "/", ""} {
		strange := first.do("GET", "/spaces/nowhere"+path, "")
		require.Equal(t, 404, strange.status, path)
		require.Equal(t, "not_found", strange.json(t)["code"], path)
		require.Equal(t, "There is no such thing.", strange.json(t)["title"], path)
	}
	require.Equal(t, 200, first.do("GET", "/livez", "").status)
	require.Equal(t, 401, first.do("GET", "/api/v1/cards/103169946/pin", "", "Authorization", "Bearer e30.e30.e30").status)

	accosa := first.do("GET", "/sandbox/fixtures", "", "PinVault-Space", a.id).json(t)["clients"].(map[string]any)["accosa"].(map[string]any)
	require.Equal(t, "accosa-sandbox@"+a.id+".accosa-sandbox-secret", accosa["x-api-key"])
	basic := httptest.NewRequestWithContext(t.Context(), "POST", s.URL+"/oauth2/token", http.NoBody)
	basic.SetBasicAuth(url.QueryEscape("issuer-sandbox@"+a.id), "issuer-sandbox-secret")
	token := first.do("POST", "/oauth2/token", "grant_type=client_credentials", "Content-Type", "application/x-www-form-urlencoded",
		"Authorization", basic.Header.Get("Authorization"))
	require.Equal(t, 200, token.status, "%s", token.body)
	require.Equal(t, 200, first.do("GET", "/issuer/v1/programs", "", "Authorization", "Bearer "+token.json(t)["access_token"].(string)).status)
	entries := a.do("GET", "/sandbox/journal?operation=listPrograms", "").json(t)["entries"].([]any)
	require.Len(t, entries, 1, "it was in that space")

	form := "grant_type=client_credentials&client_secret=issuer-sandbox-secret&client_id=issuer-sandbox%40" + a.id
	chunked, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/oauth2/token", io.MultiReader(strings.NewReader(form)))
	require.NoError(t, err)
	require.Zero(t, chunked.ContentLength, "the client cannot know it")
	chunked.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := http.DefaultClient.Do(chunked)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, 200, answer.StatusCode, "a form whose length is not told")
}

func TestThereAreOnlySoManySpaces(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, "")
	c := &caller{t: t, s: s}
	for i := range 256 {
		require.Equal(t, 201, c.do("POST", "/sandbox/spaces", fmt.Sprintf(`{"id":"space-%d"}`, i)).status)
	}
	refused := c.do("POST", "/sandbox/spaces", "{}")
	require.Equal(t, 409, refused.status)
	require.Equal(t, "too_many", refused.json(t)["code"])
	require.Equal(t, 204, c.do("DELETE", "/sandbox/spaces/space-7", "").status)
	require.Equal(t, 201, c.do("POST", "/sandbox/spaces", "{}").status)
}

func BenchmarkMakeSpace(b *testing.B) {
	s := apptest.Start(b, "")
	made := make([]time.Duration, 0, b.N)
	for b.Loop() {
		began := time.Now()
		c := newSpace(b, s, "path")
		made = append(made, time.Since(began))
		b.StopTimer()
		(&caller{t: b, s: s}).do("DELETE", "/sandbox/spaces/"+c.id, "")
		b.StartTimer()
	}
	slices.Sort(made)
	b.ReportMetric(float64(made[len(made)/2].Microseconds())/1000, "ms/median")
}

func BenchmarkResetSpace(b *testing.B) {
	s := apptest.Start(b, "")
	c := newSpace(b, s, "path")
	took := make([]time.Duration, 0, b.N)
	for b.Loop() {
		began := time.Now()
		c.do("POST", "/sandbox/reset", "")
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms/median")
}

// What a call has read does not change under it: whoever puts a database back waits for the calls under way, so that what a
// card has afterwards is either the snapshot's or what was set since, and never half of both.
func TestADatabaseIsPutBackBetweenCalls(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, "")
	c := newSpace(t, s, "path")
	issuer := c.as("issuer")
	for range 3 {
		issuer.do("POST", issuerCard+"/verifications", mismatch)
	}
	require.Equal(t, 201, c.do("POST", "/sandbox/snapshots", `{"id":"blocked"}`).status)
	require.Equal(t, 204, c.do("POST", "/sandbox/reset", "").status)
	require.Equal(t, 201, c.do("POST", "/sandbox/snapshots", `{"id":"fresh"}`).status)
	c.logIn("thredd")
	for range 40 {
		require.Equal(t, 204, c.do("POST", "/sandbox/snapshots/blocked/restore", "").status)
		var both sync.WaitGroup
		both.Go(func() { c.do("POST", "/sandbox/snapshots/fresh/restore", "") })
		both.Go(func() { c.do("POST", "/api/v1/cards/103169946/pin", `{"pin":"7193"}`) })
		both.Wait()
		card := c.do("GET", "/sandbox/cards", "").json(t)["cards"].([]any)[0].(map[string]any)
		require.InDelta(t, 3, card["remainingTries"], 0, "a PIN of %v", card["pin"])
	}
}

func TestCredentialsOfAnotherSpaceAreNobodys(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, "")
	a, b := newSpace(t, s, "path"), newSpace(t, s, "path")
	form := "grant_type=client_credentials&client_secret=thredd-sandbox-secret&client_id=thredd-sandbox@"
	ask := func(c *caller, of string) int {
		return c.do("POST", "/oauth2/token", form+of, "Content-Type", "application/x-www-form-urlencoded").status
	}
	require.Equal(t, []int{200, 401}, []int{ask(a, a.id), ask(a, b.id)})
}

// Who reloads the hosted page is known by a cookie, which is for the page's path as browsers see it.
func TestTheHostedPagesCookieIsForItsSpace(t *testing.T) {
	t.Parallel()
	c := newSpace(t, apptest.Start(t, ""), "path")
	at := c.link("one")
	answer := c.do("GET", strings.TrimPrefix(at.Path, "/spaces/"+c.id), "")
	require.Equal(t, 200, answer.status)
	require.Contains(t, answer.header.Get("Set-Cookie"), "Path="+at.Path+";")
}
