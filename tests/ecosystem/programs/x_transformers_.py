"""x-transformers: a decoder with rotary positions, trained and sampled from."""

import torch
from x_transformers import AutoregressiveWrapper, Decoder, TransformerWrapper

from tests.ecosystem.report import report

torch.manual_seed(0)
layers = Decoder(dim=32, depth=2, heads=4, rotary_pos_emb=True, ff_glu=True, use_rmsnorm=True)
model = AutoregressiveWrapper(TransformerWrapper(num_tokens=50, max_seq_len=64, attn_layers=layers))
ids = torch.randint(0, 50, (4, 17))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
losses = []
for _ in range(20):
    loss = model(ids)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
torch.manual_seed(1)
report(losses=losses, sampled=model.generate(ids[:, :4], 8))
