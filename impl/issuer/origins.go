package issuer

import (
	"context"
	"slices"

	"pinvault/impl/pin"
)

// Embeddable is a vault that takes programs whose hosted page is embedded by such origins alone: others are
// InvalidField when they are set. What a program had before does not keep its other settings from changing.
func Embeddable(v Vault, by func(origin string) bool) Vault { return embeddable{v, by} }

type embeddable struct {
	Vault
	by func(origin string) bool
}

// CreateProgram is Vault's.
func (e embeddable) CreateProgram(ctx context.Context, p pin.Program, m pin.Memo) (pin.Program, error) {
	if err := e.check(pin.Program{}, p); err != nil {
		return pin.Program{}, err
	}
	return e.Vault.CreateProgram(ctx, p, m)
}

// UpdateProgram is Vault's.
func (e embeddable) UpdateProgram(ctx context.Context, id string, patch func(*pin.Program) error, m pin.Memo) (pin.Program, error) {
	return e.Vault.UpdateProgram(ctx, id, func(p *pin.Program) error {
		before := *p
		if err := patch(p); err != nil {
			return err
		}
		return e.check(before, *p)
	}, m)
}

func (e embeddable) check(before, after pin.Program) error {
	refused := func(origin string) bool { return !e.by(origin) }
	switch {
	case !slices.Equal(before.FrameAncestors, after.FrameAncestors) && slices.ContainsFunc(after.FrameAncestors, refused):
		return &pin.Error{Code: pin.InvalidField, Field: "frameAncestors"}
	case before.ParentOrigin != after.ParentOrigin && after.ParentOrigin != "" && refused(after.ParentOrigin):
		return &pin.Error{Code: pin.InvalidField, Field: "parentOrigin"}
	}
	return nil
}
