"""Embeddings of a study's sets: every run decodes the same pictures the same way."""

from eval.contract import Embedder, EmbeddingModel
from eval.data.dataset import EvalDataset
from eval.embedding.decode import CachingDecoder, StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.zero_shot.retrieval import Gallery, gallery_of

_CACHE_BYTES = 2**29


def study_gallery(dataset: EvalDataset, model: EmbeddingModel, embedder: Embedder) -> Gallery:
    """Embedded pictures and captions, one caption a picture."""
    images = embedder.images(model, dataset)
    return gallery_of(dataset, images, model, embedder, captions_per_image=1)


def study_embedder() -> Embedder:
    """Decodes in one worker and keeps decoded pictures."""
    decoder = CachingDecoder(StreamingDecoder(batch_size=256, workers=1), limit_bytes=_CACHE_BYTES)
    return StreamingEmbedder(decoder=decoder)
