"""One or more parameters for every distribution; lists become tensors of the test's dtype."""

from __future__ import annotations

MATRIX = [[2.0, 0.3], [0.3, 1.0]]
FACTOR = [[1.2, 0.0], [0.4, 0.8]]
SHARES = [[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]]

#: name, parameters.  Where two stand, the second takes another way through the constructor.
TABLE: list[tuple[str, dict]] = [
    ("Bernoulli", {"probs": [0.3, 0.8]}),
    ("Bernoulli", {"logits": [-1.0, 2.0]}),
    ("Beta", {"concentration1": [0.7, 2.0, 9.0], "concentration0": [1.5, 3.0, 8.0]}),
    ("Binomial", {"total_count": 5, "probs": [0.2, 0.7]}),
    ("Binomial", {"total_count": 90, "logits": [0.4, -0.2]}),
    ("Categorical", {"probs": SHARES}),
    ("Categorical", {"logits": [0.1, -1.0, 2.0]}),
    ("Cauchy", {"loc": [0.0, 1.0], "scale": [1.0, 2.5]}),
    ("Chi2", {"df": [1.5, 4.0]}),
    ("ContinuousBernoulli", {"probs": [0.2, 0.5, 0.9]}),
    ("Dirichlet", {"concentration": [[0.5, 1.5, 2.0], [13.0, 11.0, 1.0]]}),
    ("Exponential", {"rate": [0.5, 2.0]}),
    ("FisherSnedecor", {"df1": [2.0, 5.0], "df2": [3.0, 7.0]}),
    ("Gamma", {"concentration": [0.6, 3.0, 15.0], "rate": [1.0, 0.5, 2.0]}),
    ("GeneralizedPareto", {"loc": [0.0, 1.0], "scale": [1.0, 2.0], "concentration": [0.2, -0.3]}),
    ("Geometric", {"probs": [0.2, 0.7]}),
    ("Gumbel", {"loc": [0.0, 1.0], "scale": [1.0, 2.0]}),
    ("HalfCauchy", {"scale": [1.0, 2.0]}),
    ("HalfNormal", {"scale": [1.0, 2.0]}),
    ("InverseGamma", {"concentration": [2.5, 4.0], "rate": [1.0, 2.0]}),
    ("Kumaraswamy", {"concentration1": [0.7, 2.0], "concentration0": [1.5, 3.0]}),
    ("LKJCholesky", {"dim": 3, "concentration": [1.5, 2.0]}),
    ("Laplace", {"loc": [0.0, 1.0], "scale": [1.0, 2.0]}),
    ("LogNormal", {"loc": [0.0, 0.5], "scale": [0.5, 1.0]}),
    ("LogisticNormal", {"loc": [0.1, -0.4], "scale": [0.5, 1.0]}),
    (
        "LowRankMultivariateNormal",
        {"loc": [0.5, -1.0], "cov_factor": [[1.0], [0.5]], "cov_diag": [0.3, 0.7]},
    ),
    ("Multinomial", {"total_count": 5, "probs": [0.2, 0.5, 0.3]}),
    ("MultivariateNormal", {"loc": [0.5, -1.0], "covariance_matrix": MATRIX}),
    ("MultivariateNormal", {"loc": [[0.5, -1.0], [0.0, 1.0]], "precision_matrix": MATRIX}),
    ("MultivariateNormal", {"loc": [0.5, -1.0], "scale_tril": FACTOR}),
    ("NegativeBinomial", {"total_count": [3.0, 5.0], "probs": [0.3, 0.65]}),
    ("Normal", {"loc": [0.0, 1.0], "scale": [1.0, 2.0]}),
    ("OneHotCategorical", {"probs": SHARES}),
    ("OneHotCategoricalStraightThrough", {"probs": SHARES[0]}),
    ("Pareto", {"scale": [1.0, 2.0], "alpha": [3.0, 2.5]}),
    ("Poisson", {"rate": [0.5, 14.0]}),
    ("RelaxedBernoulli", {"temperature": [0.7], "probs": [0.3, 0.6]}),
    ("RelaxedOneHotCategorical", {"temperature": [0.7], "probs": [0.3, 0.6, 0.1]}),
    ("StudentT", {"df": [3.0, 5.0], "loc": [0.0, 1.0], "scale": [1.0, 2.0]}),
    ("Uniform", {"low": [0.0, -1.0], "high": [1.0, 3.0]}),
    ("VonMises", {"loc": [0.0, 1.0], "concentration": [1.0, 3.0]}),
    ("Weibull", {"scale": [1.0, 2.0], "concentration": [1.5, 0.8]}),
    ("Wishart", {"df": [3.5], "covariance_matrix": MATRIX}),
]


def made(library, name: str, parameters: dict, dtype: str = "float64", follow: bool = True):
    """The distribution in one library, and its tensors, which require gradients if `follow`."""
    leaves = {
        key: library.tensor(value, dtype=getattr(library, dtype), requires_grad=follow)
        for key, value in parameters.items()
        if isinstance(value, list)
    }
    return getattr(library.distributions, name)(**{**parameters, **leaves}), leaves
