"""What a run is asked to do, validated, and what `auto` means."""
