"""Names of tensor operators that serialized TorchScript may call.

Each is PyTorch's name of an operator on tensors that touches nothing but its operands; the function
or method of this name takes the arguments in the operator's order.  Level: jit (12).
"""

NAMES = frozenset(
    """
abs abs_ absolute absolute_ acos acos_ acosh acosh_ adaptive_avg_pool1d adaptive_avg_pool2d
adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d add add_ addbmm
addbmm_ addcdiv addcdiv_ addcmul addcmul_ addmm addmm_ addmv addmv_ addr addr_ adjoint
affine_grid_generator alias_copy all allclose alpha_dropout alpha_dropout_ amax amin aminmax
angle any arange arccos arccos_ arccosh arccosh_ arcsin arcsin_ arcsinh arcsinh_ arctan arctan2
arctan2_ arctan_ arctanh arctanh_ argmax argmin argsort argwhere as_strided as_strided_
as_strided_copy as_strided_scatter asin asin_ asinh asinh_ atan atan2 atan2_ atan_ atanh atanh_
atleast_1d atleast_2d atleast_3d avg_pool1d avg_pool2d avg_pool3d baddbmm baddbmm_
bartlett_window bernoulli bernoulli_ bilinear binary_cross_entropy
binary_cross_entropy_with_logits bincount binomial bitwise_and bitwise_and_ bitwise_left_shift
bitwise_left_shift_ bitwise_not bitwise_not_ bitwise_or bitwise_or_ bitwise_right_shift
bitwise_right_shift_ bitwise_xor bitwise_xor_ blackman_window block_diag bmm broadcast_shapes
broadcast_tensors broadcast_to bucketize cartesian_prod cat cauchy_ cdist ceil ceil_ celu celu_
chain_matmul chalf channel_shuffle cholesky cholesky_inverse cholesky_solve chunk clamp clamp_
clamp_max clamp_max_ clamp_min clamp_min_ clip clip_ clone column_stack combinations complex
concat concatenate conj conj_physical conj_physical_ constant_pad_nd contiguous conv1d conv2d
conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d copy_ copysign copysign_
corrcoef cos cos_ cosh cosh_ cosine_embedding_loss cosine_similarity count_nonzero cov cpu cross
ctc_loss cummax cummin cumprod cumprod_ cumsum cumsum_ cumulative_trapezoid deg2rad deg2rad_ det
detach detach_ diag diag_embed diagflat diagonal diagonal_copy diagonal_scatter diff digamma
digamma_ dim dist div div_ divide divide_ dot dsplit dstack element_size elu elu_ embedding
embedding_bag empty empty_like empty_permuted empty_strided eq eq_ equal erf erf_ erfc erfc_
erfinv erfinv_ exp exp2 exp2_ exp_ expand expand_as expand_copy expm1 expm1_ exponential_ eye
feature_alpha_dropout feature_alpha_dropout_ feature_dropout feature_dropout_ fill fill_
fill_diagonal_ fix fix_ flatten flip fliplr flipud float_power float_power_ floor floor_
floor_divide floor_divide_ fmax fmin fmod fmod_ frac frac_ fractional_max_pool2d
fractional_max_pool3d frexp full full_like gather gcd gcd_ ge ge_ gelu geometric_ geqrf ger glu
gradient greater greater_ greater_equal greater_equal_ grid_sampler grid_sampler_2d
grid_sampler_3d gt gt_ hamming_window hann_window hardshrink hardsigmoid hardswish hardtanh
hardtanh_ heaviside heaviside_ hinge_embedding_loss histc histogram histogramdd hsplit hstack
huber_loss hypot hypot_ i0 i0_ igamma igamma_ igammac igammac_ imag index_add index_add_
index_copy index_copy_ index_fill index_fill_ index_put index_reduce index_reduce_ index_select
inner inverse is_coalesced is_complex is_conj is_contiguous is_floating_point is_neg is_nonzero
is_same_size is_signed isclose isfinite isin isinf isnan isneginf isposinf isreal istft item
kaiser_window kl_div kron kthvalue l1_loss lcm lcm_ ldexp ldexp_ le le_ leaky_relu leaky_relu_
lerp lerp_ less less_ less_equal less_equal_ lgamma lgamma_ linear linspace log log10 log10_
log1p log1p_ log2 log2_ log_ log_normal_ logaddexp logaddexp2 logcumsumexp logdet logical_and
logical_and_ logical_not logical_not_ logical_or logical_or_ logical_xor logical_xor_ logit
logit_ logspace logsumexp lt lt_ lu_solve lu_unpack margin_ranking_loss masked_fill masked_fill_
masked_scatter masked_scatter_ masked_select matmul matrix_exp matrix_power max max_pool1d
max_pool1d_with_indices max_pool2d max_pool2d_with_indices max_pool3d max_pool3d_with_indices
max_unpool2d max_unpool3d maximum mean median min minimum mish mm mode moveaxis movedim mse_loss
msort mul mul_ multi_margin_loss multilabel_margin_loss multinomial multiply multiply_ mv
mvlgamma mvlgamma_ nan_to_num nan_to_num_ nanmean nanmedian nanquantile nansum narrow
narrow_copy native_batch_norm native_channel_shuffle native_group_norm native_layer_norm ne ne_
neg neg_ negative negative_ new_empty new_empty_strided new_full new_ones new_zeros nextafter
nextafter_ nll_loss nonzero nonzero_static norm norm_except_dim normal normal_ not_equal
not_equal_ numel one_hot ones ones_like orgqr ormqr outer pad pairwise_distance pdist permute
permute_copy pinverse pixel_shuffle pixel_unshuffle poisson poisson_nll_loss polar polygamma
polygamma_ positive pow pow_ prelu prod put put_ qr quantile rad2deg rad2deg_ rand rand_like
randint randint_like randn randn_like random_ randperm ravel real reciprocal reciprocal_ relu
relu6 relu_ remainder remainder_ renorm renorm_ repeat repeat_interleave reshape reshape_as
resolve_conj resolve_neg rms_norm roll rot90 round round_ row_stack rrelu rrelu_ rsqrt rsqrt_
rsub scalar_tensor scaled_dot_product_attention scatter scatter_ scatter_add scatter_add_
scatter_reduce scatter_reduce_ searchsorted select select_copy select_scatter selu selu_ sgn
sgn_ sigmoid sigmoid_ sign sign_ signbit silu sin sin_ sinc sinc_ sinh sinh_ slice_copy
slice_scatter slogdet smooth_l1_loss soft_margin_loss softplus softshrink split_copy
split_with_sizes split_with_sizes_copy sqrt sqrt_ square square_ squeeze squeeze_ squeeze_copy
stack std std_mean stft storage_offset stride sub sub_ subtract subtract_ sum sum_to_size svd
swapaxes swapaxes_ swapdims swapdims_ t t_ t_copy take take_along_dim tan tan_ tanh tanh_
tensor_split tensordot threshold threshold_ tile to_dense topk trace transpose transpose_
transpose_copy trapezoid trapz triangular_solve tril tril_ tril_indices triplet_margin_loss triu
triu_ triu_indices true_divide true_divide_ trunc trunc_ type_as unbind unbind_copy unfold
unfold_copy uniform_ unique_consecutive unsafe_chunk unsafe_split unsafe_split_with_sizes
unsqueeze unsqueeze_ unsqueeze_copy vander var var_mean vdot view view_as view_as_complex
view_as_real view_copy vsplit vstack where xlogy xlogy_ zero_ zeros zeros_like
""".split()
)

# Methods of Python's text that serialized code calls as operators.
METHODS = (
    "capitalize endswith find isalnum isalpha isdecimal isdigit isidentifier islower isnumeric "
    "isprintable isspace istitle isupper join ljust lower lstrip replace rfind rjust rsplit rstrip "
    "splitlines startswith strip swapcase title upper zfill"
).split()
