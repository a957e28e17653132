"""transformers: the Trainer fits a small BERT, evaluates it, saves it and goes on."""

import tempfile

import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainingArguments,
)

from tests.ecosystem.report import report

torch.manual_seed(0)
config = BertConfig(
    vocab_size=99, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=37
)
generator = torch.Generator().manual_seed(3)
rows = [
    {
        "input_ids": torch.randint(0, 99, (12,), generator=generator),
        "attention_mask": torch.ones(12, dtype=torch.long),
        "labels": torch.tensor(number % 2),
    }
    for number in range(32)
]
folder = tempfile.mkdtemp()


def trained(steps, resume=None):
    options = TrainingArguments(
        output_dir=folder,
        max_steps=steps,
        per_device_train_batch_size=4,
        logging_steps=1,
        save_steps=10,
        report_to=[],
        seed=7,
        disable_tqdm=True,
        use_cpu=True,
        learning_rate=1e-3,
    )
    trainer = Trainer(
        model=BertForSequenceClassification(config),
        args=options,
        train_dataset=rows,
        eval_dataset=rows[:8],
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer


trainer = trained(10)
losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
evaluated = trainer.evaluate()["eval_loss"]
resumed = trained(20, f"{folder}/checkpoint-10")
later = [entry["loss"] for entry in resumed.state.log_history if "loss" in entry]
report(losses=losses, evaluated=evaluated, later=later)
