"""Pictures made to detect things in: cut-out sprites on photographs, with exact boxes and masks."""
