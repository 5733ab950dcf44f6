"""PostgreSQL: pool, batched writer, queries, cipher at rest, schema."""
