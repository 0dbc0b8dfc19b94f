package docs

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"sync"
)

// File is a file by its path, relative to the page's. It is made when somebody first asks for it, and kept.
type File struct {
	Path, Type string
	Lasting    bool // its path changes with its content, so that it may be kept for good
	Passing    bool // it has a token in it, so that nobody may keep it

	// Data is the file, and Gzip is it as RFC 1952 has it.
	Data, Gzip func() ([]byte, error)

	// DataTag and GzipTag are their entity tags (RFC 9110, 8.8.3), worked out once.
	DataTag, GzipTag func() (string, error)
}

// tagged is a file with its tags.
func tagged(f *File) *File {
	f.DataTag, f.GzipTag = tagOf(f.Data), tagOf(f.Gzip)
	return f
}

func tagOf(form func() ([]byte, error)) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		data, err := form()
		sum := sha256.Sum256(data)
		return `"` + hex.EncodeToString(sum[:16]) + `"`, err
	})
}

// plain is a file that is at hand.
func plain(path, contentType string, data []byte) *File {
	return made(path, contentType, func() ([]byte, error) { return data, nil })
}

// made is a file that is made when it is asked for.
func made(path, contentType string, data func() ([]byte, error)) *File {
	once := sync.OnceValues(data)
	return tagged(&File{Path: path, Type: contentType, Data: once, Gzip: sync.OnceValues(func() ([]byte, error) {
		text, err := once()
		if err != nil {
			return nil, err
		}
		var out bytes.Buffer
		w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
		if err == nil {
			_, err = w.Write(text)
		}
		if err == nil {
			err = w.Close()
		}
		return out.Bytes(), err
	})})
}

// packed is a file of which only the gzip form is at hand.
func packed(path, contentType string, zipped []byte) *File {
	return tagged(&File{Path: path, Type: contentType, Gzip: func() ([]byte, error) { return zipped, nil }, Data: sync.OnceValues(func() ([]byte, error) {
		r, err := gzip.NewReader(bytes.NewReader(zipped))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(r)
	})})
}
