"""transformers: a small T5 learns from one sequence to another, and generates."""

import torch
from transformers import T5Config, T5ForConditionalGeneration

from tests.ecosystem.report import report

torch.manual_seed(0)
config = T5Config(
    vocab_size=64,
    d_model=32,
    d_kv=8,
    d_ff=64,
    num_layers=2,
    num_heads=4,
    decoder_start_token_id=0,
    pad_token_id=0,
    eos_token_id=1,
)
model = T5ForConditionalGeneration(config)
source, target = torch.randint(2, 60, (4, 12)), torch.randint(2, 60, (4, 6))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
losses = []
for _ in range(20):
    loss = model(input_ids=source, labels=target).loss
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
model.eval()
made = model.generate(source, max_new_tokens=8, do_sample=False)
beams = model.generate(source, max_new_tokens=8, num_beams=2, do_sample=False)
report(losses=losses, generated=made.tolist(), beams=beams.tolist())
