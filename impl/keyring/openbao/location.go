package openbao

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"pinvault/impl/pin"
)

// Scheme is that of the URLs.
const Scheme = "openbao"

// Location is an openbao: URL.
type Location struct {
	Mount, Key  string // of the transit engine, and in it
	Address     string // of the server, http or https
	CACert      string // path of a PEM file; "": what the system trusts
	Namespace   string
	TokenSource string // where the token is: not read here
	Keyset      string // path of the keyset file
	Uses        []pin.Use
}

// Remote are the uses that may be there: those of which an operation can say that it could not be done.
var Remote = []pin.Use{pin.UseVerifier, pin.UsePIN, pin.UsePAN, pin.UseSecret, pin.UseKeyWrap, pin.UsePANIndex}

const example = "openbao:transit/pinvault?address=https://bao.example:8200&token=credential:bao-token&keyset=/etc/pinvault/keyset.json"

// ParseURL reads a URL. Errors name the part and no value.
func ParseURL(text string) (Location, error) {
	rest, _ := strings.CutPrefix(text, Scheme+":")
	path, query, _ := strings.Cut(rest, "?")
	mount, key, ok := cutLast(path)
	if !ok {
		return Location{}, fmt.Errorf("the URL of --keys names no transit engine and key: it looks like %s", example)
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return Location{}, errors.New("the URL of --keys has a query that cannot be read")
	}
	l := Location{Mount: mount, Key: key, Address: values.Get("address"), CACert: values.Get("ca"), Namespace: values.Get("namespace"),
		TokenSource: values.Get("token"), Keyset: values.Get("keyset")}
	for name, all := range values {
		if !slices.Contains([]string{"address", "ca", "namespace", "token", "keyset", "mode", "uses"}, name) || len(all) != 1 {
			return l, errors.New("the URL of --keys has a parameter twice, or one that means nothing here; there are address, token, keyset, ca, namespace, mode and uses")
		}
	}
	if l.Keyset == "" || l.TokenSource == "" {
		return l, fmt.Errorf("the URL of --keys says not where keyset and token are: it looks like %s", example)
	}
	if u, err := url.Parse(l.Address); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		return l, errors.New("address in the URL of --keys must be a URL such as https://bao.example:8200")
	}
	return l, l.readUses(values.Get("mode"), values.Get("uses"))
}

// readUses reads which uses have their keys there: with mode=transit those of uses, or all that may be.
func (l *Location) readUses(mode, uses string) error {
	switch {
	case mode == "" && uses == "":
		return nil
	case mode != "transit":
		return errors.New("mode in the URL of --keys can only be transit, and uses goes with it")
	case uses == "":
		l.Uses = slices.Clone(Remote)
		return nil
	}
	for name := range strings.SplitSeq(uses, ",") {
		use := pin.Use(name)
		if !slices.Contains(Remote, use) || slices.Contains(l.Uses, use) {
			return fmt.Errorf("uses in the URL of --keys has each of these once at most, separated by commas: %s", list(Remote))
		}
		l.Uses = append(l.Uses, use)
	}
	return nil
}

func list(uses []pin.Use) string {
	var names []string
	for _, use := range uses {
		names = append(names, string(use))
	}
	return strings.Join(names, ", ")
}

// cutLast is a path without its last part, and that.
func cutLast(path string) (before, last string, ok bool) {
	i := strings.LastIndexByte(path, '/')
	if i <= 0 || i == len(path)-1 {
		return "", "", false
	}
	return path[:i], path[i+1:], true
}
