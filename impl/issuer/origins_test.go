package issuer_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/issuer"
	"pinvault/impl/pin"
)

// oneProgram is a vault of one program, which takes everything.
type oneProgram struct {
	issuer.Vault
	program *pin.Program
}

func (v oneProgram) CreateProgram(_ context.Context, p pin.Program, _ pin.Memo) (pin.Program, error) {
	*v.program = p
	return p, nil
}

func (v oneProgram) UpdateProgram(_ context.Context, _ string, patch func(*pin.Program) error, _ pin.Memo) (pin.Program, error) {
	p := *v.program
	err := patch(&p)
	if err == nil {
		*v.program = p
	}
	return p, err
}

func TestProgramsAreEmbeddedByOriginsThatMay(t *testing.T) {
	t.Parallel()
	const good, bad = "https://bank.example", "http://bank.example"
	for _, test := range []struct {
		name  string
		had   pin.Program // none: the program is made
		gets  pin.Program
		field string // that is refused
	}{
		{"made without", pin.Program{}, pin.Program{}, ""},
		{"made with good ones", pin.Program{}, pin.Program{FrameAncestors: []string{good}, ParentOrigin: good}, ""},
		{"made with a bad ancestor", pin.Program{}, pin.Program{FrameAncestors: []string{good, bad}}, "frameAncestors"},
		{"made with a bad parent", pin.Program{}, pin.Program{FrameAncestors: []string{good}, ParentOrigin: bad}, "parentOrigin"},
		{"given a bad ancestor", pin.Program{ID: "p", FrameAncestors: []string{good}}, pin.Program{FrameAncestors: []string{bad}}, "frameAncestors"},
		{"given a bad parent", pin.Program{ID: "p"}, pin.Program{ParentOrigin: bad}, "parentOrigin"},
		{"left with what it had", pin.Program{ID: "p", FrameAncestors: []string{bad}, ParentOrigin: bad},
			pin.Program{Name: "other", FrameAncestors: []string{bad}, ParentOrigin: bad}, ""},
		{"rid of its parent", pin.Program{ID: "p", ParentOrigin: bad}, pin.Program{}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			kept := test.had
			v := issuer.Embeddable(oneProgram{program: &kept}, func(origin string) bool { return strings.HasPrefix(origin, "https:") })
			var err error
			if test.had.ID == "" {
				_, err = v.CreateProgram(t.Context(), test.gets, pin.Memo{})
			} else {
				_, err = v.UpdateProgram(t.Context(), "p", func(p *pin.Program) error { *p = test.gets; return nil }, pin.Memo{})
			}
			if test.field == "" {
				require.NoError(t, err)
				require.Equal(t, test.gets, kept)
				return
			}
			require.Equal(t, &pin.Error{Code: pin.InvalidField, Field: test.field}, err)
			require.Equal(t, test.had, kept)
		})
	}
}
