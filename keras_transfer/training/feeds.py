"""What the phases of a run train on, made and extracted once for each cut of the network and number of views."""

from __future__ import annotations

from keras_transfer.training.feed import Feed
from keras_transfer.training.phase import HEAD
from keras_transfer.training.setup import Setup


class Feeds:
    """The feeds of a run.

    Args:
        setup: Of the run.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._made: dict[tuple[str, int | str], Feed] = {}  # By what is trained, and the views as they turned out.

    def at(self, trains: str, views: int | str, stores_embedding: bool, seconds: float | None) -> Feed:
        """Return the images on both sides of the cut below what a phase trains, stored where they can be.

        Args:
            trains: `head`, the name of a block, or `all`.
            views: As in `Phase`.
            stores_embedding: As in `Feed`.
            seconds: After which no further view is begun; None stores all.
        """
        if trains == HEAD:
            ready = [
                feed for feed in self._made.values() if feed.sets and feed.stores_embedding and feed.views == views
            ]
            if ready:
                return ready[-1]
        if (trains, views) in self._made:
            return self._made[trains, views]
        feed = self._new(trains, views, stores_embedding)
        wanted = feed.views
        feed.extract(seconds)
        if feed.stored and feed.views < wanted:
            self._setup.progress.say(f"There is time for {feed.views} of {wanted} views of each image.")
        # On fewer views than were asked for, there may be one already.
        return self._made.setdefault((trains, feed.drawn), feed)

    def _new(self, trains: str, views: int | str, stores_embedding: bool) -> Feed:
        """Return a feed that has extracted nothing, and takes what another below the same block has of plain images."""
        block = None if trains == HEAD else self._setup.pretrained.spec.thawed(trains)
        extracted = [feed for (below, _), feed in self._made.items() if below == trains and feed.sets]
        plain = next((feed.plain for feed in extracted if feed.stores_embedding or not stores_embedding), None)
        return Feed(self._setup, block, views, stores_embedding, plain)

    @property
    def computed(self) -> int:
        """How many images, views counted one by one, passed the frozen part."""
        return sum(feed.extractor.computed for feed in self._made.values())

    def engine(self, earlier: str) -> str:
        """Return what ran the frozen part: `cache` where everything was stored before, `none` where nothing did.

        Args:
            earlier: What ran it before an interruption; empty if nothing did.
        """
        engines = [earlier, *(feed.extractor.engine_name for feed in self._made.values())]
        stored = any(feed.sets for feed in self._made.values())
        return next(
            (engine for engine in engines if engine not in ("", "cache", "none")), "cache" if stored else "none"
        )
