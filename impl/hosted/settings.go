package hosted

import (
	"maps"
	"slices"

	"pinvault/impl/pin"
	"pinvault/impl/settings"
)

// programSettings are what the page needs to know of a program.
type programSettings struct {
	FrameAncestors []string          `json:"frameAncestors"` // origins that may embed the page
	ParentOrigin   string            `json:"parentOrigin"`   // origin that hears the page's events, "" for none
	Branding       map[string]string `json:"branding"`       // variables of its style sheet
	Languages      []string          `json:"languages"`      // BCP 47, the first is the default
}

var ofPrograms = settings.Of[programSettings]{
	Contract:    Name,
	UnlessGiven: func() programSettings { return programSettings{Languages: []string{"en"}} },
}

// Settings are the page's. embeds tells which origins may embed it and hear its events where the server
// runs, see [Options].
func Settings(embeds func(origin string) bool) settings.Owner {
	checked := ofPrograms
	checked.Check = func(before, after programSettings) error { return after.check(before, embeds) }
	return settings.Owner{Program: checked}
}

// check reports the first setting that could leave its place on the page or that does not embed it, as
// InvalidField. What a program had before does not keep its other settings from changing.
func (s programSettings) check(before programSettings, embeds func(origin string) bool) error {
	refused := func(origin string) bool { return !isOrigin(origin) || !embeds(origin) }
	switch {
	case !slices.Equal(before.FrameAncestors, s.FrameAncestors) && slices.ContainsFunc(s.FrameAncestors, refused):
		return &pin.Error{Code: pin.InvalidField, Field: Name + ".frameAncestors"}
	case before.ParentOrigin != s.ParentOrigin && s.ParentOrigin != "" && refused(s.ParentOrigin):
		return &pin.Error{Code: pin.InvalidField, Field: Name + ".parentOrigin"}
	case !maps.Equal(before.Branding, s.Branding) && !areBranding(s.Branding):
		return &pin.Error{Code: pin.InvalidField, Field: Name + ".branding"}
	}
	return nil
}
