"""``python -m nmfnet`` is ``nmfnet``."""

from nmfnet.cli import main

if __name__ == "__main__":
    main()
