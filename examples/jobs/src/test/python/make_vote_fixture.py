#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/votes/: votes of invented people about images of three models and real ones, and what references make of them.

votes.jsonl     VoteEvents as JSON, one a line
expected.json   win rates with Wilson's intervals (statsmodels), Bradley-Terry strengths and errors (SciPy), alpha (krippendorff)

Run: python make_vote_fixture.py   (needs numpy, scipy, statsmodels and krippendorff)
"""

import json
import pathlib
from collections import defaultdict

import krippendorff
import numpy as np
from scipy.optimize import minimize
from statsmodels.stats.proportion import proportion_confint

OUT = pathlib.Path(__file__).parent / "../resources/votes"
STRENGTH = {"alpha": -0.4, "beta": 0.1, "gamma": 0.5, "real": 1.2}
NAMES = sorted(STRENGTH)
random = np.random.default_rng(5)


def subject(name, number):
    real = name == "real"
    return {
        "real": real,
        "id": f"{name}-{number}",
        "digest": f"{name}{number}",
        "model": "" if real else name,
        "modelDigest": "" if real else name * 3,
        "partition": None if real else 0,
        "offset": None if real else number,
    }


def votes():
    made = []
    for number in range(240):
        criterion = ("REALISM", "APPEAL")[number % 2]
        one, other = random.choice(NAMES, 2, replace=False)
        if number % 12 == 0:
            other = one  # two images of one thing say nothing about it
        pair = int(random.integers(3))
        lead = STRENGTH[one] - STRENGTH[other] + (0.4 if pair == 1 else -0.2)
        draw = random.random()
        choice = "TIE" if draw < 0.1 else "FIRST" if draw < 0.1 + 0.9 / (1 + np.exp(-lead)) else "SECOND"
        made.append({
            "id": f"vote-{number}",
            "criterion": criterion,
            "choice": choice,
            "first": subject(str(one), pair),
            "second": subject(str(other), pair + (1 if one == other else 0)),
            "voter": f"voter-{random.integers(6)}",
            "millis": int(random.integers(500, 9000)),
        })
    return made


def name(image):
    return "real" if image["real"] else image["model"]


def counted(made):
    """Of a voter's votes on the same two images by one criterion, the last one counts."""
    last = {}
    for vote in made:
        images = tuple(sorted((vote["first"]["digest"], vote["second"]["digest"])))
        last[vote["criterion"], vote["voter"], images] = vote
    return last


def strengths(wins):
    size = len(wins)

    def loss(x):
        return sum(wins[i, j] * np.log1p(np.exp(x[j] - x[i])) for i in range(size) for j in range(size) if i != j) + x.mean() ** 2

    x = minimize(loss, np.zeros(size), tol=1e-14, method="BFGS", options={"gtol": 1e-10}).x
    x -= x.mean()
    information = np.zeros((size, size))
    for i in range(size):
        for j in range(size):
            if i != j:
                p = 1 / (1 + np.exp(x[j] - x[i]))
                weight = (wins[i, j] + wins[j, i]) * p * (1 - p)
                information[i, i] += weight
                information[i, j] -= weight
    return x, np.sqrt(np.diag(np.linalg.pinv(information)))


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    made = votes()
    expected = {}
    for criterion in ("REALISM", "APPEAL"):
        mine = {key[1:]: vote for key, vote in counted(made).items() if key[0] == criterion}
        wins, ratings = np.zeros((4, 4)), defaultdict(dict)
        for (voter, images), vote in mine.items():
            first, second = NAMES.index(name(vote["first"])), NAMES.index(name(vote["second"]))
            share = {"FIRST": 1.0, "SECOND": 0.0, "TIE": 0.5}[vote["choice"]]
            if first != second:
                wins[first, second] += share
                wins[second, first] += 1 - share
            turned = vote["first"]["digest"] != images[0]
            ratings[images][voter] = 1 - share if turned else share
        x, errors = strengths(wins)
        voters = sorted({voter for voter, _ in mine})
        table = [[ratings[images].get(voter, np.nan) for images in sorted(ratings)] for voter in voters]
        pairs = []
        for i in range(4):
            for j in range(i + 1, 4):
                total = wins[i, j] + wins[j, i]
                low, high = proportion_confint(wins[i, j], total, method="wilson")
                pairs.append({"one": NAMES[i], "other": NAMES[j], "votes": total, "rate": wins[i, j] / total, "low": low, "high": high})
        chosen = [vote for vote in mine.values() if vote["choice"] != "TIE"]
        left = sum(vote["choice"] == "FIRST" for vote in chosen)
        expected[criterion] = {
            "votes": len(mine),
            "voters": len(voters),
            "names": NAMES,
            "strengths": x.tolist(),
            "errors": errors.tolist(),
            "alpha": float(krippendorff.alpha(reliability_data=table, level_of_measurement="nominal")),
            "pairs": pairs,
            "first": left / len(chosen),
        }
    (OUT / "votes.jsonl").write_text("".join(json.dumps(vote) + "\n" for vote in made))
    (OUT / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    for criterion, values in expected.items():
        print(criterion, values["votes"], values["strengths"], values["errors"], values["alpha"])


if __name__ == "__main__":
    main()
