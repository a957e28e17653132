"""rotary-embedding-torch, local-attention and performer-pytorch."""

import torch
from local_attention import LocalAttention
from local_attention.transformer import LocalTransformer
from performer_pytorch import PerformerLM
from rotary_embedding_torch import RotaryEmbedding, apply_rotary_emb

from tests.ecosystem.report import report

torch.manual_seed(0)
q, k, v = (torch.randn(2, 4, 32, 16) for _ in range(3))
turned = RotaryEmbedding(dim=8).rotate_queries_or_keys(q)
scaled = RotaryEmbedding(dim=8, use_xpos=True).rotate_queries_and_keys(q, k)
axial = RotaryEmbedding(dim=4, freqs_for="pixel", max_freq=256).get_axial_freqs(8, 8)
picture = apply_rotary_emb(axial, torch.randn(1, 8, 8, 16))
local = LocalAttention(dim=16, window_size=8, causal=True, look_backward=1, look_forward=0)
near = local(q, k, v, mask=torch.ones(2, 32).bool())
tokens = torch.randint(0, 32, (1, 64))
language = LocalTransformer(
    num_tokens=32, dim=32, depth=2, max_seq_len=64, local_attn_window_size=16
)
loss = language(tokens, return_loss=True)
loss.backward()
performer = PerformerLM(num_tokens=32, max_seq_len=64, dim=32, depth=1, heads=2)
report(
    turned=turned, scaled=scaled, picture=picture, near=near, loss=loss, linear=performer(tokens)
)
