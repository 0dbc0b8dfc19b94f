package store

const citusSQL = "../../scripts/cluster/citus.sql"
