"""What a developer runs; a package so that `python -m scripts.benchmarks` finds this one and no other."""
