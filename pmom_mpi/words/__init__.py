"""What every room speaks of: layouts, streams, nodes, reports, errors."""
