"""peft: LoRA on a small GPT-2, trained, saved, loaded and merged."""

import tempfile

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import GPT2Config, GPT2LMHeadModel

from tests.ecosystem.report import report

config = GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=4, n_positions=64)
torch.manual_seed(0)
base = GPT2LMHeadModel(config)
folder = tempfile.mkdtemp()
base.save_pretrained(folder)
model = get_peft_model(base, LoraConfig(r=4, target_modules=["c_attn"], task_type="CAUSAL_LM"))
ids = torch.randint(1, 60, (4, 16))
optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=1e-2)
losses = []
for _ in range(20):
    loss = model(input_ids=ids, labels=ids).loss
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
model.eval()
model.save_pretrained(folder + "/lora")
again = PeftModel.from_pretrained(GPT2LMHeadModel.from_pretrained(folder), folder + "/lora")
merged = again.merge_and_unload().eval()
report(
    losses=losses,
    trained=model(input_ids=ids).logits.std(),
    loaded=merged(ids).logits.std(),
    trainable=sum(p.numel() for p in model.parameters() if p.requires_grad),
)
