package hosted

import (
	"bytes"
	"encoding/base64"
	"image"
	_ "image/jpeg" // what a logo may be
	_ "image/png"
	"maps"
	"net/url"
	"slices"
	"strings"

	"pinvault/impl/pin"
	"pinvault/impl/settings"
)

// programSettings are what the page needs to know of a program.
type programSettings struct {
	FrameAncestors []string          `json:"frameAncestors"` // origins that may embed the page
	ParentOrigin   string            `json:"parentOrigin"`   // origin that hears the page's events, "" for none
	ReturnURL      string            `json:"returnUrl"`      // where a page that nobody embeds leads at the end, "" for nowhere
	Branding       map[string]string `json:"branding"`       // variables of its style sheet
	IssuerName     string            `json:"issuerName"`     // whose page it is, "" for nobody's
	Logo           string            `json:"logo"`           // a data: URL, "" for none
	Languages      []string          `json:"languages"`      // BCP 47, the first is the default
}

var ofPrograms = settings.Of[programSettings]{
	Contract:    Name,
	UnlessGiven: func() programSettings { return programSettings{Languages: []string{"en"}} },
}

// Settings are the page's. embeds tells which origins may embed it, hear its events and be led to where the server
// runs, see [Options].
func Settings(embeds func(origin string) bool) settings.Owner {
	checked := ofPrograms
	checked.Check = func(before, after programSettings) error { return after.check(before, embeds) }
	return settings.Owner{Program: checked}
}

// check reports the first setting that could leave its place on the page, that does not embed it or that it could not
// show, as InvalidField. What a program had before does not keep its other settings from changing.
func (s programSettings) check(before programSettings, embeds func(origin string) bool) error {
	refused := func(origin string) bool { return !isOrigin(origin) || !embeds(origin) }
	for _, rule := range []struct {
		name    string
		changed bool
		broken  func() bool
	}{
		{"frameAncestors", !slices.Equal(before.FrameAncestors, s.FrameAncestors), func() bool { return slices.ContainsFunc(s.FrameAncestors, refused) }},
		{"parentOrigin", before.ParentOrigin != s.ParentOrigin, func() bool { return s.ParentOrigin != "" && refused(s.ParentOrigin) }},
		{"returnUrl", before.ReturnURL != s.ReturnURL, func() bool { return s.ReturnURL != "" && !leads(s.ReturnURL, embeds) }},
		{"branding", !maps.Equal(before.Branding, s.Branding), func() bool { return !areBranding(s.Branding) }},
		{"logo", before.Logo != s.Logo, func() bool { return s.Logo != "" && !isLogo(s.Logo) }},
		{"issuerName", before.Logo != s.Logo || before.IssuerName != s.IssuerName, func() bool { return s.Logo != "" && strings.TrimSpace(s.IssuerName) == "" }},
		{"languages", !slices.Equal(before.Languages, s.Languages), func() bool { return slices.ContainsFunc(s.Languages, isForeign) }},
	} {
		if rule.changed && rule.broken() {
			return &pin.Error{Code: pin.InvalidField, Field: Name + "." + rule.name}
		}
	}
	return nil
}

// leads tells whether a page may lead to the URL: a web page without credentials, whose fragment is its own.
func leads(text string, embeds func(origin string) bool) bool {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || strings.Contains(text, "#") {
		return false
	}
	origin := u.Scheme + "://" + u.Host
	return isOrigin(origin) && embeds(origin)
}

// A logo's limits: bytes, and pixels of a side.
const (
	logoBytes = 8 << 10
	logoSide  = 1024
)

// isLogo tells whether text is a data: URL of a PNG or a JPEG that is small enough to be part of the page.
func isLogo(text string) bool {
	kind, encoded, ok := strings.Cut(strings.TrimPrefix(text, "data:image/"), ";base64,")
	if !ok || !strings.HasPrefix(text, "data:image/") {
		return false
	}
	data, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || len(data) > logoBytes {
		return false
	}
	shape, format, err := image.DecodeConfig(bytes.NewReader(data))
	return err == nil && format == kind && shape.Width <= logoSide && shape.Height <= logoSide
}
