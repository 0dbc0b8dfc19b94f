package contract

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
)

// Bundle is the document <name>.yaml in fsys as JSON and in one piece: what it refers to in other files
// stands among its own components, so that a client needs no second file. Keys are sorted.
func Bundle(fsys fs.FS, name string) ([]byte, error) {
	spec, err := open(fsys, name+".yaml")
	if err != nil {
		return nil, fmt.Errorf("contract %s: %w", name, err)
	}
	spec.InternalizeRefs(context.Background(), nil)
	return json.MarshalIndent(spec, "", "  ")
}
