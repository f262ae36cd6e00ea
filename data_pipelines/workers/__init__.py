"""The same work on many shards: by processes of this machine, a Ray cluster, or a job array."""
