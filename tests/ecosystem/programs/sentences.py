"""sentence-transformers: a small model with random weights embeds, learns by pairs and is saved."""

import tempfile

import torch
from sentence_transformers import SentenceTransformer, losses, util
from sentence_transformers.models import Normalize, Pooling, Transformer
from transformers import BertConfig, BertModel, BertTokenizer

from tests.ecosystem.report import report

torch.manual_seed(0)
words = "the a cat dog sat ran on under mat tree big small red blue bird flew over house".split()
with tempfile.TemporaryDirectory() as folder:
    with open(f"{folder}/vocab.txt", "w") as file:
        file.write("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
    BertTokenizer(f"{folder}/vocab.txt").save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(words) + 5, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=32, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    encoder = Transformer(folder)
model = SentenceTransformer(modules=[encoder, Pooling(32), Normalize()], device="cpu")
sentences = ["the cat sat on the mat", "a dog ran under the tree", "the bird flew over a house"]
before = model.encode(sentences, convert_to_tensor=True)
loss = losses.MultipleNegativesRankingLoss(model)
pairs = [
    ("the cat sat", "a cat sat on mat"),
    ("the dog ran", "the dog ran under tree"),
    ("the bird flew", "a blue bird flew over"),
]
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
curve = []
for _ in range(10):
    features = [model.tokenize([pair[place] for pair in pairs]) for place in range(2)]
    value = loss(features, None)
    optimizer.zero_grad()
    value.backward()
    optimizer.step()
    curve.append(value.item())
after = model.encode(sentences, convert_to_tensor=True)
with tempfile.TemporaryDirectory() as folder:
    model.save(folder)
    again = SentenceTransformer(folder, device="cpu").encode(sentences, convert_to_tensor=True)
report(
    before=util.cos_sim(before, before),
    curve=curve,
    after=after.sum(dim=1),
    same=bool(torch.allclose(after, again, atol=1e-6)),
    found=util.semantic_search(after[:1], after, top_k=2)[0],
)
