"""The functions of `torch.nn.functional` as the operators that serialized TorchScript calls.

Templates by the names of the functions' own arguments.  `{x}` is the argument's text;
`{x|list}` a list even of one number, `{x|two}` and `{x|three}` a list that repeats one number,
`{x|minus}` -1 for None, `{x|float}` numbers as floats, `{x|number}` a reduction's number.
Level: jit (12).
"""

from __future__ import annotations

# Recorded names that differ from the operator's.
RENAMED = {
    "absolute": "abs", "concat": "cat", "concatenate": "cat",
    "multiply": "mul", "divide": "div", "subtract": "sub", "true_divide": "div", "clip": "clamp",
    "swapaxes": "transpose", "swapdims": "transpose", "special_expit": "sigmoid",
}  # fmt: skip
# Methods that take sizes or axes one by one: how many operands come before them.
SPREAD = {
    "reshape": 1, "view": 1, "permute": 1, "expand": 1, "repeat": 1, "tile": 1, "flip": 1,
    "new_zeros": 1, "new_ones": 1, "new_empty": 1,
}  # fmt: skip
# Templates by the names of the function's own arguments; `{x|list}` is written as a list.
TEMPLATES = {
    "linear": "torch.linear({input}, {weight}, {bias})",
    "batch_norm": "torch.batch_norm({input}, {weight}, {bias}, {running_mean}, {running_var}, "
    "{training}, {momentum}, {eps}, False)",
    "instance_norm": "torch.instance_norm({input}, {weight}, {bias}, {running_mean}, "
    "{running_var}, {use_input_stats}, {momentum}, {eps}, False)",
    "layer_norm": "torch.layer_norm({input}, {normalized_shape|list}, {weight}, {bias}, {eps})",
    "group_norm": "torch.group_norm({input}, {num_groups}, {weight}, {bias}, {eps})",
    "dropout": "torch.dropout({input}, {p}, {training})",
    "embedding": "torch.embedding({weight}, {input}, {padding_idx|minus}, "
    "{scale_grad_by_freq}, {sparse})",
    "softmax": "torch.softmax({input}, {dim}, {dtype})",
    "log_softmax": "torch.log_softmax({input}, {dim}, {dtype})",
    "max_pool1d": "torch.max_pool1d({input}, {kernel_size|list}, {stride|list}, "
    "{padding|list}, {dilation|list}, {ceil_mode})",
    "max_pool2d": "torch.max_pool2d({input}, {kernel_size|list}, {stride|list}, "
    "{padding|list}, {dilation|list}, {ceil_mode})",
    "avg_pool1d": "torch.avg_pool1d({input}, {kernel_size|list}, {stride|list}, "
    "{padding|list}, {ceil_mode}, {count_include_pad})",
    "avg_pool2d": "torch.avg_pool2d({input}, {kernel_size|list}, {stride|list}, "
    "{padding|list}, {ceil_mode}, {count_include_pad}, {divisor_override})",
    "adaptive_avg_pool1d": "torch.adaptive_avg_pool1d({input}, {output_size|list})",
    "adaptive_avg_pool2d": "torch.adaptive_avg_pool2d({input}, {output_size|two})",
    "relu": "torch.relu({input})",
    "leaky_relu": "torch.leaky_relu({input}, {negative_slope})",
    "elu": "torch.elu({input}, {alpha})",
    "silu": "torch.silu({input})",
    "mish": "torch.mish({input})",
    "hardswish": "torch.hardswish({input})",
    "hardsigmoid": "torch.hardsigmoid({input})",
    "hardtanh": "torch.hardtanh({input}, {min_val}, {max_val})",
    "relu6": "torch.hardtanh({input}, 0., 6.)",
    "gelu": "torch.gelu({input}, approximate={approximate})",
    "softplus": "torch.softplus({input}, {beta}, {threshold})",
    "logsigmoid": "torch.log_sigmoid({input})",
    "glu": "torch.glu({input}, {dim})",
    "prelu": "torch.prelu({input}, {weight})",
    "scaled_dot_product_attention": "torch.scaled_dot_product_attention({query}, {key}, {value}, "
    "{attn_mask}, {dropout_p}, {is_causal}, scale={scale}, enable_gqa={enable_gqa})",
    "pad": "torch.pad({input}, {pad|list}, {mode}, {value|float})",
    "mse_loss": "torch.mse_loss({input}, {target}, {reduction|number})",
    "pixel_shuffle": "torch.pixel_shuffle({input}, {upscale_factor})",
    "normalize": "torch.div({input}, torch.expand_as(torch.clamp_min(torch.norm({input}, {p}, "
    "[{dim}], True), {eps}), {input}))",
    "adaptive_avg_pool3d": "torch.adaptive_avg_pool3d({input}, {output_size|three})",
    "avg_pool3d": "torch.avg_pool3d({input}, {kernel_size|list}, {stride|list}, "
    "{padding|list}, {ceil_mode}, {count_include_pad}, {divisor_override})",
    "max_pool3d": "torch.max_pool3d({input}, {kernel_size|list}, {stride|list}, "
    "{padding|list}, {dilation|list}, {ceil_mode})",
    "rms_norm": "torch.rms_norm({input}, {normalized_shape|list}, {weight}, {eps})",
    "celu": "torch.celu({input}, {alpha})",
    "selu": "torch.selu({input})",
    "threshold": "torch.threshold({input}, {threshold}, {value})",
    "hardshrink": "torch.hardshrink({input}, {lambd})",
    "softshrink": "torch.softshrink({input}, {lambd})",
    "sigmoid": "torch.sigmoid({input})",
    "tanh": "torch.tanh({input})",
    "rrelu": "torch.rrelu({input}, {lower}, {upper}, {training})",
    "alpha_dropout": "torch.alpha_dropout({input}, {p}, {training})",
    "dropout1d": "torch.feature_dropout({input}, {p}, {training})",
    "dropout2d": "torch.feature_dropout({input}, {p}, {training})",
    "dropout3d": "torch.feature_dropout({input}, {p}, {training})",
    "feature_alpha_dropout": "torch.feature_alpha_dropout({input}, {p}, {training})",
    "one_hot": "torch.one_hot({tensor}, {num_classes})",
    "l1_loss": "torch.l1_loss({input}, {target}, {reduction|number})",
    "smooth_l1_loss": "torch.smooth_l1_loss({input}, {target}, {reduction|number}, {beta})",
    "huber_loss": "torch.huber_loss({input}, {target}, {reduction|number}, {delta})",
    "nll_loss": "torch.nll_loss_nd({input}, {target}, {weight}, {reduction|number}, "
    "{ignore_index})",
    "cross_entropy": "torch.cross_entropy_loss({input}, {target}, {weight}, {reduction|number}, "
    "{ignore_index}, {label_smoothing})",
    "binary_cross_entropy": "torch.binary_cross_entropy({input}, {target}, {weight}, "
    "{reduction|number})",
    "binary_cross_entropy_with_logits": "torch.binary_cross_entropy_with_logits({input}, "
    "{target}, {weight}, {pos_weight}, {reduction|number})",
    "bilinear": "torch.bilinear({input1}, {input2}, {weight}, {bias})",
    "interpolate": "torch.__interpolate({input}, {size}, {scale_factor|float}, {mode}, "
    "{align_corners}, {recompute_scale_factor}, {antialias})",
    "cosine_embedding_loss": "torch.cosine_embedding_loss({input1}, {input2}, {target}, "
    "{margin|float}, {reduction|number})",
    "margin_ranking_loss": "torch.margin_ranking_loss({input1}, {input2}, {target}, "
    "{margin|float}, {reduction|number})",
    "hinge_embedding_loss": "torch.hinge_embedding_loss({input}, {target}, {margin|float}, "
    "{reduction|number})",
    "triplet_margin_loss": "torch.triplet_margin_loss({anchor}, {positive}, {negative}, "
    "{margin|float}, {p|float}, {eps}, {swap}, {reduction|number})",
    "kl_div": "torch.kl_div({input}, {target}, {reduction|number}, log_target={log_target})",
    "poisson_nll_loss": "torch.poisson_nll_loss({input}, {target}, {log_input}, {full}, {eps}, "
    "{reduction|number})",
    "soft_margin_loss": "torch.soft_margin_loss({input}, {target}, {reduction|number})",
    "multilabel_margin_loss": "torch.multilabel_margin_loss({input}, {target}, {reduction|number})",
    "multi_margin_loss": "torch.multi_margin_loss({input}, {target}, {p}, {margin}, {weight}, "
    "{reduction|number})",
    "ctc_loss": "torch.ctc_loss({log_probs}, {targets}, {input_lengths|list}, "
    "{target_lengths|list}, {blank}, {reduction|number}, {zero_infinity})",
    "unfold": "torch.im2col({input}, {kernel_size|two}, {dilation|two}, {padding|two}, "
    "{stride|two})",
    "fold": "torch.col2im({input}, {output_size|two}, {kernel_size|two}, {dilation|two}, "
    "{padding|two}, {stride|two})",
    "adaptive_max_pool1d": "torch.adaptive_max_pool1d({input}, {output_size|list})",
    "adaptive_max_pool2d": "torch.adaptive_max_pool2d({input}, {output_size|two})",
    "adaptive_max_pool3d": "torch.adaptive_max_pool3d({input}, {output_size|three})",
    "affine_grid": "torch.affine_grid_generator({theta}, {size}, {align_corners})",
}
CONVOLUTIONS = {f"conv{n}d": n for n in (1, 2, 3)}
TRANSPOSED = {f"conv_transpose{n}d": n for n in (1, 2, 3)}
REDUCTIONS = {"none": 0, "mean": 1, "sum": 2}
# How many numbers the forms that repeat one make of it.
COUNTS = {"two": 2, "three": 3}
