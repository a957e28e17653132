"""transformers: a small BERT learns to tell sequences apart."""

import torch
from transformers import BertConfig, BertForSequenceClassification

from tests.ecosystem.report import report

torch.manual_seed(0)
config = BertConfig(
    vocab_size=99, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=37
)
model = BertForSequenceClassification(config)
ids = torch.randint(0, 99, (8, 16))
mask = (torch.arange(16) < torch.randint(5, 17, (8, 1))).long()
labels = torch.randint(0, 2, (8,))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
losses = []
for _ in range(20):
    loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
report(losses=losses, parameters=sum(p.numel() for p in model.parameters()))
