package server

import (
	"bytes"
	"log/slog"
	"net/http"

	"github.com/gin-gonic/gin"

	"pinvault/impl/contract"
	"pinvault/impl/pin"
)

// answered holds every reply against its own document: one that breaks it goes out all the same, and is
// logged as an error and counted. It keeps a copy of each reply until it is checked, which costs time, but
// none of what no document describes, such as the files of /docs.
func answered(log *slog.Logger, m *requestMetrics, all []Contract) gin.HandlerFunc {
	for _, ct := range all {
		m.broken.WithLabelValues(ct.Document.Name()) // 0 is told too
	}
	return func(c *gin.Context) {
		kept := &keptReply{ResponseWriter: c.Writer, described: func() bool { return observationOf(c).described != nil }}
		c.Writer = kept
		c.Request = c.Request.WithContext(contract.Listen(c.Request.Context(), kept))
		c.Next()
		reply := contract.Reply{Status: kept.Status(), Header: kept.Header(), Body: kept.body.Bytes(), Message: kept.message}
		o := observationOf(c)
		name, violations := o.contract, []contract.Violation(nil)
		switch {
		case o.outside:
		case o.described != nil:
			violations = o.described.CheckReply(reply)
		case unrouted(reply.Status):
			document := owner(all, c.Request.URL.EscapedPath()).Document
			name, violations = document.Name(), document.CheckUnrouted(reply)
		}
		if len(violations) == 0 {
			return
		}
		m.broken.WithLabelValues(name).Inc()
		log.ErrorContext(c.Request.Context(), "reply breaks its document", "violations", contract.Broken(violations).Error(), "status", reply.Status,
			"contract", name, "operation", o.operation, "trace", pin.CallerFrom(c.Request.Context()).TraceID)
	}
}

// unrouted tells whether a reply is one to a path or method that nobody has, which a document describes too.
func unrouted(status int) bool {
	return status == http.StatusNotFound || status == http.StatusMethodNotAllowed
}

// keptReply keeps what is written through it, where it will be checked, and what is inside of it, where it is sealed.
type keptReply struct {
	gin.ResponseWriter
	described func() bool // whether an operation of a document is answered
	body      bytes.Buffer
	message   []byte
}

// checked tells whether what is written is kept. Of a stream, which has no end to wait for, it is not.
func (k *keptReply) checked() bool {
	return (k.described() || unrouted(k.Status())) && k.Header().Get("Content-Type") != streamed
}

func (k *keptReply) Write(data []byte) (int, error) {
	if k.checked() {
		k.body.Write(data)
	}
	return k.ResponseWriter.Write(data)
}

func (k *keptReply) WriteString(text string) (int, error) {
	if k.checked() {
		k.body.WriteString(text)
	}
	return k.ResponseWriter.WriteString(text)
}

// Unwrap is for [http.ResponseController].
func (k *keptReply) Unwrap() http.ResponseWriter { return k.ResponseWriter }

// NoteInside keeps what is inside of a sealed reply.
func (k *keptReply) NoteInside(message []byte) { k.message = message }

// NoteOpened is of no use here: requests are checked by their contracts.
func (k *keptReply) NoteOpened([]byte) {}
