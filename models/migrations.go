package models

import (
	"embed"
	"io/fs"
)

//go:embed migrations
var migrations embed.FS

// Migrations are the versioned SQL files of a dialect, postgres or sqlite, in goose's format. They go
// forward only: the audit trail must outlive every change of the schema.
func Migrations(dialect string) (fs.FS, error) { return fs.Sub(migrations, "migrations/"+dialect) }
