"""The command line: `python cli.py fit --base vgg16`. The commands stand in `keras_transfer/commands`."""

from keras_transfer.__main__ import main

if __name__ == "__main__":
    main()
