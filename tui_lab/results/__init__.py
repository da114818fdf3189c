"""Results: extraction from outputs, statistics, SQL, charts and export."""
