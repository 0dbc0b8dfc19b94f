package seed

import (
	"maps"

	"pinvault/impl/pin"
	"pinvault/impl/sandbox"
)

// Clients are the seed's clients as the fixtures list them.
func (s sown) Clients() map[string]sandbox.Listed {
	all := map[string]sandbox.Listed{}
	for _, one := range s.items["clients"] {
		id, of := one.text("id"), one.text("contract")
		known := map[string]any{"client_id": id, "client_secret": one.secret()}
		settings := object(one.value[of])
		maps.Copy(known, settings)
		if s.ByAPIKey(of) {
			known["x-api-key"] = id + "." + one.secret()
		}
		s.listKeys(known, settings)
		all[id] = sandbox.Listed{Contract: of, Known: known}
	}
	return all
}

// keyNames are the names under which keys are listed, by the setting that names them: the first is the one in use.
var keyNames = map[string][]string{"messageKeyIds": {"key", "next_key"}, "pinKeyIds": {"zpk", "next_zpk"}}

// listKeys adds those keys of a client's that the file has.
func (s sown) listKeys(known, settings map[string]any) {
	for setting, names := range keyNames {
		ids, _ := settings[setting].([]any)
		for i, id := range ids[:min(len(ids), len(names))] {
			for _, key := range s.items["keys"] {
				if key.value["id"] == id {
					known[names[i]+"_id"], known[names[i]+"_hex"] = id, key.text("hex")
				}
			}
		}
	}
}

// PINs are those of the file's cards.
func (f *File) PINs() (all []string) {
	for _, one := range f.items["cards"] {
		all = append(all, one.text("pin"))
	}
	return all
}

// Cards are the seed's cards as the fixtures list them.
func (s sown) Cards() map[string]map[string]any {
	all := map[string]map[string]any{}
	for _, one := range s.items["cards"] {
		described, err := s.newCard(one)
		if err != nil {
			continue // it was not sown either
		}
		if described.Status == "" {
			described.Status = pin.StatusNormal
		}
		all[one.text("name")] = sandbox.ListCard(described, one.text("pin"))
	}
	return all
}
