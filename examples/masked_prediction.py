"""Self-supervised learning: hide part of each picture and predict it from the rest.

    rushlight run examples/masked_prediction.py [PICTURE.png]

No label is used. The picture is cut into 16 patches of 2 x 2 pixels, each a word of a sentence; a
small transformer sees the sentence with a quarter of its words blanked out and fills them in.
The picture: digits of the test with a quarter hidden, filled in, and as they are.
"""

import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

from rushlight.datasets import load_digits
from rushlight.progress import track

PATCHES, PIXELS, WIDTH, HIDDEN = 16, 4, 32, 4


def as_patches(images):
    count = images.shape[0]
    grid = images.reshape(count, 4, 2, 4, 2).permute(0, 1, 3, 2, 4)
    return grid.reshape(count, PATCHES, PIXELS)


def as_images(patches):
    grid = patches.reshape(-1, 4, 4, 2, 2).permute(0, 1, 3, 2, 4)
    return grid.reshape(-1, 1, 8, 8)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, num_heads=4, batch_first=True)
        self.norm2 = nn.LayerNorm(WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 64), nn.GELU(), nn.Linear(64, WIDTH))

    def forward(self, x):
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))


class FillIn(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(PIXELS, WIDTH)
        self.place = nn.Embedding(PATCHES, WIDTH)
        self.blank = nn.Parameter(torch.zeros(WIDTH))
        self.blocks = nn.Sequential(Block(), Block())
        self.out = nn.Linear(WIDTH, PIXELS)

    def forward(self, patches, hidden):
        x = torch.where(hidden[..., None], self.blank, self.embed(patches))  # (B, 16, WIDTH)
        x = x + self.place(torch.arange(PATCHES))
        return self.out(self.blocks(x))  # (B, 16, 4)


def choose_hidden(count):
    order = torch.rand(count, PATCHES).argsort(dim=1)
    return order < HIDDEN  # (B, 16): exactly HIDDEN true in each row


def hidden_error(predicted, patches, hidden):
    return F.mse_loss(predicted[hidden], patches[hidden])


def main():
    torch.manual_seed(0)
    train = as_patches(torch.from_numpy(load_digits("train")[0]))
    test = as_patches(torch.from_numpy(load_digits("test")[0]))
    model = FillIn()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)

    for step in track(range(1, 401)):
        patches = train[torch.randint(0, len(train), (64,))]
        hidden = choose_hidden(len(patches))
        loss = hidden_error(model(patches, hidden), patches, hidden)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0:
            print(f"step {step}: loss {loss.item():.4f}")

    model.eval()
    with torch.no_grad():
        hidden = choose_hidden(len(test))
        error = hidden_error(model(test, hidden), test, hidden).item()
        mean_patch = train.mean(dim=0).expand_as(test)
        baseline = hidden_error(mean_patch, test, hidden).item()
    print(f"test error: {error:.4f}")
    print(f"error of filling in the mean patch: {baseline:.4f}")

    if len(sys.argv) > 1:
        from torchvision.utils import save_image  # noqa: PLC0415

        shown, gone = test[:12], hidden[:12, :, None]
        with torch.no_grad():
            filled = torch.where(gone, model(shown, hidden[:12]), shown)
        rows = torch.cat([shown.masked_fill(gone, 0.5), filled, shown])
        save_image(
            F.interpolate(as_images(rows).clamp(0, 1), scale_factor=6),
            sys.argv[1],
            nrow=12,
            pad_value=0.5,
        )


if __name__ == "__main__":
    main()
