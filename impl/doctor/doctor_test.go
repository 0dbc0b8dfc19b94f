package doctor

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app"
	"pinvault/impl/config"
	"pinvault/impl/keyring"
	"pinvault/impl/keyring/keyringtest"
	"pinvault/impl/pin"
	"pinvault/impl/store"
	"pinvault/impl/store/storetest"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// pair is a certificate for pin.example.com and its key, in files.
func pair(t *testing.T, from, until time.Time) (chain, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	of := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pin.example.com"}, DNSNames: []string{"pin.example.com"}, NotBefore: from, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, of, of, private.Public(), private)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	chain, key = filepath.Join(t.TempDir(), "chain.pem"), filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	return chain, key
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		from, until time.Time
		url         string
		want        Level
		says        string
	}{
		"good":                    {noon.Add(-day), noon.Add(90 * day), "https://pin.example.com:8443", OK, "is for pin.example.com, until 2026-05-30T12:00:00Z"},
		"soon to expire":          {noon.Add(-day), noon.Add(13 * day), "https://pin.example.com", Warn, "expires at 2026-03-14"},
		"expired":                 {noon.Add(-2 * day), noon.Add(-day), "https://pin.example.com", Fail, "has expired at 2026-02-28"},
		"not valid yet":           {noon.Add(day), noon.Add(90 * day), "https://pin.example.com", Fail, "is not valid before 2026-03-02"},
		"for somebody else's URL": {noon.Add(-day), noon.Add(90 * day), "https://pins.example.com", Fail, "is not for pins.example.com"},
	} {
		chain, key := pair(t, test.from, test.until)
		leaf, err := certificateOf(chain, key)
		require.NoError(t, err)
		f := certificate(leaf, test.url, noon)
		require.Equal(t, test.want, f.Level, name)
		require.Contains(t, f.Says, test.says, name)
		require.Equal(t, test.want == OK, f.Do == "", name)
	}
	chain, _ := pair(t, noon, noon)
	_, key := pair(t, noon, noon)
	_, err := certificateOf(chain, key)
	require.ErrorContains(t, err, "private key does not match")
}

func TestKeysThatAreOldOrMissing(t *testing.T) {
	t.Parallel()
	key := func(version int, state keyring.State, age time.Duration) keyring.Standing {
		return keyring.Standing{Key: keyring.Key{Use: pin.UsePAN, Version: version, CreatedAt: noon.Add(-age), ActiveFrom: noon.Add(-age)}, State: state, RetiringSince: noon.Add(-age)}
	}
	for name, test := range map[string]struct {
		keys []keyring.Standing
		want []Finding
	}{
		"fresh":          {[]keyring.Standing{key(2, keyring.Active, day), key(1, keyring.Retiring, day)}, []Finding{{Level: OK, Says: "each of 1 uses has an active key"}}},
		"old":            {[]keyring.Standing{key(1, keyring.Active, 400*day)}, []Finding{{Level: Warn, Says: "pan/1 is active for 400 days", Do: "pinvault keys rotate --use pan, then pinvault rewrap"}}},
		"retiring long":  {[]keyring.Standing{key(2, keyring.Active, day), key(1, keyring.Retiring, 31*day)}, []Finding{{Level: Warn, Says: "pan/1 was replaced 31 days ago, and opens still", Do: "pinvault rewrap, then pinvault keys retire pan/1"}}},
		"none is active": {[]keyring.Standing{key(1, keyring.Pending, -day)}, []Finding{{Level: Fail, Says: "no key for pan is active by this machine's clock", Do: "look at the clock; then pinvault keys list, and pinvault keys activate"}}},
		"a clock behind": {[]keyring.Standing{key(1, keyring.Active, -day)}, []Finding{{Level: Fail, Says: "no key for pan is active by this machine's clock", Do: "look at the clock; then pinvault keys list, and pinvault keys activate"}}},
	} {
		require.Equal(t, test.want, standings(test.keys, noon), name)
	}
}

func TestDatabasesThatForgetOrLetTheTrailBeChanged(t *testing.T) {
	t.Parallel()
	safe := store.Facts{Fsync: "on", SynchronousCommit: "on", FullPageWrites: "on", Guarded: true}
	for name, test := range map[string]struct {
		change func(*store.Facts)
		find   func(store.Facts) []Finding
		want   Level
		says   string
	}{
		"safe":                             {func(*store.Facts) {}, durability, OK, "survives a crash"},
		"without fsync":                    {func(f *store.Facts) { f.Fsync = "off" }, durability, Fail, "fsync = off"},
		"without full pages":               {func(f *store.Facts) { f.FullPageWrites = "off" }, durability, Fail, "full_page_writes = off"},
		"commits that nobody waits for":    {func(f *store.Facts) { f.SynchronousCommit = "off" }, durability, Fail, "may undo tries"},
		"commits on this machine alone":    {func(f *store.Facts) { f.SynchronousCommit = "local" }, durability, OK, "survives a crash"},
		"a replica":                        {func(f *store.Facts) { f.ReadOnly = true }, durability, Fail, "it is a replica"},
		"guarded":                          {func(*store.Facts) {}, only, OK, "cannot be changed"},
		"without triggers":                 {func(f *store.Facts) { f.Guarded = false }, only, Fail, "are gone, or switched off"},
		"without triggers, as Citus takes": {func(f *store.Facts) { f.Guarded, f.Spread = false, true }, only, OK, "the chains alone"},
		"a superuser":                      {func(f *store.Facts) { f.Superuser, f.Owner = true, true }, only, Warn, "is a superuser"},
		"the owner of the tables":          {func(f *store.Facts) { f.Owner = true }, only, Warn, "owns the tables"},
		"a role that may write":            {func(*store.Facts) {}, allowed, OK, "may read and write"},
		"a role that may not":              {func(f *store.Facts) { f.Barred = "cards, replays" }, allowed, Fail, "cards, replays"},
	} {
		facts := safe
		test.change(&facts)
		found := test.find(facts)
		require.Len(t, found, 1, name)
		require.Equal(t, test.want, found[0].Level, name)
		require.Contains(t, found[0].Says, test.says, name)
		require.Equal(t, test.want == OK, found[0].Do == "", name)
	}
}

func only(f store.Facts) []Finding    { return []Finding{appendOnly(f)} }
func allowed(f store.Facts) []Finding { return []Finding{rights(f)} }

func TestWhatElseIsWrong(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		found Finding
		want  Level
		says  string
	}{
		"clocks together":              {clock(-time.Second, 0), OK, "1s off"},
		"clocks apart":                 {clock(-5*time.Second, 0), Warn, "5s off"},
		"clocks far apart":             {clock(time.Minute, 0), Fail, "1m0s off"},
		"a database that takes long":   {clock(4*time.Second, 3*time.Second), OK, "4s off"},
		"room":                         {disk("/var", space{5 << 30, 10 << 30}), OK, "5.0 GiB of 10.0 GiB are free at /var"},
		"little room":                  {disk("/var", space{500 << 20, 10 << 30}), Warn, "500.0 MiB of"},
		"no room":                      {disk("/var", space{1000, 10 << 30}), Fail, "1000 bytes of"},
		"files enough":                 {openFiles(4096, 1000), OK, "may have 4096"},
		"too few files":                {openFiles(1024, 1000), Warn, "needs up to 1200"},
		"a quick backend":              {pace(time.Millisecond), OK, "in 1ms"},
		"a slow backend":               {pace(time.Second), Warn, "takes 1s"},
		"no checkpoint":                {checkpoint(time.Time{}, noon), Warn, "none was ever made"},
		"an old checkpoint":            {checkpoint(noon.Add(-2*time.Hour), noon), Warn, "2h0m0s ago"},
		"a checkpoint":                 {checkpoint(noon.Add(-time.Hour), noon), OK, "1h0m0s ago"},
		"webhooks":                     {webhooks([]Webhook{{ID: "a", State: pin.WebhookActive}}, 3, time.Second)[0], OK, "1, for which 3 events wait"},
		"a paused webhook":             {webhooks([]Webhook{{ID: "a", State: pin.WebhookPaused, PausedFor: pin.PausedFailing}}, 0, 0)[0], Warn, "webhook a is paused: failing"},
		"events that have waited long": {webhooks(nil, 3, time.Hour)[0], Warn, "the oldest for 1h0m0s"},
	} {
		require.Equal(t, test.want, test.found.Level, name)
		require.Contains(t, test.found.Says, test.says, name)
		require.Equal(t, test.want == OK, test.found.Do == "", name)
	}
	require.True(t, replaceable(0o777|fs.ModeDir))
	require.False(t, replaceable(0o777|fs.ModeDir|fs.ModeSticky))
	require.False(t, replaceable(0o755|fs.ModeDir))
}

// patient is a server that is well, with what an examination finds of it by check.
func patient(t *testing.T) Patient {
	t.Helper()
	url := storetest.SQLite(t)
	db, err := store.Open(t.Context(), url, store.Options{})
	require.NoError(t, err)
	require.NoError(t, db.Migrate(t.Context()))
	require.NoError(t, db.Close())
	const master = "3q2ZtY0wq8bqFzqk1m7o5Cj0Jt3oX1Zy5dC8mT2vXhE="
	key, err := keyring.ParseMasterKey([]byte(master))
	require.NoError(t, err)
	kek, err := keyring.MasterKey(key)
	require.NoError(t, err)
	ks, err := keyring.Generate(rand.Reader, time.Now())
	require.NoError(t, err)
	var text bytes.Buffer
	require.NoError(t, ks.Write(&text, kek))
	file := filepath.Join(t.TempDir(), "keyset.json")
	require.NoError(t, os.WriteFile(file, text.Bytes(), 0o600))
	p := Patient{Version: "v1"}
	p.DatabaseURL, p.Keys = url, config.Keys{Keyset: file, MasterKey: master}
	p.Listen, p.PublicURL, p.MaxConnections = "127.0.0.1:0", "https://pin.example.com", 10
	p.PINSessionLifetime, p.RequestTimeout = time.Minute, time.Second
	return p
}

func found(t *testing.T, p Patient, check string) Finding {
	t.Helper()
	var last Finding
	for _, f := range Examine(t.Context(), p) {
		require.NotEmpty(t, f.Says, f.Check)
		if f.Check == check && last.Level != Fail {
			last = f
		}
	}
	return last
}

func TestAServerThatIsWell(t *testing.T) {
	t.Parallel()
	levels := map[string]Level{}
	for _, f := range Examine(t.Context(), patient(t)) {
		levels[f.Check] = f.Level
	}
	delete(levels, "disk") // is the machine's
	delete(levels, "open files")
	require.Equal(t, map[string]Level{"version": OK, "settings": OK, "tls": OK, "keys": OK, "files": OK, "key backend": OK, "database": OK, "schema": OK, "durability": OK,
		"rights": OK, "append-only": OK, "clock": OK, "vault": OK, "checkpoint": Warn}, levels)
}

func TestExaminationsFindWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		check string
		hurt  func(t *testing.T, p *Patient)
		want  Level
		says  string
	}{
		"a certificate that has expired": {"tls", func(t *testing.T, p *Patient) {
			p.TLSCertificate, p.TLSKey = pair(t, noon.Add(-2*day), noon.Add(-day))
		}, Fail, "has expired"},
		"a folder in which everybody writes": {"files", func(t *testing.T, p *Patient) {
			require.NoError(t, os.Chmod(filepath.Dir(p.Keyset), 0o777)) //nolint:gosec // is what is to be found
		}, Fail, "can put another file in the place of"},
		"a limit that there is not": {"settings", func(_ *testing.T, p *Patient) {
			p.Limits = map[string]int64{"pinsPerDay": 1}
		}, Fail, `there is no limit "pinsPerDay"; there are failedAuthenticationsPerMinute, `},
		"a limit that the document does not have so": {"settings", func(_ *testing.T, p *Patient) {
			p.Limits = map[string]int64{"mismatchSharePercent": 100}
		}, Fail, "--limits mismatchSharePercent must be at most 99"},
		"triggers that are gone": {"append-only", func(t *testing.T, p *Patient) { withoutTriggers(t, p.DatabaseURL) }, Fail, "are gone"},
		"a schema that is not there": {"schema", func(t *testing.T, p *Patient) {
			p.DatabaseURL = storetest.SQLite(t)
			db, err := store.Open(t.Context(), p.DatabaseURL, store.Options{})
			require.NoError(t, err)
			require.NoError(t, db.Close())
		}, Fail, "run 'pinvault migrate'"},
		"a keyset file that was cut": {"keys", func(t *testing.T, p *Patient) {
			require.NoError(t, os.WriteFile(p.Keyset, []byte("{"), 0o600))
		}, Fail, "keyset"},
	} {
		p := patient(t)
		test.hurt(t, &p)
		f := found(t, p, test.check)
		require.Equal(t, test.want, f.Level, name)
		require.Contains(t, f.Says, test.says, name)
		require.NotEmpty(t, f.Do, name)
	}
}

// Of keys in a token or in OpenBao that is away, or does not take what opens it, the doctor says so and where to read on, and tells no secret.
func TestKeysElsewhereAreExamined(t *testing.T) {
	for _, backend := range keyringtest.All {
		t.Run(backend, func(t *testing.T) {
			way := keyringtest.NewWay(t, backend)
			p := patient(t)
			p.Keys = config.Keys{KeysURL: way.URL}
			_, err := app.InitKeys(p.Keys, rand.Reader, time.Now())
			require.NoError(t, err)
			for _, check := range []string{"keys", "key backend", "files"} {
				f := found(t, p, check)
				require.Equal(t, OK, f.Level, "%s: %s", check, f.Says)
			}

			gone := func(says string) {
				var failed []Finding
				for _, f := range Examine(t.Context(), p) {
					if f.Level == Fail {
						failed = append(failed, f)
					}
					require.NotContains(t, f.Says+f.Do, keyringtest.PIN)
				}
				require.Len(t, failed, 1, "what cannot be looked at is left out")
				require.Equal(t, "keys", failed[0].Check)
				require.Contains(t, failed[0].Says, says)
				require.Contains(t, failed[0].Do, "docs/keys.md")
			}
			way.Take()
			if backend == keyringtest.PKCS11 {
				gone("the PKCS#11 module ")
			} else {
				gone("OpenBao")
			}
			way.Give()
			require.Equal(t, OK, found(t, p, "key backend").Level, "it is back")
			if backend != keyringtest.PKCS11 { // a token counts wrong PINs
				require.NoError(t, os.WriteFile(way.Secret, []byte("s.another"), 0o600))
				gone("OpenBao does not take the token of --keys")
			}
		})
	}
}
