"""Models that answer questions about pictures and sounds, each behind the same interface."""
