"""One decoder block and the ends of a model, in plain PyTorch.

Weights are random; widths are divided by the tensor-parallel degree, without communication. Operators
have the names of our traces, and their tensors come from one pool, so that a sweep over large KV
caches allocates once. Works with PyTorch 1.13 and later.
"""
import math

import torch
import torch.nn.functional as functional


def supports(**options):
    """Whether this PyTorch's attention knows the options."""
    if not hasattr(functional, "scaled_dot_product_attention"):
        return False
    one = torch.zeros(1, 1, 1, 8)
    try:
        functional.scaled_dot_product_attention(one, one, one, **options)
    except TypeError:
        return False
    return True


HAS_SDPA = supports()
HAS_GQA = supports(enable_gqa=True)
try:
    from torch.nn.attention.bias import causal_lower_right
except ImportError:
    causal_lower_right = None


def rms_norm(x, weight):
    if hasattr(functional, "rms_norm"):
        return functional.rms_norm(x, x.shape[-1:], weight, 1e-6)
    return x * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + 1e-6).to(x.dtype) * weight


def rotate(x, cos, sin):
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


def gated(up):
    gate, value = up.chunk(2, -1)
    return functional.silu(gate) * value


def attend(q, k, v, causal):
    """q [batch, heads, rows, d] against k, v [batch, heads or KV heads, keys, d]."""
    rows, keys = q.shape[2], k.shape[2]
    if not HAS_SDPA:
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        if causal:
            mask = torch.ones(rows, keys, dtype=torch.bool, device=q.device).tril(keys - rows)
            scores = scores.masked_fill(~mask, float("-inf"))
        return torch.softmax(scores.float(), -1).to(q.dtype) @ v
    options = {"enable_gqa": True} if HAS_GQA and q.shape[1] != k.shape[1] else {}
    if causal and rows == keys:
        options["is_causal"] = True
    elif causal and causal_lower_right is not None:
        options["attn_mask"] = causal_lower_right(rows, keys)
    elif causal:
        mask = torch.ones(rows, keys, dtype=torch.bool, device=q.device)
        options["attn_mask"] = mask.tril(keys - rows)
    return functional.scaled_dot_product_attention(q, k, v, **options)


class Block:
    """Operators as calls without arguments. `cold` ones find their weights or KV in memory, not in a
    cache, as in a model of many layers; the others work on what the operator before left."""

    def __init__(self, shape, device, dtype):
        self.shape, self.device, self.dtype = shape, device, dtype
        s, h, d = shape, shape.hidden, shape.head_dim
        width = (s.heads + 2 * s.kv_heads) * d
        self.qkv = self.weights(width, h)
        self.qkv_bias = self.weights(width) if s.bias else None
        self.o = self.weights(h, s.heads * d)
        self.norm, self.head_norm = self.weights(h), self.weights(d)
        self.head = self.weights(s.vocab, h)
        if s.has_dense:
            self.gate_up, self.down = self.weights(2 * s.inner, h), self.weights(h, s.inner)
        if s.shared:
            self.shared_in = self.weights(2 * s.shared, h)
            self.shared_out = self.weights(h, s.shared)
        if s.experts:
            self.gate = self.weights(s.experts, h)
            self.expert_in = self.weights(s.experts, 2 * s.expert_inner, h)
            self.expert_out = self.weights(s.experts, h, s.expert_inner)
        self.pool, self.used = self.weights(0), 0

    def weights(self, *size):
        return torch.randn(*size, device=self.device, dtype=torch.float32).to(self.dtype) * 0.02

    def reset(self):
        self.used = 0

    def take(self, *size):
        """A tensor of the pool, which grows to the largest point."""
        count = math.prod(size)
        if self.used + count > self.pool.numel():
            self.pool = torch.empty(self.used + count, device=self.device, dtype=self.dtype)
            self.pool.normal_(0, 0.5)
        self.used += count
        return self.pool[self.used - count:self.used].view(size)

    def dense(self, tokens):
        """(operator, cold, call) at a number of tokens."""
        s, linear = self.shape, functional.linear
        x = self.take(tokens, s.hidden)
        heads = self.take(tokens, s.heads * s.head_dim)
        rows = self.take(tokens, s.heads + s.kv_heads, s.head_dim)
        cos, sin = (self.take(tokens, 1, s.head_dim // 2) for _ in range(2))
        ids = torch.randint(0, s.vocab, (tokens,), device=self.device)
        yield "embedding", True, lambda: functional.embedding(ids, self.head)
        yield "layernorm", False, lambda: rms_norm(x + x, self.norm)
        yield "qkv_proj", True, lambda: linear(x, self.qkv, self.qkv_bias)
        if s.qk_norm:
            yield "qk_norm", False, lambda: rms_norm(rows, self.head_norm)
        yield "rotary_emb", False, lambda: rotate(rows, cos, sin)
        yield "o_proj", True, lambda: linear(heads, self.o)
        yield "final_layernorm", False, lambda: rms_norm(x, self.norm)
        if s.has_dense:
            yield from self.feed_forward("", x, s.inner, self.gate_up, self.down)
        if s.shared:
            yield from self.feed_forward("shared_", x, s.shared, self.shared_in, self.shared_out)

    def feed_forward(self, prefix, x, inner, weight_in, weight_out):
        linear = functional.linear
        up, middle = self.take(len(x), 2 * inner), self.take(len(x), inner)
        yield f"{prefix}gate_up_proj", True, lambda: linear(x, weight_in)
        yield f"{prefix}act_fn", False, lambda: gated(up)
        yield f"{prefix}down_proj", True, lambda: linear(middle, weight_out)

    def per_sequence(self, sequences):
        x = self.take(sequences, self.shape.hidden)
        logits = self.take(sequences, self.shape.vocab)
        yield "lm_head", True, lambda: functional.linear(x, self.head)
        yield "sampler", False, lambda: logits.float().argmax(-1)

    def attention(self, chunk, context, decodes, decode_context):
        """A chunk behind its context and single tokens behind theirs, in a call each."""
        s = self.shape
        calls = []
        if chunk:
            keys = chunk + min(context, s.window)
            q = self.take(1, s.heads, chunk, s.head_dim)
            # Without grouped attention the copies of K and V are made beforehand, not timed.
            kv = self.take(2, 1, s.kv_heads if HAS_GQA else s.heads, keys, s.head_dim)
            calls.append(lambda: attend(q, kv[0], kv[1], True))
        if decodes:
            keys = min(decode_context + 1, s.window)
            # The query heads of a KV head are rows of one product.
            rows = self.take(decodes, s.kv_heads, s.heads // s.kv_heads, s.head_dim)
            cache = self.take(2, decodes, s.kv_heads, keys, s.head_dim)
            calls.append(lambda: attend(rows, cache[0], cache[1], False))
        return lambda: [call() for call in calls]

    def moe(self, tokens, activated):
        """Gate, top-k, the activated experts in turn on their even share, combine."""
        s, linear = self.shape, functional.linear
        x = self.take(tokens, s.hidden)
        rows_of = torch.arange(tokens * s.top, device=self.device) % tokens
        groups = rows_of.tensor_split(activated)

        def call():
            torch.topk(torch.softmax(linear(x, self.gate).float(), -1), s.top)
            out = torch.zeros_like(x)
            for expert, rows in enumerate(groups):
                inner = gated(linear(x[rows], self.expert_in[expert]))
                out.index_add_(0, rows, linear(inner, self.expert_out[expert]))
            return out

        return call
