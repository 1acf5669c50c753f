"""Writes a tiny language model for llama.cpp: random weights, real tokens, half a megabyte.

``python -m hf_openobserve.cli.tiny_model PATH``. The standard library, ``gguf`` and ``numpy`` only, and nothing of this
package: the file also runs as a plain script in an interpreter that has no hf-openobserve.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any, List, Tuple

SEED = 20261123
LAYERS = 2
WIDTH = 64
HEADS = 4
FEED_FORWARD = 128
CONTEXT = 65536

WORDS = (
    " the",
    " a",
    " sky",
    " sea",
    " rain",
    " light",
    " blue",
    " bright",
    " quiet",
    " old",
    " is",
    " was",
    " sees",
    " holds",
    " turns",
    " of",
    " in",
    " over",
    " and",
    ".",
)

END = "</s>"
QUOTE = '"'

# A turn that may call a tool ends with ACT; the model is built to answer that with TOOL_CALL, and to end the text after
# TOOL_CALL_END. So a request with tools gets one tool call, and the request that brings the tool's result gets words:
# one at least, since the text does not end right after ANSWER.
ANSWER = "assistant:"
ACT = "<act>"
TOOL_CALL = "<tool_call>"
TOOL_CALL_END = "</tool_call>"
FOLLOWS = ((ACT, TOOL_CALL, 40.0), (TOOL_CALL_END, END, 40.0), (ANSWER, END, -40.0))

# Roles, tools and tool calls in the Hermes form, which llama.cpp's template analysis recognises: with it the server
# turns `tools` into a grammar and the model's text back into `tool_calls`.
CHAT_TEMPLATE = """\
{%- if tools %}
{{- 'system: You may call tools. Answer a call with <tool_call>{"name": ..., "arguments": ...}</tool_call>.\\n' }}
{%- for tool in tools %}{{- (tool | tojson) + '\\n' }}{%- endfor %}
{%- endif %}
{%- for message in messages %}
{%- if message.role == 'tool' %}
{{- 'tool: <tool_response>' + message.content + '</tool_response>\\n' }}
{%- elif message.role == 'assistant' and message.tool_calls %}
{{- 'assistant:' + (message.content or '') }}
{%- for call in message.tool_calls %}
{{- '<tool_call>{"name": "' + call.function.name + '", "arguments": ' }}
{{- call.function.arguments if call.function.arguments is string else (call.function.arguments | tojson) }}
{{- '}</tool_call>' }}
{%- endfor %}
{{- '\\n' }}
{%- else %}
{{- message.role + ': ' + message.content + '\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- 'assistant:' }}
{%- if tools and messages[-1].role != 'tool' %}{{- '<act>' }}{%- endif %}
{%- endif %}
"""

# How likely a token is before the random part, as a logit. Words come first, so that answers read as text; the quote
# and the end of text come up now and then, so that JSON strings and answers end; all else is left to the grammar of a
# structured answer, which rules out the words, and there what JSON is made of beats white space.
WORD_LOGIT = 0.0
QUOTE_LOGIT = 0.0
END_LOGIT = 0.0
TOOL_CALL_END_LOGIT = -8.0
PUNCTUATION_LOGIT = -12.0
LITERAL_LOGIT = -14.0
BYTE_LOGIT = -18.0

# Coordinates of the hidden state that no layer writes to: 0 is the same for every token, 1 and on say that the last
# token is the first of a pair in FOLLOWS. After the last norm such a coordinate is about INPUT.
BIAS = 0
RESERVED = 1 + len(FOLLOWS)
EMBEDDED = 8.0
INPUT = 5.0


def write_model(path: str) -> None:
    """Write the model to ``path`` (GGUF, llama architecture). The same bytes each time with the same gguf version.

    Raises ``RuntimeError`` with what to install if ``gguf`` or ``numpy`` cannot be imported, ``OSError`` if ``path``
    cannot be written.
    """
    try:
        import gguf
        import numpy as np
    except ImportError as error:
        raise RuntimeError(
            f"the tiny model needs {error.name or error}: pip install 'hf-openobserve[demo]' on Python 3.10 or newer"
        ) from error

    tokens, types, logits = _vocabulary(gguf.TokenType)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("hf-openobserve tiny random llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types(types)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(CHAT_TEMPLATE)

    random = np.random.Generator(np.random.PCG64(SEED))

    def matrix(rows: int, columns: int) -> Any:
        return (random.standard_normal((rows, columns)) / columns**0.5).astype(np.float32)

    embeddings = matrix(len(tokens), WIDTH)
    embeddings[:, BIAS] = EMBEDDED
    embeddings[:, BIAS + 1 : RESERVED] = 0.0
    output = matrix(len(tokens), WIDTH)
    output[[tokens.index(END), tokens.index(QUOTE)]] = 0.0
    output[:, BIAS] = np.array(logits, dtype=np.float32) / INPUT
    output[:, BIAS + 1 : RESERVED] = 0.0
    for coordinate, (token, follower, logit) in enumerate(FOLLOWS, BIAS + 1):
        embeddings[tokens.index(token), coordinate] = EMBEDDED
        output[tokens.index(follower), coordinate] = logit / INPUT
    ones: Any = np.ones(WIDTH, dtype=np.float32)
    writer.add_tensor("token_embd.weight", embeddings)
    writer.add_tensor("output_norm.weight", ones)
    writer.add_tensor("output.weight", output)
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        writer.add_tensor(block + "attn_norm.weight", ones)
        writer.add_tensor(block + "ffn_norm.weight", ones)
        for name in ("attn_q", "attn_k", "attn_v"):
            writer.add_tensor(block + name + ".weight", matrix(WIDTH, WIDTH))
        for name, rows, columns in (
            ("attn_output", WIDTH, WIDTH),
            ("ffn_gate", FEED_FORWARD, WIDTH),
            ("ffn_up", FEED_FORWARD, WIDTH),
            ("ffn_down", WIDTH, FEED_FORWARD),
        ):
            weight = matrix(rows, columns)
            if name in ("attn_output", "ffn_down"):
                weight[:RESERVED, :] = 0.0
            writer.add_tensor(block + name + ".weight", weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _vocabulary(token_type: Any) -> Tuple[List[str], List[int], List[float]]:
    """Texts, types and output logits: 3 specials, 256 bytes, the words and a quote."""
    tokens = ["<unk>", "<s>", END]
    types = [int(token_type.UNKNOWN), int(token_type.CONTROL), int(token_type.CONTROL)]
    logits = [BYTE_LOGIT, BYTE_LOGIT, END_LOGIT]
    for byte in range(256):
        tokens.append(f"<0x{byte:02X}>")
        types.append(int(token_type.BYTE))
        logits.append(_byte_logit(chr(byte)))
    # User-defined tokens are matched whole in a text; a normal one would need every prefix of it in the vocabulary.
    whole = [(word, WORD_LOGIT) for word in WORDS]
    whole += [(QUOTE, QUOTE_LOGIT), (TOOL_CALL_END, TOOL_CALL_END_LOGIT)]
    whole += [(text, BYTE_LOGIT) for text in (ANSWER, ACT, TOOL_CALL)]
    for text, logit in whole:
        tokens.append(text)
        types.append(int(token_type.USER_DEFINED))
        logits.append(logit)
    return tokens, types, logits


def _byte_logit(character: str) -> float:
    if character in '{}[]:,"':
        return PUNCTUATION_LOGIT
    return LITERAL_LOGIT if character in "0123456789truefalsn" else BYTE_LOGIT


def main() -> int:
    """Write the model to the path on the command line. Returns the exit status."""
    parser = argparse.ArgumentParser(description="Write a tiny random language model for llama.cpp (GGUF).")
    parser.add_argument("path", metavar="PATH", help="file to write")
    path = parser.parse_args().path
    try:
        write_model(path)
    except (RuntimeError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    # Run as a script, this directory is first on the path, and its `path.py` or `demo.py` would shadow other packages.
    if not __package__:
        sys.path[:] = [
            entry for entry in sys.path if os.path.abspath(entry) != os.path.dirname(os.path.abspath(__file__))
        ]
    sys.exit(main())
