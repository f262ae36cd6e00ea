"""What a curation run did, to look at."""
