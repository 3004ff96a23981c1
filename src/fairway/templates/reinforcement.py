"""Balance a pole on a cart: a linear policy learned in numpy by the cross-entropy method, with rollouts in parallel."""

import gymnasium
import numpy as np

import fairway as fw

SIZE = 5  # four observations and a bias


class Policy:
    """Pushes right where a weighted sum of the observation is positive."""

    def __init__(self, weights: np.ndarray) -> None:
        self.weights = weights

    def predict(self, observations: np.ndarray) -> np.ndarray:
        """Actions (n,) for observations (n, 4)."""
        points = np.asarray(observations, dtype=float)
        return (points @ self.weights[:4] + self.weights[4] > 0).astype(np.int64)


def play(weights: np.ndarray, seed: int) -> float:
    """Return of one episode, at most 500."""
    world = gymnasium.make("CartPole-v1")
    state, _ = world.reset(seed=seed)
    total, over = 0.0, False
    while not over:
        action = int(state @ weights[:4] + weights[4] > 0)
        state, reward, terminated, truncated, _ = world.step(action)
        total, over = total + float(reward), terminated or truncated
    return total


@fw.task
def rollouts(seed: int, mean: np.ndarray, spread: np.ndarray, count: int, episodes: int) -> np.ndarray:
    """Try `count` policies drawn around `mean`; rows of weights and, last, their mean return."""
    draw = np.random.default_rng(seed)
    tried = mean + spread * draw.standard_normal((count, SIZE))
    returns = [
        np.mean([play(weights, int(draw.integers(1 << 30))) for _ in range(episodes)]) for weights in tried
    ]
    return np.column_stack([tried, returns])


@fw.task
def improve(results: list[np.ndarray], keep: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread of the best policies so far."""
    tried = np.vstack(results)
    best = tried[np.argsort(-tried[:, -1])][:keep, :-1]
    fw.log(best=float(tried[:, -1].max()), mean=float(tried[:, -1].mean()))
    return best.mean(axis=0), best.std(axis=0) + 0.05


@fw.task
def judge(mean: np.ndarray, episodes: int, seed: int) -> tuple[Policy, fw.Evaluation]:
    """Play fresh episodes with the learned policy."""
    return Policy(mean), fw.evaluate(returns=[play(mean, seed + episode) for episode in range(episodes)])


@fw.task
def observe() -> np.ndarray:
    """Some observations of the game, for the sample."""
    world = gymnasium.make("CartPole-v1")
    return np.stack([world.reset(seed=seed)[0] for seed in range(16)])


@fw.pipeline
def cartpole(rounds: int = 4, workers: int = 4, policies: int = 12, episodes: int = 2) -> fw.ModelVersion:
    """Learn to balance a pole."""
    mean, spread = np.zeros(SIZE), np.ones(SIZE)
    for turn in range(rounds):
        seeds = [1000 * turn + worker for worker in range(workers)]
        results = rollouts.map(seeds, mean=mean, spread=spread, count=policies, episodes=episodes)
        mean, spread = improve(results, keep=8)
    policy, report = judge(mean, episodes=20, seed=77_000)
    return fw.register("cartpole", policy, evaluation=report, sample=observe(), at_least={"mean_return": 475})
