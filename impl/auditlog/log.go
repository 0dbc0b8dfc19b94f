package auditlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/uuid"
	"github.com/transparency-dev/tessera"

	"pinvault/impl/checkpoint"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

// Trail is what the log is told of: [pin.Vault].
type Trail interface {
	// Heads are how far all chains have come, in the order of their ids.
	Heads(ctx context.Context) iter.Seq2[pin.ChainHead, error]
	// ChainRows are the events of a chain after a place, up to another, in their order.
	ChainRows(ctx context.Context, chain string, after, upTo int64) iter.Seq2[pin.EventRow, error]
}

// Settings keep which folder has the log of a database, so that no second one is begun beside it: a store's. One that was not put
// is NotFound.
type Settings interface {
	Setting(ctx context.Context, key string) (string, error)
	PutSetting(ctx context.Context, key, value string) error
}

// Keys sign: a keyring's engine.
type Keys interface {
	CheckpointKeys() []keyring.SigningKey
	LogKeys() []keyring.SigningKey
}

// Options say where the log is and how it grows.
type Options struct {
	Folder    Folder
	Origin    string        // the log's name, for ever; see [CheckOrigin]
	Every     time.Duration // how old the newest entry is at least when another one is made
	Witnesses []byte        // a policy (Tessera's, after Sigsum's): who must cosign a note before it is published; nil: nobody
	Now       func() time.Time
	Client    *http.Client  // calls witnesses
	Patience  time.Duration // for witnesses to cosign; 0: 10 seconds
}

// Log appends checkpoints. Several processes may have one folder: the one that finds an entry due appends it, one at a time.
type Log struct {
	Options
	keys      Keys
	witnesses *tessera.WitnessGroup
}

// patience is how long witnesses may take to cosign.
const patience = 10 * time.Second

// CheckOrigin refuses what is no name for a log: it is a line of a note, and a part of its verifier's name.
func CheckOrigin(origin string) error {
	if origin == "" || strings.ContainsFunc(origin, func(r rune) bool { return r <= ' ' || r == '+' || r == 0x7f || r == 0xa0 || r == 0x3000 }) {
		return errors.New("the origin must be a name such as pin.example.com/audit, without blanks and +")
	}
	return nil
}

// Open makes the folder ready.
func Open(o Options, keys Keys) (*Log, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Patience == 0 {
		o.Patience = patience
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: o.Patience}
	}
	if err := CheckOrigin(o.Origin); err != nil {
		return nil, err
	}
	if len(keys.LogKeys()) == 0 {
		return nil, errNoKey
	}
	l := &Log{Options: o, keys: keys}
	if o.Witnesses != nil {
		group, err := tessera.NewWitnessGroupFromPolicy(o.Witnesses)
		if err != nil {
			return nil, fmt.Errorf("the policy of witnesses: %w", err)
		}
		l.witnesses = &group
	}
	for _, dir := range []string{o.Folder.path("moved"), o.Folder.tiles()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	return l, l.Folder.named(o.Origin)
}

// Why nothing was appended.
var (
	// ErrRolledBack: the trail does not go on from where the newest entry has it. It was put back, or changed.
	ErrRolledBack = errors.New("the trail is not what the newest checkpoint says: the database was put back, or its events were changed")
	// ErrElsewhere: another folder has the log of this database and origin.
	ErrElsewhere = errors.New("the log of this origin is in another folder: give that one, or another origin")
	// ErrRenamed: the folder has a log of another origin, whose notes would be signed under this one from now on.
	ErrRenamed = errors.New("a log keeps its origin for ever: give that one, or another folder")
	// ErrUnpublished: the entry is in the log, but not published yet, for want of a witness.
	ErrUnpublished = errors.New("the log's newest note is not published yet: its witnesses have not cosigned it")
)

// Round appends a checkpoint if one is due, and publishes what is not yet. It tells whether it has appended.
func (l *Log) Round(ctx context.Context, trail Trail, in Settings) (bool, error) {
	lock := flock.New(l.Folder.path("lock"))
	held, err := lock.TryLock()
	if err != nil || !held { // another process does it
		return false, err
	}
	defer func() { _ = lock.Unlock() }()
	if err := l.tidy(); err != nil {
		return false, err
	}
	if err := l.Folder.named(l.Origin); err != nil { // another process may have begun the log since Open
		return false, err
	}
	newest, err := l.Folder.Newest()
	switch {
	case err == nil && l.Now().Sub(newest) < l.Every:
		return false, l.publish(ctx)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("%s: %w", l.Folder.path("newest"), err)
	}
	if err := l.own(ctx, in); err != nil {
		return false, err
	}
	return l.append(ctx, trail)
}

// making is how files are called that are not whole yet.
const making = ".making-*"

// tidy removes what processes left behind that were killed at work: each might be as large as a checkpoint. Who has the folder's lock
// is the only one that makes any.
func (l *Log) tidy() error {
	for _, dir := range []string{string(l.Folder), l.Folder.path("moved")} {
		left, err := filepath.Glob(filepath.Join(dir, making))
		if err != nil {
			return err
		}
		for _, file := range left {
			if err := os.Remove(file); err != nil {
				return err
			}
		}
	}
	return nil
}

// own makes sure that no other folder has the log.
func (l *Log) own(ctx context.Context, in Settings) error {
	key := "audit-log " + l.Origin
	id, err := os.ReadFile(l.Folder.path("id"))
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(id) == 0 { // empty: who began it was killed
		id = []byte(uuid.NewString())
		err = os.WriteFile(l.Folder.path("id"), id, 0o600)
	}
	if err != nil {
		return err
	}
	known, err := in.Setting(ctx, key)
	if pin.CodeOf(err) == pin.NotFound {
		if err = in.PutSetting(ctx, key, string(id)); err == nil {
			known, err = in.Setting(ctx, key) // what another process has put at the same time counts, if it was later
		}
	}
	if err == nil && known != string(id) {
		err = ErrElsewhere
	}
	return err
}

// append appends a checkpoint. Whatever happens between its steps, the next one is of all that has moved since the newest that was
// kept.
func (l *Log) append(ctx context.Context, trail Trail) (appended bool, err error) {
	keys := l.keys.CheckpointKeys()
	was, end, err := l.before(keys)
	if err != nil {
		return false, err
	}
	defer end()
	lines, err := l.scratch()
	if err != nil {
		return false, err
	}
	defer discard(lines)
	further, err := l.scratch()
	if err != nil {
		return false, err
	}
	defer discard(further)

	next := follow(ctx, trail, was)
	defer next.stop()
	signed, claims, err := checkpoint.WriteSince(lines, further, trail.Heads(ctx), next.moved, keys[0], l.Now)
	if err == nil {
		err = next.over()
	}
	if err != nil {
		return false, err
	}
	if last, err := l.last(ctx); err != nil || last != nil && claims.Events < last.Events {
		return false, errors.Join(err, ErrRolledBack)
	}
	err = l.add(ctx, []byte(signed), func(n uint64) error {
		appended = true
		if err := keep(l.Folder.moved(n), signed, further); err != nil {
			return err
		}
		return keep(l.Folder.path("newest"), signed, lines)
	})
	return appended, err
}

// before are the heads that the newest checkpoint has, none where there is none.
func (l *Log) before(keys []keyring.SigningKey) (iter.Seq2[pin.ChainHead, error], func(), error) {
	from, err := os.Open(l.Folder.path("newest"))
	if errors.Is(err, fs.ErrNotExist) {
		return func(func(pin.ChainHead, error) bool) {}, func() {}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	end := func() { _ = from.Close() } // read only
	f, err := checkpoint.Open(from, keys)
	if err != nil {
		end()
		return nil, nil, fmt.Errorf("%s: %w", from.Name(), err)
	}
	return f.Heads(), end, nil
}

func (l *Log) scratch() (*os.File, error) { return os.CreateTemp(string(l.Folder), making) }

func discard(f *os.File) { _ = errors.Join(f.Close(), os.Remove(f.Name())) }

// keep makes a file of a first line and lines. It is there whole or not at all.
func keep(path, first string, lines *os.File) error {
	out, err := os.CreateTemp(filepath.Dir(path), making)
	if err != nil {
		return err
	}
	_, err = lines.Seek(0, io.SeekStart)
	if err == nil {
		_, err = fmt.Fprintln(out, first)
	}
	if err == nil {
		_, err = io.Copy(out, lines)
	}
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err == nil {
		err = os.Rename(out.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(out.Name()))
	}
	return nil
}

// follower holds heads against those of the checkpoint before.
type follower struct {
	ctx   context.Context //nolint:containedctx // of the one walk that it is for
	trail Trail
	next  func() (pin.ChainHead, error, bool)
	stop  func()
	head  *pin.ChainHead // the next of them, nil: it was passed, or none is left
}

func follow(ctx context.Context, trail Trail, was iter.Seq2[pin.ChainHead, error]) *follower {
	f := &follower{ctx: ctx, trail: trail}
	f.next, f.stop = iter.Pull2(was)
	return f
}

// peek is the head of the checkpoint before that was not passed yet, nil after the last one.
func (f *follower) peek() (*pin.ChainHead, error) {
	if f.head == nil {
		h, err, more := f.next()
		if !more || err != nil {
			return nil, err
		}
		f.head = &h
	}
	return f.head, nil
}

// moved tells whether a chain has come further, and fails where it does not go on from where it was: ErrRolledBack.
func (f *follower) moved(now pin.ChainHead) (bool, error) {
	was, err := f.peek()
	switch {
	case err != nil:
		return false, err
	case was == nil || now.Chain < was.Chain:
		return true, nil // a new one
	case was.Chain < now.Chain || now.Seq < was.Seq:
		return false, fmt.Errorf("%w (chain %q)", ErrRolledBack, was.Chain)
	}
	digest, seq := was.Digest, was.Seq
	for row, err := range f.trail.ChainRows(f.ctx, now.Chain, was.Seq, now.Seq) {
		if err != nil {
			return false, err
		}
		if seq++; row.Seq != seq {
			return false, fmt.Errorf("%w (chain %q)", ErrRolledBack, was.Chain)
		}
		digest = pin.Extended(digest, row.Hash())
	}
	if seq != now.Seq || string(digest) != string(now.Digest) {
		return false, fmt.Errorf("%w (chain %q)", ErrRolledBack, was.Chain)
	}
	f.head = nil
	return now.Seq > was.Seq, nil
}

// over fails where a chain is gone that was there: ErrRolledBack.
func (f *follower) over() error {
	was, err := f.peek()
	if err == nil && was != nil {
		err = fmt.Errorf("%w (chain %q)", ErrRolledBack, was.Chain)
	}
	return err
}
