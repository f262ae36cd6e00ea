"""What gives each sample of shards a number, one scorer a module; see ``contract``."""
