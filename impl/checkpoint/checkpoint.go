// Package checkpoint signs how far all chains of the audit trail have come, for somebody else to keep: who
// holds a checkpoint can tell later whether a card was put back together with its whole chain, which
// nothing in the database shows.
//
// A checkpoint is a file of lines. The first is a compact JWS (RFC 7515, 7.1), ES256, whose payload has the
// time, how many chains and events there are, and the root of a Merkle tree (RFC 6962, 2.1). Each other
// line is a leaf of that tree, without the line's end: a chain's id, the place of its newest event, that
// event's MAC and the chain's digest, in base64 (RFC 4648, 4), separated by single blanks, in the order of the ids' bytes. Ids are
// escaped as in a URL's path, which leaves those that the vault makes as they are. The public key is all
// it takes to verify one. The MAC takes a key to check, the digest (see pin.Extended) takes none.
//
// One that follows another has the root of a second tree, over the lines of the chains that have come further since: see
// impl/auditlog.
//
// It reads and writes streams, knows keys and heads, and neither cards nor a database.
package checkpoint

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"

	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

// Type is what the header calls a checkpoint, so that nothing else that is signed passes for one.
const Type = "pinvault-checkpoint+jws"

// Claims are what is signed.
type Claims struct {
	Time   time.Time `json:"time"`   // after the last head was read
	Chains uint64    `json:"chains"` // how many there are, so many leaves
	Events uint64    `json:"events"` // in all of them
	Root   []byte    `json:"root"`   // SHA-256, base64

	Moved *Tree `json:"moved,omitempty"` // of the chains that have come further since the checkpoint before it in a log
}

// Tree is a Merkle tree of lines.
type Tree struct {
	Chains uint64 `json:"chains"`
	Root   []byte `json:"root"`
}

// tree is the Merkle tree of the lines that it has seen.
type tree struct {
	leaves *compact.Range
	events uint64
}

func newTree() *tree {
	f := compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	return &tree{leaves: f.NewEmptyRange(0)}
}

func (t *tree) add(line []byte, h pin.ChainHead) error {
	t.events += uint64(h.Seq)
	return t.leaves.Append(rfc6962.DefaultHasher.HashLeaf(line), nil)
}

func (t *tree) claims() (Claims, error) {
	root, err := t.leaves.GetRootHash(nil)
	if t.leaves.End() == 0 {
		root = rfc6962.DefaultHasher.EmptyRoot()
	}
	return Claims{Chains: t.leaves.End(), Events: t.events, Root: root}, err
}

// Line is a head as its line, without the end.
func Line(h pin.ChainHead) []byte {
	encode := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, "%s %d %s %s", url.PathEscape(h.Chain), h.Seq, encode(h.MAC), encode(h.Digest))
}

// ParseLine is [Line] backwards. It takes nothing that Line would not have written.
func ParseLine(text []byte) (pin.ChainHead, bool) {
	parts := strings.Split(string(text), " ")
	if len(parts) != 4 {
		return pin.ChainHead{}, false
	}
	decode := base64.StdEncoding.Strict().DecodeString
	chain, err1 := url.PathUnescape(parts[0])
	seq, err2 := strconv.ParseInt(parts[1], 10, 64)
	mac, err3 := decode(parts[2])
	digest, err4 := decode(parts[3])
	h := pin.ChainHead{Chain: chain, Head: pin.Head{Seq: seq, MAC: mac, Digest: digest}}
	return h, errors.Join(err1, err2, err3, err4) == nil && seq >= 1 && bytes.Equal(Line(h), text)
}

// Write writes the lines of heads, see [pin.Vault.Heads], and returns the JWS that goes before them.
func Write(lines io.Writer, heads iter.Seq2[pin.ChainHead, error], key keyring.SigningKey, now func() time.Time) (string, Claims, error) {
	return write(lines, nil, heads, nil, key, now)
}

// WriteSince is [Write] of a checkpoint that follows another. moved is asked of each head in turn whether its chain has come
// further since; the lines of those that have are written to further, too.
func WriteSince(lines, further io.Writer, heads iter.Seq2[pin.ChainHead, error], moved func(pin.ChainHead) (bool, error), key keyring.SigningKey, now func() time.Time) (string, Claims, error) {
	return write(lines, further, heads, moved, key, now)
}

func write(lines, further io.Writer, heads iter.Seq2[pin.ChainHead, error], moved func(pin.ChainHead) (bool, error), key keyring.SigningKey, now func() time.Time) (string, Claims, error) {
	t, since, last := newTree(), newTree(), ""
	for h, err := range heads {
		if err != nil {
			return "", Claims{}, err
		}
		if h.Chain <= last {
			return "", Claims{}, fmt.Errorf("checkpoint: chains %q and %q are out of order", last, h.Chain)
		}
		if len(h.Digest) == 0 {
			return "", Claims{}, fmt.Errorf("checkpoint: chain %q has no digest", h.Chain)
		}
		last = h.Chain
		text := Line(h)
		if err := t.add(text, h); err != nil {
			return "", Claims{}, err
		}
		if _, err := lines.Write(append(text, '\n')); err != nil {
			return "", Claims{}, err
		}
		if moved == nil {
			continue
		}
		if goes, err := moved(h); err != nil || !goes {
			if err != nil {
				return "", Claims{}, err
			}
			continue
		}
		if err := since.add(text, h); err != nil {
			return "", Claims{}, err
		}
		if _, err := further.Write(append(text, '\n')); err != nil {
			return "", Claims{}, err
		}
	}
	claims, err := t.claims()
	if err != nil {
		return "", Claims{}, err
	}
	if moved != nil {
		of, err := since.claims()
		if err != nil {
			return "", Claims{}, err
		}
		claims.Moved = &Tree{Chains: of.Chains, Root: of.Root}
	}
	claims.Time = now().UTC().Truncate(time.Second)
	signed, err := sign(claims, key)
	return signed, claims, err
}

func sign(claims Claims, key keyring.SigningKey) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	header := jws.NewHeaders()
	if err := errors.Join(header.Set(jws.TypeKey, Type), header.Set(jws.KeyIDKey, key.KID)); err != nil {
		return "", err
	}
	signed, err := jws.Sign(payload, jws.WithKey(jwa.ES256(), key.Key, jws.WithProtectedHeaders(header)))
	return string(signed), err
}

// PublicKeys are the keys that verify checkpoints, as a JWK set (RFC 7517, 5), the current one first.
func PublicKeys(keys []keyring.SigningKey) ([]byte, error) {
	set := jwk.NewSet()
	for _, k := range keys {
		j, err := jwk.Import(k.Key.Public())
		if err != nil {
			return nil, err
		}
		if err := errors.Join(j.Set(jwk.KeyIDKey, k.KID), j.Set(jwk.AlgorithmKey, jwa.ES256()),
			j.Set(jwk.KeyUsageKey, jwk.ForSignature), set.AddKey(j)); err != nil {
			return nil, err
		}
	}
	return json.Marshal(set)
}

// Why a file is no checkpoint to go by. The texts hold nothing of the file.
var (
	ErrNotOurs   = errors.New("this is not a checkpoint, or its first line is damaged")
	ErrKey       = errors.New("the checkpoint was signed by a key that is not in this keyset: was it made by another vault?")
	ErrSignature = errors.New("the signature of the checkpoint is not valid: its first line was changed")
	ErrLines     = errors.New("the lines of the checkpoint are not those that were signed: the file was changed")
)

// File is a checkpoint whose signature holds, and whose lines are those that were signed.
type File struct {
	Claims
	from io.ReadSeeker
}

// Open reads a whole checkpoint and verifies it under one of the keys: ErrNotOurs, ErrKey, ErrSignature,
// ErrLines, and another error in plain words where the file was cut or is unreadable.
func Open(from io.ReadSeeker, keys []keyring.SigningKey) (*File, error) {
	f := &File{from: from}
	lines, err := f.rewind()
	if err != nil {
		return nil, err
	}
	if f.Claims, err = verify(lines.Text(), keys); err != nil {
		return nil, err
	}
	t, last := newTree(), ""
	for n := 2; lines.Scan() && lines.Err() == nil; n++ { // the last line before an error is cut off
		h, ok := ParseLine(lines.Bytes())
		if !ok || h.Chain <= last {
			if t.leaves.End() >= f.Chains {
				return nil, ErrLines
			}
			return nil, fmt.Errorf("line %d of the checkpoint is damaged, or was cut off", n)
		}
		last = h.Chain
		if err := t.add(lines.Bytes(), h); err != nil {
			return nil, err
		}
	}
	if lines.Err() != nil {
		return nil, fmt.Errorf("the checkpoint cannot be read to its end: %w", lines.Err())
	}
	found, err := t.claims()
	switch {
	case err != nil:
		return nil, err
	case found.Chains < f.Chains:
		return nil, fmt.Errorf("the checkpoint was cut: it was signed with %d chains and has %d", f.Chains, found.Chains)
	case found.Chains > f.Chains || found.Events != f.Events || !bytes.Equal(found.Root, f.Root):
		return nil, ErrLines
	}
	return f, nil
}

// maxLine bounds a line, in bytes.
const maxLine = 1 << 16

// rewind reads the first line anew.
func (f *File) rewind() (*bufio.Scanner, error) {
	if _, err := f.from.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(f.from)
	lines.Buffer(nil, maxLine)
	if !lines.Scan() {
		return nil, ErrNotOurs
	}
	return lines, nil
}

// Heads reads the lines once more: the heads as they were when the checkpoint was made. ErrLines where the
// file has changed since it was opened.
func (f *File) Heads() iter.Seq2[pin.ChainHead, error] {
	return func(yield func(pin.ChainHead, error) bool) {
		lines, err := f.rewind()
		if err != nil {
			yield(pin.ChainHead{}, err)
			return
		}
		t := newTree()
		for lines.Scan() {
			h, ok := ParseLine(lines.Bytes())
			if !ok || t.add(lines.Bytes(), h) != nil {
				yield(pin.ChainHead{}, ErrLines)
				return
			}
			if !yield(h, nil) {
				return
			}
		}
		if now, err := t.claims(); err != nil || lines.Err() != nil || !bytes.Equal(now.Root, f.Root) {
			yield(pin.ChainHead{}, errors.Join(ErrLines, lines.Err()))
		}
	}
}

// Peek is what a first line says, its signature unverified, for whoever knows by other means that it is genuine. The text may
// have been anything: ErrNotOurs.
func Peek(text string) (Claims, error) {
	m, err := jws.Parse([]byte(text), jws.WithCompact())
	if err != nil || len(m.Signatures()) != 1 {
		return Claims{}, ErrNotOurs
	}
	if typ, _ := m.Signatures()[0].ProtectedHeaders().Type(); typ != Type {
		return Claims{}, ErrNotOurs
	}
	var c Claims
	if json.Unmarshal(m.Payload(), &c) != nil {
		return Claims{}, ErrNotOurs
	}
	return c, nil
}

// verify reads the first line.
func verify(text string, keys []keyring.SigningKey) (Claims, error) {
	problem := ErrNotOurs
	payload, err := jws.Verify([]byte(text), jws.WithCompact(), jws.WithKeyProvider(jws.KeyProviderFunc(
		func(_ context.Context, sink jws.KeySink, sig *jws.Signature, _ *jws.Message) error {
			header := sig.ProtectedHeaders()
			alg, _ := header.Algorithm()
			typ, _ := header.Type()
			kid, _ := header.KeyID()
			if alg != jwa.ES256() || typ != Type || header.Has(jws.CriticalKey) {
				return problem
			}
			problem = ErrKey
			for _, k := range keys {
				if k.KID == kid {
					problem = ErrSignature
					sink.Key(jwa.ES256(), k.Key.Public())
				}
			}
			return nil
		})))
	if err != nil {
		return Claims{}, problem // err quotes the line
	}
	var c Claims
	if json.Unmarshal(payload, &c) != nil {
		return Claims{}, ErrNotOurs
	}
	return c, nil
}
