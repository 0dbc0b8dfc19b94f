package hosted

import (
	"embed"
	"maps"
	"path"
	"slices"
	"strings"

	strict "github.com/go-json-experiment/json"
)

// pack is a language of the page: a file of languages/, named after its BCP 47 primary language subtag. Another
// language is another file.
type pack struct {
	Name     string            `json:"name"` // of the language, in it
	Next     map[string]string `json:"next"` // what a cardholder must do next, beyond what the page says, see [Steps]
	Dir      string            `json:"dir"`  // ltr or rtl
	NoScript string            `json:"noScript"`
	Page     text              `json:"page"`
}

// text is all that the page says in one language. {n}, {m}, {min} and {max} stand for numbers, which the page writes as
// the language does, and {digits} for digits that it writes as they are.
type text struct {
	Title    map[string]string `json:"title"` // by action
	Card     string            `json:"card"`
	Step     string            `json:"step"`
	Current  field             `json:"current"`
	New      newField          `json:"new"`
	Confirm  field             `json:"confirm"`
	Continue string            `json:"continue"`
	Save     string            `json:"save"`
	Restart  string            `json:"restart"`
	Retry    string            `json:"retry"`
	Cancel   string            `json:"cancel"`
	Resume   string            `json:"resume"` // after a cancel
	Back     string            `json:"back"`   // to whoever the return URL leads to
	Busy     string            `json:"busy"`
	Expiring string            `json:"expiring"`
	Pad      pad               `json:"pad"`
	Errors   map[string]string `json:"errors"`
	Length   plural            `json:"length"` // by {max}
	Exact    plural            `json:"exact"`  // where the program allows one length only
	Tries    plural            `json:"tries"`  // by {n}
	Notices  map[string]notice `json:"notices"`
}

// plural is a sentence by the plural category of a number in it (Unicode CLDR); a category that is left out is other's.
type plural map[string]string

type field struct {
	Label string `json:"label"`
	Hint  string `json:"hint"`
}

type newField struct {
	Label string `json:"label"`
	Hint  plural `json:"hint"`  // by {max}
	Exact plural `json:"exact"` // where the program allows one length only
}

type pad struct {
	Show   string `json:"show"`
	Hide   string `json:"hide"`
	Name   string `json:"name"`
	Delete string `json:"delete"`
}

type notice struct {
	Title string `json:"title"`
	Text  string `json:"text"`
}

//go:embed languages
var languages embed.FS

// packs are the languages that the page speaks, by BCP 47 primary language subtag.
var packs = readPacks()

// readPacks reads the embedded files, which are constant, so that it would fail always or never.
func readPacks() map[string]pack {
	files, err := languages.ReadDir("languages")
	if err != nil {
		panic(err)
	}
	all := map[string]pack{}
	for _, f := range files {
		var p pack
		content, err := languages.ReadFile("languages/" + f.Name())
		if err == nil {
			err = strict.Unmarshal(content, &p, strict.RejectUnknownMembers(true))
		}
		if err != nil {
			panic(err)
		}
		all[strings.TrimSuffix(f.Name(), path.Ext(f.Name()))] = p
	}
	return all
}

// Steps are what a cardholder must do next, as the page says it, by impl/capability's words for the steps, in the language that
// a request accepts (Accept-Language) and the page speaks, else in English.
func Steps(accept string) (lang string, steps map[string]string) {
	lang = language(spoken(), "", accept)
	p := packs[lang]
	steps = maps.Clone(p.Next)
	steps["choose_pin"], steps["choose_new_pin"], steps["change_pin"] = p.Page.Title["set"], p.Page.Title["reset"], p.Page.Title["change"]
	steps["pin_blocked"], steps["contact_issuer"] = p.Page.Notices["blocked"].Text, p.Page.Notices["card_status"].Text
	return lang, steps
}

// spoken are the languages that the page speaks, English first.
func spoken() []string {
	others := slices.DeleteFunc(slices.Sorted(maps.Keys(packs)), func(tag string) bool { return tag == "en" })
	return append([]string{"en"}, others...)
}

// isForeign tells whether the page does not speak the language of a BCP 47 tag.
func isForeign(tag string) bool {
	_, known := packs[primary(tag)]
	return !known
}

// language chooses of the languages offered, which are in order of preference, one that the page
// speaks: the one asked for, else the first that the browser accepts, else the first. wanted and the
// parts of accept are BCP 47 tags, of which the primary language counts.
func language(offered []string, wanted, accept string) string {
	known := slices.DeleteFunc(slices.Clone(offered), isForeign)
	if len(known) == 0 {
		return "en"
	}
	for _, tag := range append([]string{wanted}, strings.Split(accept, ",")...) {
		tag, _, _ = strings.Cut(tag, ";")
		for _, s := range known {
			if primary(tag) == primary(s) {
				return primary(s)
			}
		}
	}
	return primary(known[0])
}

// primary is the primary language of a tag: ar for ar-AE.
func primary(tag string) string {
	tag, _, _ = strings.Cut(strings.TrimSpace(tag), "-")
	return strings.ToLower(tag)
}
