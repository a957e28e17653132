"""transformers: a small GPT-2 learns, and generates greedily, by beams, and by chance."""

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from tests.ecosystem.report import report

torch.manual_seed(0)
config = GPT2Config(
    vocab_size=64, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=0, eos_token_id=63
)
model = GPT2LMHeadModel(config)
ids = torch.randint(1, 60, (4, 16))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
losses = []
for _ in range(20):
    loss = model(ids, labels=ids).loss
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
model.eval()
options = {"max_new_tokens": 8, "pad_token_id": 63, "attention_mask": torch.ones(4, 5).long()}
greedy = model.generate(ids[:, :5], do_sample=False, **options)
without_cache = model.generate(ids[:, :5], do_sample=False, use_cache=False, **options)
beams = model.generate(ids[:, :5], do_sample=False, num_beams=3, **options)
torch.manual_seed(1)
sampled = model.generate(ids[:, :5], do_sample=True, top_k=20, top_p=0.9, **options)
report(
    losses=losses,
    greedy=greedy.tolist(),
    without_cache=without_cache.tolist(),
    beams=beams.tolist(),
    sampled=sampled.tolist(),
)
