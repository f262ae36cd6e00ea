"""The querying transformer against its equations in float64 loops, and its three attention masks.

Equations: Vaswani et al. 2017, arXiv 1706.03762, section 3.2 (attention), with the layer of Li et
al. 2023, arXiv 2301.12597, section 3.1. Tolerance 1e-5: fp32 sums of a few dozen terms of order 1.
"""

import math

import numpy as np
import torch

from vlsuite.models.language.causal_lm import NO_TOKEN
from vlsuite.models.nevlp.querying_transformer import QueryingConfig, QueryingTransformer

CONFIG = QueryingConfig(num_queries=3, width=8, depth=3, heads=2, mlp_ratio=2.0)
IMAGE_WIDTH, VOCABULARY = 6, 11


def transformer() -> QueryingTransformer:
    torch.manual_seed(0)
    made = QueryingTransformer(
        CONFIG, image_width=IMAGE_WIDTH, vocab_size=VOCABULARY, num_positions=7
    )
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return made.eval()


def image(batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, 4, IMAGE_WIDTH, generator=torch.Generator().manual_seed(1))


IDS = torch.tensor([[1, 5, 2, NO_TOKEN], [3, 3, 4, 9]])


class Loops:
    """One example at a time, one number at a time."""

    def __init__(self, made: QueryingTransformer) -> None:
        self.w = {n: p.detach().double().numpy() for n, p in made.named_parameters()}

    def norm(self, rows, name):
        out = []
        for row in rows:
            mean = sum(row) / len(row)
            variance = sum((x - mean) ** 2 for x in row) / len(row)
            scaled = (row - mean) / math.sqrt(variance + 1e-5)
            out.append(scaled * self.w[f"{name}.weight"] + self.w[f"{name}.bias"])
        return out

    def linear(self, rows, name):
        return [self.w[f"{name}.weight"] @ row + self.w[f"{name}.bias"] for row in rows]

    def attention(self, rows, context, name):
        queries, both = (
            self.linear(rows, f"{name}.query"),
            self.linear(context, f"{name}.key_value"),
        )
        size = CONFIG.width // CONFIG.heads
        mixed = [np.zeros(CONFIG.width) for _ in rows]
        for head in range(CONFIG.heads):
            own = slice(head * size, (head + 1) * size)
            for i, query in enumerate(queries):
                scores = [query[own] @ kv[: CONFIG.width][own] / math.sqrt(size) for kv in both]
                weights = [math.exp(s - max(scores)) for s in scores]
                for weight, kv in zip(weights, both, strict=True):
                    mixed[i][own] += weight / sum(weights) * kv[CONFIG.width :][own]
        return self.linear(mixed, f"{name}.out")

    def mlp(self, rows, name):
        hidden = self.linear(self.norm(rows, f"{name}.norm"), f"{name}.up")
        gelu = [np.array([x * (1 + math.erf(x / math.sqrt(2))) / 2 for x in row]) for row in hidden]
        return self.linear(gelu, f"{name}.down")

    def read(self, tokens, ids):
        """Outputs of queries and text; either input may be None."""
        queries = [] if tokens is None else list(self.w["query_tokens"])
        text = []
        if ids is not None:
            places = [(i, n) for i, n in enumerate(ids) if n != NO_TOKEN]
            table, positions = self.w["token_embedding.weight"], self.w["position_embedding"]
            text = [table[n] + positions[i] for i, n in places]
        seen = None if tokens is None else self.norm(tokens, "image_norm")
        for layer in range(CONFIG.depth):
            name = f"layers.{layer}"
            hidden = queries + text
            normed = self.norm(hidden, f"{name}.norm")
            hidden = add(hidden, self.attention(normed, normed, f"{name}.attention"))
            queries, text = hidden[: len(queries)], hidden[len(queries) :]
            if layer % 2 == 0 and queries:
                normed = self.norm(queries, f"{name}.cross_norm")
                queries = add(queries, self.attention(normed, seen, f"{name}.cross"))
            queries = add(queries, self.mlp(queries, f"{name}.query_mlp"))
            text = add(text, self.mlp(text, f"{name}.text_mlp"))
        return self.norm(queries, "query_norm"), self.norm(text, "text_norm")


def add(left, right):
    return [a + b for a, b in zip(left, right, strict=True)]


def check(found, expected) -> None:
    np.testing.assert_allclose(found.detach().numpy(), np.array(expected), rtol=1e-5, atol=1e-5)


def test_both_sides_equal_loops():
    made, loops = transformer(), Loops(transformer())
    read = made(image(), IDS)
    for row in range(2):
        queries, text = loops.read(image()[row].double().numpy(), IDS[row].tolist())
        check(read.queries[row], queries)
        check(read.text[row][: len(text)], text)


def test_one_side_alone_equals_loops():
    made, loops = transformer(), Loops(transformer())
    queries, text = made(image()).queries, made(text_ids=IDS).text
    for row in range(2):
        check(queries[row], loops.read(image()[row].double().numpy(), None)[0])
        expected = loops.read(None, IDS[row].tolist())[1]
        check(text[row][: len(expected)], expected)


def test_places_without_a_token_change_nothing():
    made = transformer()
    short, padded = IDS[:1, :3], torch.cat([IDS[:1, :3], torch.full((1, 3), NO_TOKEN)], dim=1)
    torch.testing.assert_close(made(image(1), short).queries, made(image(1), padded).queries)


def test_positions_can_be_chosen():
    made = transformer()
    moved = made(text_ids=IDS[1:, :2], positions=torch.tensor([0, 5])).text
    assert not torch.allclose(moved, made(text_ids=IDS[1:, :2]).text)
    gap = torch.tensor([[3, NO_TOKEN, NO_TOKEN, NO_TOKEN, NO_TOKEN, 3]])
    torch.testing.assert_close(moved, made(text_ids=gap).text[:, [0, 5]])
