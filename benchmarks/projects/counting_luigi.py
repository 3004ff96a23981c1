"""The same steps with Luigi: `counting_luigi.py SHAPE STEPS WORKERS FOLDER`. Two workers fork a process for every task."""

import sys
from pathlib import Path

import luigi

SHAPE, STEPS, WORKERS, FOLDER = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])


class More(luigi.Task):
    number = luigi.IntParameter()

    def requires(self):
        return More(self.number - 1) if SHAPE == "chain" and self.number > 0 else []

    def output(self):
        return luigi.LocalTarget(str(FOLDER / f"{SHAPE}-{self.number}"))

    def run(self):
        with self.output().open("w") as file:
            file.write(str(self.number + 1))


if __name__ == "__main__":
    wanted = [More(STEPS - 1)] if SHAPE == "chain" else [More(number) for number in range(STEPS)]
    done = luigi.build(wanted, workers=WORKERS, local_scheduler=True, log_level="ERROR")
    sys.exit(0 if done else 1)
