"""open_clip: a small model learns which picture goes with which text; tokens, transforms."""

import open_clip
import torch
from open_clip.loss import ClipLoss
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from PIL import Image

from tests.ecosystem.report import report

torch.manual_seed(0)
model = CLIP(
    embed_dim=16,
    vision_cfg=CLIPVisionCfg(layers=2, width=32, head_width=16, patch_size=8, image_size=32),
    text_cfg=CLIPTextCfg(context_length=16, vocab_size=49408, width=32, heads=2, layers=2),
)
tokens = open_clip.SimpleTokenizer(context_length=16)(["a red square", "a dog", "blue", "trees"])
pictures = torch.rand(4, 3, 32, 32)
loss_of = ClipLoss()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
losses = []
for _ in range(6):
    image, text, scale = model(pictures, tokens)
    loss = loss_of(image, text, scale)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
view = open_clip.image_transform(32, is_train=False)(Image.new("RGB", (48, 40), (200, 30, 90)))
report(
    tokens=tokens,
    losses=losses,
    image=model.encode_image(pictures, normalize=True).sum(1),
    view=view.mean(dim=(1, 2)),
)
