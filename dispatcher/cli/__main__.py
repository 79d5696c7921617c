"""``python -m dispatcher.cli``, by which `dispatcher up` starts its child."""

from dispatcher.cli.main import main

main()
