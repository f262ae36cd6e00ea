"""Videos: retrieval with texts, and questions that need the order of frames."""
