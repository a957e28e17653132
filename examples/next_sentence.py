"""Self-supervised learning: does the second sentence follow the first?

    rushlight run examples/next_sentence.py [PICTURE.png]

The text is Python's own documentation, which is in every Python (`help("classes")`).  A pair is two
sentences in a row, or two from anywhere; nobody labels them, for the text itself knows.  A sentence
is the mean of what its words say (as a first and as a second sentence), weighed by the network.
Topics that are asked about in the end were not read before.
The picture: how many pairs got which score, from "no" to "yes": true pairs in red, others in blue.
"""

import random
import re
import sys
from collections import Counter
from itertools import pairwise
from pydoc_data.topics import topics

import torch
import torch.nn as nn
import torch.nn.functional as F

from rushlight.progress import track

WORDS, WIDTH, LONGEST = 3000, 128, 24


def sentences(text):
    for sentence in re.split(r"(?<=[.:?!])\s+", re.sub(r"\s+", " ", text)):
        words = re.findall(r"[a-z]+", sentence.lower())
        if len(words) >= 5:
            yield words[:LONGEST]


class Judge(nn.Module):
    """It begins with shared words, rare ones above all, and learns which words belong together."""

    def __init__(self, rareness):
        super().__init__()
        self.words = nn.Embedding(WORDS + 2, WIDTH, padding_idx=0)
        self.weight = nn.Embedding.from_pretrained(rareness[:, None], freeze=False)
        self.first, self.second = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.scale = nn.Parameter(torch.tensor([5.0, -1.0]))
        nn.init.zeros_(self.first.weight), nn.init.zeros_(self.second.weight)

    def read(self, numbers, turn):
        """(B, T) numbers of words, 0 after the end -> (B, WIDTH)."""
        weight = self.weight(numbers)[..., 0].masked_fill(numbers == 0, float("-inf"))
        words = F.dropout(self.words(numbers), 0.2, self.training)
        mean = (weight.softmax(dim=1)[..., None] * words).sum(dim=1)
        return mean + turn(mean)

    def forward(self, first, second):
        a, b = self.read(first, self.first), self.read(second, self.second)
        return self.scale[0] * F.cosine_similarity(a, b) + self.scale[1]


def pairs(texts):
    """Each sentence with the next one (1), and each with any other (0)."""
    every = [sentence for text in texts for sentence in text]
    for text in texts:
        for first, second in pairwise(text):
            yield first, second, 1.0
            yield first, random.choice(every), 0.0


def main():
    random.seed(0)
    torch.manual_seed(0)
    texts = [list(sentences(topics[name])) for name in sorted(topics)]
    random.shuffle(texts)
    split = len(texts) * 4 // 5
    counts = Counter(word for text in texts[:split] for words in text for word in words)
    known = {word: number for number, (word, _) in enumerate(counts.most_common(WORDS), 2)}

    def tensors(rows):
        def numbers(words):
            return [known.get(word, 1) for word in words] + [0] * (LONGEST - len(words))

        first, second, follows = zip(*rows)
        first, second = (torch.tensor([numbers(w) for w in side]) for side in (first, second))
        return first, second, torch.tensor(follows)

    often = torch.tensor([1.0, 1.0] + [float(n) for _, n in counts.most_common(WORDS)])
    model = Judge((often.sum() / often).log() * 0.5)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.1)
    for epoch in track(range(1, 6)):
        first, second, follows = tensors(list(pairs(texts[:split])))  # other strangers each time
        total = 0.0
        for rows in torch.randperm(len(first)).split(128):
            loss = F.binary_cross_entropy_with_logits(
                model(first[rows], second[rows]), follows[rows]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(rows)
        print(f"epoch {epoch}: loss {total.item() / len(first):.3f}")

    first, second, follows = tensors(list(pairs(texts[split:])))
    model.eval()
    with torch.no_grad():
        scores = model(first, second)
        right = (scores > 0).float() == follows
    print(f"accuracy on topics never read: {right.float().mean().item():.4f}")

    if len(sys.argv) > 1:
        from torchvision.utils import save_image  # noqa: PLC0415

        counts = torch.stack([scores[follows == k].histc(70, -4, 4) for k in (1, 0)])
        below = torch.arange(200, 0, -1)[:, None, None] < (190 * counts / counts.max()).T
        bars = 1 - torch.stack([below[..., 1], below.any(-1), below[..., 0]]).float() * 0.6
        save_image(bars.repeat_interleave(8, dim=2), sys.argv[1])


if __name__ == "__main__":
    main()
