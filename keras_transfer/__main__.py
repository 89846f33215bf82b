"""`python -m keras_transfer` is the command line too."""

from keras_transfer.commands import main

if __name__ == "__main__":
    main()
