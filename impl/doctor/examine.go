package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tink-crypto/tink-go/v2/tink"

	"pinvault/impl/app"
	"pinvault/impl/config"
	"pinvault/impl/keyring"
	"pinvault/impl/keyring/backend"
	"pinvault/impl/metrics"
	"pinvault/impl/pin"
	"pinvault/impl/store"
)

// Level is how bad a finding is.
type Level string

// The levels.
const (
	OK   Level = "ok"
	Warn Level = "warn" // a server works, and somebody should know
	Fail Level = "fail" // a server does not start, or PINs are at risk
)

// Finding is what was found of one thing.
type Finding struct {
	Check string `json:"check"`
	Level Level  `json:"level"`
	Says  string `json:"says"`
	Do    string `json:"do,omitempty"` // what to do about it, "" where nothing has to be done
}

// Patient is the server that is looked after.
type Patient struct {
	config.Serve
	Version string
	Files   []string         // of keys, besides those that the settings name
	Now     func() time.Time // nil: the clock

	// Strangers are variables of the environment that are called as settings are, and are none.
	Strangers []string
}

// Examine looks at everything, in the order in which a server needs it. What cannot be looked at because something else fails is
// left out.
func Examine(ctx context.Context, p Patient) []Finding {
	if p.Now == nil {
		p.Now = time.Now
	}
	e := &examination{Patient: p}
	defer e.close()
	for _, c := range checks {
		e.check = c.name
		c.look(e, ctx)
	}
	return e.findings
}

// checks are those of an examination. One that needs what another opens comes after it.
var checks = []struct {
	name string
	look func(*examination, context.Context)
}{
	{"version", (*examination).version},
	{"settings", (*examination).settings},
	{"tls", (*examination).tls},
	{"keys", (*examination).keys},
	{"files", (*examination).files},
	{"key backend", (*examination).backend},
	{"database", (*examination).database},
	{"schema", (*examination).schema},
	{"durability", (*examination).durability},
	{"rights", (*examination).rights},
	{"append-only", (*examination).appendOnly},
	{"clock", (*examination).clock},
	{"vault", (*examination).vault},
	{"webhooks", (*examination).webhooks},
	{"checkpoint", (*examination).checkpoint},
	{"disk", (*examination).disk},
	{"open files", (*examination).openFiles},
}

// examination is one under way.
type examination struct {
	Patient
	check    string
	findings []Finding

	at     string // of the keyset file
	opened backend.Backend
	engine keyring.Engine
	db     *store.Store
	facts  *store.Facts // nil: the schema is not there
	ring   *pin.Vault
}

func (e *examination) found(all ...Finding) {
	for _, f := range all {
		f.Check = e.check
		e.findings = append(e.findings, f)
	}
}

func (e *examination) fine(format string, args ...any) {
	e.found(Finding{Level: OK, Says: fmt.Sprintf(format, args...)})
}

// failed is a failure with what to do about it.
func (e *examination) failed(err error, do string) {
	e.found(Finding{Level: Fail, Says: err.Error(), Do: do})
}

func (e *examination) close() {
	if e.db != nil {
		_ = e.db.Close()
	}
	if e.opened != nil {
		_ = e.opened.Close()
	}
}

func (e *examination) version(context.Context) { e.fine("%s", e.Version) }

func (e *examination) settings(context.Context) {
	for _, name := range e.Strangers {
		e.found(Finding{Level: Warn, Says: name + " is set, and is no setting", Do: "look for a slip in its name: docs/configuration.md has them all"})
	}
	err := e.Validate()
	if err == nil {
		err = app.CheckSettings(e.Serve)
	}
	if err != nil {
		e.failed(err, "a server does not start with these settings: 'pinvault serve --help' has them")
		return
	}
	weak := e.WeakSettings()
	for _, w := range weak {
		says, do, _ := strings.Cut(w.Why, ": ")
		e.found(Finding{Level: Warn, Says: "--" + w.Setting + ": " + says, Do: do})
	}
	if len(weak) == 0 {
		e.fine("a server starts with them")
	}
}

func (e *examination) tls(context.Context) {
	if e.TLSCertificate == "" {
		if e.TLS() {
			e.fine("clients reach the server by TLS of a proxy: %s", e.PublicURL)
			return
		}
		e.fine("none: the public URL is %s", e.Public(e.Listen))
		return
	}
	leaf, err := certificateOf(e.TLSCertificate, e.TLSKey)
	if err != nil {
		e.failed(err, "put the certificate's chain and its key in PEM into the files of --tls-certificate and --tls-key")
		return
	}
	e.found(certificate(leaf, e.Public(e.Listen), e.Now()))
}

// files looks at those that hold keys, and at the folders in which somebody could put another in their place.
func (e *examination) files(context.Context) {
	named := append([]string{e.at, e.MasterKeyFile, e.TLSKey}, e.Files...)
	if path, ok := strings.CutPrefix(e.DatabaseURL, "sqlite://"); ok {
		named = append(named, path)
	}
	looked := 0
	for _, path := range named {
		if path == "" {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			continue // whoever needs it says so
		}
		looked++
		folder, err := os.Stat(filepath.Dir(path))
		switch {
		case config.SharedFile(path):
			e.found(Finding{Level: Fail, Says: fmt.Sprintf("others on this machine can read or change %s (its mode is %#o)", path, info.Mode().Perm()), Do: "chmod 600 " + path})
		case err == nil && replaceable(folder.Mode()):
			e.found(Finding{Level: Fail, Says: fmt.Sprintf("others on this machine can put another file in the place of %s", path), Do: "chmod go-w " + filepath.Dir(path)})
		}
	}
	if len(e.findings) == 0 || e.findings[len(e.findings)-1].Check != e.check {
		e.fine("nobody else can read or replace %d files", looked)
	}
}

// keys reads them, and looks at how old they are.
func (e *examination) keys(context.Context) {
	if e.Sandbox {
		e.engine = keyring.Sandbox()
		e.fine("those of a sandbox, which are public")
		return
	}
	if err := e.Missing(); err != nil {
		return // which the settings say
	}
	b, file, err := app.Backend(e.Keys)
	if err != nil {
		e.failed(err, "docs/keys.md shows how the keys are set up")
		return
	}
	e.opened, e.at = b, file.Path
	ks, err := file.Keyset()
	if err != nil && config.SharedFile(file.Path) {
		e.failed(err, "see what is said of files")
		return
	}
	if err != nil {
		e.failed(err, "put the keyset file back from its backup, and the master key that belongs to it; a new vault's is made by 'pinvault keys init'")
		return
	}
	if e.engine, err = b.Engine(ks); err != nil {
		e.failed(err, "docs/keys.md shows what the backend needs")
		return
	}
	var own []keyring.Standing
	for _, k := range ks.Keys(e.Now()) {
		if !b.Holds(k.Use) {
			own = append(own, k)
		}
	}
	e.found(standings(own, e.Now())...)
}

// backend has the keys of PINs at work.
func (e *examination) backend(context.Context) {
	if e.engine == nil {
		return
	}
	began := time.Now()
	err := errors.New("there are no keys for PINs")
	if aead, ok := e.engine.Primitive(pin.UsePIN).(tink.AEAD); ok {
		var sealed []byte
		if sealed, err = aead.Encrypt([]byte("a test"), []byte("pinvault doctor")); err == nil {
			_, err = aead.Decrypt(sealed, []byte("pinvault doctor"))
		}
	}
	if err != nil {
		e.failed(err, "docs/keys.md shows what the backend needs")
		return
	}
	e.found(pace(time.Since(began)))
}

// reachable is how long is waited for a database.
const reachable = 5 * time.Second

func (e *examination) database(ctx context.Context) {
	if err := e.Database.Validate(); err != nil {
		return // which the settings say
	}
	if path, ok := strings.CutPrefix(e.DatabaseURL, "sqlite://"); ok {
		if _, err := os.Stat(path); err != nil { // opening it would make one
			e.failed(err, "the first 'pinvault migrate' or 'pinvault serve' makes it; if there was one, look whether --database-url names it")
			return
		}
	}
	ctx, cancel := context.WithTimeout(ctx, reachable)
	defer cancel()
	db, err := store.Open(ctx, e.DatabaseURL, store.Options{MaxConns: 2})
	if err != nil {
		e.failed(err, "look whether the database runs, whether this machine may reach it and whether user and password in --database-url are right")
		return
	}
	e.db = db
	e.fine("it answers")
}

func (e *examination) schema(ctx context.Context) {
	if e.db == nil {
		return
	}
	if err := app.ReadySchema(ctx, e.db, false); err != nil {
		e.failed(err, "back up the database, then run 'pinvault migrate' of the program that is to serve")
		return
	}
	if err := app.Suits(ctx, e.db, e.Sandbox); err != nil {
		e.failed(err, "name another database with --database-url")
		return
	}
	facts, err := e.db.Facts(ctx)
	if err != nil {
		e.failed(err, "the role of --database-url must be allowed to read the schema")
		return
	}
	e.facts = &facts
	at, err := e.db.Schema(ctx)
	if err != nil {
		e.failed(err, "")
		return
	}
	e.fine("version %d, with which this program works; %s, %s", at.Have, facts.Engine, size(facts.Size))
}

func (e *examination) durability(context.Context) {
	if e.facts != nil {
		e.found(durability(*e.facts)...)
	}
}

func (e *examination) rights(context.Context) {
	if e.facts != nil {
		e.found(rights(*e.facts))
	}
}

func (e *examination) appendOnly(context.Context) {
	if e.facts != nil {
		e.found(appendOnly(*e.facts))
	}
}

func (e *examination) clock(ctx context.Context) {
	if e.facts == nil {
		return
	}
	before := e.Now()
	facts, err := e.db.Facts(ctx)
	if err != nil {
		return
	}
	after := e.Now()
	if facts.Now.IsZero() {
		e.fine("the database goes by this machine's")
		return
	}
	e.found(clock(facts.Now.Sub(before.Add(after.Sub(before)/2)), after.Sub(before)))
}

// vault asks whether the keys are those of the database.
func (e *examination) vault(ctx context.Context) {
	if e.facts == nil || e.engine == nil {
		return
	}
	v := pin.NewVault(e.db, keyring.Open(e.engine, e.db, nil), nil, nil)
	err := v.TrailStands(pin.WithCaller(ctx, pin.Operator("pinvault doctor")))
	switch {
	case pin.CodeOf(err) == pin.NotFound:
		e.fine("none yet: the first server makes one")
		return
	case pin.Tampered(err):
		e.failed(errors.New("the keys are not those of this database, or its audit trail was changed"),
			"look whether --keys, or --keyset, and --database-url belong together; if they do, run 'pinvault audit verify'")
		return
	case err != nil:
		e.failed(err, "run 'pinvault audit verify'")
		return
	}
	e.ring = v
	e.fine("the keys are those of the database")
}

func (e *examination) webhooks(ctx context.Context) {
	if e.ring == nil {
		return
	}
	all, err := webhooksOf(ctx, e.ring)
	if err == nil {
		var waiting []pin.Waiting
		if waiting, err = e.db.WaitingDeliveries(ctx); err == nil {
			count, lag := metrics.Waiting(waiting, e.Now())
			e.found(webhooks(all, count, lag)...)
			return
		}
	}
	e.failed(err, "run 'pinvault audit verify'")
}

func (e *examination) checkpoint(ctx context.Context) {
	if e.facts == nil || e.Sandbox {
		return
	}
	at, err := e.db.Marked(ctx, metrics.CheckpointMade)
	if err != nil {
		e.failed(err, "")
		return
	}
	e.found(checkpoint(at, e.Now()))
}

func (e *examination) disk(context.Context) {
	folders := map[string]bool{}
	if e.at != "" {
		folders[filepath.Dir(e.at)] = true
	}
	if path, ok := strings.CutPrefix(e.DatabaseURL, "sqlite://"); ok {
		folders[filepath.Dir(path)] = true
	}
	folders[os.TempDir()] = true
	seen := map[space]bool{}
	for _, folder := range sorted(folders) {
		s, ok := spaceOf(folder)
		if ok && !seen[s] { // folders of one file system
			seen[s] = true
			e.found(disk(folder, s))
		}
	}
}

func (e *examination) openFiles(context.Context) {
	if limit, ok := fileLimit(); ok {
		e.found(openFiles(limit, e.MaxConnections))
	}
}
