"""Optuna looks for a good network, and stops the trials that fall behind: a callback tells it each epoch's score."""

import warnings

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from fastnn.callbacks import Callback
from fastnn.sklearn import MLPClassifier

try:
    import optuna
except ImportError:
    optuna = None


class Pruning(Callback):
    """Reports the score on the validation set, and ends a trial that Optuna gives up."""

    def __init__(self, trial):
        super().__init__()
        self.trial = trial

    def on_epoch_end(self, epoch, logs=None):
        self.trial.report(logs["val_score"], epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def objective(trial):
    X, y = load_digits(return_X_y=True)
    train_x, held_x, train_y, held_y = train_test_split(X, y, test_size=0.3, random_state=0)
    scale = MinMaxScaler().fit(train_x)
    network = MLPClassifier(
        hidden_layer_sizes=(trial.suggest_int("units", 16, 128, log=True),) * trial.suggest_int("layers", 1, 2),
        activation=trial.suggest_categorical("activation", ["relu", "tanh", "gelu"]),
        learning_rate_init=trial.suggest_float("rate", 1e-3, 3e-2, log=True),
        alpha=trial.suggest_float("alpha", 1e-5, 1.0, log=True),
        dropout=trial.suggest_float("dropout", 0.0, 0.4),
        max_iter=15,
        early_stopping=True,
        random_state=0,
        callbacks=[Pruning(trial)],
    )
    network.fit(scale.transform(train_x), train_y, validation_data=(scale.transform(held_x), held_y))
    return make_pipeline(scale, network).score(held_x, held_y)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", "Stochastic Optimizer")  # 15 epochs are enough to compare
    if optuna is None:
        print("This example needs Optuna; install it with: pip install optuna")
    else:
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
        study.optimize(objective, n_trials=15)
        print(f"best: {study.best_value:.3f} of the digits, by {study.best_params}")
