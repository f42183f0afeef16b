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
        Widths of the hidden layers; ``()`` is a linear model.  Of images and sequences also the layers of
        `nmfnet.layers`: Conv2d, MaxPool2d, AvgPool2d, Conv1d, MaxPool1d, AvgPool1d, GlobalAvgPool, Flatten.
    activation : {{"relu", "leaky_relu", "logistic", "sigmoid", "tanh", "softplus", "identity"}}, default="relu"
        Of the hidden layers with weights, or a sequence with a name for each.  With relu, logistic and softplus the
        activations are nonnegative factors; with the others they can be negative.
    solver : {{"relaxed", "pinv"}} or nmfnet.Relaxed or nmfnet.Pinv, default="relaxed"
        How a batch updates the weights: "relaxed" by small steps on both factors, "pinv" by the paper's full steps.
        An instance has its own settings, as in ``Relaxed(dropout=0.2)``.
    pretrain : {{"nmf", None}} or nmfnet.NMFPretraining, default=None
        "nmf" starts from a stacked autoencoder of nonnegative matrix factorizations.  It needs X >= 0, and inputs are
        then not scaled.  None starts from random weights (He et al., 2015).
    alpha : float or "auto", default="auto"
        Strength of the penalty ``alpha ((1 - l1_ratio) ||W||^2 / 2 + l1_ratio ||W||_1)`` on the weights of
        every layer, relative to the loss summed over all samples.  With "pinv" the L2 part includes the biases.
        "auto" is found by cross-validation on dense tables of 32 to 20,000 rows: 0, 0.3, 3, 10 or 30 (for real targets
        0, 0.09, 0.9, 3 or 9).  Networks of at most 64 units a layer are first trained on three quarters of at most
        2000 rows, in four folds and with each penalty; what they predict for the rows left out tells the penalty,
        `alpha_`, and `temperature_`.  There are no folds for sparse X, for 64 or more columns of one unit, which may
        be pixels, and for layers of images.  Then it is 0.07 (for real targets 0.02) times the mean number of inputs
        of a unit for tables, whose columns are scaled one by one, and 0 for images and counts, whose columns
        share a unit, for "pinv", for `pretrain` and in `partial_fit`.
    l1_ratio : float, default=0
        Share of L1 in the penalty, between 0 and 1; L1 makes weights sparse, exactly so with "pinv".
    batch_size : int or "auto", default="auto"
        Most samples in a batch; "auto" is a twentieth of the samples within [200, 1000], half of that for images
        and for 64 real targets or more, and 5000 with "pinv".
        Batches are of about equal size.  A batch of fewer than 64 samples is filled up with the samples before it, and
        counts as a fraction of an update; an epoch then takes longer.  With "pinv" a batch should hold several times
        as many samples as a layer has units.
    max_iter : int, default=20
        Maximum number of epochs.  Step sizes are scheduled over so many.
    max_time : float, optional
        Maximum number of seconds of training in one call of `fit`; the current batch is finished.
    tol : float, default=1e-4
        An epoch that does not improve the objective (with early stopping: the validation loss) by more
        than `tol` is one without progress.
    n_iter_no_change : int or np.inf, default=10
        Training ends after so many epochs in a row without progress; with infinity it does not.
    n_members : int or "auto", default=1
        Networks whose mean outputs the model predicts: one that is trained on all rows, and others of the folds of
        `alpha`, those of the best penalty first, of at most 64 units a layer.  They stand side by side in one network,
        whose hidden layers are as wide as all of theirs.  "auto" averages 5 networks for tables of at most 2000 rows,
        unless there is a validation set, ``warm_start=True`` or ``max_iter`` above 40; otherwise it is 1.
    early_stopping : bool, default=False
        End with the weights of the epoch with the least loss, and of these with the least error, on a validation set:
        the one passed to `fit`, or one held out.
    validation_fraction : float, default=0.1
        Share of the samples held out.
    fit_intercept : bool, default=True
        Whether layers have biases.
    input_shape : (channels, height, width) or (channels, length), optional
        Of images or sequences that X has as rows of numbers; X of shape (n_samples, channels, ...) says so itself.
        Only for the layers of `nmfnet.layers`.
    augmentation : nmfnet.Augmentation, optional
        Random shifts, mirror images and hidden squares in the batches of `fit`.
    categorical_features : "from_dtype" or array-like, default="from_dtype"
        Columns that are categories.  "from_dtype": those of text, and those with a categorical dtype of pandas, polars
        or Arrow.  Names, positions or a mask of columns add others, such as columns of numeric codes.
    numeric_encoding : {{"standard", "piecewise", "auto"}}, default="standard"
        What the first layer is given for a number: the number, standardized, or up to 8 numbers, one for each interval
        between the column's quantiles, which rise in the interval and are constant elsewhere (piecewise linear).
        "piecewise" is for dense tables; in `partial_fit` the intervals stay those of the first call.  "auto": where
        folds choose the penalty, they choose the encoding, too; otherwise "standard".{parameters}
    random_state : int, RandomState instance or None, default=None
        Seed of the weights, the order of the samples and the validation split.
    device : str or torch.device, optional
        Where to train; by default the device of the tensor X, or the CPU.  "auto" is a GPU if there is one.
    warm_start : bool, default=False
        Whether `fit` continues from the weights of the last fit.
    verbose : bool, default=False
        Whether to print a line per epoch.
    callbacks : sequence of nmfnet.Callback, optional
        Hooks into `fit`; `partial_fit` calls none.  `clone`, and so a grid search, copies them, but not those that
        collect from all fits, as :class:`nmfnet.callbacks.History`.

    Attributes
    ----------{fitted}
    n_members_ : int
        Networks that are averaged.  They stand side by side in one network, whose hidden layers are so many times as
        wide as `hidden_layer_sizes`: `coefs_`, `to_torch`, `to_onnx` and files are of that one.
    alpha_ : float or None
        The penalty that the folds have chosen; None without folds.
    coefs_ : list of ndarray
        Weight matrices, the l-th of shape (n_{{l-1}}, n_l); of a convolution (channels times kernel, channels).  The
        scaling of inputs is folded in, but for images.  Of numbers that are encoded piecewise linearly
        (``history_[0]["numeric_encoding"]``) the first has a row for each piece.
    intercepts_ : list of ndarray
        Biases, the l-th of shape (n_l,); zeros with ``fit_intercept=False``.
    history_ : list of dict
        One per epoch: `epoch`; `objective`, what is minimized (on each batch just before its update, with the
        penalty); `train_loss`, `train_error` and, where there is a validation set, `val_loss` and `val_error`, all
        after the epoch and of the weights that predict; `val_score` (with `early_stopping`, what `score` says of that
        set); `n_samples` (training samples seen); where there were folds `alpha`, `held_out_loss` (of that penalty's
        networks on rows that they have not seen) and `n_members`; `retries` (where steps had to be damped or taken
        back); `seconds` (since the fit began, pre-training included).  Losses are {loss}, errors
        {error}.  Those in training are of a tenth of the samples where there are more than 5000.
    best_epoch_ : int or None
        With `early_stopping`, the epoch whose weights were kept: that of the least validation loss, then error.
    loss_curve_ : list of float
        The objective of each epoch of `history_`; `loss_` is the last one.
    best_loss_ : float or None
        The least of them; None with `early_stopping`.
    validation_scores_ : list of float or None
        The `val_score` of each epoch; None without `early_stopping`.  `best_validation_score_` is that of
        `best_epoch_`.
    t_ : int
        Training samples seen, over all epochs.
    n_iter_ : int
        Epochs done, over all warm starts.
    n_features_in_ : int
        Columns of X, however many numbers the network is given for them.
    input_encoder_ : object
        What became of categories, dates and missing values: ``transform`` gives what the network is given, and
        ``get_feature_names_out`` its names, which are those of the rows of ``coefs_[0]``.
    input_shape_ : tuple of int or None
        Of a sample, where hidden layers are of images or sequences.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only where X has feature names that are all strings.
    n_layers_ : int
        Layers, the input's and the output's included.
    n_outputs_ : int
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
