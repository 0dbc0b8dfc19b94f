package models

import (
	"embed"
	"io/fs"
)

//go:embed migrations
var migrations embed.FS

// Oldest is the version of the schema that the oldest program wants which works with the schema as these migrations leave
// it. Migrations that only add leave it where it is, so that servers of the release before serve while those of the next
// take over. One that takes away what the release before still needs raises it.
const Oldest = 2

// Migrations are the versioned SQL files of a dialect, postgres or sqlite, in goose's format. They go
// forward only: the audit trail must outlive every change of the schema.
func Migrations(dialect string) (fs.FS, error) { return fs.Sub(migrations, "migrations/"+dialect) }
