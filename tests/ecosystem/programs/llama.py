"""transformers: a small Llama learns, and generates with its cache."""

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tests.ecosystem.report import report

torch.manual_seed(0)
config = LlamaConfig(
    vocab_size=64,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    bos_token_id=0,
    eos_token_id=63,
    pad_token_id=62,
)
model = LlamaForCausalLM(config)
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
mask = torch.ones(4, 5).long()
greedy = model.generate(ids[:, :5], max_new_tokens=8, do_sample=False, attention_mask=mask)
torch.manual_seed(1)
sampled = model.generate(ids[:, :5], max_new_tokens=8, do_sample=True, attention_mask=mask)
half = model.to(torch.bfloat16)(ids).logits.float()
report(
    losses=losses, greedy=greedy.tolist(), sampled=sampled.tolist(), half=half.abs().mean().item()
)
