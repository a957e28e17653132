"""Layers and functions of the library, written in what TorchScript has.

The library's own code uses all of Python, and is written for speed; what stands here does the same
for an archive.  Nothing here runs: it is compiled (`statements.py`), with the layer's attributes as
constants.  Level: jit (12).
"""

from __future__ import annotations

from typing import Any, List, Optional, Tuple  # noqa: UP035 - what TorchScript code writes

from rushlight import nn
from rushlight.base.dtypes import bool_
from rushlight.jit.compiler.functional import Operators
from rushlight.nn import functional as F
from rushlight.nn.modules.instancenorm import _InstanceNorm
from rushlight.tensor.tensor import Tensor

# ruff: noqa: UP006, UP045
aten: Any = Operators()


def sequential(self, input):  # type: ignore[no-untyped-def]
    for module in self:
        input = module(input)
    return input


# ---- convolutions --------------------------------------------------------------------------------


def conv_forward(self, input: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
    return self._conv_forward(input, self.weight, self.bias)


def conv1d(self, input: Tensor, weight: Tensor, bias: Optional[Tensor]) -> Tensor:  # type: ignore[no-untyped-def]
    if self.padding_mode != "zeros":
        input = F.pad(input, self._reversed_padding_repeated_twice, self.padding_mode)
        return F.conv1d(input, weight, bias, self.stride, 0, self.dilation, self.groups)
    return F.conv1d(input, weight, bias, self.stride, self.padding, self.dilation, self.groups)


def conv2d(self, input: Tensor, weight: Tensor, bias: Optional[Tensor]) -> Tensor:  # type: ignore[no-untyped-def]
    if self.padding_mode != "zeros":
        input = F.pad(input, self._reversed_padding_repeated_twice, self.padding_mode)
        return F.conv2d(input, weight, bias, self.stride, 0, self.dilation, self.groups)
    return F.conv2d(input, weight, bias, self.stride, self.padding, self.dilation, self.groups)


def conv3d(self, input: Tensor, weight: Tensor, bias: Optional[Tensor]) -> Tensor:  # type: ignore[no-untyped-def]
    if self.padding_mode != "zeros":
        input = F.pad(input, self._reversed_padding_repeated_twice, self.padding_mode)
        return F.conv3d(input, weight, bias, self.stride, 0, self.dilation, self.groups)
    return F.conv3d(input, weight, bias, self.stride, self.padding, self.dilation, self.groups)


def output_padding(self, input: Tensor, output_size: Optional[List[int]]) -> List[int]:  # type: ignore[no-untyped-def]
    found: List[int] = []
    if output_size is None:
        for each in self.output_padding:
            found.append(each)
        return found
    axes = len(self.stride)
    wanted = output_size
    if len(wanted) == input.dim():
        wanted = wanted[input.dim() - axes :]
    if len(wanted) != axes:
        raise ValueError(f"output_size must have {axes} or {axes + 2} elements")
    place = 0
    for stride, padding, dilation, kernel in zip(
        self.stride, self.padding, self.dilation, self.kernel_size
    ):
        size = input.size(input.dim() - axes + place)
        least = (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1
        if wanted[place] < least or wanted[place] > least + stride - 1:
            raise ValueError(f"requested an output size of {wanted}, which cannot be had")
        found.append(wanted[place] - least)
        place += 1  # noqa: SIM113
    return found


def conv_transpose1d(self, input: Tensor, output_size: Optional[List[int]] = None) -> Tensor:  # type: ignore[no-untyped-def]
    more = self._output_padding(input, output_size)
    return F.conv_transpose1d(
        input, self.weight, self.bias, self.stride, self.padding, more, self.groups, self.dilation
    )


def conv_transpose2d(self, input: Tensor, output_size: Optional[List[int]] = None) -> Tensor:  # type: ignore[no-untyped-def]
    more = self._output_padding(input, output_size)
    return F.conv_transpose2d(
        input, self.weight, self.bias, self.stride, self.padding, more, self.groups, self.dilation
    )


def conv_transpose3d(self, input: Tensor, output_size: Optional[List[int]] = None) -> Tensor:  # type: ignore[no-untyped-def]
    more = self._output_padding(input, output_size)
    return F.conv_transpose3d(
        input, self.weight, self.bias, self.stride, self.padding, more, self.groups, self.dilation
    )


# ---- pooling -------------------------------------------------------------------------------------


def max_pool1d(self, input: Tensor):  # type: ignore[no-untyped-def]
    return F.max_pool1d(input, self.kernel_size, self.stride, self.padding, self.dilation,
                        self.ceil_mode, self.return_indices)  # fmt: skip


def max_pool2d(self, input: Tensor):  # type: ignore[no-untyped-def]
    return F.max_pool2d(input, self.kernel_size, self.stride, self.padding, self.dilation,
                        self.ceil_mode, self.return_indices)  # fmt: skip


def max_pool3d(self, input: Tensor):  # type: ignore[no-untyped-def]
    return F.max_pool3d(input, self.kernel_size, self.stride, self.padding, self.dilation,
                        self.ceil_mode, self.return_indices)  # fmt: skip


def avg_pool2d(self, input: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
    return F.avg_pool2d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
                        self.count_include_pad, self.divisor_override)  # fmt: skip


def avg_pool3d(self, input: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
    return F.avg_pool3d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
                        self.count_include_pad, self.divisor_override)  # fmt: skip


def lp_pool1d(self, input: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
    p = float(self.norm_type)
    mean = F.avg_pool1d(input.pow(p), self.kernel_size, self.stride, 0, self.ceil_mode)
    size = self.kernel_size if isinstance(self.kernel_size, int) else self.kernel_size[0]
    return (mean.sign() * mean.abs().relu()).mul(size).pow(1.0 / p)


def lp_pool2d(self, input: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
    p = float(self.norm_type)
    mean = F.avg_pool2d(input.pow(p), self.kernel_size, self.stride, 0, self.ceil_mode)
    if isinstance(self.kernel_size, int):
        size = self.kernel_size * self.kernel_size
    else:
        size = self.kernel_size[0] * self.kernel_size[1]
    return (mean.sign() * mean.abs().relu()).mul(size).pow(1.0 / p)


def lp_pool3d(self, input: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
    p = float(self.norm_type)
    mean = F.avg_pool3d(input.pow(p), self.kernel_size, self.stride, 0, self.ceil_mode)
    if isinstance(self.kernel_size, int):
        size = self.kernel_size * self.kernel_size * self.kernel_size
    else:
        size = self.kernel_size[0] * self.kernel_size[1] * self.kernel_size[2]
    return (mean.sign() * mean.abs().relu()).mul(size).pow(1.0 / p)


def embedding_bag(
    self, input: Tensor, offsets: Optional[Tensor] = None,
    per_sample_weights: Optional[Tensor] = None,
) -> Tensor:  # type: ignore[no-untyped-def]  # fmt: skip
    assert self.max_norm is None
    if input.dim() == 2:
        width = input.size(1)
        starts = aten.arange(0, input.numel(), width, dtype=input.dtype, device=input.device)
        if per_sample_weights is not None:
            per_sample_weights = per_sample_weights.reshape([-1])
        input = input.reshape([-1])
    elif offsets is None:
        raise ValueError("offsets has to be a 1D Tensor but got None")
    else:
        starts = offsets
    mode = 0 if self.mode == "sum" else (1 if self.mode == "mean" else 2)
    return aten.embedding_bag(
        self.weight, input, starts, self.scale_grad_by_freq, mode, self.sparse,
        per_sample_weights, self.include_last_offset, self.padding_idx,
    )[0]  # fmt: skip


# ---- recurrent layers ----------------------------------------------------------------------------


def _lstm(
    self, input: Tensor, hx: Optional[Tuple[Tensor, Tensor]] = None
) -> Tuple[Tensor, Tuple[Tensor, Tensor]]:  # type: ignore[no-untyped-def]
    batched = input.dim() == 3
    if not batched:
        input = input.unsqueeze(0 if self.batch_first else 1)
    if hx is None:
        count = input.size(0 if self.batch_first else 1)
        layers = self.num_layers * (2 if self.bidirectional else 1)
        size = self.proj_size if self.proj_size > 0 else self.hidden_size
        h = aten.zeros([layers, count, size], dtype=input.dtype, device=input.device)
        c = aten.zeros([layers, count, self.hidden_size], dtype=input.dtype, device=input.device)
    else:
        h, c = hx
        if not batched:
            h, c = h.unsqueeze(1), c.unsqueeze(1)
    output, h_n, c_n = aten.lstm(
        input, [h, c], self._flat_weights, self.bias, self.num_layers, self.dropout, self.training,
        self.bidirectional, self.batch_first,
    )  # fmt: skip
    if not batched:
        output = output.squeeze(0 if self.batch_first else 1)
        h_n, c_n = h_n.squeeze(1), c_n.squeeze(1)
    return output, (h_n, c_n)


def _prepared(self, input: Tensor, hx: Optional[Tensor]) -> Tuple[Tensor, Tensor]:  # type: ignore[no-untyped-def]
    if input.dim() != 3:
        input = input.unsqueeze(0 if self.batch_first else 1)
        if hx is not None:
            hx = hx.unsqueeze(1)
    if hx is None:
        layers = self.num_layers * (2 if self.bidirectional else 1)
        count = input.size(0 if self.batch_first else 1)
        hx = aten.zeros([layers, count, self.hidden_size], dtype=input.dtype, device=input.device)
    return input, hx


def gru(self, input: Tensor, hx: Optional[Tensor] = None) -> Tuple[Tensor, Tensor]:  # type: ignore[no-untyped-def]
    batched, h = self._prepared(input, hx)
    output, last = aten.gru(
        batched, h, self._flat_weights, self.bias, self.num_layers, self.dropout, self.training,
        self.bidirectional, self.batch_first,
    )  # fmt: skip
    if input.dim() != 3:
        return output.squeeze(0 if self.batch_first else 1), last.squeeze(1)
    return output, last


def rnn(self, input: Tensor, hx: Optional[Tensor] = None) -> Tuple[Tensor, Tensor]:  # type: ignore[no-untyped-def]
    batched, h = self._prepared(input, hx)
    if self.mode == "RNN_TANH":
        output, last = aten.rnn_tanh(
            batched, h, self._flat_weights, self.bias, self.num_layers, self.dropout,
            self.training, self.bidirectional, self.batch_first,
        )  # fmt: skip
    else:
        output, last = aten.rnn_relu(
            batched, h, self._flat_weights, self.bias, self.num_layers, self.dropout,
            self.training, self.bidirectional, self.batch_first,
        )  # fmt: skip
    if input.dim() != 3:
        return output.squeeze(0 if self.batch_first else 1), last.squeeze(1)
    return output, last


def _state(self, input: Tensor, hx: Optional[Tensor]) -> Tensor:  # type: ignore[no-untyped-def]
    if hx is None:
        return aten.zeros([input.size(0), self.hidden_size], dtype=input.dtype, device=input.device)
    return hx if hx.dim() == 2 else hx.unsqueeze(0)


def lstm_cell(
    self, input: Tensor, hx: Optional[Tuple[Tensor, Tensor]] = None
) -> Tuple[Tensor, Tensor]:  # type: ignore[no-untyped-def]
    x = input if input.dim() == 2 else input.unsqueeze(0)
    if hx is None:
        h, c = self._state(x, None), self._state(x, None)
    else:
        h, c = self._state(x, hx[0]), self._state(x, hx[1])
    h, c = aten.lstm_cell(x, [h, c], self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
    return (h, c) if input.dim() == 2 else (h.squeeze(0), c.squeeze(0))


def gru_cell(self, input: Tensor, hx: Optional[Tensor] = None) -> Tensor:  # type: ignore[no-untyped-def]
    x = input if input.dim() == 2 else input.unsqueeze(0)
    h = aten.gru_cell(
        x, self._state(x, hx), self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh
    )
    return h if input.dim() == 2 else h.squeeze(0)


def rnn_cell(self, input: Tensor, hx: Optional[Tensor] = None) -> Tensor:  # type: ignore[no-untyped-def]
    x = input if input.dim() == 2 else input.unsqueeze(0)
    state = self._state(x, hx)
    if self.nonlinearity == "tanh":
        h = aten.rnn_tanh_cell(x, state, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
    else:
        h = aten.rnn_relu_cell(x, state, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
    return h if input.dim() == 2 else h.squeeze(0)


# ---- normalization -------------------------------------------------------------------------------


def two_or_three_axes(self, input: Tensor) -> None:  # type: ignore[no-untyped-def]
    if input.dim() != 2 and input.dim() != 3:
        raise ValueError(f"expected 2D or 3D input (got {input.dim()}D input)")


def four_axes(self, input: Tensor) -> None:  # type: ignore[no-untyped-def]
    if input.dim() != 4:
        raise ValueError(f"expected 4D input (got {input.dim()}D input)")


def five_axes(self, input: Tensor) -> None:  # type: ignore[no-untyped-def]
    if input.dim() != 5:
        raise ValueError(f"expected 5D input (got {input.dim()}D input)")


def axes_with_or_without_batch(self, input: Tensor) -> None:  # type: ignore[no-untyped-def]
    if input.dim() != self._axes + 1 and input.dim() != self._axes + 2:
        raise ValueError(
            f"expected {self._axes + 1}D or {self._axes + 2}D input (got {input.dim()}D input)"
        )


# ---- attention -----------------------------------------------------------------------------------


def attention(
    self, query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Optional[Tensor] = None,
    need_weights: bool = True, attn_mask: Optional[Tensor] = None,
    average_attn_weights: bool = True, is_causal: bool = False,
) -> Tuple[Tensor, Optional[Tensor]]:  # type: ignore[no-untyped-def]  # fmt: skip
    batched = query.dim() == 3
    if not batched:
        query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    elif self.batch_first:
        query, key, value = query.transpose(0, 1), key.transpose(0, 1), value.transpose(0, 1)
    count, batch, size = query.size(0), query.size(1), self.embed_dim
    heads = self.num_heads
    width = size // heads
    if self._qkv_same_embed_dim:
        wq, wk, wv = self.in_proj_weight.chunk(3)
    else:
        wq, wk, wv = self.q_proj_weight, self.k_proj_weight, self.v_proj_weight
    if self.in_proj_bias is not None:
        bq, bk, bv = self.in_proj_bias.chunk(3)
        q, k, v = F.linear(query, wq, bq), F.linear(key, wk, bk), F.linear(value, wv, bv)
    else:
        q, k, v = F.linear(query, wq), F.linear(key, wk), F.linear(value, wv)
    added = 0
    if self.bias_k is not None and self.bias_v is not None:
        k = aten.cat([k, self.bias_k.repeat([1, batch, 1])])
        v = aten.cat([v, self.bias_v.repeat([1, batch, 1])])
        added += 1
    q = q.reshape([count, batch * heads, width]).transpose(0, 1)
    k = k.reshape([k.size(0), batch * heads, width]).transpose(0, 1)
    v = v.reshape([v.size(0), batch * heads, width]).transpose(0, 1)
    if self.add_zero_attn:
        zeros = aten.zeros([batch * heads, 1, width], dtype=k.dtype, device=k.device)
        k, v = aten.cat([k, zeros], 1), aten.cat([v, zeros], 1)
        added += 1
    q = q.view([batch, heads, count, width])
    k = k.view([batch, heads, k.size(1), width])
    v = v.view([batch, heads, v.size(1), width])
    mask: Optional[Tensor] = None
    if attn_mask is not None:
        own = attn_mask
        if own.dtype == bool_:
            own = aten.zeros_like(own, dtype=q.dtype).masked_fill_(own, float("-inf"))
        own = own.unsqueeze(0) if own.dim() == 2 else own.view([batch, heads, count, own.size(2)])
        if own.dim() == 3:
            own = own.unsqueeze(0)
        mask = aten.pad(own, [0, added])
    if key_padding_mask is not None:
        padding = key_padding_mask
        if padding.dtype == bool_:
            padding = aten.zeros_like(padding, dtype=q.dtype).masked_fill_(padding, float("-inf"))
        padding = aten.pad(padding.view([batch, 1, 1, padding.size(1)]), [0, added])
        mask = padding if mask is None else mask + padding
    p = self.dropout if self.training else 0.0
    weights: Optional[Tensor] = None
    if need_weights:
        scores = (q * (float(width) ** -0.5)).matmul(k.transpose(-2, -1))
        if mask is not None:
            scores = scores + mask
        shares = F.softmax(scores, -1)
        if p > 0.0:
            shares = F.dropout(shares, p)
        attended = shares.matmul(v)
        weights = shares.mean(1) if average_attn_weights else shares
        if not batched:
            weights = weights.squeeze(0)
    else:
        attended = F.scaled_dot_product_attention(q, k, v, mask, p, is_causal and mask is None)
    attended = attended.permute([2, 0, 1, 3]).reshape([count * batch, size])
    output = F.linear(attended, self.out_proj.weight, self.out_proj.bias)
    output = output.view([count, batch, output.size(1)])
    if not batched:
        output = output.squeeze(1)
    elif self.batch_first:
        output = output.transpose(0, 1)
    return output, weights


def encoder_layer(
    self, src: Tensor, src_mask: Optional[Tensor] = None,
    src_key_padding_mask: Optional[Tensor] = None, is_causal: bool = False,
) -> Tensor:  # type: ignore[no-untyped-def]  # fmt: skip
    x = src
    if self.norm_first:
        y = self.norm1(x)
        x = x + self.dropout1(
            self.self_attn(y, y, y, src_key_padding_mask, False, src_mask, True, is_causal)[0]
        )
        return x + self._ff_block(self.norm2(x))
    attended = self.self_attn(x, x, x, src_key_padding_mask, False, src_mask, True, is_causal)[0]
    x = self.norm1(x + self.dropout1(attended))
    return self.norm2(x + self._ff_block(x))


def decoder_layer(
    self, tgt: Tensor, memory: Tensor, tgt_mask: Optional[Tensor] = None,
    memory_mask: Optional[Tensor] = None, tgt_key_padding_mask: Optional[Tensor] = None,
    memory_key_padding_mask: Optional[Tensor] = None, tgt_is_causal: bool = False,
    memory_is_causal: bool = False,
) -> Tensor:  # type: ignore[no-untyped-def]  # fmt: skip
    x = tgt
    y = self.norm1(x) if self.norm_first else x
    own = self.self_attn(y, y, y, tgt_key_padding_mask, False, tgt_mask, True, tgt_is_causal)[0]
    x = x + self.dropout1(own)
    if not self.norm_first:
        x = self.norm1(x)
    y = self.norm2(x) if self.norm_first else x
    other = self.multihead_attn(
        y, memory, memory, memory_key_padding_mask, False, memory_mask, True, memory_is_causal
    )[0]
    x = x + self.dropout2(other)
    if self.norm_first:
        return x + self._ff_block(self.norm3(x))
    x = self.norm2(x)
    return self.norm3(x + self._ff_block(x))


def encoder(
    self, src: Tensor, mask: Optional[Tensor] = None,
    src_key_padding_mask: Optional[Tensor] = None, is_causal: Optional[bool] = None,
) -> Tensor:  # type: ignore[no-untyped-def]  # fmt: skip
    causal = is_causal if is_causal is not None else False
    output = src
    for layer in self.layers:
        output = layer(output, mask, src_key_padding_mask, causal)
    if self.norm is not None:
        output = self.norm(output)
    return output


def decoder(
    self, tgt: Tensor, memory: Tensor, tgt_mask: Optional[Tensor] = None,
    memory_mask: Optional[Tensor] = None, tgt_key_padding_mask: Optional[Tensor] = None,
    memory_key_padding_mask: Optional[Tensor] = None, tgt_is_causal: Optional[bool] = None,
    memory_is_causal: bool = False,
) -> Tensor:  # type: ignore[no-untyped-def]  # fmt: skip
    causal = tgt_is_causal if tgt_is_causal is not None else False
    output = tgt
    for layer in self.layers:
        output = layer(output, memory, tgt_mask, memory_mask, tgt_key_padding_mask,
                       memory_key_padding_mask, causal, memory_is_causal)  # fmt: skip
    if self.norm is not None:
        output = self.norm(output)
    return output


# ---- functions -----------------------------------------------------------------------------------


def softsign(input: Tensor) -> Tensor:
    return input / (input.abs() + 1)


def tanhshrink(input: Tensor) -> Tensor:
    return input - input.tanh()


def softmin(input: Tensor, dim: int, _stacklevel: int = 3) -> Tensor:
    return F.softmax(-input, dim)


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    squares = input.mul(input).unsqueeze(1)
    if input.dim() == 3:
        squares = F.pad(squares, [0, 0, size // 2, (size - 1) // 2])
        squares = F.avg_pool2d(squares, [size, 1], 1).squeeze(1)
    else:
        sizes = input.size()
        squares = squares.view([sizes[0], 1, sizes[1], sizes[2], -1])
        squares = F.pad(squares, [0, 0, 0, 0, size // 2, (size - 1) // 2])
        squares = F.avg_pool3d(squares, [size, 1, 1], 1).squeeze(1)
        squares = squares.view(sizes)
    return input / squares.mul(alpha).add(k).pow(beta)


# Lists of parameters, by the attribute that holds their names.
LISTS: dict[type, dict[str, str]] = {nn.RNNBase: {"_flat_weights": "_flat_weights_names"}}
# The forms of functions, and of methods by their class.
FUNCTIONS: dict[Any, Any] = {
    F.softsign: softsign, F.tanhshrink: tanhshrink, F.softmin: softmin,
    F.local_response_norm: local_response_norm,
}  # fmt: skip
_TRANSPOSED = {"_output_padding": output_padding}
METHODS: dict[type, dict[str, Any]] = {
    nn.Sequential: {"forward": sequential},
    nn.Conv1d: {"forward": conv_forward, "_conv_forward": conv1d},
    nn.Conv2d: {"forward": conv_forward, "_conv_forward": conv2d},
    nn.Conv3d: {"forward": conv_forward, "_conv_forward": conv3d},
    nn.ConvTranspose1d: {"forward": conv_transpose1d, **_TRANSPOSED},
    nn.ConvTranspose2d: {"forward": conv_transpose2d, **_TRANSPOSED},
    nn.ConvTranspose3d: {"forward": conv_transpose3d, **_TRANSPOSED},
    nn.MaxPool1d: {"forward": max_pool1d},
    nn.MaxPool2d: {"forward": max_pool2d},
    nn.MaxPool3d: {"forward": max_pool3d},
    nn.AvgPool2d: {"forward": avg_pool2d},
    nn.AvgPool3d: {"forward": avg_pool3d},
    nn.LPPool1d: {"forward": lp_pool1d},
    nn.LPPool2d: {"forward": lp_pool2d},
    nn.LPPool3d: {"forward": lp_pool3d},
    nn.EmbeddingBag: {"forward": embedding_bag},
    nn.LSTM: {"forward": _lstm},
    nn.GRU: {"forward": gru, "_prepared": _prepared},
    nn.RNN: {"forward": rnn, "_prepared": _prepared},
    nn.LSTMCell: {"forward": lstm_cell, "_state": _state},
    nn.GRUCell: {"forward": gru_cell, "_state": _state},
    nn.RNNCell: {"forward": rnn_cell, "_state": _state},
    nn.BatchNorm1d: {"_check_input_dim": two_or_three_axes},
    nn.BatchNorm2d: {"_check_input_dim": four_axes},
    nn.BatchNorm3d: {"_check_input_dim": five_axes},
    _InstanceNorm: {"_check_input_dim": axes_with_or_without_batch},
    nn.MultiheadAttention: {"forward": attention},
    nn.TransformerEncoderLayer: {"forward": encoder_layer},
    nn.TransformerDecoderLayer: {"forward": decoder_layer},
    nn.TransformerEncoder: {"forward": encoder},
    nn.TransformerDecoder: {"forward": decoder},
}
