package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"gorm.io/gorm"

	"pinvault/impl/pin"
)

// A statement's span has its name and its id, the beginning of the SHA-256 of its text. All values are arguments, which are in
// neither. What runs by itself, such as the look for events that are due, has none: spans are of requests.

// nothing ends no span.
func nothing(error) {}

// span begins a span of a statement where the context has one that is recorded.
func (s *Store) span(ctx context.Context, statement string) (context.Context, func(error)) {
	if s.tracer == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, nothing
	}
	ctx, span := s.tracer.Start(ctx, "database", trace.WithSpanKind(trace.SpanKindClient))
	return ctx, func(err error) { s.describe(span, statement, err) }
}

func (s *Store) describe(span trace.Span, statement string, err error) {
	name := summary(statement)
	sum := sha256.Sum256([]byte(statement))
	span.SetName(name)
	span.SetAttributes(attribute.String("db.system.name", s.engine.migrations), attribute.String("db.query.summary", name),
		attribute.String("pinvault.statement", hex.EncodeToString(sum[:6])))
	if err != nil {
		span.SetStatus(codes.Error, "")
		span.SetAttributes(attribute.String("error.type", string(pin.CodeOf(err))))
	}
	span.End()
}

// target is what a statement is about: a table, or a function.
var target = regexp.MustCompile(`(?i)\b(?:from|into|update|join)\s+"?([a-z_]+)|^select\s+(swap_card)\b`)

// summary is a statement's verb and the table that it names first.
func summary(statement string) string {
	verb, _, _ := strings.Cut(strings.TrimSpace(statement), " ")
	verb = strings.ToUpper(verb)
	if verb == "WITH" { // of the statement that is in parts
		verb = "UPDATE"
	}
	if m := target.FindStringSubmatch(statement); m != nil {
		return verb + " " + m[1] + m[2]
	}
	return verb
}

// spanKey is where GORM keeps a statement's span.
const spanKey = "pinvault:span"

// traceStatements has GORM's statements make spans.
func (s *Store) traceStatements() error {
	before := func(db *gorm.DB) {
		if trace.SpanFromContext(db.Statement.Context).IsRecording() {
			_, span := s.tracer.Start(db.Statement.Context, "database", trace.WithSpanKind(trace.SpanKindClient))
			db.InstanceSet(spanKey, span)
		}
	}
	after := func(db *gorm.DB) {
		if span, ok := db.InstanceGet(spanKey); ok {
			s.describe(span.(trace.Span), db.Statement.SQL.String(), db.Error) //nolint:forcetypeassert // it is before's
		}
	}
	on := s.db.Callback()
	for _, err := range []error{
		on.Create().Before("*").Register("trace:before", before), on.Create().After("*").Register("trace:after", after),
		on.Query().Before("*").Register("trace:before", before), on.Query().After("*").Register("trace:after", after),
		on.Update().Before("*").Register("trace:before", before), on.Update().After("*").Register("trace:after", after),
		on.Delete().Before("*").Register("trace:before", before), on.Delete().After("*").Register("trace:after", after),
		on.Row().Before("*").Register("trace:before", before), on.Row().After("*").Register("trace:after", after),
		on.Raw().Before("*").Register("trace:before", before), on.Raw().After("*").Register("trace:after", after),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}
