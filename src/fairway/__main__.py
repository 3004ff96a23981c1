"""Entry point `python -m fairway`, which is the command line."""

from fairway.cli.program import main

if __name__ == "__main__":
    main()
