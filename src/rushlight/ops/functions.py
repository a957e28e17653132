"""Methods that PyTorch has as functions of its top level, too: those that write in place.

Loaded after all methods are attached.  Level 11.
"""

from __future__ import annotations

from rushlight.ops.spelling import PUBLIC
from rushlight.tensor.tensor import Tensor

FUNCTIONS_OF_METHODS = tuple(
    "abs_ acos_ acosh_ addmv_ arccos_ arccosh_ arcsin_ arcsinh_ arctan_ arctanh_ as_strided_ asin_"
    " asinh_ atan_ atanh_ ceil_ clamp_ clamp_max_ clamp_min_ clip_ conj_physical_ cos_ cosh_"
    " deg2rad_ detach detach_ erf_ erfc_ exp2_ exp_ expm1_ fill_ fix_ floor_ frac_ gcd_ i0_ lcm_"
    " ldexp_ log10_ log1p_ log2_ log_ logit_ nan_to_num_ neg_ negative_ rad2deg_ reciprocal_"
    " relu_ round_ rsqrt_ sigmoid_ sin_ sinc_ sinh_ sqrt_ square_ tan_ tanh_ trunc_ xlogy_"
    " zero_".split()
)

for _name in FUNCTIONS_OF_METHODS:
    PUBLIC.setdefault(_name, vars(Tensor)[_name])
