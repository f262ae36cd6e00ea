"""URL lists to shards: each row has one fate, and every server's wishes are asked first."""
