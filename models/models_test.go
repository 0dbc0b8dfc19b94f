package models_test

import (
	"io/fs"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm/schema"

	"pinvault/models"
)

// Both databases go through the same versions.
func TestEveryMigrationIsThereForBothDialects(t *testing.T) {
	t.Parallel()
	names := func(dialect string) (all []string) {
		files, err := models.Migrations(dialect)
		require.NoError(t, err)
		entries, err := fs.ReadDir(files, ".")
		require.NoError(t, err)
		for _, e := range entries {
			require.Regexp(t, `^[0-9]{5}_[a-z0-9_]+\.sql$`, e.Name())
			all = append(all, e.Name())
		}
		return all
	}
	require.NotEmpty(t, names("sqlite"))
	require.Equal(t, names("postgres"), names("sqlite"))
}

// What a table is spread by is one of its columns.
func TestTablesAreSpreadByAColumnOfTheirs(t *testing.T) {
	t.Parallel()
	columns := map[string][]string{}
	for _, row := range models.All() {
		s, err := schema.Parse(row, &sync.Map{}, schema.NamingStrategy{})
		require.NoError(t, err)
		columns[s.Table] = s.DBNames
	}
	require.Len(t, columns, len(models.All()), "tables of the same name")
	for table, column := range models.Spread() {
		require.Contains(t, columns[table], column, table)
	}
}
