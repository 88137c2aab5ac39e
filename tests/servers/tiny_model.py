"""Write a model of a few kilobytes with random weights: enough for a server to load, of no use beyond that."""

import sys

import gguf
import numpy

WIDTH, LAYERS, TOKENS = 32, 1, 64
writer = gguf.GGUFWriter(sys.argv[1], "llama")
writer.add_block_count(LAYERS)
writer.add_context_length(64)
writer.add_embedding_length(WIDTH)
writer.add_feed_forward_length(WIDTH)
writer.add_head_count(2)
writer.add_head_count_kv(2)
writer.add_rope_dimension_count(WIDTH // 2)
writer.add_layer_norm_rms_eps(1e-5)
writer.add_vocab_size(TOKENS)
writer.add_tokenizer_model("llama")
writer.add_token_list(["<unk>", "<s>", "</s>", *(f"<0x{n:02X}>" for n in range(TOKENS - 3))])
writer.add_token_scores([0.0] * TOKENS)
writer.add_token_types([2, 3, 3] + [6] * (TOKENS - 3))
writer.add_bos_token_id(1)
writer.add_eos_token_id(2)


def weights(name: str, *shape: int) -> None:
    """Add one tensor."""
    writer.add_tensor(name, numpy.random.default_rng(0).normal(0, 0.02, shape).astype(numpy.float32))


weights("token_embd.weight", TOKENS, WIDTH)
weights("output_norm.weight", WIDTH)
weights("output.weight", TOKENS, WIDTH)
for layer in range(LAYERS):
    for name in ("attn_norm", "ffn_norm"):
        weights(f"blk.{layer}.{name}.weight", WIDTH)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        weights(f"blk.{layer}.{name}.weight", WIDTH, WIDTH)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
