"""`python -m kpgate` is the `kpgate` command."""

from kpgate.app.cli import main

if __name__ == "__main__":
    main()
