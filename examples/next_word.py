"""Self-supervised learning: a small GPT reads the Zen of Python and goes on by itself.

    rushlight run examples/next_word.py [PICTURE.png]

The only task is to say which character comes next.  The text is in every Python: `import this`.
The picture: the text, and how much each letter surprised the network (red).
"""

import contextlib
import importlib
import io
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

from rushlight.progress import track

BLOCK, WIDTH, HEADS, LAYERS = 32, 64, 4, 2


def zen():
    with contextlib.redirect_stdout(io.StringIO()):
        this = importlib.import_module("this")
    return "".join(this.d.get(letter, letter) for letter in this.s)


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.before, self.between = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.heads, self.join = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.think = nn.Sequential(
            nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)
        )

    def forward(self, x):
        batch, time, width = x.shape
        q, k, v = (
            part.view(batch, time, HEADS, width // HEADS).transpose(1, 2)
            for part in self.heads(self.before(x)).chunk(3, dim=2)
        )
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.join(seen.transpose(1, 2).reshape(batch, time, width))
        return x + self.think(self.between(x))


class GPT(nn.Module):
    def __init__(self, letters):
        super().__init__()
        self.letter, self.place = nn.Embedding(letters, WIDTH), nn.Embedding(BLOCK, WIDTH)
        self.layers = nn.Sequential(*(Layer() for _ in range(LAYERS)), nn.LayerNorm(WIDTH))
        self.next = nn.Linear(WIDTH, letters)

    def forward(self, x):
        return self.next(self.layers(self.letter(x) + self.place(torch.arange(x.shape[1]))))


@torch.no_grad()
def go_on(model, codes, count):
    for _ in range(count):
        scores = model(codes[:, -BLOCK:])[:, -1]
        codes = torch.cat([codes, scores.argmax(dim=1, keepdim=True)], dim=1)
    return codes[0].tolist()


def draw(text, surprise, path):
    """The text, each letter on a ground that is redder the less the network saw it coming."""
    from PIL import Image, ImageDraw  # noqa: PLC0415

    image = Image.new("RGB", (1200, 50 + 30 * text.count("\n")), "white")
    pen, row, column = ImageDraw.Draw(image), 0, 0
    for letter, bits in zip(text, surprise):
        shade = int(255 - 180 * min(bits / 3, 1))
        at = (20 + 17 * column, 10 + 30 * row)
        pen.rectangle([*at, at[0] + 17, at[1] + 30], (255, shade, shade))
        pen.text((at[0] + 8, at[1] + 15), letter, "black", font_size=24, anchor="mm")
        row, column = (row + 1, 0) if letter == "\n" else (row, column + 1)
    image.resize((600, image.height // 2), Image.Resampling.LANCZOS).save(path)


def main():
    torch.manual_seed(0)
    text = zen()
    letters = sorted(set(text))
    codes = torch.tensor([letters.index(letter) for letter in text])
    model = GPT(len(letters))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in track(range(1, 401)):
        starts = torch.randint(len(codes) - BLOCK - 1, (32, 1))
        rows = codes[starts + torch.arange(BLOCK + 1)]
        loss = F.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(f"step {step}: loss {loss.item():.3f}")

    model.eval()
    written = go_on(model, codes[None, :20], 60)
    print("".join(letters[code] for code in written).replace("\n", " / "))
    print(f"loss of a guess at random: {torch.tensor(float(len(letters))).log().item():.4f}")
    print(f"loss after training: {loss.item():.4f}")

    if len(sys.argv) > 1:
        rows = codes[: len(codes) - 1].unfold(0, BLOCK, 1)  # what stood before each letter
        with torch.no_grad():
            surprise = F.cross_entropy(model(rows)[:, -1], codes[BLOCK:], reduction="none")
        draw(text[BLOCK:], surprise.tolist(), sys.argv[1])


if __name__ == "__main__":
    main()
