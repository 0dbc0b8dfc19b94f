package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"pinvault/impl/app"
	"pinvault/impl/checkpoint"
	"pinvault/impl/config"
	"pinvault/impl/keyring"
	"pinvault/impl/metrics"
	"pinvault/impl/pin"
	"pinvault/impl/store"
)

type auditCommand struct {
	Verify     auditVerifyCommand     `cmd:"" help:"Check that nothing in the database was changed, removed, inserted or rolled back except by PinVault itself."`
	Checkpoint auditCheckpointCommand `cmd:"" help:"Sign the current state of the audit trail, to be kept elsewhere."`
	LogKey     auditLogKeyCommand     `cmd:"" help:"Print the public key of the audit log, for outsiders."`
	Prove      auditProveCommand      `cmd:"" help:"Prove to outsiders that an event is in the audit log."`
	Check      auditCheckCommand      `cmd:"" help:"Check a proof, or that the audit log goes on from a checkpoint: as an outsider, without database and keys."`
	Export     auditExportCommand     `cmd:"" help:"Hand the events to a SIEM: as NDJSON or CEF, to a file or by syslog over TLS."`
}

// auditOptions are what both commands need.
type auditOptions struct {
	config.Database
	config.Keys
	Sandbox bool `env:"PINVAULT_SANDBOX" help:"The database is a sandbox's."`
}

// missing asks for keys where they are needed.
func (o *auditOptions) missing() error {
	if o.Sandbox {
		return nil
	}
	return o.Missing()
}

// within runs fn with the vault in the database, which is left as it is.
func (o *auditOptions) within(ctx context.Context, ks keyring.Engine, fn func(*pin.Vault, *store.Store) error) (err error) {
	if path, embedded := strings.CutPrefix(o.DatabaseURL, "sqlite://"); embedded {
		if _, err := os.Stat(path); err != nil { // opening it would make one
			return fmt.Errorf("database: %w", err)
		}
	}
	db, err := store.Open(ctx, o.DatabaseURL, store.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := app.ReadySchema(ctx, db, false); err != nil {
		return err
	}
	return fn(pin.NewVault(db, keyring.Open(ks, db, nil), nil, nil), db)
}

type auditVerifyCommand struct {
	auditOptions
	Checkpoint string `type:"path" placeholder:"FILE" help:"A file of 'pinvault audit checkpoint': checks that everything it names is still there."`
}

// Validate asks for keys where they are needed.
func (c *auditVerifyCommand) Validate() error { return c.missing() }

// Run reads everything, and fails where something is not as it should be.
func (c *auditVerifyCommand) Run(ctx context.Context) error {
	ks, err := app.Engine(c.Sandbox, c.Keys)
	if err != nil {
		return err
	}
	shown := newProgress(os.Stderr)
	o := pin.VerifyOptions{Progress: shown.show}
	var against *checkpoint.File
	if c.Checkpoint != "" {
		f, err := os.Open(c.Checkpoint)
		if err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
		defer func() { _ = f.Close() }() // read only
		if against, err = checkpoint.Open(f, ks.CheckpointKeys()); err != nil {
			return fmt.Errorf("%s: %w", c.Checkpoint, err)
		}
		o.Expected = against.Heads()
	}
	return c.within(ctx, ks, func(v *pin.Vault, _ *store.Store) error {
		found, err := v.VerifyTrail(ctx, o)
		shown.end()
		if err != nil {
			return err
		}
		return report(os.Stdout, found, against)
	})
}

// report prints what was looked at and what was found, and fails where that is anything.
func report(out io.Writer, s pin.Summary, against *checkpoint.File) error {
	for _, f := range s.Findings {
		for _, b := range f.Breaks {
			say(out, "BROKEN: %s", b)
		}
		if f.Count > 1 {
			say(out, "        %d of this kind in all", f.Count)
		}
	}
	if s.Unsettled > 0 {
		say(out, "not compared, because they kept changing: the look-ups of %d cards; run this again", s.Unsettled)
	}
	seen := fmt.Sprintf("events %d, chains %d, cards %d, other rows %d, look-ups %d", s.Events, s.Chains, s.Cards, s.Rows, s.Lookups)
	if against != nil {
		seen += fmt.Sprintf(", chains of the checkpoint of %s %d", against.Time.Format(time.RFC3339), s.Heads)
	}
	if !s.Whole() {
		say(out, "looked at: %s", seen)
		return fmt.Errorf("the database is not as PinVault wrote it; kinds of faults: %d", len(s.Findings))
	}
	say(out, "all whole: %s", seen)
	return nil
}

func say(out io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }

type auditCheckpointCommand struct {
	auditOptions
	Out      string `type:"path" placeholder:"FILE" help:"Write the checkpoint here, for 'pinvault audit verify --checkpoint'. An existing file is not overwritten. Default: only its first line is printed."`
	PrintKey bool   `help:"Only print the public keys of checkpoints, as a JWK set."`
}

// Validate asks for keys where they are needed.
func (c *auditCheckpointCommand) Validate() error { return c.missing() }

// Run signs all heads and prints the signature.
func (c *auditCheckpointCommand) Run(ctx context.Context) error {
	ks, err := app.Engine(c.Sandbox, c.Keys)
	if err != nil {
		return err
	}
	if c.PrintKey {
		public, err := checkpoint.PublicKeys(ks.CheckpointKeys())
		if err == nil {
			say(os.Stdout, "%s", public)
		}
		return err
	}
	return c.within(ctx, ks, func(v *pin.Vault, db *store.Store) error {
		signed, err := c.write(func(lines io.Writer) (string, error) {
			signed, _, err := checkpoint.Write(lines, v.Heads(ctx), ks.CheckpointKeys()[0], time.Now)
			return signed, err
		})
		switch {
		case pin.Tampered(err):
			return errors.New("a card or chain was changed by something other than PinVault, so no checkpoint was made: run 'pinvault audit verify'")
		case err == nil:
			say(os.Stdout, "%s", signed)
			if unnoted := db.Mark(ctx, metrics.CheckpointMade, time.Now()); unnoted != nil { // the checkpoint is good all the same
				say(os.Stderr, "that it was made could not be noted, so metrics and 'pinvault status' do not know: %v", unnoted)
			}
		}
		return err
	})
}

// write puts a checkpoint's first line, which is known last, before its lines, in the file that is asked
// for. The file is there whole or not at all.
func (c *auditCheckpointCommand) write(sign func(lines io.Writer) (string, error)) (_ string, err error) {
	if c.Out == "" {
		return sign(io.Discard)
	}
	lines, err := os.CreateTemp(filepath.Dir(c.Out), ".checkpoint-*")
	if err != nil {
		return "", fmt.Errorf("checkpoint: %w", err)
	}
	defer func() { err = errors.Join(err, lines.Close(), os.Remove(lines.Name())) }()
	out, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("%s exists already, and a checkpoint is never overwritten", c.Out)
	}
	if err != nil {
		return "", fmt.Errorf("checkpoint: %w", err)
	}
	defer func() {
		if err = errors.Join(err, out.Close()); err != nil {
			err = errors.Join(err, os.Remove(c.Out))
		}
	}()
	signed, err := sign(lines)
	if err != nil {
		return "", err
	}
	if _, err := lines.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintln(out, signed); err != nil {
		return "", err
	}
	if _, err := io.Copy(out, lines); err != nil {
		return "", err
	}
	return signed, out.Sync()
}

// progress shows how far a long run has come: on a terminal a bar, elsewhere a line now and then.
type progress struct {
	out      *os.File
	terminal bool
	what     string
	bar      *progressbar.ProgressBar
	last     time.Time
}

// progressEvery is how often a line is written where there is no terminal.
const progressEvery = 5 * time.Second

func newProgress(out *os.File) *progress {
	return &progress{out: out, terminal: term.IsTerminal(int(out.Fd())), last: time.Now()}
}

func (p *progress) show(what string, n int64) {
	if !p.terminal {
		if now := time.Now(); now.Sub(p.last) >= progressEvery {
			p.last = now
			say(p.out, "%d %s", n, what)
		}
		return
	}
	if p.what != what {
		p.end()
		p.what = what
		p.bar = progressbar.NewOptions64(-1, progressbar.OptionSetWriter(p.out), progressbar.OptionSetDescription(what),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	_ = p.bar.Set64(n)
}

// end takes the bar away.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
		p.bar = nil
	}
}
