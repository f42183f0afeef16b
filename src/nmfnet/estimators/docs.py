"""The parameters that the estimators share are documented once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

C = TypeVar("C", bound=type)

TEMPLATE = """{what}

    It is trained without backpropagation, and there is no learning rate to tune (after Sakurai, Imakura, Inoue and
    Futamura, 2016).  For each batch, from the output layer down, the weights of a layer are fitted by (nonlinear)
    least squares.  The input of the layer is fitted by a nonnegative factor, the target of the layer below.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int and layers, default=(100,)
        Widths of the hidden layers; ``()`` is a linear model.  For images and sequences also the layers of
        `nmfnet.layers`: Conv2d, MaxPool2d, AvgPool2d, Conv1d, MaxPool1d, AvgPool1d, GlobalAvgPool, Residual, Flatten.
    activation : {{"relu", "leaky_relu", "logistic", "sigmoid", "tanh", "softplus", "identity"}}, default="relu"
        Activation function of the hidden layers that have weights, or a sequence with a name for each.  With relu,
        logistic and softplus the activations are nonnegative factors; with the others they can be negative.
    solver : {{"relaxed", "pinv"}} or nmfnet.Relaxed or nmfnet.Pinv, default="relaxed"
        How a batch updates the weights: "relaxed" by small steps on both factors, "pinv" by the paper's full steps.
        An instance has its own settings, as in ``Relaxed(dropout=0.2)``.
    pretrain : {{"nmf", None}} or nmfnet.NMFPretraining, default=None
        "nmf" starts from a stacked autoencoder of nonnegative matrix factorizations.  It needs X >= 0, and the inputs
        are then not scaled.  None starts from random weights (He et al., 2015).
    alpha : float or "auto", default="auto"
        Strength of the penalty ``alpha ((1 - l1_ratio) ||W||^2 / 2 + l1_ratio ||W||_1)`` on the weights of
        every layer, which is added to the loss summed over all samples.  With "pinv" the L2 part includes the biases.
        "auto" takes one of three values:

        - Dense tables of 32 to 20,000 rows: a cross-validation chooses 0, 0.3, 3, 10 or 30 (for regression 0, 0.09,
          0.9, 3 or 9).  On at most 2000 rows, in four folds, it trains a narrow network (at most 64 units a layer)
          with each penalty.  The penalty with the lowest loss is `alpha_`.  For classifiers `temperature_` comes from
          the same folds.
        - Other tables: 0.07 (for regression 0.02) times the mean number of inputs of a unit.
        - Images and counts, whose columns share a unit; layers of images; "pinv"; `pretrain`; `partial_fit`: 0.
    l1_ratio : float, default=0
        Share of L1 in the penalty, between 0 and 1.  L1 makes weights sparse; with "pinv" many become exactly 0.
    batch_size : int or "auto", default="auto"
        Largest number of samples in a batch; batches are of about equal size.  "auto" is a twentieth of the samples,
        within [200, 1000].  For regression with 64 targets or more it is half of that, for images half of that and at
        most 125.  With "pinv" it is 5000; there a batch should have several times as many samples as a layer has
        units.  With "relaxed" a batch of fewer than 64 samples is filled up with the samples before it, and counts as
        a fraction of an update; an epoch then takes longer.
    max_iter : int, default=20
        Number of epochs.  Step sizes are scheduled over that many, even if training ends earlier.
    max_time : float, optional
        Largest number of seconds of training in one call of `fit`.  The current batch is finished.
    tol : float, default=1e-4
        An epoch without progress is one that improves the objective (with early stopping: the validation loss) by at
        most `tol`.
    n_iter_no_change : int or np.inf, default=10
        Training ends after this number of epochs in a row without progress; np.inf: never for this reason.
    n_members : int or "auto", default="auto"
        Number of networks whose outputs the model adds up; they stand side by side in one network.  "auto": on dense
        tables of 32 to 10,000 rows, a weighted sum of up to four networks, which share the units of
        `hidden_layer_sizes`.  Their penalties, encodings and weights are those with the least loss in the
        cross-validation of `alpha`, on at most 2000 of the rows.  It is one network where that does not choose
        `alpha`, with a validation set, ``warm_start=True``, ``max_iter`` above 40, or fewer than 32 units in a layer.
        For texts, sparse inputs with classes, it is the network and naive Bayes, which has a hidden unit for each
        class.  A number above 1: the mean of the network that is asked for and, beside it, narrow networks of the
        cross-validation.
    early_stopping : bool, default=False
        Whether to end with the weights of the epoch with the lowest validation loss (among equal ones, the lowest
        validation error).  The validation set is the one passed to `fit`, or else a part of the samples.
    validation_fraction : float, default=0.1
        Fraction of the samples held out with `early_stopping`.
    fit_intercept : bool, default=True
        Whether layers have biases.
    input_shape : (channels, height, width) or (channels, length), optional
        Shape of an image or a sequence, if X has them as rows of numbers.  X of shape (n_samples, channels, ...) needs
        none.  Only for the layers of `nmfnet.layers`.
    augmentation : nmfnet.Augmentation, optional
        Random shifts, mirror images and hidden squares in the batches of `fit`.
    categorical_features : "from_dtype" or array-like, default="from_dtype"
        Columns that are categories.  "from_dtype": columns of text, and those with a categorical dtype of pandas,
        polars or Arrow.  Names, positions or a mask add others, such as columns of numeric codes.
    numeric_encoding : {{"auto", "standard", "piecewise"}}, default="auto"
        How a number enters the first layer.  "standard": standardized.  "piecewise": as up to 8 numbers, one for each
        interval between the column's quantiles.  Each rises in its interval and is constant elsewhere.  Only for dense
        tables; in `partial_fit` the intervals stay those of the first call.  "auto": where ``n_members="auto"`` adds
        up several networks, some are of either encoding; with ``n_members=1``, and on tables of 10,001 to 20,000 rows,
        the cross-validation of `alpha` chooses one; otherwise "standard".{parameters}
    random_state : int, RandomState instance or None, default=None
        Seed of the weights, the order of the samples and the validation split.
    device : str or torch.device, optional
        Where to train; by default the device of the tensor X, or the CPU.  "auto" is a GPU if there is one.
    warm_start : bool, default=False
        Whether `fit` continues from the weights of the last fit.
    verbose : bool, default=False
        Whether to print a line per epoch.
    callbacks : sequence of nmfnet.Callback, optional
        Hooks into `fit`; `partial_fit` calls none.  `clone`, and so a grid search, copies callbacks, except those that
        collect from all fits, such as :class:`nmfnet.callbacks.History`.

    Attributes
    ----------{fitted}
    n_members_ : int
        Number of networks that are added up, side by side in the hidden layers: of `coefs_`, `to_torch`, `to_onnx`
        and files.
    alpha_ : float or None
        The penalty that the cross-validation has chosen; None without one.
    coefs_ : list of ndarray
        Weight matrices, the l-th of shape (n_{{l-1}}, n_l), for a convolution (input channels times kernel, output
        channels).  The scaling of inputs is folded in, except for images.  With a piecewise-linear encoding
        (``history_[0]["numeric_encoding"]``) the first has a row for each piece.
    intercepts_ : list of ndarray
        Biases, the l-th of shape (n_l,); zeros with ``fit_intercept=False``.
    history_ : list of dict
        One dict per epoch; :class:`nmfnet.callbacks.EpochRecord` describes each entry.  Losses are {loss}, errors
        {error}.
    best_epoch_ : int or None
        With `early_stopping`, the epoch whose weights were kept.
    loss_curve_ : list of float
        The objective of each epoch of `history_`; `loss_` is the last one.
    best_loss_ : float or None
        The lowest value of `loss_curve_`; None with `early_stopping`.
    validation_scores_ : list of float or None
        The `val_score` of each epoch; None without `early_stopping`.  `best_validation_score_` is that of
        `best_epoch_`.
    t_ : int
        Number of training samples seen, over all epochs and warm starts.
    n_iter_ : int
        Number of epochs, over all warm starts.
    n_features_in_ : int
        Number of columns of X.
    input_encoder_ : object
        How categories, dates and missing values become numbers.  Its ``transform`` returns what the network gets, and
        its ``get_feature_names_out`` the names of those columns, which are the rows of ``coefs_[0]`` unless numbers
        are encoded piecewise linearly.
    input_shape_ : tuple of int or None
        Shape of a sample, if hidden layers are for images or sequences.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if X has names that are all strings.
    n_layers_ : int
        Number of layers, including input and output.
    n_outputs_ : int
        Number of outputs.
    out_activation_ : str
        "softmax", "logistic" or "identity".

    Warns
    -----
    DivergenceWarning
        If training ended early at non-finite weights; the last good ones are kept.

    Examples
    --------{example}
    """


def document(what: str, fitted: str, loss: str, error: str, example: str, parameters: str = "") -> Callable[[C], C]:
    """Fill the template and make it the docstring of a class."""

    def decorate(cls: C) -> C:
        cls.__doc__ = TEMPLATE.format(
            what=what, fitted=fitted, loss=loss, error=error, example=example, parameters=parameters
        )
        return cls

    return decorate
