"""Write a llama-architecture model with random weights: small, needs no download, and knows the words it is given.

Such a model talks nonsense, but under a JSON schema whose strings are enumerations it streams sensible answers, token
by token and at the pace of a real one. One embedding dimension is the same for every token and nothing writes to it,
so the output matrix's column for it acts as a bias per token: words up, single bytes down.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

__all__ = ["TOOL_TEMPLATE", "Size", "words_of", "write_model"]

SPACE = "\u2581"
SPECIAL = {"<unk>": gguf.TokenType.UNKNOWN, "<s>": gguf.TokenType.CONTROL, "</s>": gguf.TokenType.CONTROL}
CHAT = {"<|im_start|>": gguf.TokenType.CONTROL, "<|im_end|>": gguf.TokenType.CONTROL}
JSON_PIECES = [
    '{"',
    '"}',
    '":',
    '":"',
    '","',
    '":[',
    '":[{"',
    '"},{"',
    '"}]',
    '"]',
    '"],"',
    "]",
    "}",
    "}]",
    '},{"',
    '}],"',
    ",",
    '"',
]
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TOOL_TEMPLATE = (
    "{% if tools %}<|im_start|>system\n# Tools\nFunction signatures are within <tools></tools> XML tags:\n<tools>"
    "{% for tool in tools %}\n{{ tool | tojson }}{% endfor %}\n</tools>\nFor each call, return a json object with the "
    "function's name and arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n"
    '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call><|im_end|>\n{% endif %}'
    "{% for message in messages %}{% if message.tool_calls %}<|im_start|>assistant\n"
    '{% for tool_call in message.tool_calls %}<tool_call>\n{"name": "{{ tool_call.function.name }}", "arguments": '
    "{{ tool_call.function.arguments | tojson }}}\n</tool_call>{% endfor %}<|im_end|>\n{% else %}"
    "<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""As in the Hermes models: the engine sees by it that the model calls tools, and how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How big the model is, which is how slow it is: 12 layers of 768 take 12 ms per token on one idle core."""

    layers: int = 12
    width: int = 768
    heads: int = 12
    hidden: int = 2048
    context: int = 16384


def words_of(texts: Iterable[str]) -> list[str]:
    """Give the pieces of which the texts are made: words with the space before them, numbers, punctuation."""
    pieces = {piece for text in texts for piece in re.findall(r" ?[^\W\d_]+| ?\d+| ?[^\w\s]", text)}
    return sorted(pieces)


def write_model(
    path: Path, words: Iterable[str], size: Size | None = None, *, seed: int = 1, template: str = CHAT_TEMPLATE
) -> int:
    """Write the model as a GGUF file.

    Args:
        path: of the file.
        words: tokens beside the 256 bytes and JSON's punctuation; a space is written as such.
        size: its dimensions.
        seed: of the weights.
        template: how messages become a prompt.

    Returns:
        The number of its parameters.
    """
    size = size or Size()
    tokens, kinds, scores, bias = _vocabulary(words)
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("random-weights")
    writer.add_context_length(size.context)
    writer.add_embedding_length(size.width)
    writer.add_block_count(size.layers)
    writer.add_feed_forward_length(size.hidden)
    writer.add_head_count(size.heads)
    writer.add_head_count_kv(size.heads)
    writer.add_rope_dimension_count(size.width // size.heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_scores(scores)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_eot_token_id(tokens.index(b"<|im_end|>"))
    writer.add_add_space_prefix(value=False)
    writer.add_chat_template(template)
    parameters = 0
    for name, tensor in _tensors(size, bias, np.random.default_rng(seed)):
        writer.add_tensor(name, tensor)
        parameters += tensor.size
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return parameters


def _vocabulary(words: Iterable[str]) -> tuple[list[bytes], list[int], list[float], npt.NDArray[np.float32]]:
    entries = [(text, kind, 0.0, -20.0) for text, kind in SPECIAL.items()]
    entries += [(f"<0x{byte:02X}>", gguf.TokenType.BYTE, 0.0, -8.0) for byte in range(256)]
    entries += [(text, kind, 0.0, 4.0 if text == "<|im_end|>" else -20.0) for text, kind in CHAT.items()]
    pieces = dict.fromkeys([*JSON_PIECES, *(word.replace(" ", SPACE) for word in words)])
    # A tokenizer merges neighbours by score; longer pieces first keeps whole words together. Single characters are
    # what it merges, so they have to be there too.
    singles = dict.fromkeys(character for piece in pieces for character in piece)
    entries += [(piece, gguf.TokenType.NORMAL, float(len(piece)), 2.0 + 1.5 * len(piece)) for piece in pieces]
    entries += [(one, gguf.TokenType.NORMAL, -100.0, -6.0) for one in singles if one not in pieces]
    texts, kinds, scores, bias = zip(*entries, strict=True)
    tokens = [text.encode() for text in texts]
    return tokens, [int(kind) for kind in kinds], list(scores), np.array(bias, dtype=np.float32)


def _tensors(
    size: Size, bias: npt.NDArray[np.float32], random: np.random.Generator
) -> Iterable[tuple[str, npt.NDArray[np.float32]]]:
    def matrix(rows: int, columns: int, scale: float = 0.02) -> npt.NDArray[np.float32]:
        return (random.standard_normal((rows, columns)) * scale).astype(np.float32)

    def silent(weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        weights[0] = 0  # dimension 0 belongs to the bias
        return weights

    ones = np.ones(size.width, dtype=np.float32)
    embedding = matrix(len(bias), size.width, 1.0)
    embedding[:, 0] = 30.0
    output = matrix(len(bias), size.width, 0.04)
    output[:, 0] = bias / 20.0  # what dimension 0 comes to after the last norm is about 20
    yield "token_embd.weight", embedding
    yield "output_norm.weight", ones
    yield "output.weight", output
    for layer in range(size.layers):
        prefix = f"blk.{layer}."
        yield prefix + "attn_norm.weight", ones
        yield prefix + "attn_q.weight", matrix(size.width, size.width)
        yield prefix + "attn_k.weight", matrix(size.width, size.width)
        yield prefix + "attn_v.weight", matrix(size.width, size.width)
        yield prefix + "attn_output.weight", silent(matrix(size.width, size.width))
        yield prefix + "ffn_norm.weight", ones
        yield prefix + "ffn_gate.weight", matrix(size.hidden, size.width)
        yield prefix + "ffn_up.weight", matrix(size.hidden, size.width)
        yield prefix + "ffn_down.weight", silent(matrix(size.width, size.hidden))
