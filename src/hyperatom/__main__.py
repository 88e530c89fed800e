"""`python -m hyperatom` is `hyperatom`."""

from hyperatom.cli.main import run

if __name__ == "__main__":
    run()
