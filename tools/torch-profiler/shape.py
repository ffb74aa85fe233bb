"""What of a Hugging Face config.json decides the cost of a block; needs no PyTorch."""
import math

# As in packages/config/src/model.ts: what a family has beyond the plain Llama block.
FAMILIES = {
    "llama": {}, "mistral": {}, "qwen2": {"bias": True}, "qwen3": {"qk_norm": True},
    "mixtral": {"moe": True}, "phimoe": {"moe": True}, "llama4": {"moe": True},
    "llama4_text": {"moe": True}, "qwen2_moe": {"moe": True, "bias": True},
    "qwen3_moe": {"moe": True, "qk_norm": True},
}


class CaptureError(Exception):
    """What the user can put right, in one line."""


class Shape:
    """What of a config.json decides cost, divided by the TP degree; experts stay whole."""

    def __init__(self, config, tp):
        config = {**config, **(config.get("text_config") or {})}
        family = FAMILIES.get(config.get("model_type"))
        if family is None:
            known = ", ".join(FAMILIES)
            raise CaptureError(f'model_type "{config.get("model_type")}" cannot be captured ({known})')
        if config.get("quantization_config"):
            raise CaptureError("quantization_config changes cost and cannot be captured")

        if len(set(config.get("layer_types") or [])) > 1:
            raise CaptureError("layer_types differ: one block cannot stand for all")

        def size(*names, default=None):
            found = next((config[name] for name in names if config.get(name)), default)
            if not isinstance(found, int) or found < 1:
                raise CaptureError(f"{names[0]}: expected an integer >= 1, got {found!r}")
            return found

        def share(value, what):
            if value % tp:
                raise CaptureError(f"{what} of {value} cannot be divided by --tp {tp}")
            return value // tp

        self.hidden = size("hidden_size")
        heads = size("num_attention_heads")
        self.head_dim = size("head_dim", default=self.hidden // heads)
        self.heads = share(heads, "num_attention_heads")
        self.kv_heads = max(1, size("num_key_value_heads", default=heads) // tp)
        self.vocab = math.ceil(size("vocab_size") / tp)
        bias = config.get("attention_bias")
        self.bias = family.get("bias", False) if bias is None else bias
        self.qk_norm = family.get("qk_norm", False) or bool(config.get("use_qk_norm"))
        uses_window = config.get("use_sliding_window") is not False
        self.window = (uses_window and config.get("sliding_window")) or math.inf
        self.positions = size("max_position_embeddings")
        self.experts = self.shared = 0
        inner = size("intermediate_size_mlp", "intermediate_size", "ffn_dim")
        self.inner = share(inner, "intermediate_size")
        if family.get("moe"):
            self.experts = size("num_local_experts", "num_experts")
            self.top = size("num_experts_per_tok", default=1)
            self.expert_inner = size("moe_intermediate_size", "intermediate_size", default=inner)
            shared = config.get("shared_expert_intermediate_size") or 0
            if config["model_type"].startswith("llama4"):
                shared = self.expert_inner
            self.shared = share(shared, "shared_expert_intermediate_size")
        # Only these mix blocks with and without experts.
        mixes = any(config.get(name) not in (None, [], 1) for name in
                    ("mlp_only_layers", "decoder_sparse_step", "interleave_moe_layer_step"))
        self.has_dense = not self.experts or mixes
