"""Run under mpirun: several experiments one after the other, which costs a job's start once.

Argument: a JSON list of [config, overrides, run file].
"""

from __future__ import annotations

import json
import sys

from pmom_mpi.runtime import experiment


def main() -> None:
    for config, overrides, output in json.loads(sys.argv[1]):
        result = experiment.run(config, overrides, output)
        if result.exit_code:
            sys.exit(f"{output}: {result.status}")


if __name__ == "__main__":
    main()
