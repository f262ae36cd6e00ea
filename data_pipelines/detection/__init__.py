"""Pictures with boxes: vocabularies, annotations, COCO and LVIS files, shards, geometry, scenes."""
