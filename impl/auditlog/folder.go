package auditlog

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"pinvault/impl/checkpoint"
	"pinvault/impl/pin"
)

// Folder is where a log is. Reading it takes no key.
type Folder string

func (f Folder) tiles() string        { return filepath.Join(string(f), "tiles") }
func (f Folder) path(n string) string { return filepath.Join(string(f), n) }
func (f Folder) moved(n uint64) string {
	return f.path(filepath.Join("moved", strconv.FormatUint(n, 10)))
}

// served are the paths of C2SP tlog-tiles, and nothing else of the folder.
var served = regexp.MustCompile(`^(checkpoint|tile/(entries|[0-9]|[1-5][0-9]|6[0-3])/(x[0-9]{3}/)*[0-9]{3}(\.p/[0-9]{1,3})?)$`)

// Tile opens a file of the log as it is served: fs.ErrNotExist for any other.
func (f Folder) Tile(name string) (*os.File, error) {
	if !served.MatchString(name) {
		return nil, fs.ErrNotExist
	}
	root, err := os.OpenRoot(f.tiles())
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // a folder
	file, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(fs.ErrNotExist, file.Close())
	}
	return file, nil
}

// Newest is when the newest checkpoint was made, fs.ErrNotExist where there is none yet.
func (f Folder) Newest() (time.Time, error) {
	from, err := os.Open(f.path("newest"))
	if err != nil {
		return time.Time{}, err
	}
	defer func() { _ = from.Close() }() // read only
	said, _, err := firstLine(bufio.NewReader(from))
	return said.Time, err
}

// named refuses an origin that is not that of the folder's log: ErrRenamed. Any suits a folder that has published nothing.
func (f Folder) named(origin string) error {
	text, err := os.ReadFile(filepath.Join(f.tiles(), "checkpoint"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if n, err := unverified(text); err == nil && n.Origin != origin {
		return fmt.Errorf("the folder has the log %s: %w", n.Origin, ErrRenamed)
	}
	return nil
}

// maxFirst is more than a checkpoint's first line takes, in bytes: an entry of a log may have no more.
const maxFirst = 1<<16 - 1

// firstLine reads the first line of a checkpoint.
func firstLine(r *bufio.Reader) (checkpoint.Claims, string, error) {
	text, err := r.ReadString('\n')
	if err != nil || len(text) > maxFirst {
		return checkpoint.Claims{}, "", checkpoint.ErrNotOurs
	}
	text = text[:len(text)-1]
	said, err := checkpoint.Peek(text)
	if err == nil && said.Moved == nil {
		err = checkpoint.ErrNotOurs
	}
	return said, text, err
}

// entry is what an entry of the log was made of.
type entry struct {
	checkpoint.Claims
	line string
	from *os.File
	rest *bufio.Reader
}

// entry opens what was kept of an entry: fs.ErrNotExist where nothing was.
func (f Folder) entry(n uint64) (*entry, error) {
	from, err := os.Open(f.moved(n))
	if err != nil {
		return nil, err
	}
	e := &entry{from: from, rest: bufio.NewReader(from)}
	if e.Claims, e.line, err = firstLine(e.rest); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", from.Name(), err), from.Close())
	}
	return e, nil
}

// heads calls see with the lines that follow, in their order.
func (e *entry) heads(see func(line []byte, h pin.ChainHead) error) error {
	for {
		line, err := e.rest.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s cannot be read to its end: %w", e.from.Name(), err)
		}
		line = line[:len(line)-1]
		h, ok := checkpoint.ParseLine(line)
		if !ok {
			return fmt.Errorf("%s is damaged", e.from.Name())
		}
		if err := see(line, h); err != nil {
			return err
		}
	}
}

func (e *entry) close() error { return e.from.Close() }
